"""Core's desk: every step of an update in the audit log once, figures for alerts, and what the other node is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from appliance.cluster.replication_errors import PEER_MISUNDERSTOOD
from appliance.config.model import Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.record import RecordSlot
from appliance.daemon.updates.desk import SERVICE, UpdatesDesk, own_prefix
from appliance.operations.packs.places import Places
from appliance.operations.updates.journal import Place
from appliance.operations.updates.state import State, Step, noted
from appliance.security.audit import read_events
from appliance.store.database import Database
from appliance.store.migrate import known_migrations
from appliance.telemetry.metrics import Metrics
from tests.fakes.updates import NEW, OLD, STRANGER, make_place, manifest, schema, write_bundle

AT = "2026-11-21T03:00:00.000Z"
STATE = State(run="r", version=NEW, before=OLD, staged="/staged", step=Step.SWITCH)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "home")
    (made.home / "data").mkdir(parents=True)
    return made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.fixture
async def slot(paths: Paths) -> AsyncIterator[RecordSlot]:
    database = await Database.open(paths.database, StoreConfig(litestream=False))
    made = RecordSlot()
    made.put(database)
    yield made
    await database.close()


async def audited(slot: RecordSlot) -> list[tuple[str, str, int, str]]:
    rows = [row.event for row in reversed(list(await slot.read(read_events)))]
    return [(one.action, one.resource, one.status, one.detail_code) for one in rows]


def figure(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(f"prontuario_{name}")


async def test_every_step_stands_in_the_audit_log_once(paths: Paths, place: Place, slot: RecordSlot) -> None:
    desk = UpdatesDesk(paths, slot, Metrics(), NEW, places=Places(paths.inbox, ()), place=place)
    assert await desk.tell() == 0
    state = noted(STATE, AT, "begun")
    place.save(state)
    assert await desk.tell() == 1
    assert await desk.tell() == 0
    state = noted(noted(state, AT, "failed", "update.switch"), AT, "begun")
    place.save(state)
    anew = UpdatesDesk(paths, slot, Metrics(), NEW, places=Places(paths.inbox, ()), place=place)
    assert await anew.tell() == 2, "what was told before is remembered over a restart of core"
    assert await audited(slot) == [
        ("update switch begun", "updates/r", 200, ""),
        ("update switch failed", "updates/r", 500, "update.switch"),
        ("update switch begun", "updates/r", 200, ""),
    ]


async def test_a_standby_tells_it_when_it_has_the_record(paths: Paths, place: Place, slot: RecordSlot) -> None:
    place.save(noted(STATE, AT, "begun"))
    place.remember(noted(msgspec.structs.replace(STATE, run="earlier"), AT, "done"))
    assert (
        await UpdatesDesk(paths, RecordSlot(), Metrics(), NEW, places=Places(paths.inbox, ()), place=place).tell() == 0
    )
    assert await UpdatesDesk(paths, slot, Metrics(), NEW, places=Places(paths.inbox, ()), place=place).tell() == 2
    assert {resource for _, resource, _, _ in await audited(slot)} == {"updates/earlier", "updates/r"}


async def test_it_is_told_by_itself_while_core_runs(paths: Paths, place: Place, slot: RecordSlot) -> None:
    place.save(noted(STATE, AT, "begun"))
    async with AsyncExitStack() as stack:
        UpdatesDesk(paths, slot, Metrics(), NEW, places=Places(paths.inbox, ()), place=place).start(stack)
        async with asyncio.timeout(60):
            while not await audited(slot):  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the log says nothing by itself when it grows


async def test_an_update_between_two_versions_is_a_figure(paths: Paths, place: Place) -> None:
    metrics = Metrics()
    UpdatesDesk(paths, RecordSlot(), metrics, OLD, places=Places(paths.inbox, ()), place=place)
    told = []
    for step in (Step.TURN, Step.SWITCH, Step.STUCK, Step.DONE):
        place.save(msgspec.structs.replace(STATE, step=step))
        told.append((figure(metrics, "update_half_done"), figure(metrics, "update_stuck")))
    assert told == [(0, 0), (1, 0), (1, 1), (0, 0)]
    place.state_file.write_bytes(b"{")
    assert figure(metrics, "update_half_done") == 1


async def test_two_nodes_tell_each_other_their_version(paths: Paths, place: Place, tmp_path: Path) -> None:
    one = UpdatesDesk(paths, RecordSlot(), Metrics(), OLD, places=Places(paths.inbox, ()), place=place)
    other = UpdatesDesk(
        paths, RecordSlot(), Metrics(), NEW, places=Places(paths.inbox, ()), place=make_place(tmp_path / "other")
    )
    services: dict[str, Callable[[str, bytes], Awaitable[bytes]]] = {}

    async def call(service: str, verb: str, body: bytes) -> bytes:
        if service not in services:
            raise PEER_MISUNDERSTOOD(question=service)
        return await services[service](verb, body)

    one.join({}, call)
    ask = one.verbs()["update.peer"]
    assert await ask({}) == {}, "a version before this one has no such service"
    other.join(services, call)
    assert SERVICE in services
    assert await ask({}) == {"version": NEW, "at_work": False}
    place.save(STATE)
    one.join(services, call)
    assert await other.verbs()["update.peer"]({}) == {"version": OLD, "at_work": True}


async def test_a_node_alone_has_nobody_to_ask(paths: Paths, place: Place) -> None:
    desk = UpdatesDesk(paths, RecordSlot(), Metrics(), OLD, places=Places(paths.inbox, ()), place=place)
    assert await desk.verbs()["update.peer"]({}) == {}
    assert (await desk.look()).running == OLD


async def test_bundles_on_a_stick_are_shown_with_what_speaks_against_them(
    paths: Paths, place: Place, tmp_path: Path
) -> None:
    volumes = tmp_path / "Volumes"
    stick = volumes / "STICK"
    told = manifest(schema=schema(*known_migrations()))
    write_bundle(stick / "good", told)
    write_bundle(stick / "strange", told, key=STRANGER)
    write_bundle(paths.inbox, told)
    (stick / "holiday").mkdir()
    (stick / "link").symlink_to(stick / "good")
    places = Places(paths.inbox, (str(volumes), str(tmp_path / "pulled-out")))
    desk = UpdatesDesk(paths, RecordSlot(), Metrics(), OLD, places=places, place=place)
    found = await desk.found()
    assert [(Path(one.folder).name, one.version, one.refused) for one in found] == [
        (paths.inbox.name, NEW, ""), ("good", NEW, ""), ("strange", "", "update.untrusted"),
    ]  # fmt: skip
    assert found[1].notes_pt == "Mais rápido."
    assert "Nenhuma chave confiável" in found[2].refused_pt
    elsewhere = UpdatesDesk(paths, RecordSlot(), Metrics(), OLD, places=places, place=Place(tmp_path / "nowhere"))
    assert (await elsewhere.look()).running == ""
    assert {one.refused for one in await elsewhere.found()} == {"update.untrusted"}


def test_the_program_finds_its_own_place(tmp_path: Path) -> None:
    program = tmp_path / "Prontuario" / "versions" / OLD / "python" / "bin" / "python3.11"
    program.parent.mkdir(parents=True)
    program.touch()
    (tmp_path / "Prontuario" / "current").symlink_to(f"versions/{OLD}")
    through_the_link = tmp_path / "Prontuario" / "current" / "python" / "bin" / "python3.11"
    assert own_prefix(through_the_link) == (tmp_path / "Prontuario").resolve()
    assert own_prefix(Path("/usr/bin/env")) == Path("/Library/Prontuario")
