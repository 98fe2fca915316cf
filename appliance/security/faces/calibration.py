"""The figures on which a threshold rests, kept on the node that measured them: counts and rates only, no name and no picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from appliance.security.faces.evaluation import Claim, Rate, Row
from appliance.security.files import write_file

_MODE = 0o644
"""The operator's command may run as another user than core reads it."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation: of which model (id and SHA-256), when (FHIR instant), on how much, and what it showed."""

    model: str
    sha256: str
    at: str
    people: int
    pictures: int
    same_pairs: int
    different_pairs: int
    rows: list[Row]
    claim: Claim | None = None


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What the threshold in force rests on.

    ``state``: ``measured`` at this very threshold; ``between`` two thresholds that were, whose worse rates are given;
    ``other_model``: measured, but not this model; ``none``. ``far_at`` and ``frr_at`` are the thresholds of the two rates.
    """

    state: Literal["measured", "between", "other_model", "none"] = "none"
    at: str = ""
    people: int = 0
    pictures: int = 0
    same_pairs: int = 0
    different_pairs: int = 0
    far: Rate | None = None
    far_at: float = 0.0
    frr: Rate | None = None
    frr_at: float = 0.0
    claimed_far: float | None = None
    confidence: float | None = None


def keep(path: Path, measured: Kept) -> None:
    """Write it, in place of the one before. Raises ``OSError``."""
    write_file(path, msgspec.json.encode(measured), _MODE)


def read(path: Path) -> Kept | None:
    """What was kept; None when nothing was, or it can't be read. Blocks."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return None


def basis(kept: Kept | None, sha256: str, threshold: float | None) -> Basis:
    """What ``kept`` shows for the model in use and its threshold."""
    if kept is None or threshold is None:
        return Basis()
    told = Basis(
        at=kept.at, people=kept.people, pictures=kept.pictures, same_pairs=kept.same_pairs, different_pairs=kept.different_pairs
    )  # fmt: skip
    if kept.sha256 != sha256:
        return msgspec.structs.replace(told, state="other_model")
    rows = sorted([*kept.rows, *([kept.claim.row] if kept.claim else [])], key=lambda row: row.threshold)
    # FAR grows with the threshold and FRR falls, so the neighbours bound both from the side that is worse.
    above = next((row for row in rows if row.threshold >= threshold), None)
    below = next((row for row in reversed(rows) if row.threshold <= threshold), None)
    measured = above is not None and above is below
    if above is not None:
        told = msgspec.structs.replace(told, far=above.false_accepts, far_at=above.threshold)
    if below is not None:
        told = msgspec.structs.replace(told, frr=below.false_rejects, frr_at=below.threshold)
    if kept.claim is not None and threshold <= kept.claim.row.threshold:
        told = msgspec.structs.replace(told, claimed_far=kept.claim.far, confidence=kept.claim.confidence)
    return msgspec.structs.replace(told, state="measured" if measured else "between")
