"""An update carried out to its end: whatever fails, and wherever the process is killed."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import msgspec
import pytest

from appliance.operations.updates.decide import turn_round
from appliance.operations.updates.runner import RETRY_S, Runner
from appliance.operations.updates.state import Pack, State, Step
from appliance.telemetry.clock import SystemClock
from tests.fakes.updates import NEW, OLD, FakeMachine, KilledError, Life, MemoryBook

FIRST = State(
    run="r", version=NEW, before=OLD, staged="/staged", tables=("plugin/table.toml",), packs=(Pack("small-3", "chat"),)
)
FORWARD_FAULTS = [None, Step.PLACE, Step.SWITCH, Step.PROVE, Step.MODELS, Step.LEAD]


def never_waits(_seconds: float) -> None:
    raise AssertionError("it waits for what does not come")


def runner(book: MemoryBook, machine: FakeMachine) -> Runner:
    return Runner(book, machine, SystemClock(), sleep=never_waits)


def until_it_ends(book: MemoryBook, machine: FakeMachine, state: State) -> State:
    """Run, and after a kill run again from what was written down."""
    try:
        return runner(book, machine).run(state)
    except KilledError:
        return runner(book, machine).run(book.load() if book.saved else state)


def is_new(machine: FakeMachine) -> bool:
    return (machine.running, machine.table, machine.model, machine.switching) == (NEW, "new", "new", False)


def is_old(machine: FakeMachine) -> bool:
    return (machine.running, machine.table, machine.model, machine.switching) == (OLD, "old", "old", False)


def lives(fault: Step | None, *, paired: bool, heals: bool) -> Iterator[tuple[int, MemoryBook, FakeMachine]]:
    """A machine for each act at which it can be killed; the last is never killed."""
    kill_at = 0
    while True:
        kill_at += 1
        life = Life(kill_at)
        fails = frozenset({fault} if fault else ())
        yield kill_at, MemoryBook(life), FakeMachine(life, paired=paired, fails=fails, heals=heals)
        if life.acts < kill_at:
            return


@pytest.mark.parametrize(
    ("fault", "paired", "heals"),
    [*((fault, paired, True) for fault in FORWARD_FAULTS for paired in (True, False)), (Step.SWITCH, True, False)],
)
def test_killed_anywhere_it_ends_whole(fault: Step | None, paired: bool, heals: bool) -> None:
    first = msgspec.structs.replace(FIRST, confirmed=not paired)
    kills = 0
    for kill_at, book, machine in lives(fault, paired=paired, heals=heals):
        ended = until_it_ends(book, machine, first)
        reached = fault is not None and (paired or fault is not Step.LEAD)
        if reached:
            assert (ended.step, ended.failure) == (Step.ROLLED_BACK, "update.failed"), kill_at
            assert is_old(machine), kill_at
            assert not machine.leads
        else:
            assert (ended.step, ended.failure) == (Step.DONE, ""), kill_at
            assert is_new(machine), kill_at
            assert machine.leads is paired
        assert not machine.served_while_switched
        assert [one.run for one in book.past] == ["r"]
        assert book.load() == ended
        kills += 1
    assert kills > (8 if fault is Step.PLACE else 14), "there were as many places to be killed at as there are acts"


def test_what_is_done_is_written_down_before_and_after() -> None:
    book = MemoryBook(Life())
    ended = runner(book, FakeMachine(book.life)).run(FIRST)
    assert [(one.number, one.step.value, one.what) for one in ended.entries] == [
        (1, "turn", "skipped"), (2, "place", "begun"), (3, "place", "done"), (4, "switch", "begun"), (5, "switch", "done"),
        (6, "prove", "begun"), (7, "prove", "done"), (8, "models", "begun"), (9, "models", "done"), (10, "lead", "begun"),
        (11, "lead", "done"), (12, "done", "done"),
    ]  # fmt: skip
    switching = next(one for one in book.written if one.step is Step.SWITCH and one.entries[-1].what == "begun")
    assert switching.switched, "it is on the disk before the first job is stopped"


def test_a_failure_is_told_in_both_languages() -> None:
    book = MemoryBook(Life())
    ended = runner(book, FakeMachine(book.life, fails=frozenset({Step.PROVE}))).run(FIRST)
    assert "prove falhou" in ended.failure_pt
    assert "prove failed" in ended.failure_en
    assert ("prove", "failed", "update.failed") in [(one.step.value, one.what, one.code) for one in ended.entries]


def test_when_the_way_back_fails_too_it_is_stuck_and_a_person_can_send_it_back_again() -> None:
    book = MemoryBook(Life())
    machine = FakeMachine(book.life, fails=frozenset({Step.PROVE, Step.BACK}))
    ended = runner(book, machine).run(FIRST)
    assert ended.step is Step.STUCK
    assert ended.half_done
    machine.fails = frozenset()
    again = runner(book, machine).run(turn_round(ended, "update.asked_back"))
    assert again.step is Step.ROLLED_BACK
    assert is_old(machine)


def test_a_handover_that_is_refused_for_a_moment_does_not_leave_it_stuck() -> None:
    book = MemoryBook(Life())
    machine = FakeMachine(book.life)
    ended = runner(book, machine).run(FIRST)
    machine.fails = frozenset({Step.YIELD})
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        machine.fails = frozenset() if len(slept) == 3 else machine.fails

    back = Runner(book, machine, SystemClock(), sleep=sleep).run(turn_round(ended, "update.asked_back"))
    assert (back.step, back.failure, slept) == (Step.ROLLED_BACK, "update.asked_back", [RETRY_S] * 3)
    assert is_old(machine)


def test_a_version_that_came_back_by_itself_and_is_not_well_is_no_good_end() -> None:
    book = MemoryBook(Life())
    machine = FakeMachine(book.life, fails=frozenset({Step.SWITCH, Step.BACK}))
    ended = runner(book, machine).run(msgspec.structs.replace(FIRST, tables=(), packs=()))
    assert machine.running == OLD
    assert ended.step is Step.STUCK


def test_an_update_that_was_done_can_be_taken_back() -> None:
    book = MemoryBook(Life())
    machine = FakeMachine(book.life)
    ended = runner(book, machine).run(FIRST)
    assert machine.leads
    back = runner(book, machine).run(turn_round(ended, "update.asked_back"))
    assert back.step is Step.ROLLED_BACK
    assert is_old(machine)
    assert machine.done[-3:] == [Step.YIELD, Step.PUT_BACK, Step.BACK]
    assert not machine.leads


def test_it_waits_for_its_turn_and_tells_why() -> None:
    book = MemoryBook(Life())
    machine = FakeMachine(book.life, leads=True)
    waits: list[str] = []

    def look_again(_seconds: float) -> None:
        waits.append(book.load().waits)
        machine.leads, machine.peer_version = False, NEW  # the other one was updated and has taken over

    ended = Runner(book, machine, SystemClock(), sleep=look_again).run(FIRST)
    assert waits == ["other_first"]
    assert ended.step is Step.DONE
    assert ended.waits == ""
    assert Step.LEAD not in machine.done, "nothing is handed back"


def test_without_patience_it_ends_where_it_would_wait() -> None:
    book = MemoryBook(Life())
    machine = FakeMachine(book.life, leads=True)
    left = runner(book, machine).run(FIRST, wait=False)
    assert (left.step, left.waits, machine.done) == (Step.TURN, "other_first", [])
    assert not left.half_done


def test_a_node_that_took_over_meanwhile_is_left_alone() -> None:
    book = MemoryBook(Life())
    machine = FakeMachine(book.life)
    placed = msgspec.structs.replace(FIRST, step=Step.SWITCH)
    machine.leads, machine.table = True, "new"
    ended = runner(book, machine).run(placed)
    assert (ended.step, ended.failure) == (Step.ROLLED_BACK, "update.leads_now")
    assert is_old(machine)
    assert Step.SWITCH not in machine.done
    assert Step.BACK not in machine.done


def test_a_handover_that_can_t_come_is_given_up() -> None:
    book = MemoryBook(Life())
    machine = FakeMachine(book.life, running=NEW, table="new", model="new")
    machine.in_step = False
    now = [0.0]
    state = msgspec.structs.replace(FIRST, step=Step.LEAD, switched=True)

    def later(seconds: float) -> None:
        now[0] += 100 * seconds

    ended = Runner(book, machine, SystemClock(), sleep=later, steady=lambda: now[0]).run(state)
    assert (ended.step, ended.failure) == (Step.ROLLED_BACK, "update.handover")
    assert is_old(machine)


def test_a_disk_that_fails_in_a_step_is_a_failure_of_that_step() -> None:
    class Full(FakeMachine):
        def place(self, state: State) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    book = MemoryBook(Life())
    ended = runner(book, Full(book.life)).run(FIRST)
    assert (ended.step, ended.failure) == (Step.ROLLED_BACK, "update.failed")
    assert "No space left" in ended.failure_en


def test_what_can_t_be_written_down_is_not_done() -> None:
    class FullBook(MemoryBook):
        def save(self, state: State) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    machine = FakeMachine(Life())
    with pytest.raises(OSError, match="No space left"):
        runner(FullBook(Life()), machine).run(FIRST)
    assert machine.done == []
    assert machine.running == OLD
