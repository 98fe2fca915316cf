"""The watch around ``decide``: what it tells its hands, health, metrics and the other node."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from appliance.cluster.errors import NO_HANDOVER
from appliance.config.model import Power
from appliance.operations.power.apcupsd import ApcupsdUps
from appliance.operations.power.decide import Action
from appliance.operations.power.nut import NutUps
from appliance.operations.power.reading import Reading, SilentError, Supply
from appliance.operations.power.switch_off import MAC_COMMAND, SwitchOff, command_of
from appliance.operations.power.watch import PowerWatch, Standing, ups_of
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.metrics import Metrics
from tests.fakes.hand_clock import HandClock

CONFIG = Power(kind="nut", confirm_s=5.0, calm_s=60.0, poll_s=0.01)


class ScriptedUps:
    """Answers what a test wrote down last."""

    def __init__(self) -> None:
        self.answer: Reading | None = Reading(supply=Supply.MAINS, charge_percent=100.0, runtime_s=3600.0)

    async def read(self) -> Reading:
        if self.answer is None:
            raise SilentError("nobody listens where the UPS server should be")
        return self.answer


class NotedHands:
    """Writes down what it is told to do."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.place = Standing(leads=True, peer_can_take_over=True)
        self.peer: Supply | ProntuarioError | None = Supply.MAINS
        self.refuses = False

    def standing(self) -> Standing:
        return self.place

    async def peer_supply(self) -> Supply | None:
        if isinstance(self.peer, ProntuarioError):
            raise self.peer
        return self.peer

    async def hand_over(self) -> None:
        self.done.append("hand over")
        if self.refuses:
            raise NO_HANDOVER(reason="etcd", reason_pt="etcd", reason_code="no_quorum")

    def shed(self, on: bool) -> None:
        self.done.append(f"shed {on}")

    def shut_down(self) -> None:
        self.done.append("shut down")


class Desk:
    def __init__(self) -> None:
        self.ups, self.hands, self.clock, self.metrics = ScriptedUps(), NotedHands(), HandClock(), Metrics()
        self.watch = PowerWatch(CONFIG, self.hands, self.clock, self.metrics, self.ups)

    async def during(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.watch.look(self.ups)
            self.clock.pass_time(1.0)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"prontuario_{name}", labels)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_battery_on_the_leader_becomes_one_handover_and_is_shown_everywhere(desk: Desk) -> None:
    await desk.during(3)
    assert (await desk.watch.health()).status == "ok"
    assert (desk.metric("ups_up"), desk.metric("ups_on_battery"), desk.metric("ups_charge_percent")) == (1, 0, 100)
    desk.ups.answer = Reading(supply=Supply.BATTERY, charge_percent=64.0, runtime_s=1500.0)
    await desk.during(10)
    assert desk.hands.done == ["hand over"]
    assert desk.watch.supply is Supply.BATTERY
    health = await desk.watch.health()
    assert (health.status, health.message) == ("degraded", "on battery (64 %, 25 min)")
    assert "na bateria" in health.message_pt
    assert desk.metric("ups_on_battery") == 1
    assert desk.metric("power_actions_total", action="hand_over") == 1


async def test_a_handover_that_is_refused_is_tried_again(desk: Desk) -> None:
    desk.hands.refuses = True
    desk.ups.answer = Reading(supply=Supply.BATTERY)
    await desk.during(40)
    assert desk.hands.done == ["hand over", "hand over"]


async def test_a_neighbour_that_does_not_answer_counts_as_unknown(desk: Desk) -> None:
    desk.hands.peer = NO_HANDOVER(reason="x", reason_pt="x", reason_code="x")
    desk.ups.answer = Reading(supply=Supply.BATTERY)
    await desk.during(10)
    assert desk.hands.done == ["shed True"]
    assert desk.metric("power_shedding") == 1


async def test_thresholds_of_the_hospital_end_in_a_shutdown(desk: Desk) -> None:
    desk.hands.place = Standing(leads=False, peer_can_take_over=False)
    desk.ups.answer = Reading(supply=Supply.BATTERY, charge_percent=19.0)
    await desk.during(10)
    assert desk.hands.done == ["shut down"]
    assert (desk.metric("ups_battery_low"), desk.metric("power_actions_total", action="shut_down")) == (1, 1)
    assert "switches itself off" in (await desk.watch.health()).message


async def test_a_silent_ups_is_an_alarm_and_nothing_else(desk: Desk) -> None:
    assert (await desk.watch.health()).status == "ok", "not asked yet"
    desk.ups.answer = None
    await desk.during(30)
    health = await desk.watch.health()
    assert (health.status, desk.hands.done, desk.watch.supply) == ("degraded", [], None)
    assert "nobody listens" in health.message
    assert desk.metric("ups_up") == 0
    charge = desk.metric("ups_charge_percent")
    assert charge != charge, "not told is not a number"  # noqa: PLR0124  NaN


async def test_a_worn_battery_is_told(desk: Desk) -> None:
    desk.ups.answer = Reading(supply=Supply.MAINS, worn=True)
    await desk.during(1)
    assert "new battery" in (await desk.watch.health()).message
    assert desk.metric("ups_battery_worn") == 1


async def test_the_watch_runs_by_itself_and_ends(desk: Desk) -> None:
    desk.watch.start()
    async with asyncio.timeout(60):
        while desk.watch.reading is None:  # noqa: ASYNC110  the loop under test tells nobody
            await asyncio.sleep(0.01)
    await desk.watch.close()
    await desk.watch.close()


class FallingUps(ScriptedUps):
    """Answers once; then comes what nobody foresaw."""

    async def read(self) -> Reading:
        answer, self.answer = self.answer, None
        if answer is None:
            raise RuntimeError("x")
        return answer


async def test_a_watch_that_fell_is_told_and_vouches_for_nothing() -> None:
    ups = FallingUps()
    watch = PowerWatch(CONFIG, NotedHands(), HandClock(), Metrics(), ups)
    watch.start()
    assert watch._task is not None
    await asyncio.wait({watch._task}, timeout=60)
    assert isinstance(watch._task.exception(), RuntimeError)
    assert watch.reading is not None, "it was on mains"
    assert ((await watch.health()).status, watch.supply) == ("failed", None)
    await watch.close()


async def test_without_a_ups_there_are_no_figures_and_no_alarm() -> None:
    metrics = Metrics()
    watch = PowerWatch(Power(), NotedHands(), HandClock(), metrics, ups_of(Power()))
    watch.start()
    await watch.close()
    assert (await watch.health()).status == "not_configured"
    assert b"ups_" not in metrics.render()


def test_the_configured_kind_is_asked() -> None:
    assert isinstance(ups_of(Power(kind="nut")), NutUps)
    assert isinstance(ups_of(Power(kind="apcupsd")), ApcupsdUps)


def test_only_a_mac_has_a_command_by_itself() -> None:
    assert command_of((), "darwin") == MAC_COMMAND
    assert command_of((), "linux") == ()
    assert command_of(("/sbin/halt",), "darwin") == ("/sbin/halt",)


async def test_the_machine_is_switched_off_only_when_that_was_ordered(tmp_path: Path) -> None:
    mark = tmp_path / "off"
    off = SwitchOff((sys.executable, "-c", f"open({str(mark)!r}, 'w').close()"))
    assert not await off.carry_out()
    assert not mark.exists()
    off.order()
    assert await off.carry_out()
    assert mark.exists()


@pytest.mark.parametrize("command", [("/nowhere/shutdown",), (sys.executable, "-c", "raise SystemExit(3)"), ()])
async def test_a_command_that_fails_is_told_and_not_raised(command: tuple[str, ...]) -> None:
    off = SwitchOff(command, "linux")
    off.order()
    assert not await off.carry_out()


def test_actions_are_the_words_of_the_metric() -> None:
    assert {action.value for action in Action} == {"hand_over", "shed", "resume", "shut_down"}


def test_closing_that_hangs_does_not_use_up_the_battery(tmp_path: Path) -> None:
    """Nobody comes back to carry the order out: the loop stands still, or core failed while it closed."""
    mark = tmp_path / "off"
    off = SwitchOff((sys.executable, "-c", f"open({str(mark)!r}, 'w').close()"), closing_limit_s=0.01)
    off.order()
    off.order()
    ends = time.monotonic() + 60
    while not mark.exists():
        assert time.monotonic() < ends
        time.sleep(0.01)


async def test_what_was_carried_out_is_not_done_again(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    off = SwitchOff((sys.executable, "-c", f"open({str(marks)!r}, 'a').write('x')"), closing_limit_s=1.0)
    off.order()
    assert await off.carry_out()
    await asyncio.sleep(1.5)
    assert marks.read_text() == "x"
