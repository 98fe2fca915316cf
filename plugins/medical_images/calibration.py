"""Platt scaling: from scores of judged pictures to what turns a score into a probability.

A folder has one CSV for each label, named after it (``pleural_effusion.csv``), with the columns ``score`` (0 to 1, as the uncalibrated
set gave it) and ``present`` (1 or 0, as a person judged). What is printed belongs at the end of the label set's file::

    python -m plugins.medical_images.calibration FOLDER --model-sha256 HASH --provenance "which pictures, who judged, when"

Sources: Platt (1999); Lin, Lin and Weng, "A note on Platt's probabilistic outputs for support vector machines" (2007), whose softened
targets and Newton steps are used, so that separable scores give finite numbers; Brier (1950) for the score of a forecast.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from plugins.medical_images.labels import Calibration, Platt, is_identifier, sigmoid

FEWEST: Final = 30
"""Judged pictures with the finding, and as many without: below that a calibration says more about luck than about the model."""
_FOLDS: Final = 5
_STEPS: Final = 100
_GRADIENT_DONE: Final = 1e-9
_DAMPING: Final = 1e-12
_SMALLEST_STEP: Final = 1e-10
_EDGE: Final = 1e-7
"""A score that was rounded to 0 or 1 is taken for this much less."""


class CalibrationError(ValueError):
    """The scores do not support a calibration; the text says why."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture: its margin, which is the score's logit, and whether the finding is there."""

    margin: float
    present: bool


@dataclass(frozen=True, slots=True)
class Fitted:
    """A label's calibration, with the Brier score (0 is perfect) before, and after on pictures that were left out of the fit."""

    platt: Platt
    brier_before: float
    brier_held_out: float


def fit(judged: Sequence[Judged]) -> Fitted:
    """Fit and examine one label.

    Raises:
        CalibrationError: too few pictures of a kind, a score that falls where it should rise, or a calibration that on pictures
            that it has not seen is no better than knowing only how often the finding occurs.
    """
    positives = sum(one.present for one in judged)
    negatives = len(judged) - positives
    if min(positives, negatives) < FEWEST:
        raise CalibrationError(
            f"{positives} pictures with the finding and {negatives} without: {FEWEST} of each are needed"
        )
    a, b = platt(judged)
    if a <= 0:
        raise CalibrationError("the score does not rise with the finding")
    before = brier(judged, 1.0, 0.0)
    often = positives / len(judged)
    held_out = _held_out(judged)
    if held_out >= often * (1.0 - often):
        raise CalibrationError("no better than always saying how often the finding occurs")
    return Fitted(Platt(a, b, positives, negatives), before, held_out)


def platt(judged: Sequence[Judged]) -> tuple[float, float]:
    """``a`` and ``b`` of ``sigmoid(a * margin + b)`` with the greatest likelihood, by damped Newton steps."""
    positives = sum(one.present for one in judged)
    negatives = len(judged) - positives
    soft = {True: (positives + 1.0) / (positives + 2.0), False: 1.0 / (negatives + 2.0)}
    a, b = 0.0, math.log((positives + 1.0) / (negatives + 1.0))
    loss = _loss(judged, soft, a, b)
    for _ in range(_STEPS):
        gradient_a = gradient_b = h_ab = 0.0
        h_aa = h_bb = _DAMPING
        for one in judged:
            told = sigmoid(a * one.margin + b)
            slope, curve = told - soft[one.present], told * (1.0 - told)
            gradient_a += one.margin * slope
            gradient_b += slope
            h_aa += one.margin * one.margin * curve
            h_ab += one.margin * curve
            h_bb += curve
        if max(abs(gradient_a), abs(gradient_b)) < _GRADIENT_DONE * len(judged):
            break
        determinant = h_aa * h_bb - h_ab * h_ab
        step_a = -(h_bb * gradient_a - h_ab * gradient_b) / determinant
        step_b = -(h_aa * gradient_b - h_ab * gradient_a) / determinant
        size = 1.0
        while size > _SMALLEST_STEP and (now := _loss(judged, soft, a + size * step_a, b + size * step_b)) >= loss:
            size /= 2.0
        if size <= _SMALLEST_STEP:
            break
        a, b, loss = a + size * step_a, b + size * step_b, now
    return a, b


def brier(judged: Sequence[Judged], a: float, b: float) -> float:
    """Mean squared distance of the forecast from what was there."""
    return sum((sigmoid(a * one.margin + b) - one.present) ** 2 for one in judged) / len(judged)


def read_judged(file: Path) -> list[Judged]:
    """The rows of one label's CSV.

    Raises:
        CalibrationError: names the file and line that is not understood.
    """
    if not is_identifier(file.stem):
        raise CalibrationError(f"{file.name}: the file is not named after a label")
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = csv.DictReader(lines)
            if not {"score", "present"} <= set(rows.fieldnames or ()):
                raise CalibrationError(f"{file.name}: the columns score and present are needed")
            return [_judged(file, rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CalibrationError(f"{file.name}: {error}") from error


def calibrate(
    folder: Path, model_sha256: str, provenance: str
) -> tuple[Calibration, dict[str, Fitted], dict[str, str]]:
    """Every label of the folder: the calibration, the figures behind it, and why labels were left out.

    Raises:
        CalibrationError: the folder has no CSV, the hash or the provenance is not one, or no label can be calibrated.
    """
    fitted, refused = {}, {}
    for file in sorted(folder.glob("*.csv")):
        try:
            fitted[file.stem] = fit(read_judged(file))
        except CalibrationError as error:
            refused[file.stem] = str(error)
    if not fitted:
        reasons = "; ".join(f"{label}: {reason}" for label, reason in refused.items())
        raise CalibrationError(f"nothing to calibrate: {reasons or 'there is no CSV file'}")
    parts = {"model_sha256": model_sha256, "provenance": provenance}
    parts_of = {label: msgspec.structs.asdict(one.platt) for label, one in fitted.items()}
    try:
        calibration = msgspec.convert(parts | {"labels": parts_of}, Calibration)
    except msgspec.ValidationError as error:
        raise CalibrationError(str(error)) from error
    return calibration, fitted, refused


def as_toml(calibration: Calibration, fitted: dict[str, Fitted]) -> str:
    """What belongs at the end of the label set's file."""
    lines = ["[calibration]", f'model_sha256 = "{calibration.model_sha256}"', f"provenance = {_quoted(calibration)}"]
    for label, one in calibration.labels.items():
        figures = fitted[label]
        lines += [
            "",
            f"[calibration.labels.{label}] # Brier {figures.brier_before:.4f} before, {figures.brier_held_out:.4f} left out",
            f"a = {one.a!r}",
            f"b = {one.b!r}",
            f"positives = {one.positives}",
            f"negatives = {one.negatives}",
        ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 if a label was left out, 2 if all were."""
    parser = argparse.ArgumentParser(prog="python -m plugins.medical_images.calibration", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model-sha256", required=True, help="of the weights that gave the scores")
    parser.add_argument("--provenance", required=True, help="which pictures, who judged them, when")
    asked = parser.parse_args(arguments)
    try:
        calibration, fitted, refused = calibrate(asked.folder, asked.model_sha256, asked.provenance)
    except CalibrationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(as_toml(calibration, fitted))
    for label, reason in refused.items():
        sys.stderr.write(f"{label}: left out: {reason}\n")
    return 1 if refused else 0


def _loss(judged: Sequence[Judged], soft: dict[bool, float], a: float, b: float) -> float:
    """Cross-entropy against the softened targets, in the form that does not overflow."""
    total = 0.0
    for one in judged:
        value = a * one.margin + b
        total += max(value, 0.0) - value * soft[one.present] + math.log1p(math.exp(-abs(value)))
    return total


def _held_out(judged: Sequence[Judged]) -> float:
    """Brier score where each picture is foretold by a fit that has not seen it; both kinds are dealt out evenly."""
    ordered = sorted(judged, key=lambda one: (one.present, one.margin))
    total = 0.0
    for fold in range(_FOLDS):
        left_out = ordered[fold::_FOLDS]
        rest = [one for place, one in enumerate(ordered) if place % _FOLDS != fold]
        total += brier(left_out, *platt(rest)) * len(left_out)
    return total / len(ordered)


def _judged(file: Path, line: int, row: dict[str, str]) -> Judged:
    try:
        score = float(row["score"])
    except (TypeError, ValueError):
        score = math.nan
    if not 0.0 <= score <= 1.0 or row["present"] not in {"0", "1"}:
        raise CalibrationError(f"{file.name}, line {line}: score is 0 to 1, present is 0 or 1")
    inside = min(max(score, _EDGE), 1.0 - _EDGE)
    return Judged(math.log(inside / (1.0 - inside)), row["present"] == "1")


def _quoted(calibration: Calibration) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's."""
    return msgspec.json.encode(calibration.provenance).decode()


if __name__ == "__main__":
    sys.exit(main())
