"""The invariants of ``decide``, by example and by random observation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from appliance.cluster.decide import decide
from appliance.cluster.decisions import Job, Observation, Order, Outcome, State
from appliance.cluster.etcd_keys import ClusterView, Leader, Request, Sync
from appliance.cluster.hands import NodeReport
from appliance.cluster.model import LeaseView, Position, Role

LEADING = {Role.CANDIDATE, Role.PRIMARY, Role.DRAINING}
FREE = ClusterView(epoch=1, epoch_revision=5, sync=Sync(1, ("a", "b"), Position(0, 3), 6))
LED = replace(FREE, leader=Leader("a", 1, "", 9))


def seen(node: str = "b", **what: Any) -> Observation:
    report = what.pop("report", NodeReport(held=Position(1, 4), peer_reachable=True))
    peer = "a" if node == "b" else "b"
    known: dict[str, Any] = {"now": 100.0, "view": FREE, "lease": None, "report": report, **what}
    return Observation(node=node, peer=peer, **known)


def primary(**what: Any) -> State:
    return replace(State(role=Role.PRIMARY, epoch=1, step=Job.OPEN, open=True), **what)


VALID = LeaseView(1, 101.0)


def test_a_named_standby_with_the_history_takes_the_free_lead() -> None:
    decision = decide(State(role=Role.STANDBY, epoch=1), seen())
    assert decision.order == Order(Job.TAKE_LEAD, 2)
    assert not decision.vip


@pytest.mark.parametrize(
    ("what", "prompt"),
    [
        ({"view": replace(FREE, sync=Sync(1, ("a",), Position(0, 3)))}, "not_in_sync"),
        ({"view": replace(FREE, lost=Request("b", "ana", "", 1))}, "marked_lost"),
        ({"view": replace(FREE, sync=None)}, "not_initialised"),
        ({"report": NodeReport(held=Position(0, 3))}, "history_missing"),
        ({"report": NodeReport(held=Position(1, 4), healthy=False)}, "sick"),
        ({"voters": 2}, "no_third_voter"),
    ],
)
def test_who_may_not_lead_asks_the_operator(what: dict[str, Any], prompt: str) -> None:
    first = decide(State(role=Role.STANDBY), seen(**what))
    assert first.order is None
    later = decide(first.state, seen(now=200.0, **what))
    assert later.order is None
    assert later.state.prompt == prompt
    assert [tell.kind for tell in later.tells] == [prompt]
    assert decide(later.state, seen(now=300.0, **what)).tells == (), "told once"


def test_an_order_to_accept_loss_counts_for_one_epoch_only() -> None:
    alone = replace(FREE, sync=Sync(1, ("a",), Position(0, 3)))
    order = Request("b", "ana", "", 1, accept_loss=True)
    assert decide(State(), seen(view=replace(alone, promote=order))).order == Order(Job.TAKE_LEAD, 2)
    stale = replace(alone, epoch=2, promote=order)
    assert decide(State(), seen(view=stale)).order is None


def test_without_third_voter_the_last_primary_may_come_back_and_a_handover_may_happen() -> None:
    own = NodeReport(held=Position(1, 4), record_epoch=1)
    assert decide(State(), seen("a", voters=2, report=own)).order == Order(Job.TAKE_LEAD, 2)
    planned = replace(FREE, handover=Request("b", "ana", "", 1))
    assert decide(State(), seen(voters=2, view=planned)).order == Order(Job.TAKE_LEAD, 2)
    held_back = decide(State(), seen("a", view=planned, report=own))
    assert held_back.order is None, "others wait for the node that the handover names"


@pytest.mark.parametrize(("txid", "leads"), [(38, False), (39, True), (43, True)])
def test_a_holder_that_died_between_claim_and_opening_may_lead_again(txid: int, leads: bool) -> None:
    claimed = replace(FREE, epoch=2, sync=Sync(2, ("a",), Position(1, 39)))
    own = NodeReport(held=Position(1, txid), record_epoch=1)
    order = decide(State(), seen("a", view=claimed, report=own)).order
    assert (order == Order(Job.TAKE_LEAD, 3)) is leads


def test_promotion_goes_through_every_step_in_order() -> None:
    lease, state = LeaseView(2, 101.0), State(role=Role.STANDBY, epoch=1)
    took = Outcome(Order(Job.TAKE_LEAD, 2), ok=True, epoch=2)
    view = replace(FREE, epoch=2, leader=Leader("b", 2, "", 8))
    jobs: list[Job] = []
    decision = decide(state, seen(view=view, lease=lease, outcome=took))
    while decision.order is not None:
        jobs.append(decision.order.job)
        assert not decision.vip, "no address before the record is open"
        done = Outcome(decision.order, ok=True, position=Position(1, 4))
        decision = decide(decision.state, seen(view=view, lease=lease, outcome=done))
    assert jobs == [Job.FENCE, Job.DRAIN, Job.CLAIM, Job.OPEN]
    assert decision.state.role is Role.PRIMARY
    assert decision.state.base == Position(1, 4)
    assert decision.vip


@pytest.mark.parametrize(("accepts", "step"), [(False, Job.CLOSE), (True, Job.CLAIM)])
def test_what_was_drained_must_be_what_the_key_promises_unless_loss_was_accepted(accepts: bool, step: Job) -> None:
    order = Request("b", "ana", "", 1, accept_loss=accepts)
    view = replace(FREE, epoch=2, leader=Leader("b", 2, "", 8), promote=order)
    drained = Outcome(Order(Job.DRAIN, 2), ok=True, position=Position(0, 3))
    state = State(role=Role.CANDIDATE, epoch=2, step=Job.DRAIN)
    decision = decide(state, seen(view=view, lease=LeaseView(2, 101.0), outcome=drained))
    assert decision.state.step is step
    assert [tell.kind for tell in decision.tells] == ([] if accepts else ["promotion_failed"])


def test_a_lease_that_ran_out_ends_the_reign_and_is_not_renewed_behind_our_back() -> None:
    ended = decide(primary(), seen("a", view=LED, lease=LeaseView(1, 100.0)))
    assert ended.state.role is Role.FENCED
    assert not ended.vip
    after = decide(ended.state, seen("a", view=LED, lease=LeaseView(1, 100.0)))
    assert after.order == Order(Job.RESIGN, 1), "otherwise the keeper would hold the key for ever"


def test_a_returning_primary_sets_its_database_aside_before_it_follows() -> None:
    view = ClusterView(epoch=2, leader=Leader("b", 2, ""), sync=Sync(2, ("b",), Position(1, 4)))
    state, jobs = State(open=True), []
    report = NodeReport(held=Position(1, 9), record_epoch=1)
    outcome = None
    for _ in range(6):
        decision = decide(state, seen("a", view=view, report=report, outcome=outcome))
        state = decision.state
        if decision.order is None:
            break
        jobs.append(decision.order.job)
        if decision.order.job is Job.SET_ASIDE:
            assert decision.order.base == Position(1, 4)
            report = replace(report, record_epoch=None)
        if decision.order.job is Job.FENCE:
            report = replace(report, fence=2)
        outcome = Outcome(decision.order, ok=True)
    assert jobs == [Job.FENCE, Job.CLOSE, Job.SET_ASIDE, Job.FOLLOW]
    assert state.role is Role.STANDBY


@pytest.mark.parametrize(("held", "first"), [(Position(1, 4), Job.FOLLOW), (Position(1, 5), Job.SET_ASIDE)])
def test_a_standby_that_received_more_than_the_new_epoch_was_built_on_keeps_it_apart(
    held: Position, first: Job
) -> None:
    view = ClusterView(epoch=2, leader=Leader("a", 2, ""), sync=Sync(2, ("a",), Position(1, 4)))
    decision = decide(State(role=Role.STANDBY), seen(view=view, report=NodeReport(held=held, fence=2)))
    assert decision.order == Order(first, 2, Position(1, 4))


def test_nobody_follows_a_candidate_that_has_not_claimed_its_epoch() -> None:
    view = replace(FREE, epoch=2, leader=Leader("a", 2, ""))
    assert decide(State(role=Role.STANDBY, following=1), seen(view=view)).order is None


def test_a_sick_primary_hands_over_only_if_somebody_can_take_it() -> None:
    sick = NodeReport(held=Position(1, 4), healthy=False, peer_reachable=True)
    state = primary(sick_since=90.0)
    assert decide(state, seen("a", view=LED, lease=VALID, report=sick)).state.role is Role.DRAINING
    alone = replace(LED, sync=Sync(1, ("a",)))
    stays = decide(state, seen("a", view=alone, lease=VALID, report=sick))
    assert stays.state.role is Role.PRIMARY
    assert stays.state.prompt == "sick_alone"


def test_a_lost_peer_is_taken_out_of_the_sync_key() -> None:
    view = replace(LED, lost=Request("b", "ana", "", 1))
    assert decide(primary(), seen("a", view=view, lease=VALID)).order == Order(Job.MARK_LOST, 1)


def troubled(**what: Any) -> Observation:
    report = NodeReport(held=Position(1, 4), record_epoch=1, peer_reachable=True, trouble="cluster.spool_hole")
    return seen("a", lease=VALID, report=report, **what)


def test_an_epoch_that_can_not_be_copied_whole_is_given_up_once_only_we_may_lead() -> None:
    assert decide(primary(), troubled(view=LED)).state.role is Role.PRIMARY, "the barrier marks the peer first"
    alone = replace(LED, sync=Sync(1, ("a",), Position(0, 3), 6))
    given_up = decide(primary(), troubled(view=alone))
    assert (given_up.state.role, given_up.vip, given_up.order) == (Role.FENCED, False, None)
    assert [tell.kind for tell in given_up.tells] == ["renewing"]
    resigned = decide(given_up.state, troubled(view=alone))
    assert resigned.order == Order(Job.RESIGN, 1)
    own = NodeReport(held=Position(1, 4), record_epoch=1)
    free = decide(resigned.state, seen("a", view=replace(alone, leader=None), report=own))
    assert free.order == Order(Job.TAKE_LEAD, 2)


def test_epochs_are_not_given_up_one_after_the_other() -> None:
    alone = replace(LED, sync=Sync(1, ("a",), Position(0, 3), 6))
    assert decide(primary(renewed_at=90.0), troubled(view=alone)).state.role is Role.PRIMARY
    assert decide(primary(renewed_at=60.0), troubled(view=alone)).state.role is Role.FENCED
    unreachable = NodeReport(held=Position(1, 4), record_epoch=1, trouble="cluster.spool_hole")
    assert decide(primary(), seen("a", view=alone, lease=VALID, report=unreachable)).state.role is Role.PRIMARY


@pytest.mark.parametrize(
    ("holders", "reachable", "step"),
    [(("a", "b"), True, Job.QUIESCE), (("a",), True, Job.QUIESCE), (("a", "b"), False, Job.CLOSE)],
)
def test_whoever_stops_waits_for_every_peer_that_answers(holders: tuple[str, ...], reachable: bool, step: Job) -> None:
    view = replace(LED, sync=Sync(1, holders, Position(0, 3), 6))
    report = NodeReport(held=Position(1, 4), record_epoch=1, peer_reachable=reachable)
    decision = decide(primary(), seen("a", view=view, lease=VALID, report=report, stopping=True))
    assert (decision.state.role, decision.state.step) == (Role.DRAINING, step)


def test_a_quiesced_primary_gives_the_lease_back_before_it_closes() -> None:
    asked = replace(LED, handover=Request("b", "ana", "", 1))
    own = NodeReport(held=Position(1, 4), record_epoch=1, peer_reachable=True, fence=1)
    decision, jobs = decide(primary(), seen("a", view=asked, lease=VALID, report=own)), []
    lease: LeaseView | None = VALID
    for _ in range(4):
        if decision.order is None:
            decision = decide(decision.state, seen("a", view=asked, lease=lease, report=own))
        assert decision.order is not None
        jobs.append(decision.order.job)
        assert decision.vip == (decision.order.job is Job.QUIESCE)
        if decision.order.job is Job.RESIGN:
            lease, asked = (
                None,
                replace(asked, epoch=2, leader=Leader("b", 2, ""), sync=Sync(2, ("b",), Position(1, 4))),
            )
        done = Outcome(decision.order, ok=True, position=Position(1, 4))
        decision = decide(decision.state, seen("a", view=asked, lease=lease, report=own, outcome=done))
        if len(jobs) == 2:
            own = replace(own, fence=2)
    assert jobs == [Job.QUIESCE, Job.RESIGN, Job.FENCE, Job.CLOSE]


@pytest.mark.parametrize(
    ("stopping", "healthy", "then"), [(True, True, Job.CLOSE), (False, False, Job.RESIGN), (False, True, Job.RESUME)]
)
def test_a_handover_that_the_peer_can_not_take_in_time(stopping: bool, healthy: bool, then: Job) -> None:
    """Who stops closes first; a sick node gives the lease back before a close that may hang; a well one goes on."""
    report = NodeReport(held=Position(1, 4), record_epoch=1, healthy=healthy, peer_reachable=True)
    state = primary(role=Role.DRAINING, step=Job.QUIESCE, sick_since=None if healthy else 90.0, open=True)
    failed = Outcome(Order(Job.QUIESCE, 1), ok=False)
    now = seen("a", view=LED, lease=VALID, report=report, outcome=failed, stopping=stopping)
    decision = decide(state, now)
    assert decision.state.step is then
    if then is Job.RESIGN:
        assert decision.order == Order(Job.RESIGN, 1)
        after = decide(
            decision.state,
            seen("a", view=replace(LED, leader=None), report=report, outcome=Outcome(decision.order, ok=True)),
        )
        assert after.state.role is Role.STANDBY
        assert after.state.open, "closed when the next one leads"
        assert after.order is None, "sick: the other one leads"


def test_a_node_that_can_not_drain_asks_and_an_order_to_accept_loss_reaches_the_drain() -> None:
    view = replace(FREE, epoch=2, leader=Leader("b", 2, "", 8))
    state = State(role=Role.CANDIDATE, epoch=2, step=Job.DRAIN, tries=2)
    failed = Outcome(Order(Job.DRAIN, 2), ok=False)
    given_up = decide(state, seen(view=view, lease=LeaseView(2, 101.0), outcome=failed))
    assert given_up.state.role is Role.DRAINING
    assert given_up.state.prompt == "not_drained"
    assert [tell.kind for tell in given_up.tells] == ["promotion_failed", "not_drained"]
    order = Request("b", "ana", "", 2, accept_loss=True)
    ordered = replace(FREE, epoch=2, promote=order)
    lead = decide(replace(given_up.state, role=Role.STANDBY), seen(now=200.0, view=ordered))
    assert lead.order == Order(Job.TAKE_LEAD, 3)
    took = Outcome(Order(Job.TAKE_LEAD, 3), ok=True, epoch=3)
    view = replace(ordered, epoch=3, leader=Leader("b", 3, "", 8))
    fencing = decide(lead.state, seen(now=200.0, view=view, lease=LeaseView(3, 201.0), outcome=took))
    assert fencing.state.prompt == "not_drained", "the question stands until somebody leads"
    fenced = Outcome(Order(Job.FENCE, 3), ok=True)
    drain = decide(fencing.state, seen(now=200.0, view=view, lease=LeaseView(3, 201.0), outcome=fenced))
    assert drain.order == Order(Job.DRAIN, 3, accept_loss=True)


names = st.sampled_from(["a", "b"])
positions = st.builds(Position, st.integers(0, 3), st.integers(0, 5))
syncs = st.builds(
    Sync, st.integers(0, 3), st.sampled_from([("a",), ("b",), ("a", "b"), ("b", "a")]), positions, st.integers(1, 9)
)
requests = st.builds(Request, names, st.just("x"), st.just(""), st.integers(0, 3), st.booleans())
views = st.builds(
    ClusterView, epoch=st.integers(0, 3), leader=st.none() | st.builds(Leader, names, st.integers(1, 3), st.just("")),
    sync=st.none() | syncs, handover=st.none() | requests, promote=st.none() | requests, lost=st.none() | requests,
)  # fmt: skip
reports = st.builds(
    NodeReport, fence=st.integers(0, 3), held=positions, record_epoch=st.none() | st.integers(0, 3),
    healthy=st.booleans(), peer_reachable=st.booleans(), trouble=st.sampled_from(["", "cluster.spool_hole"]),
)  # fmt: skip
orders = st.builds(Order, st.sampled_from(Job), st.integers(0, 3), positions)
outcomes = st.builds(Outcome, orders, st.booleans(), st.integers(0, 3), positions)
observations = st.builds(
    Observation, now=st.floats(0, 50), node=st.just("a"), peer=st.just("b"), view=st.none() | views,
    lease=st.none() | st.builds(LeaseView, st.integers(0, 3), st.floats(0, 60)), report=reports, busy=st.booleans(),
    outcome=st.none() | outcomes, voters=st.sampled_from([2, 3]), stopping=st.booleans(),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(observations, min_size=1, max_size=12))
def test_whatever_happens_the_invariants_hold(story: list[Observation]) -> None:
    state = State()
    for now in story:
        before, decision = state, decide(state, now)
        state = decision.state
        valid = now.lease is not None and now.lease.valid(now.now) and now.lease.epoch == state.epoch
        if decision.vip:
            assert state.role in {Role.PRIMARY, Role.DRAINING}
            assert valid
        if now.busy:
            assert decision.order is None
        order = decision.order
        if order is not None and order.job is Job.TAKE_LEAD:
            assert now.view is not None
            assert now.view.leader is None
            forced = now.view.promote is not None and now.view.promote.accept_loss and now.view.promote.node == "a"
            assert forced or (now.view.sync is not None and "a" in now.view.sync.holders)
        if order is not None and order.job in {Job.CLAIM, Job.OPEN}:
            assert valid
        if state.role is Role.PRIMARY and before.role is not Role.PRIMARY:
            assert now.outcome is not None
            assert now.outcome.order.job in {Job.OPEN, Job.QUIESCE}
        if state.role in LEADING and not valid:
            assert state.role is Role.CANDIDATE, "only a lead just won may still be settling"
