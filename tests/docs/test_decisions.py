"""Decisions are numbered once each, say their number, and have their four parts."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "adr"
DECISIONS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")


def test_no_number_is_used_twice_and_none_is_left_out() -> None:
    numbers = Counter(int(path.name[:4]) for path in DECISIONS)
    assert numbers == Counter(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_its_number_and_status(decision: Path) -> None:
    text = decision.read_text(encoding="utf-8")
    said = re.match(r"# (?:ADR )?0*(\d+)", text)
    assert said is not None, text[:60]
    assert int(said[1]) == int(decision.name[:4])
    for part in ("Status", "Context", "Decision", "Consequences"):
        assert re.search(rf"^(?:## |\*\*)?{part}", text, re.MULTILINE), part
