"""The comparison of a short training with its recorded curve (the training itself is the verb ``smoke-speech``)."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("torch")

from tools.demo_models.speech.smoke import differences, recorded


def test_the_recorded_curve_learns_and_agrees_with_itself() -> None:
    curve = recorded()
    assert differences(curve, curve) == []
    assert curve[-1].text < 0.6 * curve[0].text
    assert curve[-1].letters < 0.5 * curve[0].letters


def test_a_curve_that_leaves_the_recorded_one_is_told_with_its_step() -> None:
    curve = recorded()
    worse = [*curve[:-1], replace(curve[-1], text=curve[-1].text * 1.5)]
    (found,) = differences(worse, curve)
    assert f"step {curve[-1].step}" in found
    assert "text" in found
    assert differences(curve[:-1], curve) != []
