"""Packs are put to work under load: a real host, real children; nothing that runs is lost, whatever the new pack does."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.config.model import Paths
from appliance.operations.packs.activation import Activation
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.capabilities import ChatMessage, ChatOptions
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineSpec
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import PluginContext, Provider, hookimpl
from appliance.plugin_host.host import PluginHost
from tests.fakes import pack_plugin, packs
from tests.fakes.pack_plugin import Late, PackPlugin
from tests.fakes.scripted_engine import ScriptedEngine

REQUESTS = 50
PATIENCE_S = 60.0


class Ward:
    """A host whose one plugin serves from packs."""

    def __init__(self, host: PluginHost, home: Path) -> None:
        self.host = host
        self.fleet = host._work.fleet
        self.shelf = Shelf(Paths(home).models, packs.write_trusted(Paths(home).pack_keys))
        self.desk = Activation(self.shelf, host)
        self._sources = home.parent / "sources"

    def take_in(self, version: int, **settings: Any) -> str:
        source = pack_plugin.make(self._sources / f"{version}-{len(settings)}", version, **settings)
        return Intake(self.shelf, spare_bytes=0).take_in(source).pack

    async def ask(self, seconds: float) -> str:
        """Which model answered."""
        model = self.host.abilities.chat_model().instance
        call = CallOptions(deadline_s=PATIENCE_S, user=f"u{seconds}")
        pieces = [piece async for piece in model.chat([ChatMessage("user", str(seconds))], ChatOptions(), call)]
        return "".join(piece.text for piece in pieces)

    async def refuse(self, pack: str) -> str:
        with pytest.raises(ProntuarioError) as caught:
            await self.desk.activate(pack)
        assert "?" not in caught.value.sentence("pt")
        return caught.value.kind.code + ":" + str(caught.value.details.get("reason", ""))

    async def under_load(self) -> list[asyncio.Task[str]]:
        """Fifty requests that run in the engine."""
        running = [asyncio.create_task(self.ask(1.5 + number / 100)) for number in range(REQUESTS)]
        async with asyncio.timeout(PATIENCE_S):
            while self.fleet.engine("late").running < REQUESTS:  # noqa: ASYNC110  there is no event for it
                await asyncio.sleep(0.01)
        return running


@pytest.fixture
async def ward(make_host: Callable[..., PluginHost], home: Path, tmp_path: Path, until: Any) -> Ward:
    demonstration = tmp_path / "demonstration"
    demonstration.mkdir()
    (demonstration / "config.json").write_text(json.dumps({"echo": {}}))
    host = make_host(plugins={"pack_plugin": PackPlugin(demonstration)}, quiet_s=0.2)
    host.load()
    made = Ward(host, home)
    await host.start()
    assert await made.fleet.wait_ready(PATIENCE_S)
    await made.desk.activate(made.take_in(1))
    await until(lambda: not made.fleet._beside)  # the demonstration is gone
    return made


async def test_running_requests_finish_on_the_old_version_and_new_ones_go_to_the_new(ward: Ward, until: Any) -> None:
    old = ward.fleet.engine("late")
    running = await ward.under_load()
    done = await ward.desk.activate(ward.take_in(2))
    assert (done.pack, done.before, ward.shelf.active("chat_model")) == ("late-2", "late-1", "late-2")
    assert await ward.ask(0.0) == "late-2"
    assert set(await asyncio.gather(*running)) == {"late-1"}
    await until(lambda: old.pid == 0 and len(ward.fleet.ledger.held()) == 1)  # one model's memory, not two
    assert [row.model_id for row in ward.fleet.report()] == ["late-2"]
    assert [model.id for model in ward.host.abilities.models()] == ["late-2"]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"load_error": "weights of another shape"}, "pack.gate:load failed"),
    ({"probe": "fail", "says": "numbers"}, "pack.gate:numbers"),
    ({"probe": "segv"}, "pack.gate:"),
    ({"footprint": 1 << 50}, "pack.gate:engine.memory"),
    ({"unknown": True}, "pack.gate:KeyError"),
]


@pytest.mark.parametrize(
    ("fault", "reason"), FAULTS, ids=[next(iter(fault)) + str(n) for n, (fault, _) in enumerate(FAULTS)]
)
async def test_a_pack_that_fails_its_gate_rolls_back_by_itself_while_fifty_requests_run(
    ward: Ward, fault: dict[str, Any], reason: str, is_gone: Any
) -> None:
    engine = ward.fleet.engine("late")
    pid, held = engine.pid, ward.fleet.ledger.held()
    running = await ward.under_load()
    assert (await ward.refuse(ward.take_in(2, **fault))).startswith(reason)
    assert await ward.ask(0.0) == "late-1"
    answers = await asyncio.gather(*running)
    assert answers == ["late-1"] * REQUESTS  # none lost
    assert (engine.pid, engine.restarts, ward.fleet.engine("late") is engine) == (pid, 0, True)
    assert ward.shelf.active("chat_model") == "late-1"
    assert ward.fleet.ledger.held() == held
    assert not ward.fleet._beside
    assert not list(ward.shelf.models.glob(".staging-*"))


async def test_rollback_goes_back_through_the_same_gate_and_can_be_undone(ward: Ward) -> None:
    await ward.desk.activate(ward.take_in(2))
    assert (await ward.desk.rollback("chat_model")).pack == "late-1"
    assert (await ward.ask(0.0), ward.shelf.active("chat_model")) == ("late-1", "late-1")
    assert (await ward.desk.rollback("chat_model")).pack == "late-2"
    assert await ward.ask(0.0) == "late-2"


async def test_without_a_previous_pack_there_is_nothing_to_go_back_to(ward: Ward) -> None:
    with pytest.raises(ProntuarioError, match=r"pack\.no_previous"):
        await ward.desk.rollback("chat_model")


async def test_an_older_pack_is_not_activated_but_by_rollback(ward: Ward) -> None:
    await ward.desk.activate(ward.take_in(2))
    assert await ward.refuse("late-1") == "pack.older:"
    assert await ward.ask(0.0) == "late-2"


async def test_a_pack_damaged_after_its_import_is_not_even_loaded(ward: Ward) -> None:
    pack = ward.take_in(2)
    path = ward.shelf.find(pack) / packs.KINDS[2]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert await ward.refuse(pack) == "pack.altered:"
    assert ward.shelf.active("chat_model") == "late-1"


async def test_files_that_can_t_be_opened_are_told_and_change_nothing(ward: Ward) -> None:
    pack = ward.take_in(2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # no descriptor is left for anything new
    try:
        refused = await ward.refuse(pack)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert refused == "pack.unreadable:EMFILE"
    assert (await ward.ask(0.0), ward.shelf.active("chat_model")) == ("late-1", "late-1")


async def test_one_change_at_a_time(ward: Ward, until: Any) -> None:
    pack = ward.take_in(2, load_delay_s=1.0)
    first = asyncio.create_task(ward.desk.activate(pack))
    await until(ward.desk._turn.locked)
    assert await ward.refuse(pack) == "pack.busy:"
    assert (await first).pack == pack


async def test_a_pack_that_no_plugin_would_use_is_told(ward: Ward) -> None:
    source = packs.write_model(ward._sources / "speech")
    packs.sign_model(source, name="ears", capability="speech_to_text")
    pack = Intake(ward.shelf, spare_bytes=0).take_in(source).pack
    assert await ward.refuse(pack) == "pack.unused:"
    assert ward.shelf.active("speech_to_text") == ""


async def test_the_same_pack_again_changes_nothing(ward: Ward) -> None:
    engine = ward.fleet.engine("late")
    assert (await ward.desk.activate("late-1")).before == "late-1"
    assert ward.fleet.engine("late") is engine


async def test_who_began_with_the_old_model_ends_with_its_successor(ward: Ward, until: Any) -> None:
    model = ward.host.abilities.chat_model().instance
    old = ward.fleet.engine("late")
    await ward.desk.activate(ward.take_in(2))
    await until(lambda: old.pid == 0)
    call = CallOptions(deadline_s=PATIENCE_S)
    pieces = [piece async for piece in model.chat([ChatMessage("user", "0.0")], ChatOptions(), call)]
    assert [piece.text for piece in pieces] == ["late-2"]


async def test_a_killed_engine_loads_the_version_it_had_while_the_link_points_elsewhere(ward: Ward, until: Any) -> None:
    ward.take_in(2)
    engine = ward.fleet.engine("late")
    ward.shelf.point("chat_model", "late-2")
    engine.restart()
    await until(lambda: engine.restarts and engine.loaded)
    assert engine.loaded is not None
    assert engine.loaded.model_id == "late-1"


async def test_stopping_the_host_ends_the_one_that_is_leaving_too(ward: Ward, is_gone: Any) -> None:
    old = ward.fleet.engine("late")
    pid = old.pid
    running = await ward.under_load()
    await ward.desk.activate(ward.take_in(2))
    new = ward.fleet.engine("late").pid
    await ward.host.stop(0.0)
    await asyncio.gather(*running, return_exceptions=True)
    assert is_gone(pid)
    assert is_gone(new)
    assert not ward.host._retiring or all(task.done() for task in ward.host._retiring)


class Modelless(PackPlugin):
    """Has no demonstration: as long as no pack is active it wants no engine, and what it offers is not ready."""

    @hookimpl
    def register_engines(self, context: PluginContext) -> Sequence[EngineSpec]:
        return [] if self._folder(context) == self._demonstration else super().register_engines(context)

    @hookimpl
    def register_providers(self, context: PluginContext, engines: Mapping[str, EngineHandle]) -> Sequence[Provider]:
        waiting = Late(ScriptedEngine(_nothing, ready=False), "late")
        return super().register_providers(context, engines) if engines else [Provider("chat_model", "late", waiting)]


async def _nothing(_number: int, _payload: bytes) -> list[bytes]:
    return []


async def test_a_plugin_without_a_demonstration_gets_its_engine_with_its_first_pack(
    make_host: Callable[..., PluginHost], home: Path, tmp_path: Path
) -> None:
    host = make_host(plugins={"pack_plugin": Modelless(tmp_path)}, quiet_s=0.2)
    host.load()
    ward = Ward(host, home)
    await host.start()
    assert ward.fleet.engines() == []
    with pytest.raises(ProntuarioError, match=r"capability\.unavailable"):
        await ward.ask(0.0)
    assert (await ward.refuse(ward.take_in(1, probe="fail", says="numbers"))).startswith("pack.gate:numbers")
    assert (ward.fleet.engines(), ward.fleet._beside) == ([], set())
    await ward.desk.activate(ward.take_in(2))
    assert await ward.ask(0.0) == "late-2"
    assert [row.model_id for row in ward.fleet.report()] == ["late-2"]
    await ward.desk.activate(ward.take_in(3))
    assert await ward.ask(0.0) == "late-3"
