"""What comes next in an update, as a pure function: no clock, no file, no process. The runner carries it out.

Forward: turn → place → switch → prove → models → lead → done. In a pair the standby goes first and takes over once it is
proven; the other one's turn comes when it is the standby. Any failure turns round: yield → put-back → back → rolled-back;
a lead that can't be given away at once is offered again.
Each step may be carried out twice (a kill between doing and writing down), so every hand's work ends in the same state.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from appliance.operations.updates.state import BACKWARD, FORWARD, State, Step

LEAD_PATIENCE_S: Final = 1800.0
"""So long may a proven standby wait to be in step before the update is given up."""
YIELD_TRIES: Final = 10
"""A handover on the way back may be refused for a moment: somebody dictates, the link blinks. Each try waits half a minute."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the machine looks like now.

    ``running``: the version that ``current`` names; ``switching``: an activation was interrupted; ``paired``: two Macs;
    ``leads``: this node serves (None: it does not answer); ``leader``: somebody leads; ``in_step``: the standby may take over;
    ``peer_version``: empty if not known; ``peer_at_work``: the other one is itself being switched;
    ``peer_fits``: it is no older than the version from which this update may come, or that can't be told;
    ``in_window``: now is within the maintenance window that was given; ``waited_s``: so long this step has been the next one.
    """

    running: str
    switching: bool = False
    paired: bool = False
    leads: bool | None = None
    leader: bool = False
    in_step: bool = False
    peer_version: str = ""
    peer_at_work: bool = False
    peer_fits: bool = True
    in_window: bool = False
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """``do`` the state's step; ``skip`` it (nothing to do); ``wait`` for ``reason``; ``fail`` with ``reason``; or the ``end``."""

    what: Literal["do", "skip", "wait", "fail", "end"]
    reason: str = ""


DO: Final = Order("do")
SKIP: Final = Order("skip")
END: Final = Order("end")
LEADS_NOW: Final = "update.leads_now"
NO_HANDOVER: Final = "update.handover"


def decide(state: State, seen: Seen) -> Order:
    """What to do about ``state.step`` now."""
    if state.ended:
        return END
    rule = _RULES.get(state.step)
    return rule(state, seen) if rule is not None else DO


def after(state: State, failure: str = "") -> State:
    """The state once its step was done (or skipped), or has failed with ``failure``, an error's code."""
    if not failure:
        way = FORWARD if state.step in FORWARD else BACKWARD
        return msgspec.structs.replace(state, step=way[way.index(state.step) + 1], waits="")
    if state.step is Step.YIELD and _failed_in_a_row(state) < YIELD_TRIES:
        return state  # what it went back for stays the reason
    if state.step in BACKWARD:
        return msgspec.structs.replace(state, step=Step.STUCK, failure=failure, waits="")
    return msgspec.structs.replace(state, step=Step.YIELD, failure=failure, waits="")


def _failed_in_a_row(state: State) -> int:
    """How often this step has failed since it was reached, the failure that was just noted included."""
    own = itertools.takewhile(lambda entry: entry.step is state.step and entry.what != "asked", reversed(state.entries))
    return sum(entry.what == "failed" for entry in own)


def turn_round(state: State, reason: str) -> State:
    """A person wants the version before: from any step of the way forward, from its end, and once more when it was stuck."""
    return msgspec.structs.replace(state, step=Step.YIELD, failure=reason, waits="")


def _turn(state: State, seen: Seen) -> Order:
    if not seen.paired:
        return SKIP if state.confirmed or seen.in_window else Order("wait", "confirmation")
    reasons = {
        "node_silent": seen.leads is None,
        "nobody_leads": not seen.leader,
        "other_first": seen.leads,
        "other_silent": not seen.peer_version,  # it may be between two versions, or the only one that could serve
        "other_too_old": not seen.peer_fits,  # it could not read the new one's database, nor take over
        "other_at_work": seen.peer_at_work,
        "not_in_step": not seen.in_step,
    }
    waits = next((reason for reason, so in reasons.items() if so), None)
    return SKIP if waits is None else Order("wait", waits)


def _switch(state: State, seen: Seen) -> Order:
    if seen.running == state.version and not seen.switching:
        return SKIP  # killed after the program had proven itself and before that was written down
    if state.switched and (seen.switching or seen.running != state.before):
        return DO  # begun: what is between two versions is brought to an end
    if seen.paired and seen.leads:
        return Order("fail", LEADS_NOW)  # the other one fell over meanwhile: who serves alone is not stopped
    # Asked again: tables and models took their time, or the command was killed and days went by.
    turn = _turn(state, seen)
    return DO if turn == SKIP else turn


def _lead(state: State, seen: Seen) -> Order:
    if not seen.paired or seen.leads or seen.peer_version == state.version:
        return SKIP
    if seen.waited_s > LEAD_PATIENCE_S:
        return Order("fail", NO_HANDOVER)
    return DO if seen.in_step and seen.leader else Order("wait", "not_in_step")


def _yield(state: State, seen: Seen) -> Order:
    if not state.switched or not seen.paired or not seen.leads:
        return SKIP
    return DO if seen.in_step else Order("wait", "serves_alone")


def _back(state: State, _seen: Seen) -> Order:
    """Also when activate.sh went back by itself: that it is well again is asked, not believed."""
    return DO if state.switched else SKIP


def _models(state: State, _seen: Seen) -> Order:
    return DO if state.packs else SKIP


def _put_back(state: State, _seen: Seen) -> Order:
    return DO if state.tables or state.packs else SKIP


_RULES: Final[Mapping[Step, Callable[[State, Seen], Order]]] = {
    Step.TURN: _turn,
    Step.SWITCH: _switch,
    Step.MODELS: _models,
    Step.LEAD: _lead,
    Step.YIELD: _yield,
    Step.PUT_BACK: _put_back,
    Step.BACK: _back,
}
"""``place`` and ``prove`` are always carried out."""
