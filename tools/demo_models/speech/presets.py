"""Named runs. Each counts windows, never time, so that it gives the same model wherever and whenever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.demo_models.speech.plans import TrainingPlan
from tools.demo_models.speech.pool import PoolPlan

EXPECTED: Final = Path(__file__).parent / "expected"


@dataclass(frozen=True, slots=True)
class Preset:
    """A pool and a training on it; ``expected/NAME.curve.jsonl`` and ``expected/NAME.json`` are what it gave here."""

    pool: PoolPlan
    training: TrainingPlan
    after: str = ""
    """The preset whose run this one begins with: it is its second leg, on the same pool."""


FULL: Final = Preset(PoolPlan(44_000, seed=1), TrainingPlan(33_000, 11_700, positions=3_400))
SECOND: Final = Preset(FULL.pool, TrainingPlan(45_000, 0, seed=2, positions=3_400, begins=0.72), after="full")
TEN_MINUTES: Final = Preset(PoolPlan(6_000, seed=1), TrainingPlan(5_000, 2_250, positions=3_400))
"""About ten minutes of one core, making the pool included."""
PRESETS: Final = {"full": FULL, "second": SECOND, "ten-minutes": TEN_MINUTES}
HELD_OUT_SEED: Final = 77
HELD_OUT: Final = {
    "clean": PoolPlan(300, HELD_OUT_SEED, "held_out", "clean"),
    "near": PoolPlan(150, HELD_OUT_SEED, "held_out", "near"),
    "far": PoolPlan(300, HELD_OUT_SEED, "held_out", "far"),
}
"""Held-out sentences in the training voices, in held-out voices like them, and in held-out voices unlike them."""
