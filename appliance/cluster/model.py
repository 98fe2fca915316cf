"""The cluster's words, shared by every part of it: roles, positions, the lease, what is shown to people.

Times named ``*_s`` are seconds. Moments for people are FHIR instants (text); moments for deadlines are seconds of the
lease clock (``lease_clock.steady_s``), which no step of the wall clock and no sleep of the machine bends.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from appliance.cluster.reasons import Reason

Mode = Literal["single", "paired", "degraded", "read-only"]
"""DESIGN §3: what an acknowledgement is worth right now. Shown everywhere, never silent."""


class Role(enum.StrEnum):
    """What a node is (DESIGN §4). Only a PRIMARY whose lease is valid acknowledges writes."""

    INIT = "init"
    STANDBY = "standby"
    CANDIDATE = "candidate"
    PRIMARY = "primary"
    DRAINING = "draining"
    FENCED = "fenced"


class Position(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """What a node holds durably: every TXID of ``epoch`` up to ``txid``, without a hole. TXIDs count within an epoch.

    Compares as (epoch, txid). ``Position(0, 0)``: nothing.
    """

    epoch: int
    txid: int


NOTHING = Position(0, 0)


class LeaseView(msgspec.Struct, frozen=True):
    """The right to acknowledge in ``epoch`` until ``expires``.

    ``expires`` (seconds of the lease clock) is counted from the moment *before* the grant or keepalive was sent, so etcd
    never forgets the lease before we do, however long the answer was under way.
    """

    epoch: int
    expires: float

    def valid(self, now_s: float) -> bool:
        """Whether a write may be acknowledged at ``now_s`` (lease clock)."""
        return now_s < self.expires


class Event(msgspec.Struct, frozen=True):
    """One line of the timeline: when (instant), on which node, and what happened in plain words."""

    at: str
    node: str
    kind: str
    sentence_pt: str
    sentence_en: str
    epoch: int


class Drill(msgspec.Struct, frozen=True):
    """How a failover drill went: when it ended (instant), and for how many seconds neither node served.

    ``ok``: somebody took over. ``by``: who asked for it; ``before`` and ``after``: who led.
    """

    at: str
    outage_s: float
    ok: bool
    by: str = ""
    before: str = ""
    after: str = ""


class Computes(msgspec.Struct, frozen=True):
    """Whether the engines of both nodes answer this node's requests, and the same as a sentence, with the reason if not."""

    both: bool
    pt: str
    en: str


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator sees of the pair, from one node's side. Unknown figures are None, never a guess."""

    node: str
    peer: str
    role: Role
    mode: Mode
    epoch: int
    leader: str | None
    leader_since: str | None
    own: Position
    peer_held: Position | None
    lag_txids: int | None
    lag_s: float | None
    in_sync: str | None
    """The standby that the sync key names; None: no standby may take over by itself."""
    reason: Reason | None = None
    """What keeps the standby from taking over right now, or from being as able as the leader (``reasons.CLAUSES``)."""
    unreplicated_rows: int
    voters: tuple[int, int]
    """(healthy, all) etcd members. With fewer than three in all there is no automatic takeover."""
    silent_voters: tuple[str, ...] = ()
    """``host:port`` of those that do not answer."""
    vip: bool | None
    last_drill: str | None
    prompt: str | None = None
    """Code of what the operator is asked to decide (``events.PROMPTS``); None: nothing."""
    prompt_pt: str = ""
    prompt_en: str = ""
    """The same as a sentence."""
    drill: Drill | None = None
    """The last one, wherever it was asked for."""
    computes: Computes | None = None
    events: tuple[Event, ...] = ()
