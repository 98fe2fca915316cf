from __future__ import annotations

import random

import numpy as np
import pytest

from tools.demo_models.speech import damage
from tools.demo_models.speech.damage import RATE_HZ, DamageOdds, Wave


def tone(frequency_hz: float = 440.0, seconds: float = 1.0) -> Wave:
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def decibels(signal: Wave, other: Wave) -> float:
    return float(10 * np.log10(np.mean(signal**2) / np.mean(other**2)))


def power_between(wave: Wave, low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(wave)) ** 2
    frequency = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    return float(spectrum[(frequency >= low_hz) & (frequency < high_hz)].sum())


@pytest.mark.parametrize("snr_db", [10.0, 20.0, 40.0])
@pytest.mark.parametrize("kind", ["white", "pink", "babble"])
def test_noise_lies_as_far_below_the_voice_as_asked(kind: str, snr_db: float) -> None:
    clean = tone()
    noise = {
        "white": damage.white(len(clean), generator()),
        "pink": damage.coloured(len(clean), generator()),
        "babble": damage.babble([tone(300), tone(710), tone(1230)]),
    }[kind]
    noisy = damage.with_noise(clean, noise, snr_db)
    assert decibels(clean, noisy - clean) == pytest.approx(snr_db, abs=0.3)


def test_noise_on_silence_changes_nothing() -> None:
    silent = np.zeros(1600, np.float32)
    assert np.array_equal(damage.with_noise(silent, damage.white(1600, generator()), 10.0), silent)


def test_colours_have_their_slope() -> None:
    white, pink, brown = (
        damage.white(RATE_HZ * 4, generator()),
        damage.coloured(RATE_HZ * 4, generator(), 0.5),
        damage.coloured(RATE_HZ * 4, generator(), 1.0),
    )
    ratios = [power_between(each, 400, 800) / power_between(each, 3200, 6400) for each in (white, pink, brown)]
    assert ratios[0] == pytest.approx(1 / 8, rel=0.1)
    assert ratios[1] == pytest.approx(1.0, rel=0.15)
    assert ratios[2] == pytest.approx(8.0, rel=0.2)


def test_a_room_rings_on_after_the_sound() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[1000] = 0.5
    wet = damage.in_room(click, generator(), decay_s=0.4, direct_db=3.0)
    assert len(wet) == len(click)
    assert not wet[:990].any() or float(np.abs(wet[:990]).max()) < 1e-4
    early, late = np.mean(wet[1100:3000] ** 2), np.mean(wet[5000:6900] ** 2)
    assert early > 30 * late > 0


def test_a_telephone_band_lets_only_the_middle_through() -> None:
    noise = damage.white(RATE_HZ, generator())
    heard = damage.band(noise, 300.0, 3400.0)
    assert power_between(heard, 500, 3000) == pytest.approx(power_between(noise, 500, 3000), rel=0.05)
    assert power_between(heard, 5000, 8000) < 1e-3 * power_between(noise, 5000, 8000)
    assert power_between(heard, 0, 150) < 0.05 * power_between(noise, 0, 150)


def test_codecs_leave_their_quantisation_noise() -> None:
    clean = tone()
    assert decibels(clean, damage.mu_law(clean) - clean) == pytest.approx(37, abs=6)
    for bits in (8, 11):
        coarse = damage.coarse(clean, bits)
        assert len(np.unique(coarse)) <= 2**bits + 1
        assert decibels(clean, coarse - clean) == pytest.approx(6 * bits + 1.8, abs=3)


def test_the_same_seed_damages_alike_and_within_full_scale() -> None:
    odds = DamageOdds(noise=1.0, room=1.0, line=1.0)

    def one(seed: int) -> Wave:
        return damage.damaged(tone(), random.Random(seed), odds, lambda length: tone(200, length / RATE_HZ))

    for seed in range(20):
        wave = one(seed)
        assert wave.dtype == np.float32
        assert len(wave) == RATE_HZ
        assert float(np.abs(wave).max()) <= 1.0
        assert np.array_equal(wave, one(seed))
    assert not np.array_equal(one(1), one(2))


def test_no_odds_leave_only_the_level_changed() -> None:
    wave = damage.damaged(tone(), random.Random(1), DamageOdds(0, 0, 0), lambda _: tone())
    assert float(np.corrcoef(wave, tone())[0, 1]) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("length", [1, 17, 159, 1000, 47_999, 48_000, 65_537])
def test_fast_lengths_hold_what_they_must(length: int) -> None:
    size = damage.fast_length(length)
    assert length <= size <= max(16, 1.34 * length)
