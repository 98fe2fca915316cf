from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.care.audio_child import Resampler, to_pcm
from tests.fakes import sounds


def resampled(samples: Any, rate: int, cuts: list[int] | None = None) -> Any:
    """All at once, or in blocks that end at ``cuts``."""
    resampler = Resampler(rate)
    parts = np.split(samples, sorted(cuts or []))
    return np.concatenate([*(resampler.feed(part) for part in parts), resampler.finish()])


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from([8_000, 22_050, 44_100, 48_000, 12_345]),
    length=st.integers(0, 20_000),
    cuts=st.lists(st.integers(0, 20_000), max_size=6),
)
def test_where_the_blocks_end_makes_no_difference(rate: int, length: int, cuts: list[int]) -> None:
    samples = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    whole = resampled(samples, rate)
    pieces = resampled(samples, rate, [min(cut, length) for cut in cuts])
    assert len(whole) == len(pieces) == pytest.approx(length * 16_000 / rate, abs=1)
    assert np.allclose(whole, pieces, atol=1e-5)


@pytest.mark.parametrize("rate", [8_000, 11_025, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000, 44_101])
def test_a_tone_within_the_pass_band_keeps_phase_and_level(rate: int) -> None:
    out = resampled(sounds.tone(0.5, rate, hertz=1000)[:, 0], rate)
    wanted = sounds.tone(0.5, 16_000, hertz=1000)[:, 0]
    middle = slice(1000, 7000)
    assert np.abs(out[middle] - wanted[middle]).max() < 0.003


@pytest.mark.parametrize(
    ("rate", "hertz"), [(44_100, 8_400), (44_100, 15_000), (48_000, 20_000), (96_000, 9_000), (192_000, 40_000)]
)
def test_a_tone_above_the_new_band_is_gone_by_75_db(rate: int, hertz: float) -> None:
    out = resampled(sounds.tone(0.5, rate, hertz=hertz)[:, 0], rate)
    assert sounds.loudness(out[1000:7000]) < 0.3535 * 10 ** (-75 / 20)


def test_a_constant_stays_the_constant() -> None:
    out = resampled(np.full(48_000, 0.25, np.float32), 48_000)
    assert np.abs(out[1000:-1000] - 0.25).max() < 1e-5


def test_16_khz_passes_untouched() -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, 5000).astype(np.float32)
    assert np.array_equal(resampled(samples, 16_000, [77, 4000]), samples)


def test_an_impulse_comes_out_at_its_own_time() -> None:
    samples = np.zeros(48_000, np.float32)
    samples[24_000] = 1.0
    assert int(np.abs(resampled(samples, 48_000)).argmax()) == 8_000


def test_samples_beyond_full_scale_are_clipped_and_nonsense_is_silence() -> None:
    pcm = to_pcm(np.array([2.0, -2.0, 0.0, np.nan, 0.5], np.float32))
    assert list(np.frombuffer(pcm, "<i2")) == [32767, -32768, 0, 0, 16384]
