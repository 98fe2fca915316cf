"""A training of under a minute whose losses must follow a recorded curve: the recipe still learns."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tools.demo_models.speech.plans import Shape, TrainingPlan
from tools.demo_models.speech.pool import Pool, PoolPlan, make_shards, prepare_pool
from tools.demo_models.speech.presets import EXPECTED
from tools.demo_models.speech.training import Point, Training
from tools.demo_models.speech.vocabulary import load_vocabulary

POOL: Final = PoolPlan(160, seed=3, per_shard=160)
PLAN: Final = TrainingPlan(640, 288, seed=3, positions=1_000, shape=Shape(state=96, heads=4, encoder=1, decoder=1))
_CONSULTS: Final = 5_000
_CURVE: Final = EXPECTED / "smoke.curve.jsonl"
_LOSSES: Final = ("text", "guide", "letters", "tokens")


def smoke(folder: Path) -> list[Point]:
    """Make a tiny pool in ``folder``, train on it and return the curve; ``recorded()`` is what it should look like."""
    prepare_pool(folder, POOL, _CONSULTS)
    for _ in make_shards(folder, POOL):
        pass
    training = Training(Pool(folder), load_vocabulary(folder / "vocabulary.json"), PLAN)
    return list(training.run())


def recorded() -> list[Point]:
    """The curve as it was when the recipe was last changed on purpose."""
    return [Point(**json.loads(line)) for line in _CURVE.read_text(encoding="utf-8").splitlines()]


def record(points: list[Point]) -> None:
    """Make ``points`` the recorded curve."""
    _CURVE.write_text("".join(json.dumps(asdict(point)) + "\n" for point in points), encoding="utf-8")


def differences(points: list[Point], expected: list[Point], tolerance: float = 0.1) -> list[str]:
    """Every loss further than ``tolerance`` (relative) from the recorded one, as a sentence; none is as it should be.

    Machines round differently and espeak-ng's releases sound a little different; a broken recipe is far outside.
    """
    found = []
    if [point.step for point in points] != [point.step for point in expected]:
        return ["the curve has other steps than the recorded one"]
    for point, wanted in zip(points, expected, strict=True):
        for name in _LOSSES:
            is_now, was = getattr(point, name), getattr(wanted, name)
            if abs(is_now - was) > tolerance * abs(was):
                found.append(f"step {point.step}: {name} is {is_now:.4g}, was {was:.4g}")
    return found
