"""Every part of ours tells its health in Portuguese as well as in English: a nurse reads it before IT does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def health_calls() -> Iterator[tuple[str, ast.Call]]:
    """(place, call) of every ``Health(…)`` with words in it."""
    for folder in ("appliance", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Health":
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_part_has_portuguese_words() -> None:
    calls = list(health_calls())
    assert len(calls) > 20
    silent = []
    for place, call in calls:
        named = {keyword.arg for keyword in call.keywords}
        advises = len(call.args) > 2 or "advice" in named
        if "message_pt" not in named or (advises and "advice_pt" not in named):
            silent.append(place)
    assert silent == []
