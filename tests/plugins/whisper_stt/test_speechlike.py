"""The judge of sound: speech passes, everything steady, tonal or silent does not."""

from __future__ import annotations

import numpy as np
import pytest

from plugins.whisper_stt.speechlike import FRAME, band_change_db, is_speechlike, line_share, power_spectra
from tests.plugins import sounds

VOICES = ["f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"]
SENTENCES = ["Sim.", "Nega alergias.", "Pressão arterial cento e vinte por oitenta.", "Uh hum, um."]


def loud_frames(sound: sounds.Sound, share: float = 0.2) -> np.ndarray:
    frames = sound[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    levels = np.sqrt((frames**2).mean(axis=1))
    return np.asarray(levels > levels.max() * share)


@pytest.mark.parametrize("name", sorted(sounds.NOT_SPEECH))
def test_what_is_not_speech_is_refused(name: str) -> None:
    sound = sounds.NOT_SPEECH[name]
    assert not is_speechlike(sound, loud_frames(sound))


@pytest.mark.parametrize(("start", "end"), [(0.4, 5.3), (9.1, 11.2), (20.3, 21.8), (22.4, 26.1), (43.5, 45.9)])
def test_sentences_of_the_sample_pass(start: float, end: float) -> None:
    speech = sounds.seconds(start, end)
    assert is_speechlike(speech, loud_frames(speech))


@pytest.mark.parametrize("noise_db", [30, 20, 10])
def test_speech_in_noise_passes(noise_db: int) -> None:
    speech = sounds.seconds(0.4, 5.3)
    noisy = (
        speech + sounds.white(len(speech) / sounds.RATE, float(speech.std()) * 10 ** (-noise_db / 20))[: len(speech)]
    )
    assert is_speechlike(noisy, loud_frames(noisy))


@pytest.mark.skipif(sounds.ESPEAK is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("voice", VOICES)
def test_every_voice_passes(voice: str) -> None:
    for sentence in SENTENCES:
        speech = sounds.say(sentence, f"pt-br+{voice}")
        assert is_speechlike(speech, loud_frames(speech)), sentence


def test_a_soft_voice_passes_as_well_as_a_loud_one() -> None:
    speech = sounds.seconds(0.4, 5.3)
    assert is_speechlike(speech * 0.01, loud_frames(speech))


def test_a_click_is_too_short() -> None:
    click = sounds.silence(0.5)
    click[4000:4040] = 0.9
    active = loud_frames(click)
    assert active.any()
    assert not is_speechlike(click, active)


def test_a_stretch_shorter_than_a_window_has_no_spectrum() -> None:
    assert power_spectra(sounds.tone(0.01)).shape == (0, 257)
    assert not is_speechlike(sounds.tone(0.01), np.ones(1, bool))


def test_a_tone_is_one_line_and_noise_is_not() -> None:
    assert line_share(power_spectra(sounds.tone(1))) > 0.99
    assert line_share(power_spectra(sounds.white(1))) < 0.2


def test_level_changes_alone_are_no_change_of_the_spectrum() -> None:
    steady = sounds.hum(2)
    swelling = (steady * np.linspace(0.05, 1.0, len(steady))).astype(np.float32)
    assert band_change_db(power_spectra(swelling)) < 2.2
    assert band_change_db(power_spectra(sounds.seconds(0.5, 5.2))) > 6
