"""Label sets: those that ship, a hospital's own, and what is wrong with a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from plugins.medical_images.labels import (
    BUILT_IN,
    MOST_BYTES,
    LabelSetError,
    Platt,
    is_identifier,
    read_label_set,
    read_label_sets,
    sigmoid,
)

MODEL, OTHER_MODEL = "ab" * 32, "cd" * 32
HEAD = 'version = 1\npt = "Tórax"\nen = "Chest"\nmodalities = ["CR"]\n'
LABEL = '[[labels]]\nid = "{id}"\npt = "a"\nen = "b"\npositive = ["yes"]\nnegative = ["no"]\n'
CALIBRATION = (
    f'[calibration]\nmodel_sha256 = "{MODEL}"\nprovenance = "40 pictures of the ward"\n'
    "[calibration.labels.one]\na = 2.0\nb = -1.0\npositives = 40\nnegatives = 50\n"
)


def write(folder: Path, text: str, name: str = "chest") -> Path:
    file = folder / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    return file


# -- those that ship ----------------------------------------------------------------------------------------------------
def test_the_sets_that_ship_are_sound_and_radiology_comes_first() -> None:
    found = read_label_sets([BUILT_IN])
    assert found.problems == ()
    assert [one.name for one in found.sets] == ["radiology", "pathology", "dermatology"]
    assert all(len(one.labels) >= 12 for one in found.sets)


def test_the_sets_that_ship_claim_no_probabilities() -> None:
    for one in read_label_sets([BUILT_IN]).sets:
        assert one.calibration is None
        assert not one.facts(MODEL).calibrated


def test_each_label_that_ships_has_its_own_names_and_asks_something_of_its_own() -> None:
    for one in read_label_sets([BUILT_IN]).sets:
        for texts in ([x.pt for x in one.labels], [x.en for x in one.labels], [x.positive for x in one.labels]):
            assert len(set(texts)) == len(texts)


def test_modalities_lead_to_their_sets() -> None:
    leads = read_label_sets([BUILT_IN]).by_modality()
    assert (leads["CR"], leads["DX"], leads["SM"], leads["XC"]) == (
        "radiology",
        "radiology",
        "pathology",
        "dermatology",
    )
    assert "CT" not in leads  # the radiology set asks about plain films


# -- a hospital's own -----------------------------------------------------------------------------------------------------
def test_a_set_of_the_hospital_joins_those_that_ship(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + LABEL.format(id="one"), "ward_7")
    found = read_label_sets([BUILT_IN, tmp_path])
    assert [one.name for one in found.sets][-1] == "ward_7"
    facts = found.sets[-1].facts(MODEL)
    assert facts.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (facts.pt, facts.en, facts.labels, facts.calibrated) == ("Tórax", "Chest", 1, False)


def test_a_set_of_the_hospital_takes_the_place_of_one_that_ships(tmp_path: Path) -> None:
    write(tmp_path, HEAD + LABEL.format(id="one"), "radiology")
    found = read_label_sets([BUILT_IN, tmp_path])
    (mine,) = [one for one in found.sets if one.name == "radiology"]
    assert [label.id for label in mine.labels] == ["one"]


def test_a_broken_set_of_the_hospital_is_named_and_the_one_that_ships_does_not_answer_for_it(tmp_path: Path) -> None:
    write(tmp_path, "version = ", "radiology")
    found = read_label_sets([BUILT_IN, tmp_path])
    assert [one.name for one in found.sets] == ["pathology", "dermatology"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith("radiology.toml: ")


def test_the_first_set_that_names_a_modality_has_it(tmp_path: Path) -> None:
    write(tmp_path, "order = 0\n" + HEAD + LABEL.format(id="one"), "ours")
    assert read_label_sets([BUILT_IN, tmp_path]).by_modality()["CR"] == "ours"


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_label_sets([tmp_path / "nowhere"]).sets == ()


# -- calibration ------------------------------------------------------------------------------------------------------------
def test_a_calibration_is_good_for_its_own_model_only(tmp_path: Path) -> None:
    found = read_label_set(write(tmp_path, HEAD + LABEL.format(id="one") + CALIBRATION))
    assert found.platt("one", MODEL) == Platt(2.0, -1.0, 40, 50)
    assert found.platt("one", OTHER_MODEL) is None
    assert found.facts(MODEL).calibrated
    assert not found.facts(OTHER_MODEL).calibrated


def test_a_set_is_calibrated_only_if_every_label_is(tmp_path: Path) -> None:
    text = HEAD + LABEL.format(id="one") + LABEL.format(id="two") + CALIBRATION
    found = read_label_set(write(tmp_path, text))
    assert found.platt("two", MODEL) is None
    assert not found.facts(MODEL).calibrated


def test_a_calibrated_margin_becomes_a_probability() -> None:
    platt = Platt(2.0, -1.0, 40, 50)
    assert platt.probability(0.5) == pytest.approx(0.5)
    assert platt.probability(3.0) == pytest.approx(0.99331, abs=1e-5)


def test_the_logistic_function_never_overflows() -> None:
    assert sigmoid(0.0) == 0.5
    assert sigmoid(-1e6) == 0.0
    assert sigmoid(1e6) == 1.0
    assert sigmoid(-2.0) == pytest.approx(1.0 - sigmoid(2.0))


# -- what is wrong with a file ------------------------------------------------------------------------------------------------
ONE = HEAD + LABEL.format(id="one")
BROKEN = {
    "no TOML": ("version = = 1", "Invalid value"),
    "no labels": (HEAD, "labels"),
    "unknown key": ("wersion = 2\n" + ONE, "wersion"),
    "unknown key of a label": (ONE + 'weight = "2"\n', "weight"),
    "another format": (ONE.replace("version = 1", "version = 2"), "format version 2"),
    "a label twice": (ONE + LABEL.format(id="one"), "twice"),
    "a bad id": (HEAD + LABEL.format(id="Pleural Effusion"), "labels"),
    "no sentence": (ONE.replace('["no"]', "[]"), "negative"),
    "empty sentence": (ONE.replace('["no"]', '[""]'), "negative"),
    "one sentence on both sides": (ONE.replace('["no"]', '["yes", "no"]'), "both positive and negative"),
    "a bad modality": (ONE.replace('["CR"]', '["cr"]'), "modalities"),
    "calibration of no label": (ONE + CALIBRATION.replace("labels.one", "labels.other"), '"other"'),
    "calibration that falls": (ONE + CALIBRATION.replace("a = 2.0", "a = -2.0"), "above 0"),
    "calibration that is no number": (ONE + CALIBRATION.replace("a = 2.0", "a = inf"), "numbers"),
    "calibration of no model": (ONE + CALIBRATION.replace(MODEL, "any"), "model_sha256"),
    "calibration by nobody": (ONE + CALIBRATION.replace("40 pictures of the ward", "me"), "provenance"),
    "calibration on nothing": (ONE + CALIBRATION.replace("positives = 40", "positives = 0"), "positives"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_is_said_with_the_files_name(what: str, tmp_path: Path) -> None:
    text, reason = BROKEN[what]
    with pytest.raises(LabelSetError) as caught:
        read_label_set(write(tmp_path, text))
    assert str(caught.value).startswith("chest.toml: ")
    assert reason in str(caught.value)


def test_the_text_that_the_broken_ones_are_made_of_is_sound(tmp_path: Path) -> None:
    assert read_label_set(write(tmp_path, ONE + CALIBRATION)).labels[0].id == "one"


def test_a_name_an_encoding_a_size_or_a_missing_file_can_be_wrong_too(tmp_path: Path) -> None:
    with pytest.raises(LabelSetError, match="small letters"):
        read_label_set(write(tmp_path, ONE, "Chest X"))
    latin = tmp_path / "latin.toml"
    latin.write_bytes(ONE.encode("latin-1"))
    with pytest.raises(LabelSetError, match="latin"):
        read_label_set(latin)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(LabelSetError, match="larger than"):
        read_label_set(large)
    with pytest.raises(LabelSetError, match="nowhere"):
        read_label_set(tmp_path / "nowhere.toml")


def test_identifiers() -> None:
    assert is_identifier("pleural_effusion")
    assert not any(is_identifier(text) for text in ("", "1a", "a-b", "á", "a" * 65, "../a"))
