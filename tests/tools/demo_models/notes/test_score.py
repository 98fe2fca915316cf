from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

import pytest

from tools.demo_models.notes.evaluate import SETS, Score, note_samples
from tools.demo_models.notes.hearing import CLEAN
from tools.demo_models.notes.presets import STEPS, curve, figures
from tools.demo_models.notes.samples import Sample, note_sample, written
from tools.demo_models.notes.smoke import differences
from tools.demo_models.notes.writer import Answer


@pytest.fixture
def one() -> Sample:
    rng = random.Random(1)
    while True:
        made = note_sample(rng, CLEAN)
        if any(fact["kind"] == "medication" for fact in (made.note or {})["facts"]):
            return made


def rates(sample: Sample, note: Any) -> dict[str, float]:
    score = Score()
    score.add(sample, Answer(note if isinstance(note, str) else written(note), cut=False))
    return score.rates()


def test_the_gold_note_scores_full_marks(one: Sample) -> None:
    found = rates(one, one.note)
    assert (found["f1"], found["exact"], found["links"], found["drugs"], found["valid"]) == (1, 1, 1, 1, 1)
    assert (found["drugs_wrong"], found["numbers_wrong"]) == (0, 0)


def test_a_swapped_drug_is_wrong(one: Sample) -> None:
    note = deepcopy(one.note or {})
    next(fact for fact in note["facts"] if fact["kind"] == "medication")["name"] = "cloroquina"
    found = rates(one, note)
    assert found["drugs_wrong"] > 0
    assert found["f1"] < 1
    assert found["exact"] == 0


def test_a_number_that_was_not_said_is_counted(one: Sample) -> None:
    note = deepcopy(one.note or {})
    note["sections"][0]["sentences"][0]["text"] += " 987."
    assert rates(one, note)["numbers_wrong"] > 0


def test_a_link_to_another_line_is_wrong(one: Sample) -> None:
    note = deepcopy(one.note or {})
    note["facts"][0]["segments"] = [max(one.scene.segments)]
    assert rates(one, note)["links"] < 1


def test_what_does_not_parse_is_invalid_and_finds_nothing(one: Sample) -> None:
    found = rates(one, '{"sections":[')
    assert (found["valid"], found["recall"]) == (0, 0)


def test_the_sets_are_held_out_and_the_same_each_time() -> None:
    for name in SETS:
        assert [each.turns for each in note_samples(name, 3)] == [each.turns for each in note_samples(name, 3)]


@pytest.mark.parametrize("preset", STEPS)
def test_a_preset_carries_its_curve_and_the_figures_that_it_predicts(preset: str) -> None:
    points = curve(preset)
    assert points[-1]["step"] == STEPS[preset]
    assert [point["step"] for point in points] == sorted(point["step"] for point in points)
    assert points[-1]["loss"] < points[0]["loss"] / 5
    predicted = figures(preset)
    assert set(SETS) <= set(predicted)
    assert all(0 <= predicted[name]["f1"] <= 1 for name in SETS)
    json.dumps(predicted)


def test_a_curve_that_went_elsewhere_is_told() -> None:
    points = [{"step": 5, "loss": 4.0}, {"step": 10, "loss": 2.0}]
    assert differences(points, points) == []
    assert differences([points[0], {"step": 10, "loss": 2.5}], points) == ["step 10: the loss is 2.5, was 2.0"]
    assert differences(points[:1], points) == ["the curve has other steps than the recorded one"]
