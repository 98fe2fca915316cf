"""What a node does about its power: a pure function of what it believes and what it sees. No clock, no I/O.

Invariants (property-tested):

1. Without a reading there is no action: a UPS that is silent is an alarm, never a reason.
2. Nothing is believed at once. Worse power counts after ``confirm_s`` of nothing better, mains after ``calm_s`` of nothing
   worse; a supply that flaps faster than that changes nothing.
3. A handover is asked for only by the node that leads, of a node that can take over, and only if that one is better fed: on
   mains if we are on battery; anything but low (it answers, so it is alive) if we are low.
4. A shutdown is ordered once, only on a battery believed to be low, and never before a handover that was possible has been
   asked for and had ``handover_s`` to happen.
5. Background work is shed exactly while we are on battery and the other node is not known to be on mains.
6. On mains nothing but the end of shedding is ever ordered: there is no automatic fail-back.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from appliance.operations.power.reading import Reading, Supply

_WORSE: Final = {Supply.MAINS: 0, Supply.BATTERY: 1, Supply.LOW: 2}


class Action(enum.StrEnum):
    """What to do now."""

    HAND_OVER = "hand_over"
    SHED = "shed"
    RESUME = "resume"
    SHUT_DOWN = "shut_down"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds; see ``config.model.Power``."""

    confirm_s: float = 5.0
    calm_s: float = 60.0
    handover_s: float = 30.0


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One look. ``now``: seconds of any steady clock. ``reading``: None when the UPS is silent.

    ``peer``: what feeds the other node as it believes itself; None: unknown, or there is no other node.
    ``peer_can_take_over``: it answers and lacks nothing that was acknowledged.
    """

    now: float
    reading: Reading | None
    leads: bool
    peer: Supply | None = None
    peer_can_take_over: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed. ``doubt``: what the readings since ``doubt_since`` point to, where that differs from ``supply``."""

    supply: Supply = Supply.MAINS
    doubt: Supply | None = None
    doubt_since: float = 0.0
    silent_since: float | None = None
    low_since: float | None = None
    """When the battery began to be believed low."""
    asked_at: float | None = None
    """When a handover was asked for last, since the power failed."""
    shedding: bool = False
    off: bool = False
    """A shutdown was ordered."""


def decide(state: State, seen: Observation, rules: Rules) -> tuple[State, tuple[Action, ...]]:
    """The next state, and what to do in this order."""
    if seen.reading is None:
        return _silent(state, seen, rules), ()
    believed = _believe(msgspec.structs.replace(state, silent_since=None), seen.reading.supply, seen.now, rules)
    if believed.off:
        return believed, ()
    shed, after = _shedding(believed, seen)
    if after.supply is Supply.MAINS:
        return msgspec.structs.replace(after, asked_at=None), shed
    if _may_hand_over(after, seen):
        waited = after.asked_at is None or seen.now - after.asked_at >= rules.handover_s
        late = after.supply is Supply.LOW and after.asked_at is not None and _low_for(after, seen) >= rules.handover_s
        if not late:
            asked = msgspec.structs.replace(after, asked_at=seen.now) if waited else after
            return asked, (*shed, Action.HAND_OVER) if waited else shed
    if after.supply is Supply.LOW:
        return msgspec.structs.replace(after, off=True), (*shed, Action.SHUT_DOWN)
    return after, shed


def _silent(state: State, seen: Observation, rules: Rules) -> State:
    """A gap shorter than ``confirm_s`` does not end what the readings around it point to."""
    since = seen.now if state.silent_since is None else state.silent_since
    doubt = state.doubt if seen.now - since < rules.confirm_s else None
    return msgspec.structs.replace(state, silent_since=since, doubt=doubt)


def _believe(state: State, supply: Supply, now: float, rules: Rules) -> State:
    """Move the belief: down to the least bad of a whole ``confirm_s``, up to the worst of a whole ``calm_s``."""
    if supply is state.supply:
        return msgspec.structs.replace(state, doubt=None)
    worse = _WORSE[supply] > _WORSE[state.supply]
    doubt, since = supply, now
    if state.doubt is not None and (_WORSE[state.doubt] > _WORSE[state.supply]) is worse:
        nearer = min if worse else max
        doubt, since = nearer(state.doubt, supply, key=_WORSE.__getitem__), state.doubt_since
    if now - since < (rules.confirm_s if worse else rules.calm_s):
        return msgspec.structs.replace(state, doubt=doubt, doubt_since=since)
    low_since = now if doubt is Supply.LOW else None
    return msgspec.structs.replace(state, supply=doubt, doubt=None, low_since=low_since)


def _shedding(state: State, seen: Observation) -> tuple[tuple[Action, ...], State]:
    wanted = state.supply is not Supply.MAINS and seen.peer is not Supply.MAINS
    if wanted is state.shedding:
        return (), state
    return (Action.SHED if wanted else Action.RESUME,), msgspec.structs.replace(state, shedding=wanted)


def _may_hand_over(state: State, seen: Observation) -> bool:
    if not (seen.leads and seen.peer_can_take_over):
        return False
    return seen.peer is Supply.MAINS if state.supply is Supply.BATTERY else seen.peer is not Supply.LOW


def _low_for(state: State, seen: Observation) -> float:
    return seen.now - state.low_since if state.low_since is not None else 0.0
