"""Who leads: a pure function (state, observation) → decision. No clock, no I/O, no randomness.

Invariants, which the simulator and the property tests hold it to:

1. A node acknowledges only with a valid lease, and the leader key is bound to that lease: one acknowledger at a time.
2. An epoch is begun at most once, by compare-and-swap, and is greater than every one before.
3. Only a node that the sync key names leads by itself; the key names a node only if it holds every acknowledged write.
4. Before a new primary's first acknowledgement its own receiver refuses every older epoch (FENCE), all that it received is
   in its database (DRAIN), and the sync key names it alone, with where its epoch began (CLAIM). In this order.
5. A node that led an older epoch, or received more of it than the newer one was built on, sets that database aside before
   it follows; it never goes back to writing it unless the sync key still names it.
6. The address is here only while PRIMARY or DRAINING with a valid lease.
7. With fewer than three voters another node than the last primary leads only on an operator's order, or after a planned
   handover; a node that is marked lost never leads by itself.
8. Whoever is unsure (etcd silent, an order's fate unknown) does nothing that would need to be sure.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from appliance.cluster.decisions import Decision, Job, Observation, Order, Outcome, Settings, State, Tell
from appliance.cluster.etcd_keys import ClusterView, Leader, Sync
from appliance.cluster.model import Position, Role

REQUIRED_VOTERS: Final = 3
NOT_DRAINED: Final = "not_drained"
"""The prompt of a node that may lead, but can't restore all that it received."""
DEFAULTS: Final = Settings()
_LEADING: Final = frozenset({Role.CANDIDATE, Role.PRIMARY, Role.DRAINING})
_NEXT: Final = {Job.FENCE: Job.DRAIN, Job.DRAIN: Job.CLAIM, Job.CLAIM: Job.OPEN}


def decide(state: State, seen: Observation, settings: Settings = DEFAULTS) -> Decision:
    """The next state and what to do now."""
    state, tells = _learn(state, seen, settings)
    leads = seen.lease is not None and seen.lease.valid(seen.now) and seen.lease.epoch == state.epoch
    overtaken = seen.view is not None and seen.view.epoch > state.epoch
    if state.role in _LEADING and (not leads or overtaken):
        return Decision(replace(state, role=Role.FENCED), tells=(*tells, Tell("lease_lost", state.epoch)))
    if state.role is Role.CANDIDATE:
        decision = _promote(state, seen, settings)
    elif state.role is Role.PRIMARY:
        decision = _lead(state, seen, settings)
    elif state.role is Role.DRAINING:
        decision = Decision(state, None if seen.busy else _drain_next(state), vip=state.step is Job.QUIESCE)
    else:
        decision = _wait(state, seen, settings)
    return replace(decision, tells=(*tells, *decision.tells))


def _learn(state: State, seen: Observation, settings: Settings) -> tuple[State, tuple[Tell, ...]]:
    """Take in how the last order ended, and since when the pair is leaderless or we are sick."""
    free = seen.view is not None and seen.view.leader is None
    state = replace(
        state,
        leaderless_since=(state.leaderless_since if state.leaderless_since is not None else seen.now) if free else None,
        sick_since=None if seen.report.healthy else (state.sick_since if state.sick_since is not None else seen.now),
    )
    outcome = seen.outcome
    if outcome is None:
        return state, ()
    if not outcome.ok:
        return _failed(state, seen, outcome, settings)
    return _succeeded(state, outcome)


def _succeeded(state: State, done: Outcome) -> tuple[State, tuple[Tell, ...]]:
    job, epoch = done.order.job, done.order.epoch
    state = replace(state, tries=0)
    if job is Job.TAKE_LEAD:
        prompt = state.prompt if state.prompt == NOT_DRAINED else None
        return replace(state, role=Role.CANDIDATE, epoch=done.epoch, step=Job.FENCE, prompt=prompt), ()
    if job is Job.SET_ASIDE:
        return replace(state, compared=epoch), (Tell("set_aside", epoch),)
    if job is Job.FOLLOW:
        return replace(state, following=epoch), (Tell("following", epoch),)
    if job in {Job.OPEN, Job.CLOSE}:
        state = replace(state, open=job is Job.OPEN)
    return _advance(state, done) if job is state.step and epoch == state.epoch else (state, ())


def _advance(state: State, done: Outcome) -> tuple[State, tuple[Tell, ...]]:
    """The step that a promotion or a handover waited for is done."""
    job, epoch = done.order.job, done.order.epoch
    if state.role is Role.CANDIDATE and job is Job.OPEN:
        return replace(state, role=Role.PRIMARY, prompt=None), (Tell("promoted", epoch),)
    if state.role is Role.CANDIDATE:
        base = done.position if job is Job.DRAIN else state.base
        return replace(state, step=_NEXT[job], base=base), ()
    if state.role is Role.DRAINING and job is Job.RESIGN:
        return replace(state, role=Role.STANDBY, following=0), (Tell("handed_over", epoch),)
    if state.role is Role.DRAINING:
        # After QUIESCE nothing is written any more and the peer has it all: it may begin while we still close.
        return replace(state, step=Job.RESIGN), ()
    if state.role is Role.PRIMARY:
        return replace(state, step=Job.FORGET_HANDOVER if job is Job.RESUME else Job.OPEN), ()
    return state, ()


def _failed(state: State, seen: Observation, lost: Outcome, settings: Settings) -> tuple[State, tuple[Tell, ...]]:
    job = lost.order.job
    state = replace(state, tries=state.tries + 1, not_before=seen.now + settings.retry_s)
    if state.role is Role.DRAINING and job is Job.QUIESCE and lost.order.epoch == state.epoch:
        # Whoever must go goes; what was acknowledged is where the sync key says.
        if seen.stopping:
            return replace(state, step=Job.CLOSE), ()
        if (
            state.sick_since is not None
        ):  # closing on a sick disk may take long, and without a lease nothing is acknowledged
            return replace(state, step=Job.RESIGN), ()
        return replace(state, role=Role.PRIMARY, step=Job.RESUME), (Tell("handover_failed", state.epoch),)
    if state.role is Role.CANDIDATE and state.tries >= settings.tries and state.step in {Job.FENCE, Job.DRAIN}:
        # Nobody has been told yet that we lead: let the other try.
        told: tuple[Tell, ...] = (Tell("promotion_failed", state.epoch),)
        prompt = NOT_DRAINED if state.step is Job.DRAIN else state.prompt
        if prompt != state.prompt:
            told = (*told, Tell(NOT_DRAINED, state.epoch))
        return replace(state, role=Role.DRAINING, step=Job.CLOSE, tries=0, prompt=prompt), told
    return state, ()


def _promote(state: State, seen: Observation, settings: Settings) -> Decision:
    if seen.stopping and state.step in {Job.FENCE, Job.DRAIN}:
        return Decision(replace(state, role=Role.DRAINING, step=Job.CLOSE))
    if state.step is Job.CLAIM and not seen.busy:
        # The disk may have lost something since we looked: what was drained must still be what the key promises.
        if seen.view is None or seen.view.sync is None:
            return Decision(state)
        if not (_reaches(state.base, seen.view.sync) or _loss_accepted(seen, state.epoch - 1)):
            told = Tell("promotion_failed", state.epoch)
            return Decision(replace(state, role=Role.DRAINING, step=Job.CLOSE, tries=0), tells=(told,))
    waits = state.tries > 0 and seen.now < state.not_before - settings.retry_s * 0.9
    if seen.busy or waits:
        return Decision(state)
    accepted = state.step is Job.DRAIN and _loss_accepted(seen, state.epoch - 1)
    return Decision(state, Order(state.step, state.epoch, state.base, accepted))


def _lead(state: State, seen: Observation, settings: Settings) -> Decision:
    if seen.busy:
        return Decision(state, vip=True)
    if state.step in {Job.RESUME, Job.FORGET_HANDOVER}:
        return Decision(state, Order(state.step, state.epoch), vip=True)
    sick = state.sick_since is not None and seen.now - state.sick_since >= settings.sick_s
    ready = _peer_ready(seen)
    asked = _handover_asked(seen)
    if asked and not ready:
        told = Tell("handover_refused", state.epoch, seen.peer)
        return Decision(state, Order(Job.FORGET_HANDOVER, state.epoch), vip=True, tells=(told,))
    if seen.stopping or (ready and (sick or asked)):
        told = Tell("stopping" if seen.stopping else "sick" if sick else "handover", state.epoch, seen.peer)
        # Whoever stops tries to leave a peer that may lead, also one that is only about to catch up.
        step = Job.QUIESCE if ready or seen.report.peer_reachable else Job.CLOSE
        return Decision(replace(state, role=Role.DRAINING, step=step), vip=True, tells=(told,))
    if _beyond_mending(state, seen, settings):
        # FENCED lets go of the lease and, alone in the sync key, leads the next epoch: it begins with a whole image.
        renewed = replace(state, role=Role.FENCED, renewed_at=seen.now)
        return Decision(renewed, tells=(Tell("renewing", state.epoch, seen.peer),))
    prompt = "sick_alone" if sick else None
    tells = (Tell(prompt, state.epoch),) if prompt and prompt != state.prompt else ()
    return Decision(replace(state, prompt=prompt), _housekeeping(state, seen), vip=True, tells=tells)


def _beyond_mending(state: State, seen: Observation, settings: Settings) -> bool:
    """Whether the peer can never hold all of this epoch, and the key says already that only we may lead."""
    sync = seen.view.sync if seen.view is not None else None
    lately = state.renewed_at is not None and seen.now - state.renewed_at < settings.renew_s
    hopeless = bool(seen.report.trouble) and seen.report.peer_reachable and not lately
    return hopeless and sync is not None and sync.epoch == state.epoch and sync.holders == (seen.node,)


def _handover_asked(seen: Observation) -> bool:
    return seen.view is not None and seen.view.handover is not None and seen.view.handover.node == seen.peer


def _housekeeping(state: State, seen: Observation) -> Order | None:
    """Requests that a running primary answers by tidying the keys."""
    if seen.view is None:
        return None
    if seen.view.promote is not None:
        return Order(Job.FORGET_PROMOTE, state.epoch)
    return Order(Job.MARK_LOST, state.epoch) if _lost_peer_still_named(seen.view, seen.peer) else None


def _drain_next(state: State) -> Order:
    return Order(state.step, state.epoch)


def _peer_ready(seen: Observation) -> bool:
    sync = seen.view.sync if seen.view is not None else None
    lost = seen.view.lost.node if seen.view is not None and seen.view.lost is not None else None
    return sync is not None and seen.peer in sync.holders and seen.report.peer_reachable and lost != seen.peer


def _lost_peer_still_named(view: ClusterView, peer: str) -> bool:
    return view.lost is not None and view.lost.node == peer and view.sync is not None and peer in view.sync.holders


def _wait(state: State, seen: Observation, settings: Settings) -> Decision:
    """INIT, STANDBY and FENCED: nothing is written here; follow whoever leads, or lead."""
    view = seen.view
    if not seen.busy and seen.lease is not None:
        # A reign that ended must not be kept alive by whoever renews the lease: nobody could ever lead.
        return Decision(state, Order(Job.RESIGN, seen.lease.epoch))
    if seen.busy or view is None:
        return Decision(state)
    state = replace(state, epoch=max(state.epoch, view.epoch))
    if view.leader is None:
        return _free(state, seen, view, settings)
    state = replace(state, prompt=None)
    if view.leader.node == seen.node or view.sync is None or view.sync.epoch != view.leader.epoch:
        return Decision(state)  # our own former reign runs out, or a candidate is not sure of its reign yet
    return _follow(state, seen, view.leader, view.sync, settings)


def _follow(state: State, seen: Observation, leader: Leader, sync: Sync, settings: Settings) -> Decision:
    epoch = leader.epoch
    strays = _strays(state, seen, sync)
    role = Role.FENCED if strays else Role.STANDBY
    state = replace(state, role=role)
    if state.tries and seen.now < state.not_before - settings.retry_s * 0.5:
        return Decision(state)
    if seen.report.fence < epoch:
        return Decision(state, Order(Job.FENCE, epoch))
    if state.open:
        return Decision(state, Order(Job.CLOSE, epoch))
    if strays:
        return Decision(state, Order(Job.SET_ASIDE, epoch, sync.base))
    if state.following != epoch:
        return Decision(state, Order(Job.FOLLOW, epoch, sync.base))
    return Decision(state)


def _strays(state: State, seen: Observation, sync: Sync) -> bool:
    """Whether this disk may hold rows that the new epoch's history lacks: what we wrote, or received beyond its base."""
    report = seen.report
    wrote = report.record_epoch is not None and report.record_epoch < sync.epoch
    received = sync.base < report.held < Position(sync.epoch, 0)
    return (wrote or received) and state.compared != sync.epoch


def _free(state: State, seen: Observation, view: ClusterView, settings: Settings) -> Decision:
    """Nobody leads. May we?"""
    role = Role.STANDBY if state.role is Role.INIT else state.role
    state = replace(state, role=role)
    if seen.stopping:
        return Decision(state, Order(Job.CLOSE, state.epoch) if state.open else None)
    refusal = why_not(seen, view)
    since = state.leaderless_since if state.leaderless_since is not None else seen.now
    named = view.handover.node if view.handover is not None else seen.node
    if refusal is None and (named == seen.node or seen.now - since >= settings.handover_wait_s):
        if seen.now < state.not_before:
            return Decision(state)
        return Decision(state, Order(Job.TAKE_LEAD, view.epoch + 1))
    if refusal is not None and seen.now - since >= settings.prompt_s and state.prompt != refusal:
        return Decision(replace(state, prompt=refusal), tells=(Tell(refusal, view.epoch),))
    return Decision(state)


def why_not(seen: Observation, view: ClusterView) -> str | None:
    """Why this node may not lead the free pair by itself, as a code of ``events``; None: it may."""
    sync, promote = view.sync, view.promote
    if sync is None:
        return "not_initialised"
    ordered = promote is not None and promote.node == seen.node and promote.epoch == view.epoch
    if _loss_accepted(seen, view.epoch):
        return None if seen.report.healthy else "sick"
    planned = view.handover is not None and view.handover.node == seen.node
    alone = seen.voters < REQUIRED_VOTERS and seen.node != sync.holders[0]
    reasons = {
        "sick": not seen.report.healthy,
        "marked_lost": view.lost is not None and view.lost.node == seen.node,
        "not_in_sync": seen.node not in sync.holders,
        "history_missing": not holds_history(seen, sync),
        "no_third_voter": alone and not ordered and not planned,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def holds_history(seen: Observation, sync: Sync) -> bool:
    """Whether the disk still has what the key says: a holder whose disk was replaced must not lead.

    A sole holder may have died between claiming its epoch and opening it. Its own record may even have gone past the base
    by then: a former primary commits, though it acknowledges nothing.
    """
    return _reaches(seen.report.held, sync)


def _reaches(held: Position, sync: Sync) -> bool:
    base = sync.base
    opened_nothing_since = len(sync.holders) == 1 and held.epoch == base.epoch and held.txid >= base.txid
    return held.epoch == sync.epoch or opened_nothing_since


def _loss_accepted(seen: Observation, epoch: int) -> bool:
    """Whether an operator ordered us to lead after ``epoch`` whatever it costs."""
    promote = seen.view.promote if seen.view is not None else None
    return promote is not None and promote.node == seen.node and promote.epoch == epoch and promote.accept_loss
