"""The two sides of an engine, as a plugin author sees them.

Child side: an ``Engine`` is synchronous and single-threaded. The child's loop hands it requests and calls ``step`` as
long as there is work; one step advances every running request (continuous batching is the engine's own affair).
Parent side: an ``EngineHandle`` is asynchronous; it survives the child's death.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from appliance.plugin_api.messages import Failed, Loaded, Output, Submit

__all__ = [
    "CallOptions",
    "Engine",
    "EngineHandle",
    "EngineSpec",
    "EngineStatus",
    "Failed",
    "Lane",
    "Loaded",
    "Output",
    "Submit",
]


class Lane(StrEnum):
    """Who goes first. Urgent: a person waits with a patient. Background: nobody waits."""

    URGENT = "urgent"
    INTERACTIVE = "interactive"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class CallOptions:
    """For whom and how fast. ``tenant`` (user and patient) keeps caches apart; ``deadline_s`` counts from the call."""

    lane: Lane = Lane.INTERACTIVE
    deadline_s: float = 120.0
    user: str = ""
    patient: str = ""
    idempotent: bool = True
    """May be tried once more on a fresh child or on the other node, if nothing was answered yet."""
    whole: bool = False
    """Nothing is handed out before the answer is complete: a child or a node that dies in the middle costs only time."""
    on_queue: Callable[[int], None] | None = field(default=None, compare=False)
    """Told the place in the queue (1: next) now and then while the request waits, and 0 once it runs. Must not raise."""

    @property
    def tenant(self) -> str:
        """The cache namespace: nothing crosses it."""
        return f"{self.user}|{self.patient}"


class Engine(Protocol):
    """What runs in the child process.

    After an exception out of ``step`` the child ends, for the state of every running request is unknown; an engine that
    has an attribute ``survives_step_errors = True`` goes on, with its running requests failed and cancelled.
    """

    def load(self, config: Mapping[str, Any]) -> Loaded:
        """Read the model; raise to refuse. Called once, first."""
        ...

    def submit(self, request: Submit) -> None:
        """Accept a request. Raise ``ValueError`` for a bad payload: only this request fails (its ``code``, if any, is told)."""
        ...

    def step(self) -> list[Output | Failed]:
        """Advance every running request a little; return what is new. Called only while ``busy``."""
        ...

    def busy(self) -> bool:
        """Whether a step would do anything."""
        ...

    def cancel(self, request_id: int) -> None:
        """Forget a request and free its slot."""
        ...

    def stats(self) -> dict[str, float]:
        """Figures for metrics: running, waiting, bytes, tokens."""
        ...

    def close(self) -> None:
        """Free what needs freeing; the process ends after it."""
        ...


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What a plugin registers: how to start one engine child."""

    name: str
    factory: str
    """``"package.module:Factory"``; a dotted name, so that nothing heavy is imported in the core."""
    config: Mapping[str, Any] = field(default_factory=dict)
    footprint_bytes: int = 0
    """Declared memory; the ledger refuses a load that does not fit the node's budget, the supervisor kills at 1.5 times it."""
    queue_limit: int = 256
    max_running: int = 64
    """Requests handed to the child at a time; the rest wait in the parent, where they can still be cancelled for free."""
    stall_limit_s: float = 30.0
    """A step that takes longer is a hang: the child is killed."""
    load_limit_s: float = 300.0
    environment: Mapping[str, str] = field(default_factory=dict)
    probe: tuple[str, bytes] | None = None
    """(kind, payload) of the synthetic request by which health is judged."""


class EngineStatus(StrEnum):
    """Where an engine's child stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    CIRCUIT_OPEN = "circuit_open"
    REFUSED = "refused"


class EngineHandle(Protocol):
    """The parent's view of one engine."""

    @property
    def status(self) -> EngineStatus: ...
    @property
    def loaded(self) -> Loaded | None:
        """What the child said of its model; None until it is ready."""
        ...

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        ...

    def submit(self, kind: str, payload: bytes, options: CallOptions) -> AsyncIterator[bytes]:
        """Run a request; yields the payloads of its outputs. Closing the iterator cancels it.

        Raises:
            ProntuarioError: ``engine.busy`` 429, ``engine.unavailable`` 503, ``engine.deadline`` 504, ``engine.died`` 503,
                ``engine.poison`` 422; ``engine.rejected`` 422 (the engine refused the request) and ``engine.failed`` 500
                (its own fault), both with the child's code in ``details["reason"]``; ``engine.too_large`` 413,
                ``engine.overflow`` 503 (the answer was not read for too long).
        """
        ...
