"""The operator's verbs: what they answer, and that every attempt stands in the audit log."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.config.model import Config, Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.packs_desk import PacksDesk
from appliance.daemon.record import RecordSlot
from appliance.engines.fleet import EngineFleet
from appliance.engines.ledger import MemoryLedger
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_host.discovery import Candidate
from appliance.plugin_host.host import PluginHost
from appliance.security.audit import read_events
from appliance.security.steady_time import SteadyTime
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock
from tests.fakes import pack_plugin, packs
from tests.fakes.pack_plugin import PackPlugin


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "home")
    (made.home / "data").mkdir(parents=True)
    packs.write_trusted(made.pack_keys)
    return made


@pytest.fixture
async def slot(paths: Paths) -> AsyncIterator[RecordSlot]:
    database = await Database.open(paths.database, StoreConfig(litestream=False))
    made = RecordSlot()
    made.put(database)
    yield made
    await database.close()


@pytest.fixture
async def desk(paths: Paths, slot: RecordSlot, tmp_path: Path) -> AsyncIterator[PacksDesk]:
    """Over a host whose one plugin serves ``chat_model`` from packs."""
    (tmp_path / "config.json").write_text(json.dumps({"echo": {}}))
    candidate = Candidate("pack_plugin", "1.0", True, lambda: PackPlugin(tmp_path))
    host = PluginHost(
        Config(), paths, store=slot, fleet=EngineFleet(MemoryLedger(8 << 30)), candidates=[candidate], quiet_s=0.1
    )
    host.load()
    await host.start()
    made = PacksDesk(paths, host, slot, SteadyTime(SystemClock()), Config())
    yield made
    await made.close()
    await host.stop(0.0)


def take_in(paths: Paths, folder: Path, version: int, **settings: object) -> str:
    source = pack_plugin.make(folder / str(version), version, **settings)
    return Intake(Shelf(paths.models, paths.pack_keys), spare_bytes=0).take_in(source).pack


async def audited(slot: RecordSlot) -> list[tuple[str, str, int, str]]:
    rows = await slot.read(read_events)
    return [
        (row.event.action, row.event.resource, row.event.status, row.event.detail_code) for row in reversed(list(rows))
    ]


async def test_activation_rollback_and_refusal_are_each_audited(
    desk: PacksDesk, paths: Paths, slot: RecordSlot, tmp_path: Path
) -> None:
    activate, rollback = (desk.verbs()[f"models.{name}"] for name in ("activate", "rollback"))
    first, bad = take_in(paths, tmp_path / "s", 1), take_in(paths, tmp_path / "s", 2, load_error="no")
    assert await activate({"pack": first}) == {"capability": "chat_model", "pack": first, "before": ""}
    with pytest.raises(ProntuarioError, match=r"pack\.gate"):
        await activate({"pack": bad})
    with pytest.raises(ProntuarioError, match=r"pack\.no_previous"):
        await rollback({"capability": "chat_model"})
    assert await audited(slot) == [
        ("activate model", f"models/{first}", 200, ""),
        ("activate model", f"models/{bad}", 422, "pack.gate"),
        ("roll model back", "models/chat_model", 409, "pack.no_previous"),
    ]


@pytest.mark.parametrize("pack", ["", "../../etc", "nothing-1"])
async def test_a_name_that_is_no_pack_is_refused(desk: PacksDesk, pack: str) -> None:
    with pytest.raises(ProntuarioError, match=r"pack\.unknown"):
        await desk.verbs()["models.activate"]({"pack": pack})


async def test_a_capability_that_is_none_has_no_previous_pack(desk: PacksDesk) -> None:
    for name in ("", "../..", "mind_reading"):
        with pytest.raises(ProntuarioError, match=r"pack\.no_previous"):
            await desk.verbs()["models.rollback"]({"capability": name})


async def test_the_inbox_is_there_for_whoever_brings_a_pack(desk: PacksDesk, paths: Paths) -> None:
    assert paths.inbox.is_dir()
    first = (await desk.places()).places[0]
    assert (first.id, first.there) == ("inbox", True)


async def test_a_standby_without_a_record_changes_its_model_all_the_same(
    desk: PacksDesk, paths: Paths, slot: RecordSlot, tmp_path: Path
) -> None:
    first = take_in(paths, tmp_path / "s", 1)
    slot.put(None)
    assert (await desk.verbs()["models.activate"]({"pack": first}))["pack"] == first
