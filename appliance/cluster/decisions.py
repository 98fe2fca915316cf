"""What ``decide`` reads and what it orders: plain frozen data, so that a simulator and a test can hold it in their hand."""

from __future__ import annotations

import enum

import msgspec

from appliance.cluster.etcd_keys import ClusterView
from appliance.cluster.hands import NodeReport
from appliance.cluster.model import NOTHING, LeaseView, Position, Role


class Job(enum.StrEnum):
    """One slow thing to do, one at a time."""

    TAKE_LEAD = "take-lead"
    FENCE = "fence"
    DRAIN = "drain"
    CLAIM = "claim"
    OPEN = "open"
    CLOSE = "close"
    QUIESCE = "quiesce"
    RESUME = "resume"
    RESIGN = "resign"
    SET_ASIDE = "set-aside"
    FOLLOW = "follow"
    MARK_LOST = "mark-lost"
    FORGET_HANDOVER = "forget-handover"
    FORGET_PROMOTE = "forget-promote"


class Order(msgspec.Struct, frozen=True):
    """A job with what it needs. ``base`` is where the epoch begins; ``accept_loss``: an operator takes what there is."""

    job: Job
    epoch: int = 0
    base: Position = NOTHING
    accept_loss: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """How the last order ended. ``epoch``: what ``TAKE_LEAD`` won; ``position``: what ``DRAIN`` found."""

    order: Order
    ok: bool
    epoch: int = 0
    position: Position = NOTHING


class Tell(msgspec.Struct, frozen=True):
    """A transition for the timeline: a kind that ``events.SENTENCES`` has words for."""

    kind: str
    epoch: int = 0
    other: str = ""


class Settings(msgspec.Struct, frozen=True):
    """Patience, in seconds."""

    retry_s: float = 2.0
    handover_wait_s: float = 5.0
    """How long everyone else waits for the node that a handover names."""
    sick_s: float = 2.0
    prompt_s: float = 4.0
    tries: int = 3
    renew_s: float = 30.0
    """Between two epochs that are begun only because the one before could not be copied whole."""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known at ``now`` (lease clock). ``view`` None: etcd has not answered lately."""

    now: float
    node: str
    peer: str
    view: ClusterView | None
    lease: LeaseView | None
    report: NodeReport
    busy: bool = False
    outcome: Outcome | None = None
    voters: int = 3
    stopping: bool = False


class State(msgspec.Struct, frozen=True):
    """What a node remembers between ticks; all of it may be lost in a crash."""

    role: Role = Role.INIT
    epoch: int = 0
    """Of our own reign while CANDIDATE, PRIMARY, DRAINING; otherwise the highest epoch seen."""
    step: Job = Job.FENCE
    base: Position = NOTHING
    tries: int = 0
    not_before: float = 0.0
    leaderless_since: float | None = None
    sick_since: float | None = None
    following: int = 0
    compared: int = 0
    """Epoch in which our old database was set aside."""
    open: bool = False
    """Whether our record may be open (for reading, once the lease is gone)."""
    prompt: str | None = None
    renewed_at: float | None = None
    """When an epoch of ours was last given up because it could not be copied whole."""


class Decision(msgspec.Struct, frozen=True):
    """The next state; at most one order; whether the address belongs here; what to tell."""

    state: State
    order: Order | None = None
    vip: bool = False
    tells: tuple[Tell, ...] = ()
