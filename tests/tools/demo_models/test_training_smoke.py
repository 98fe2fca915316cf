"""Both trainings for under a minute each: their losses follow the curves that were recorded with the recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip(
    "torch", reason="PyTorch is not installed: `make train-smoke` installs it (gigabytes) and runs this"
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_speech_model_learns_as_recorded(tmp_path: Path) -> None:
    from tools.demo_models.speech.smoke import differences, recorded, smoke

    points = smoke(tmp_path)
    assert differences(points, recorded()) == []
    assert points[-1].text < points[0].text


def test_the_notes_model_learns_as_recorded(tmp_path: Path) -> None:
    from tools.demo_models.notes.smoke import differences, recorded, smoke

    points = smoke(tmp_path)
    assert differences(points, recorded()) == []
    assert points[-1]["loss"] < points[0]["loss"]
