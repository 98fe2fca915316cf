"""Platt scaling on scores whose truth is known."""

from __future__ import annotations

import math
import random
import tomllib
from pathlib import Path

import pytest

from plugins.medical_images import calibration
from plugins.medical_images.calibration import (
    FEWEST,
    CalibrationError,
    Judged,
    as_toml,
    brier,
    calibrate,
    fit,
    platt,
    read_judged,
)
from plugins.medical_images.labels import read_label_set, sigmoid

MODEL = "ab" * 32
PROVENANCE = 'Judged by two "radiologists", 2026'


def drawn(a: float, b: float, count: int = 1500, seed: int = 1) -> list[Judged]:
    """Pictures whose finding is there with the probability ``sigmoid(a * margin + b)``: what a fit must find again."""
    chance = random.Random(seed)
    margins = [chance.gauss(0.0, 2.0) for _ in range(count)]
    return [Judged(margin, chance.random() < sigmoid(a * margin + b)) for margin in margins]


def write(file: Path, judged: list[Judged]) -> None:
    rows = [f"{sigmoid(one.margin)!r},{int(one.present)}" for one in judged]
    file.write_text("\n".join(["score,present", *rows]) + "\n")


# -- the fit --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (3.0, -2.0), (0.4, 1.0)])
def test_a_fit_finds_what_the_truth_was_drawn_from(a: float, b: float) -> None:
    found_a, found_b = platt(drawn(a, b))
    assert found_a == pytest.approx(a, rel=0.2)
    assert found_b == pytest.approx(b, abs=0.25)


def test_the_fit_is_the_best_there_is() -> None:
    """No step in any direction has a smaller loss: the optimum itself, not the place where somebody stopped."""
    judged = drawn(2.0, -1.0, 400)
    positives = sum(one.present for one in judged)
    soft = {True: (positives + 1) / (positives + 2), False: 1 / (len(judged) - positives + 2)}

    def loss(a: float, b: float) -> float:
        told = [(sigmoid(a * one.margin + b), soft[one.present]) for one in judged]
        return -sum(target * math.log(p) + (1 - target) * math.log(1 - p) for p, target in told)

    a, b = platt(judged)
    around = [loss(a + step_a, b + step_b) for step_a in (-1e-3, 0, 1e-3) for step_b in (-1e-3, 0, 1e-3)]
    assert min(around) == pytest.approx(loss(a, b), abs=1e-9)


def test_a_fit_says_how_much_better_it_is_on_pictures_that_it_has_not_seen() -> None:
    judged = drawn(3.0, -3.0)
    found = fit(judged)
    assert found.brier_held_out < found.brier_before == pytest.approx(brier(judged, 1.0, 0.0))
    assert found.platt.positives + found.platt.negatives == len(judged)


def test_probabilities_come_true_as_often_as_they_say() -> None:
    found = fit(drawn(3.0, -2.0)).platt
    fresh = drawn(3.0, -2.0, count=4000, seed=2)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        told = [(found.probability(one.margin), one.present) for one in fresh]
        inside = [(p, present) for p, present in told if low <= p < low + 0.2]
        assert len(inside) > 50
        assert sum(p for p, _ in inside) / len(inside) == pytest.approx(
            sum(present for _, present in inside) / len(inside), abs=0.1
        )


def test_scores_that_separate_perfectly_give_finite_numbers() -> None:
    judged = [Judged(number / 10, number > 0) for number in range(-50, 51) if number]
    a, b = platt(judged)
    assert math.isfinite(a)
    assert math.isfinite(b)
    assert a > 0


# -- what the data can't support --------------------------------------------------------------------------------------------
def test_too_few_pictures_are_refused() -> None:
    few = [Judged(1.0, present=True)] * (FEWEST - 1) + [Judged(-1.0, present=False)] * 500
    with pytest.raises(CalibrationError, match=f"{FEWEST - 1} pictures with the finding and 500 without"):
        fit(few)
    with pytest.raises(CalibrationError, match="0 without"):
        fit([Judged(1.0, present=True)] * 500)


def test_a_score_that_falls_with_the_finding_is_refused() -> None:
    with pytest.raises(CalibrationError, match="does not rise"):
        fit(drawn(-2.0, 0.0))


def test_a_score_that_says_nothing_is_refused() -> None:
    """Its fit is better than the raw score, for it says the same of every picture; that is no calibration."""
    chance = random.Random(4)
    blind = [Judged(chance.gauss(0, 3), chance.random() < 0.5) for _ in range(600)]
    with pytest.raises(CalibrationError, match=r"does not rise|how often the finding occurs"):
        fit(blind)


def test_a_score_that_is_a_probability_already_stays_about_what_it_is() -> None:
    found = fit(drawn(1.0, 0.0))
    assert found.platt.a == pytest.approx(1.0, rel=0.2)
    assert found.brier_held_out == pytest.approx(found.brier_before, abs=0.01)


# -- files ------------------------------------------------------------------------------------------------------------------
def test_scores_are_read_back_as_margins(tmp_path: Path) -> None:
    judged = [Judged(1.5, present=True), Judged(-0.25, present=False)]
    write(tmp_path / "edema.csv", judged)
    read = read_judged(tmp_path / "edema.csv")
    assert [one.margin for one in read] == pytest.approx([1.5, -0.25])
    assert [one.present for one in read] == [True, False]


def test_scores_that_were_rounded_to_the_edge_are_finite(tmp_path: Path) -> None:
    (tmp_path / "edema.csv").write_text("present,score\n1,1.0\n0,0\n")
    high, low = read_judged(tmp_path / "edema.csv")
    assert 10 < high.margin < 20
    assert low.margin == pytest.approx(-high.margin)


@pytest.mark.parametrize("row", ["1.2,1", "-0.1,0", "much,1", "nan,1", "0.5,yes", "0.5", ","])
def test_a_row_that_is_not_understood_is_named(row: str, tmp_path: Path) -> None:
    (tmp_path / "edema.csv").write_text(f"score,present\n0.5,1\n{row}\n")
    with pytest.raises(CalibrationError, match=r"edema\.csv, line 3"):
        read_judged(tmp_path / "edema.csv")


def test_a_file_without_the_columns_or_with_another_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "edema.csv").write_text("value;truth\n")
    with pytest.raises(CalibrationError, match="columns"):
        read_judged(tmp_path / "edema.csv")
    with pytest.raises(CalibrationError, match="not named after a label"):
        read_judged(tmp_path / "Edema (2).csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CalibrationError, match=r"binary\.csv"):
        read_judged(tmp_path / "binary.csv")


def test_what_is_printed_belongs_into_a_label_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "edema.csv", drawn(3.0, -2.0))
    status = calibration.main([str(tmp_path), "--model-sha256", MODEL, "--provenance", PROVENANCE])
    assert status == 0
    head = 'version = 1\npt = "a"\nen = "b"\n[[labels]]\nid = "edema"\npt = "a"\nen = "b"\n'
    file = tmp_path / "ours.toml"
    file.write_text(head + 'positive = ["yes"]\nnegative = ["no"]\n' + capsys.readouterr().out)
    found = read_label_set(file)
    assert found.facts(MODEL).calibrated
    assert found.calibration is not None
    assert found.calibration.provenance == PROVENANCE
    made = found.platt("edema", MODEL)
    assert made is not None
    assert made.a == pytest.approx(3.0, rel=0.2)


def test_labels_that_cannot_be_calibrated_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "edema.csv", drawn(3.0, -2.0, 600))
    write(tmp_path / "fracture.csv", drawn(3.0, -2.0, 20))
    made, fitted, refused = calibrate(tmp_path, MODEL, PROVENANCE)
    assert set(made.labels) == set(fitted) == {"edema"}
    assert "needed" in refused["fracture"]
    assert set(tomllib.loads(as_toml(made, fitted))["calibration"]["labels"]) == {"edema"}
    arguments = [str(tmp_path), "--model-sha256", MODEL, "--provenance", PROVENANCE]
    assert calibration.main(arguments) == 1
    assert "fracture: left out" in capsys.readouterr().err


def test_nothing_to_calibrate_a_bad_hash_or_no_provenance_end_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibration.main([str(tmp_path), "--model-sha256", MODEL, "--provenance", PROVENANCE]) == 2
    assert "no CSV" in capsys.readouterr().err
    write(tmp_path / "edema.csv", drawn(3.0, -2.0, 600))
    with pytest.raises(CalibrationError, match="model_sha256"):
        calibrate(tmp_path, "latest", PROVENANCE)
    with pytest.raises(CalibrationError, match="provenance"):
        calibrate(tmp_path, MODEL, "me")
