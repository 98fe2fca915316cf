from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.demo_models.notes.export import export

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install -r requirements/packages-train.txt")


def trained(folder: Path, steps: int, stop_at: int | None = None) -> list[dict[str, float]]:
    from tools.demo_models.notes.smoke import curve_of
    from tools.demo_models.notes.train import Plan, train

    train(Plan(folder, steps, seed=3, record_every=2, corpus=300, stop_at=stop_at))
    return curve_of(folder)


def test_the_forward_pass_has_a_score_for_every_token() -> None:
    from tools.demo_models.notes.model import Shape, hidden_states, initial, logits, rotary

    shape = Shape(128, hidden=32, layers=2, intermediate=64, heads=2, key_heads=1, head=16)
    parameters, ids = initial(shape), torch.arange(12).reshape(2, 6)
    states = hidden_states(parameters, shape, rotary(shape), ids)
    assert states.shape == (2, 6, 32)
    assert logits(parameters, states).shape == (2, 6, 128)
    changed = hidden_states(parameters, shape, rotary(shape), torch.cat([ids[:, :5], ids[:, 5:] + 1], 1))
    assert torch.allclose(states[:, :5], changed[:, :5])  # nothing looks ahead


def test_a_stopped_training_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", 6)
    trained(tmp_path / "halves", 6, stop_at=4)
    halves = trained(tmp_path / "halves", 6)
    assert [point["loss"] for point in halves] == [point["loss"] for point in whole]
    assert whole[-1]["loss"] < whole[0]["loss"]


def test_what_is_exported_answers_as_the_training_does(tmp_path: Path) -> None:
    trained(tmp_path / "run", 3)
    made = export(tmp_path / "run", tmp_path / "pack")
    assert made.difference < 1e-3
    assert made.same_choice > 0.99
    assert json.loads((tmp_path / "pack" / "config.json").read_text())["quantization"]["bits"] == 8


def test_the_smoke_training_follows_the_recorded_curve(tmp_path: Path) -> None:
    from tools.demo_models.notes.smoke import differences, recorded, smoke

    assert differences(smoke(tmp_path), recorded()) == []


def test_another_preset_s_checkpoint_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, 2)
    with pytest.raises(ValueError, match="belongs to a training of 2 steps"):
        trained(tmp_path, 3)
