"""Drills are announced, wait for consults, are never made twice in a period, and each leaves a report that proves itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from appliance.daemon.drills import NodeSeal
from appliance.operations.backup import NOT_RESTORABLE
from appliance.operations.drills import conductor, shelf
from appliance.operations.drills.conductor import Conductor, Drill, Ground
from appliance.operations.drills.model import Summary
from appliance.operations.drills.rehearsal import Rehearsal
from appliance.operations.drills.signing import verify
from appliance.operations.schedule import Later, Schedule
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import instant
from appliance.telemetry.metrics import Metrics
from tests.fakes.hand_clock import HandClock
from tests.unit.operations.drills.conftest import DAY_S, Stage

Staged = Callable[..., Stage]


async def test_a_drill_that_disturbs_is_announced_first_and_made_when_its_time_has_come(staged: Staged) -> None:
    stage = staged()
    with pytest.raises(Later) as later:
        await stage.turn()
    assert (later.value.after_s, stage.runs, stage.figure("drill_announced")) == (1800.0, 0, 1.0)
    (row,) = await stage.conductor.rows()
    assert row.announced_for == instant(stage.clock.now() + timedelta(seconds=1800))
    announced = instant(stage.clock.now())
    stage.clock.pass_time(900)
    with pytest.raises(Later) as again:
        await stage.turn()
    assert again.value.after_s == 900.0
    stage.clock.pass_time(901)
    await stage.turn()
    assert (stage.runs, stage.figure("drill_announced")) == (1, 0.0)
    (row,) = await stage.conductor.rows()
    assert row.last is not None
    assert (row.last.outcome, row.announced_for) == ("passed", "")
    kept = verify(stage.conductor.shelf.pdf(row.last.id))
    assert (kept.ok, kept.facts.announced_at, kept.facts.asked_by) == (True, announced, "")


async def test_what_was_announced_days_ago_is_announced_again(staged: Staged) -> None:
    """Core was away at the announced hour: whoever read the announcement expects nothing any more."""
    stage = staged()
    with pytest.raises(Later):
        await stage.turn()
    stage.clock.pass_time(2 * DAY_S)
    with pytest.raises(Later) as later:
        await stage.turn()
    assert (later.value.after_s, stage.runs, stage.figure("drill_announced")) == (1800.0, 0, 1.0)
    stage.clock.pass_time(1801)
    await stage.turn()
    assert stage.runs == 1


async def test_a_drill_that_disturbs_nobody_is_made_at_once(staged: Staged) -> None:
    stage = staged(disturbs=False)
    await stage.turn()
    assert stage.runs == 1


async def test_consults_put_it_off_until_a_person_is_told(staged: Staged) -> None:
    stage = staged()
    stage.consults = 2
    with pytest.raises(Later):
        await stage.turn()
    stage.clock.pass_time(1801)
    for _ in range(2):
        with pytest.raises(Later) as later:
            await stage.turn()
        assert later.value.after_s == 900.0
    with pytest.raises(ProntuarioError) as told:
        await stage.turn()
    assert told.value.kind.code == "drill.put_off"
    assert "prontuario drill run walk" in told.value.next_step("pt")
    assert (stage.runs, stage.figure("drill_put_off"), stage.figure("drill_announced")) == (0, 1.0, 0.0)
    (one,) = await stage.conductor.history()
    assert one.outcome == "given_up"
    assert verify(stage.conductor.shelf.pdf(one.id)).facts.postponed == 3
    stage.consults = 0
    stage.conductor.ask("walk", "ti.ana")
    await stage.turn()
    assert (stage.runs, stage.figure("drill_put_off")) == (1, 0.0)


async def test_a_person_who_asks_is_not_made_to_wait_but_a_consult_is_not_disturbed(staged: Staged) -> None:
    stage = staged()
    stage.consults = 1
    stage.conductor.ask("walk", "ti.ana")
    with pytest.raises(ProntuarioError) as told:
        await stage.turn()
    assert (told.value.kind.code, stage.runs) == ("drill.consults", 0)
    stage.consults = 0
    stage.conductor.ask("walk", "ti.ana")
    await stage.turn()
    (one,) = await stage.conductor.history()
    assert (one.asked_by, stage.runs) == ("ti.ana", 1)


async def test_a_person_s_order_leaves_the_same_report_and_the_schedule_waits_for_it(staged: Staged) -> None:
    """Whoever orders it elsewhere has waited for consults there: here nothing is asked, announced or put off."""
    stage = staged()
    stage.consults = 2
    told = await stage.conductor.make("walk", "ana.ti")
    kept = verify(stage.conductor.shelf.pdf(told.id))
    assert (kept.ok, kept.facts.asked_by, kept.facts.outcome, stage.runs) == (True, "ana.ti", "passed", 1)
    assert (await stage.conductor.rows())[0].last is not None
    stage.conductor._running = "walk"
    with pytest.raises(Later):
        await stage.turn()
    with pytest.raises(ProntuarioError, match=r"schedule\.running"):
        await stage.conductor.make("walk", "ana.ti")
    with pytest.raises(ProntuarioError, match=r"drill\.unknown"):
        await stage.conductor.make("run", "ana.ti")


async def test_an_order_that_fails_leaves_its_report_and_the_alarm(staged: Staged) -> None:
    def fall(_rehearsal: Rehearsal) -> None:
        raise NOT_RESTORABLE(exit_code=3)

    stage = staged()
    stage.act = fall
    told = await stage.conductor.make("walk", "ana.ti")
    assert (told.outcome, stage.figure("drill_failed")) == ("failed", 1.0)


async def test_what_was_announced_and_put_off_survives_a_restart(staged: Staged, seal: NodeSeal) -> None:
    stage = staged()
    with pytest.raises(Later):
        await stage.turn()
    stage.consults = 1
    stage.clock.pass_time(1801)
    with pytest.raises(Later):
        await stage.turn()

    ground = Ground(
        node="mac-a", hospital="H", version="1", clock=stage.clock, metrics=Metrics(), seal=seal, folder=stage.folder
    )  # fmt: skip
    again = Conductor(ground, Schedule(stage.folder / "s.json", stage.clock))
    again.add(
        Drill(name="walk", title_pt="a", title_en="a", about_pt="", about_en="", every_s=DAY_S, perform=stage.perform)
    )
    (row,) = await again.rows()
    assert (row.postponed, row.announced_for != "") == (1, True)


async def test_a_damaged_memory_begins_anew(staged: Staged, seal: NodeSeal) -> None:
    stage = staged()
    stage.folder.mkdir()
    (stage.folder / "standing.json").write_text("{")
    (stage.folder / "walk-1.json").write_text("{")
    ground = Ground(
        node="mac-a", hospital="H", version="1", clock=stage.clock, metrics=Metrics(), seal=seal, folder=stage.folder
    )  # fmt: skip
    again = Conductor(ground, Schedule(stage.folder / "s.json", stage.clock))
    assert await again.history() == []


def made(clock: HandClock, ago_s: float, outcome: str = "passed") -> Summary:
    at = instant(clock.now() - timedelta(seconds=ago_s))
    return Summary(id="walk-x", drill="walk", node="mac-b", ended_at=at, seconds=1.0, outcome=outcome, asked_by="")  # type: ignore[arg-type]


async def test_what_the_other_node_made_this_week_is_not_made_again(staged: Staged) -> None:
    stage = staged(disturbs=False, shared=True)
    stage.elsewhere = [made(stage.clock, DAY_S)]
    await stage.turn()
    assert stage.runs == 0
    stage.conductor.ask("walk", "ti.ana")
    await stage.turn()
    assert stage.runs == 1, "a person wants it all the same"


@pytest.mark.parametrize(("ago_s", "outcome"), [(6 * DAY_S, "passed"), (DAY_S, "failed"), (DAY_S, "given_up")])
async def test_what_is_old_or_failed_there_is_made_here(staged: Staged, ago_s: float, outcome: str) -> None:
    stage = staged(disturbs=False, shared=True)
    stage.elsewhere = [made(stage.clock, ago_s, outcome)]
    await stage.turn()
    assert stage.runs == 1


async def test_a_failure_is_told_with_its_reason_and_report(staged: Staged) -> None:
    stage = staged(disturbs=False)

    def fall(rehearsal: Rehearsal) -> None:
        rehearsal.measured(3.0, lost=2, watched=10)
        raise NOT_RESTORABLE(exit_code=3)

    stage.act = fall
    with pytest.raises(ProntuarioError) as told:
        await stage.turn()
    assert told.value.kind.code == "drill.failed"
    (one,) = await stage.conductor.history()
    assert one.id in told.value.next_step("pt")
    assert (one.outcome, one.rto_s, one.rpo_writes, one.watched_writes) == ("failed", 3.0, 2, 10)
    assert "código 3" in one.why_pt
    assert (stage.figure("drill_failed"), stage.figure("drill_rto_seconds"), stage.figure("drill_rpo_writes")) == (
        1.0,
        3.0,
        2.0,
    )


async def test_a_failure_is_still_an_alarm_after_a_restart(staged: Staged, seal: NodeSeal) -> None:
    stage = staged(disturbs=False)

    def fall(_rehearsal: Rehearsal) -> None:
        raise NOT_RESTORABLE(exit_code=3)

    stage.act = fall
    with pytest.raises(ProntuarioError):
        await stage.turn()
    metrics = Metrics()
    ground = Ground(
        node="mac-a", hospital="H", version="1", clock=stage.clock, metrics=metrics, seal=seal, folder=stage.folder
    )  # fmt: skip
    again = Conductor(ground, Schedule(stage.folder / "s.json", stage.clock))
    again.add(
        Drill(name="walk", title_pt="a", title_en="a", about_pt="", about_en="", every_s=DAY_S, perform=stage.perform)
    )
    assert metrics.registry.get_sample_value("prontuario_drill_failed", {"drill": "walk"}) == 0.0
    again.recall()
    assert metrics.registry.get_sample_value("prontuario_drill_failed", {"drill": "walk"}) == 1.0


async def test_attachments_lie_beside_the_report_and_are_named_in_it(staged: Staged) -> None:
    stage = staged(disturbs=False)
    stage.act = lambda rehearsal: rehearsal.attach("list.json", b"[1]")
    await stage.turn()
    (one,) = await stage.conductor.history()
    assert (stage.folder / one.id / "list.json").read_bytes() == b"[1]"
    (named,) = verify(stage.conductor.shelf.pdf(one.id)).facts.attachments
    assert (named.name, named.size) == ("list.json", 3)


async def test_old_reports_go_with_what_is_theirs(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "KEEP", 2)
    stage = staged(disturbs=False)
    stage.act = lambda rehearsal: rehearsal.attach("list.json", b"[1]")
    for _ in range(4):
        await stage.turn()
        stage.clock.pass_time(60)
    assert len(await stage.conductor.history()) == 2
    assert len(list(stage.folder.glob("walk-*"))) == 2 * 3
    fresh = shelf.Shelf(stage.folder)
    assert fresh.history() == await stage.conductor.history()


async def test_refusals_name_what_is_wrong(staged: Staged) -> None:
    stage = staged()
    with pytest.raises(ProntuarioError, match=r"drill\.unknown"):
        stage.conductor.check("run")
    stage.conductor.check("walk")
    for name in ("walk-nothing", "../../etc/passwd", "x/y", ""):
        with pytest.raises(ProntuarioError, match=r"drill\.no_report"):
            stage.conductor.shelf.pdf(name)


def test_the_period_of_a_retry_is_shorter_than_the_drill_s() -> None:
    assert conductor.RECENT < 1.0
