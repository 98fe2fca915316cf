"""The log-mel spectrogram against mlx_whisper's, and sound in which nobody speaks."""

from __future__ import annotations

import random

import numpy as np
import pytest
from mlx_whisper.audio import log_mel_spectrogram

from tools.demo_models.speech.mel import log_mel
from tools.demo_models.speech.nonspeech import KINDS, nonspeech
from tools.demo_models.speech.pool import Pool


@pytest.mark.parametrize("length", [400, 1601, 16_000, 48_123])
def test_the_spectrogram_is_the_one_that_the_product_computes(length: int) -> None:
    samples = (np.random.default_rng(length).standard_normal(length) * 0.1).astype(np.float32)
    expected = np.array(log_mel_spectrogram(samples))
    assert log_mel(samples).shape == expected.shape
    assert np.abs(log_mel(samples) - expected).max() < 1e-4


def test_it_is_the_same_on_speech(pool: Pool) -> None:
    samples = pool[0].samples.astype(np.float32) / 32768
    assert np.abs(log_mel(samples) - np.array(log_mel_spectrogram(samples))).max() < 1e-3


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_nonspeech_is_sound_of_its_length_and_repeats_by_seed(kind: str) -> None:
    for seed in range(8):
        wave = KINDS[kind](24_000, random.Random(seed))
        assert wave.shape == (24_000,)
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all()
        assert float(np.abs(wave).max()) <= 1.0
        assert np.array_equal(wave, KINDS[kind](24_000, random.Random(seed)))
        if kind != "silence":
            assert float(np.sqrt(np.mean(wave**2))) > 5e-5


def test_tones_are_narrow_and_noise_is_wide() -> None:
    def width(wave: np.ndarray) -> float:
        power = np.sort(np.abs(np.fft.rfft(wave)) ** 2)[::-1].cumsum()
        return float(np.searchsorted(power, 0.9 * power[-1]) / len(power))

    noise = [width(KINDS["noise"](32_000, random.Random(seed))) for seed in range(6)]
    hum = [width(KINDS["hum"](32_000, random.Random(seed))) for seed in range(6)]
    assert max(hum) < 0.01
    assert sorted(noise)[3] > 0.05


def test_all_kinds_are_drawn_at_half_a_second_to_five() -> None:
    rng = random.Random(4)
    lengths = [len(nonspeech(rng)) for _ in range(40)]
    assert min(lengths) >= 8_000
    assert max(lengths) <= 80_000
