"""Sorts doctor's findings for a person: what must be mended first, and what could not be seen apart from what is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from admin_ui.listing import plain
from admin_ui.shapes_doctor import FindingRow

KINDS: Final = ("failed", "warning", "unseen", "ok", "elsewhere")
"""In the order in which people look."""
CALLING: Final = frozenset({"failed", "warning", "unseen"})
"""What is shown until somebody asks for more."""
TONES: Final = {"failed": "bad", "warning": "warn", "unseen": "", "ok": "ok", "elsewhere": "plain"}


def kind_of(row: FindingRow) -> str:
    """One of ``KINDS``. What was skipped with a next step could be seen by somebody else; without one it does not apply.

    A status that is newer than this dashboard was not understood: it is told as not seen, never as well.
    """
    if row.status in ("failed", "warning", "ok"):
        return row.status
    return "elsewhere" if row.status == "skipped" and not row.step_en else "unseen"


def counted(rows: Sequence[FindingRow]) -> dict[str, int]:
    """How many there are of each kind, zeros included, in order."""
    found = Counter(kind_of(row) for row in rows)
    return {kind: found[kind] for kind in KINDS}


def chosen(rows: Sequence[FindingRow], kinds: Collection[str], typed: str) -> list[FindingRow]:
    """Those of ``kinds`` whose words contain what was typed, failures first; within a kind in core's order of repair."""
    wanted = plain(typed.strip())
    found = [row for row in rows if kind_of(row) in kinds and wanted in _words_of(row)]
    return sorted(found, key=lambda row: KINDS.index(kind_of(row)))


def _words_of(row: FindingRow) -> str:
    told = (
        row.title_pt,
        row.title_en,
        row.cause_pt,
        row.cause_en,
        row.step_pt,
        row.step_en,
        row.id,
        row.verdict,
        row.group,
    )
    return plain(" ".join(told))
