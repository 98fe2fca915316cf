"""The rules of an update, one by one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.operations.updates.decide import (
    DO,
    END,
    LEAD_PATIENCE_S,
    LEADS_NOW,
    NO_HANDOVER,
    SKIP,
    YIELD_TRIES,
    Order,
    Seen,
    after,
    decide,
    turn_round,
)
from appliance.operations.updates.state import BACKWARD, ENDS, FORWARD, Pack, State, Step, noted
from tests.fakes.updates import NEW, OLD

STATE = State(run="r", version=NEW, before=OLD, staged="/staged")
STANDBY = Seen(OLD, paired=True, leads=False, leader=True, in_step=True, peer_version=OLD)
PRIMARY = Seen(OLD, paired=True, leads=True, leader=True, in_step=True, peer_version=OLD)


def at(step: Step, **changed: object) -> State:
    return msgspec.structs.replace(STATE, step=step, **changed)


def seen(base: Seen, **changed: object) -> Seen:
    return Seen(**{**{name: getattr(base, name) for name in Seen.__slots__}, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("looks", "order"),
    [
        (STANDBY, SKIP),
        (PRIMARY, Order("wait", "other_first")),
        (seen(PRIMARY, peer_version=NEW), Order("wait", "other_first")),
        (seen(STANDBY, in_step=False), Order("wait", "not_in_step")),
        (seen(STANDBY, leader=False), Order("wait", "nobody_leads")),
        (seen(STANDBY, leads=None), Order("wait", "node_silent")),
        (seen(STANDBY, peer_at_work=True), Order("wait", "other_at_work")),
        (seen(STANDBY, peer_version=""), Order("wait", "other_silent")),
        (seen(STANDBY, peer_fits=False), Order("wait", "other_too_old")),
        (Seen(OLD), Order("wait", "confirmation")),
        (Seen(OLD, in_window=True), SKIP),
    ],
)
def test_whose_turn_it_is(looks: Seen, order: Order) -> None:
    assert decide(STATE, looks) == order


def test_a_mac_alone_goes_when_somebody_has_said_so() -> None:
    assert decide(at(Step.TURN, confirmed=True), Seen(OLD)) == SKIP


def test_a_confirmation_never_hurries_a_pair() -> None:
    assert decide(at(Step.TURN, confirmed=True, window="00:00-23:59"), PRIMARY).what == "wait"


def test_who_leads_by_now_is_not_stopped() -> None:
    assert decide(at(Step.SWITCH), PRIMARY) == Order("fail", LEADS_NOW)
    assert decide(at(Step.SWITCH), STANDBY) == DO
    assert decide(at(Step.SWITCH, confirmed=True), Seen(OLD)) == DO


def test_the_switch_asks_once_more_whether_it_may_stop_this_mac() -> None:
    """Placing models takes hours, and a killed command is given again the next day: the window may be over, the other Mac gone."""
    assert decide(at(Step.SWITCH, window="02:00-04:00"), Seen(OLD, in_window=True)) == DO
    assert decide(at(Step.SWITCH, window="02:00-04:00"), Seen(OLD)) == Order("wait", "confirmation")
    assert decide(at(Step.SWITCH), seen(STANDBY, leader=False)) == Order("wait", "nobody_leads")
    assert decide(at(Step.SWITCH), seen(STANDBY, peer_version="")) == Order("wait", "other_silent")


def test_a_switch_that_was_begun_is_brought_to_an_end_and_one_that_was_only_written_down_is_not() -> None:
    alone = at(Step.SWITCH, switched=True, window="02:00-04:00")
    assert decide(alone, Seen(OLD, switching=True)) == DO, "between two versions nobody is served anyhow"
    assert decide(alone, Seen(OLD)) == Order("wait", "confirmation"), "killed before the installer began"
    assert decide(at(Step.SWITCH, switched=True), PRIMARY) == Order("fail", LEADS_NOW)


def test_a_switch_that_was_over_is_not_done_again() -> None:
    assert decide(at(Step.SWITCH, switched=True), seen(STANDBY, running=NEW)) == SKIP
    assert decide(at(Step.SWITCH, switched=True), seen(STANDBY, running=NEW, switching=True)) == DO


def test_taking_over() -> None:
    assert decide(at(Step.LEAD), STANDBY) == DO
    assert decide(at(Step.LEAD), PRIMARY) == SKIP
    assert decide(at(Step.LEAD), Seen(NEW)) == SKIP
    assert decide(at(Step.LEAD), seen(STANDBY, peer_version=NEW)) == SKIP, "both are new: nothing is handed back"
    assert decide(at(Step.LEAD), seen(STANDBY, in_step=False)) == Order("wait", "not_in_step")
    late = seen(STANDBY, in_step=False, waited_s=LEAD_PATIENCE_S + 1)
    assert decide(at(Step.LEAD), late) == Order("fail", NO_HANDOVER)


def test_going_back_while_leading_hands_over_first_and_never_leaves_nobody_serving() -> None:
    assert decide(at(Step.YIELD, switched=True), PRIMARY) == DO
    assert decide(at(Step.YIELD, switched=True), seen(PRIMARY, in_step=False)) == Order("wait", "serves_alone")
    assert decide(at(Step.YIELD, switched=True), STANDBY) == SKIP
    assert decide(at(Step.YIELD, switched=False), PRIMARY) == SKIP, "nothing was switched: nothing to stop for"
    assert decide(at(Step.YIELD, switched=True), Seen(NEW)) == SKIP


def test_what_was_not_touched_is_not_put_back() -> None:
    assert decide(at(Step.PUT_BACK), STANDBY) == SKIP
    assert decide(at(Step.PUT_BACK, tables=("a/b",)), STANDBY) == DO
    assert decide(at(Step.PUT_BACK, packs=(Pack("p-1", "chat"),)), STANDBY) == DO
    assert decide(at(Step.MODELS), STANDBY) == SKIP
    assert decide(at(Step.BACK), STANDBY) == SKIP


def test_that_the_program_before_is_well_again_is_asked_and_not_believed() -> None:
    assert decide(at(Step.BACK, switched=True), seen(STANDBY, running=NEW)) == DO
    assert decide(at(Step.BACK, switched=True), STANDBY) == DO, "activate.sh may have gone back to one that is not well"
    assert decide(at(Step.BACK, switched=True), seen(STANDBY, switching=True)) == DO
    assert decide(at(Step.BACK, switched=True, tables=("a/b",)), STANDBY) == DO, "it has read the new tables"


@pytest.mark.parametrize("step", sorted(ENDS))
def test_an_end_is_an_end(step: Step) -> None:
    assert decide(at(step), STANDBY) == END


LOOKS = st.builds(
    Seen,
    running=st.sampled_from([OLD, NEW]),
    switching=st.booleans(),
    paired=st.just(True),
    leads=st.sampled_from([True, False, None]),
    leader=st.booleans(),
    in_step=st.booleans(),
    peer_version=st.sampled_from(["", OLD, NEW]),
    peer_at_work=st.booleans(),
    in_window=st.booleans(),
)


@given(st.sampled_from(sorted(set(Step) - ENDS)), st.booleans(), LOOKS)
def test_a_node_of_a_pair_is_stopped_only_as_a_standby(step: Step, switched: bool, looks: Seen) -> None:
    """Whatever is seen: the steps that stop the program are not ordered while this node serves the record."""
    order = decide(at(step, switched=switched, tables=("a/b",)), looks)
    if order == DO and step is Step.SWITCH and not (switched and (looks.switching or looks.running == NEW)):
        assert looks.leads is False
        assert looks.in_step
    if order == DO and step is Step.YIELD:
        assert looks.leads
        assert looks.in_step
    if step is Step.TURN:
        assert order.what in {"wait", "skip"}
        if order == SKIP:
            assert looks.leads is False
            assert looks.in_step


def test_every_way_leads_to_an_end() -> None:
    for way, end in ((FORWARD, Step.DONE), (BACKWARD, Step.ROLLED_BACK)):
        state = at(way[0])
        for _ in way[1:]:
            state = after(state)
        assert state.step is end
    for step in FORWARD[:-1]:
        failed = after(at(step, waits="not_in_step"), "some.code")
        assert (failed.step, failed.failure, failed.waits) == (Step.YIELD, "some.code", "")
    for step in BACKWARD[1:-1]:
        assert after(at(step), "some.code").step is Step.STUCK
    assert turn_round(at(Step.DONE), "asked").step is Step.YIELD


def test_a_lead_that_can_not_be_given_away_is_offered_again_until_it_is_stuck() -> None:
    state = at(Step.YIELD, failure="update.consult")
    for _ in range(YIELD_TRIES - 1):
        state = after(noted(state, "now", "failed", "update.handover"), "update.handover")
        assert (state.step, state.failure) == (Step.YIELD, "update.consult"), "what it went back for stays the reason"
    assert after(noted(state, "now", "failed"), "update.handover").step is Step.STUCK


def test_half_done_is_what_a_person_has_to_hear_of() -> None:
    assert [step for step in Step if not at(step).half_done] == [Step.TURN, Step.DONE, Step.ROLLED_BACK]
