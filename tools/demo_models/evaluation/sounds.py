"""Sounds to measure with: spoken sentences, whole consults, and what must yield no word."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.demo_models.evaluation.gold import Span
from tools.demo_models.grammar import Sentence
from tools.demo_models.speech.damage import white, with_noise
from tools.demo_models.speech.espeak import Delivery
from tools.demo_models.speech.pool import utter

Wave = NDArray[np.float32]
RATE_HZ: Final = 16_000
_PAUSE_S: Final = 0.6
_LEVEL: Final = 0.5
_ROOM: Final = 1e-3
"""A microphone's own noise: no recording is digitally silent."""
_MUSIC_NOTES: Final = (261.63, 293.66, 329.63, 349.23, 392.0, 440.0, 493.88, 523.25)


def spoken(sentence: Sentence, delivery: Delivery) -> Wave:
    """A sentence, at half of full scale."""
    samples = np.asarray(utter(sentence, delivery).samples, np.float32)
    loudest = max(1.0, float(np.abs(samples).max(initial=0.0)))
    scaled: Wave = (samples * (_LEVEL / loudest)).astype(np.float32)
    return scaled


def alone(sentence: Sentence, delivery: Delivery, seed: int, snr_db: float | None = None) -> Wave:
    """A sentence with a pause on both sides; noise at ``snr_db`` runs on through the pauses, as it does in a room."""
    generator = np.random.default_rng(seed)
    voice = spoken(sentence, delivery)
    pause = np.zeros(int(_PAUSE_S * RATE_HZ), np.float32)
    whole = np.concatenate([pause, voice, pause])
    if snr_db is not None:
        noise = white(len(whole), generator)
        level = with_noise(voice, noise[: len(voice)], snr_db) - voice
        whole = whole + noise * np.float32(np.std(level) / max(1e-9, float(np.std(noise))))
    return np.asarray(np.clip(whole + white(len(whole), generator) * np.float32(_ROOM), -1, 1), np.float32)


def consult_audio(
    sentences: Sequence[Sentence], delivery: Delivery, seed: int, pause_s: float = _PAUSE_S
) -> tuple[Wave, list[Span]]:
    """A consult as one person dictates it, and the (start, end) of each sentence in seconds."""
    parts = [np.zeros(int(pause_s * RATE_HZ), np.float32)]
    spans: list[Span] = []
    length = len(parts[0])
    for sentence in sentences:
        voice = spoken(sentence, delivery)
        spans.append((length / RATE_HZ, (length + len(voice)) / RATE_HZ))
        parts += [voice, parts[0]]
        length += len(voice) + len(parts[0])
    whole = np.concatenate(parts)
    room = np.random.default_rng(seed).standard_normal(len(whole)) * _ROOM
    return np.asarray(np.clip(whole + room, -1, 1), np.float32), spans


def not_speech(seed: int, length_s: float = 8.0) -> Mapping[str, Wave]:
    """Silence, tone, noise and music: nobody speaks in any of them."""
    generator = np.random.default_rng(seed)
    count = int(length_s * RATE_HZ)
    makers: dict[str, Callable[[], Wave]] = {
        "silence": lambda: (generator.standard_normal(count) * _ROOM / 4).astype(np.float32),
        "tone": lambda: _tone(count, float(generator.uniform(100, 1200)), 0.3),
        "noise": lambda: white(count, generator) * np.float32(0.05),
        "music": lambda: _music(count, random.Random(seed)),
    }
    return {name: make() for name, make in makers.items()}


def _tone(count: int, hertz: float, level: float) -> Wave:
    time = np.arange(count) / RATE_HZ
    return (np.sin(2 * np.pi * hertz * time) * level).astype(np.float32)


def _music(count: int, rng: random.Random) -> Wave:
    """A plucked melody over held chords."""
    beat = RATE_HZ // 3
    out = np.zeros(count + beat, np.float32)
    for start in range(0, count, beat):
        length = min(beat, len(out) - start)
        fade = np.exp(-np.arange(length) / RATE_HZ * 5)
        note = rng.choice(_MUSIC_NOTES)
        pluck = sum(_tone(length, note * part, 0.15 / part) for part in (1, 2, 3, 4))
        chord = sum(_tone(length, rng.choice(_MUSIC_NOTES) / 2, 0.05) for _ in range(3))
        out[start : start + length] += (pluck * fade + chord).astype(np.float32)
    return out[:count]
