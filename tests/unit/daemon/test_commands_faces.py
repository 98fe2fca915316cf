"""``prontuario faces evaluate``: what it reads, what it says, what it refuses to say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance.config.model import Paths
from appliance.daemon.cli import main
from appliance.daemon.exits import Exit
from appliance.security.faces.calibration import read
from tests.fakes.scripted_faces import ScriptedFaces, picture


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    for person in range(12):
        (folder / f"p{person}").mkdir(parents=True)
        for number in range(4):
            (folder / f"p{person}" / f"{number}.jpg").write_bytes(picture(f"person {person}"))
    (folder / "p0" / "blurred.PNG").write_bytes(picture("person 0", problem="blurred"))
    (folder / "p0" / "notes.txt").write_text("not a picture")
    (folder / "empty").mkdir()
    (folder / "loose.jpg").write_bytes(picture("nobody"))
    return folder


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedFaces:
    faces = ScriptedFaces()

    @asynccontextmanager
    async def verifier(*_: Any) -> AsyncIterator[ScriptedFaces]:
        yield faces

    monkeypatch.setattr("appliance.daemon.commands_faces._verifier", verifier)
    return faces


def evaluate(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["faces", "evaluate", str(folder), "--home", str(folder.parent / "home"), *options])


def test_every_picture_is_compared_and_a_claim_that_holds_is_given(pairs: Path, scripted: ScriptedFaces) -> None:
    done = evaluate(pairs, "--json", "--claim", "0.005")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["people"], report["pictures"]) == (12, 48)
    assert report["unusable"] == {"p0/blurred.PNG": "blurred"}
    assert (report["same_pairs"], report["different_pairs"]) == (12 * 6, 66 * 16)
    assert [row["threshold"] for row in report["rows"]][0::18] == [0.5, 1.4]
    at_half = report["rows"][0]
    assert (at_half["false_accepts"]["errors"], at_half["false_rejects"]["errors"]) == (0, 0)
    assert at_half["false_accepts"]["high"] == pytest.approx(1 - 0.025 ** (1 / 1056))
    assert report["claim"]["bound"] <= 0.005
    assert report["claim"]["row"]["false_rejects"]["errors"] == 0
    assert "independent" in report["caution"]


def test_the_figures_of_a_claim_are_kept_for_the_dashboard_and_nothing_of_the_pictures(
    pairs: Path, scripted: ScriptedFaces
) -> None:
    home = pairs.parent / "home"
    (home / "data").mkdir(parents=True)
    assert evaluate(pairs).exit_code == 0
    assert read(Paths(home).face_evaluation) is None, "without a claim there is no threshold that rests on it"
    assert evaluate(pairs, "--claim", "0.005").exit_code == 0
    kept = read(Paths(home).face_evaluation)
    assert kept is not None
    assert kept.claim is not None
    assert (kept.sha256, kept.people, kept.claim.far) == (scripted.model().sha256, 12, 0.005)
    told = Paths(home).face_evaluation.read_text()
    assert "p0" not in told
    assert "blurred" not in told


def test_for_people_it_is_a_table_and_what_to_write_into_the_settings(pairs: Path, scripted: ScriptedFaces) -> None:
    done = evaluate(pairs, "--claim", "0.005")
    assert done.exit_code == 0, done.output
    assert "12 people, 48 pictures; 1 more could not be used." in done.stdout
    assert f'calibrated_for = "{scripted.model().sha256[:16]}"' in done.stdout
    assert "threshold = " in done.stdout
    assert "calibrated_for" not in evaluate(pairs).stdout, "without a claim nothing is recommended"


def test_a_claim_beyond_the_data_is_refused_and_the_table_is_still_given(pairs: Path, scripted: ScriptedFaces) -> None:
    done = evaluate(pairs, "--claim", "1e-4")
    assert done.exit_code == Exit.FAILED
    assert "1056 pairs" in done.stderr
    assert "29956 pairs" in done.stderr
    assert "0.95" in done.stdout
    assert "calibrated_for" not in done.stdout
    machine = evaluate(pairs, "--claim", "1e-4", "--json")
    assert machine.exit_code == Exit.FAILED
    assert json.loads(machine.stdout)["claim"] is None
    assert "rule of three" in json.loads(machine.stdout)["claim_refused"]


def test_one_person_alone_shows_nothing(pairs: Path, scripted: ScriptedFaces) -> None:
    for person in range(1, 12):
        for file in (pairs / f"p{person}").iterdir():
            file.unlink()
    done = evaluate(pairs)
    assert done.exit_code == Exit.FAILED
    assert "two people" in done.stderr
    assert "1 pictures could not be used: blurred 1" in done.stderr


def test_a_folder_without_people_is_refused_before_a_model_is_started(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture("ana"))
    done = evaluate(tmp_path)
    assert done.exit_code == Exit.FAILED
    assert "one folder a person" in done.stderr


def test_without_a_face_model_it_says_how_to_get_one(pairs: Path) -> None:
    done = evaluate(pairs)
    assert done.exit_code == Exit.FAILED
    assert "--model" in done.stderr


def test_a_plugin_that_is_not_there_is_named(pairs: Path) -> None:
    done = evaluate(pairs, "--plugin", "no_such_plugin")
    assert done.exit_code == Exit.FAILED
    assert "no_such_plugin" in done.stderr


def test_a_folder_that_is_no_face_model_is_refused_with_the_reason(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    done = evaluate(pairs, "--model", str(tmp_path / "model"))
    assert done.exit_code == Exit.FAILED
    assert "model.folder" in done.stderr or "config.json" in done.stderr
