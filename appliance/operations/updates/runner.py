"""Carries an update out, step by step: look, decide, write down, do, write down. Killed anywhere, it goes on where it was."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import msgspec

from appliance.operations.updates.decide import Seen, after, decide
from appliance.operations.updates.errors import FAILED, HANDOVER, LEADS_NOW
from appliance.operations.updates.state import State, Step, noted
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("update")
POLL_S: Final = 2.0
RETRY_S: Final = 30.0
"""Before a step that failed is tried once more."""
_KINDS: Final = {kind.code: kind for kind in (HANDOVER, LEADS_NOW)}


class Hands(Protocol):
    """What an update does to a machine. Each method may be called again after a kill, and ends in the same state.

    They raise ``ProntuarioError`` or ``OSError`` when the step failed.
    """

    def look(self, state: State) -> Seen:
        """How things are now."""
        ...

    def place(self, state: State) -> None:
        """Tables and model packs to their places; what was there before is kept."""
        ...

    def switch(self, state: State) -> None:
        """Install the program; returns when it runs and says that it is ready."""
        ...

    def prove(self, state: State) -> None:
        """A synthetic consult with the new program, from voice to signed note."""
        ...

    def models(self, state: State) -> None:
        """Put the packs to work, each after its own test."""
        ...

    def lead(self, state: State) -> None:
        """Take over from the other node; returns when this one leads."""
        ...

    def yield_lead(self, state: State) -> None:
        """Have the other node take over; returns when it leads."""
        ...

    def put_back(self, state: State) -> None:
        """Tables and models as they were."""
        ...

    def back(self, state: State) -> None:
        """The program that ran before; returns when it is ready."""
        ...


class Book(Protocol):
    """Where states are written down: ``appliance.operations.updates.journal.Place``."""

    def save(self, state: State) -> None:
        """All or nothing, durably. Raises ``OSError``."""
        ...

    def remember(self, state: State) -> None:
        """Put an update that has ended with the past ones. Raises ``OSError``."""
        ...


class Runner:
    """``on_state`` hears of each state once it is written down (progress for people)."""

    def __init__(
        self,
        book: Book,
        hands: Hands,
        clock: Clock,
        *,
        on_state: Callable[[State], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book, self._hands, self._clock = book, hands, clock
        self._on_state, self._sleep, self._steady = on_state, sleep, steady

    def run(self, state: State, *, wait: bool = True) -> State:
        """Until the update has ended; without ``wait`` also when it can't go on by itself right now.

        Raises:
            OSError: the state can't be written down any more (disk full): nothing further is done.
            ProntuarioError: ``update.not_installed``.
        """
        since, step = self._steady(), state.step
        while not state.ended:
            if state.step is not step:
                since, step = self._steady(), state.step
            seen = dataclasses.replace(self._hands.look(state), waited_s=self._steady() - since)
            order = decide(state, seen)
            if order.what == "wait":
                if state.waits != order.reason:
                    state = self._write(msgspec.structs.replace(state, waits=order.reason))
                if not wait:
                    return state
                self._sleep(POLL_S)
            elif order.what == "do":
                state = self._do(state)
            elif order.what == "skip":
                state = self._write(after(noted(state, self._now(), "skipped")))
            else:
                state = self._failed(state, _KINDS[order.reason](reason="the other node was not in step for too long"))
        if not state.entries or state.entries[-1].step is not state.step:
            state = self._write(
                noted(state, self._now(), "failed" if state.step is Step.STUCK else "done", state.failure)
            )
        self._book.remember(state)
        return state

    def _do(self, state: State) -> State:
        if not state.entries or (state.entries[-1].step, state.entries[-1].what) != (state.step, "begun"):
            state = noted(state, self._now(), "begun")
        state = self._write(
            msgspec.structs.replace(state, waits="", switched=state.switched or state.step is Step.SWITCH)
        )
        log.info("an update goes on", step=state.step, version=state.version)
        try:
            with _as_failure(state.step):
                self._work(state.step)(state)
        except ProntuarioError as error:
            return self._failed(state, error)
        return self._write(after(noted(state, self._now(), "done")))

    def _failed(self, state: State, error: ProntuarioError) -> State:
        log.error("a step of an update failed", step=state.step, code=error.kind.code, version=state.version)
        code, failed = error.kind.code, state.step
        state = after(noted(state, self._now(), "failed", code), code)
        if state.step is failed:
            state = self._write(state)
            self._sleep(RETRY_S)
            return state
        pt, en = (f"{error.sentence(one)} {error.next_step(one)}" for one in ("pt", "en"))
        return self._write(msgspec.structs.replace(state, failure_pt=pt, failure_en=en))

    def _work(self, step: Step) -> Callable[[State], None]:
        hands = self._hands
        return {
            Step.PLACE: hands.place,
            Step.SWITCH: hands.switch,
            Step.PROVE: hands.prove,
            Step.MODELS: hands.models,
            Step.LEAD: hands.lead,
            Step.YIELD: hands.yield_lead,
            Step.PUT_BACK: hands.put_back,
            Step.BACK: hands.back,
        }[step]

    def _write(self, state: State) -> State:
        self._book.save(state)
        self._on_state(state)
        return state

    def _now(self) -> str:
        return instant(self._clock.now())


@contextmanager
def _as_failure(step: Step) -> Iterator[None]:
    """A disk or a program that fails is an answer, too: the way back begins."""
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise FAILED(step=step, reason=str(error) or type(error).__name__) from error
