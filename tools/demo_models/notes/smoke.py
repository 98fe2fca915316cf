"""A training of under a minute whose losses must follow the recorded beginning: the recipe still learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tools.demo_models.notes.presets import curve

STEPS: Final = 20
TOLERANCE: Final = 0.1
"""Relative: machines round differently; a broken recipe is far outside."""


def smoke(folder: Path) -> list[dict[str, Any]]:
    """The curve of a tiny training in ``folder``, which needs PyTorch."""
    from tools.demo_models.notes.train import Plan, train

    train(Plan(folder, STEPS, seed=3, record_every=5, corpus=600))
    return curve_of(folder)


def curve_of(folder: Path) -> list[dict[str, Any]]:
    """The curve that a training left in its folder."""
    import json

    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]


def differences(points: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[str]:
    """Each loss further than ``TOLERANCE`` from the recorded one, as a sentence; none is as it should be."""
    if [point["step"] for point in points] != [point["step"] for point in expected]:
        return ["the curve has other steps than the recorded one"]
    return [
        f"step {point['step']}: the loss is {point['loss']}, was {wanted['loss']}"
        for point, wanted in zip(points, expected, strict=True)
        if abs(point["loss"] - wanted["loss"]) > TOLERANCE * wanted["loss"]
    ]


def recorded() -> list[dict[str, Any]]:
    """The curve as it was when the recipe was last changed on purpose."""
    return curve("smoke")
