"""What core says about the pair, as the dashboard reads it. Unknown figures are None, never a guess."""

from __future__ import annotations

import msgspec


class PositionRow(msgspec.Struct, frozen=True):
    """How far a node's durable copy reaches."""

    epoch: int
    txid: int


class ReasonRow(msgspec.Struct, frozen=True):
    """Why the standby could not take over now, in both languages; ``since`` is a FHIR instant, where it is known."""

    code: str
    pt: str
    en: str
    since: str | None = None


class EventRow(msgspec.Struct, frozen=True):
    """One line of the timeline; ``at`` is a FHIR instant."""

    at: str
    node: str
    kind: str
    sentence_pt: str
    sentence_en: str
    epoch: int


class DrillRow(msgspec.Struct, frozen=True):
    """How the last drill went; ``outage_s`` in seconds."""

    at: str
    outage_s: float
    ok: bool
    by: str = ""
    before: str = ""
    after: str = ""


class ComputesRow(msgspec.Struct, frozen=True):
    """Whether both nodes' engines answer this node's requests, as a sentence."""

    both: bool
    pt: str
    en: str


class ClusterPicture(msgspec.Struct, frozen=True, kw_only=True):
    """The pair from the side of the node that answered. ``voters`` is (healthy, all)."""

    node: str
    peer: str
    role: str
    mode: str
    epoch: int
    leader: str | None = None
    leader_since: str | None = None
    own: PositionRow
    peer_held: PositionRow | None = None
    lag_txids: int | None = None
    lag_s: float | None = None
    in_sync: str | None = None
    reason: ReasonRow | None = None
    unreplicated_rows: int = 0
    voters: tuple[int, int] = (0, 0)
    vip: bool | None = None
    last_drill: str | None = None
    drill: DrillRow | None = None
    computes: ComputesRow | None = None
    prompt: str | None = None
    prompt_pt: str = ""
    prompt_en: str = ""
    events: tuple[EventRow, ...] = ()


class ActionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What an action would do. ``refused``: why it can't be done now; ``phrase``: what must be typed where data is at stake.

    ``target``: the node that would serve afterwards; typed where nothing else has to be.
    """

    action: str
    sentence_pt: str
    sentence_en: str
    refused: str = ""
    refused_pt: str = ""
    refused_code: str = ""
    phrase: str = ""
    target: str = ""


class PairPicture(msgspec.Struct, frozen=True, kw_only=True):
    """The pair; ``status`` is None on a node alone."""

    paired: bool
    status: ClusterPicture | None = None
    actions: tuple[ActionRow, ...] = ()
