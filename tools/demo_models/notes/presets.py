"""Named trainings. Each is a number of steps, never a time, so that it gives the same model wherever it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

EXPECTED: Final = Path(__file__).parent / "expected"
STEPS: Final = {"full": 1700, "ten-minutes": 400}
"""The second takes about ten minutes of one core."""


def curve(name: str) -> list[dict[str, Any]]:
    """The recorded loss curve of a preset: step, loss, accuracy, samples and seconds of each point."""
    return [json.loads(line) for line in (EXPECTED / f"{name}.curve.jsonl").read_text().splitlines()]


def figures(name: str) -> dict[str, Any]:
    """What the tool predicts for a preset, as it was measured when its curve was recorded."""
    found: dict[str, Any] = json.loads((EXPECTED / f"{name}.json").read_text())
    return found
