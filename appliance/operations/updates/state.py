"""Where an update stands: what is written down, durably, before each step and after it.

Fields that are not known are let pass: a newer program that is taken back has written its own, and the one before reads on.
"""

from __future__ import annotations

import enum
from typing import Final, Literal

import msgspec


class Step(enum.StrEnum):
    """The way forward, the way back, and the three ends."""

    TURN = "turn"
    PLACE = "place"
    SWITCH = "switch"
    PROVE = "prove"
    MODELS = "models"
    LEAD = "lead"
    YIELD = "yield"
    PUT_BACK = "put-back"
    BACK = "back"
    DONE = "done"
    ROLLED_BACK = "rolled-back"
    STUCK = "stuck"


FORWARD: Final = (Step.TURN, Step.PLACE, Step.SWITCH, Step.PROVE, Step.MODELS, Step.LEAD, Step.DONE)
BACKWARD: Final = (Step.YIELD, Step.PUT_BACK, Step.BACK, Step.ROLLED_BACK)
ENDS: Final = frozenset({Step.DONE, Step.ROLLED_BACK, Step.STUCK})
UNTOUCHED: Final = frozenset({Step.TURN})
"""Nothing on this machine is different yet."""


What = Literal["begun", "done", "skipped", "failed", "asked"]
"""``asked``: a person wants the version before."""


class Entry(msgspec.Struct, frozen=True):
    """One line of an update's history: ``number`` counts from 1, ``at`` is an instant, ``code`` an error's or empty."""

    number: int
    at: str
    step: Step
    what: What
    code: str = ""


class Pack(msgspec.Struct, frozen=True):
    """A model pack that the update brings."""

    name: str
    capability: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """``run``: its name; ``before``: the version to go back to; ``staged``: the bundle's folder on this machine's disk.

    ``switched``: the switch was begun, so the version before may not be running any more; ``packs``: those that
    did not serve when the update began; ``window``: ``HH:MM-HH:MM`` or empty; ``reason``: why it waits, or why it went back.
    """

    run: str
    version: str
    before: str
    staged: str
    step: Step = Step.TURN
    confirmed: bool = False
    window: str = ""
    tables: tuple[str, ...] = ()
    packs: tuple[Pack, ...] = ()
    switched: bool = False
    failure: str = ""
    failure_pt: str = ""
    failure_en: str = ""
    waits: str = ""
    entries: tuple[Entry, ...] = ()

    @property
    def ended(self) -> bool:
        """Nothing more happens by itself."""
        return self.step in ENDS

    @property
    def half_done(self) -> bool:
        """Between two versions, or stuck there."""
        return self.step not in UNTOUCHED and self.step not in {Step.DONE, Step.ROLLED_BACK}


def noted(state: State, at: str, what: What, code: str = "") -> State:
    """The state with one more line about its present step."""
    entry = Entry(len(state.entries) + 1, at, state.step, what, code)
    return msgspec.structs.replace(state, entries=(*state.entries, entry))
