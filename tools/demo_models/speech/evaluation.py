"""How the model does, through the product's own speech engine: one utterance a window, as the gate would cut it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from appliance.plugin_api.messages import Failed, Submit
from plugins.whisper_stt.engine import WhisperEngine
from plugins.whisper_stt.messages import TRANSCRIBE, Transcript, Utterance
from tools.demo_models.speech.damage import RATE_HZ, Wave, as_wave, coloured, white, with_noise
from tools.demo_models.speech.nonspeech import KINDS
from tools.demo_models.speech.pool import Pool
from tools.demo_models.speech.wer import word_error_rate, words

_LEVEL: Final = 0.3
_PAD: Final = 0.1
_ROOM_RMS: Final = 1e-4
_NONSPEECH_EACH: Final = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the evaluation. ``value`` is a word error rate, or for ``nonspeech`` the words written in all."""

    name: str
    value: float
    utterances: int
    audio_s: float
    seconds: float
    worst: tuple[tuple[str, str], ...] = ()


class EngineFailedError(RuntimeError):
    """The engine could not answer an utterance."""

    def __init__(self, answer: Failed) -> None:
        super().__init__(f"the engine failed: {answer.code} {answer.message}")


class Listener:
    """A model folder in the product's engine."""

    def __init__(self, folder: Path, batch_size: int = 8) -> None:
        self._engine = WhisperEngine()
        config = {"batch_size": batch_size, "no_speech_threshold": 0.6, "precision": "auto"}
        self._engine.load({"folder": str(folder), "demonstration": True, **config})
        self._batch_size = batch_size

    def hear(self, waves: Sequence[Wave]) -> list[str]:
        """The text of each wave (float32 in [-1, 1], 16 kHz, up to ten seconds). Raises ``EngineFailedError``."""
        for number, wave in enumerate(waves):
            pcm = (np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes()
            payload = msgspec.msgpack.encode(Utterance(pcm, "pt", "", 0.0, word_times=False))
            self._engine.submit(Submit(number, TRANSCRIBE, payload, 600.0, "batch", ""))
        texts: dict[int, str] = {}
        while self._engine.busy():
            for answer in self._engine.step():
                if isinstance(answer, Failed):
                    raise EngineFailedError(answer)
                texts[answer.request_id] = msgspec.msgpack.decode(answer.payload, type=Transcript).text
        return [texts[number] for number in range(len(waves))]


def evaluate(folder: Path, held_out: dict[str, Pool], most: int | None = None) -> Iterator[Figure]:
    """``held_out`` names pools of held-out sentences; ``clean`` is also heard at 20 and 10 dB.

    ``most`` utterances of each figure are enough to see that it runs; such figures say nothing about a model.
    """
    listener = Listener(folder)
    for name, pool in held_out.items():
        yield measure(listener, name, pool, None, most)
    if "clean" in held_out:
        for snr_db in (20.0, 10.0):
            yield measure(listener, f"noise {snr_db:g} dB", held_out["clean"], snr_db, most)
    yield measure_nonspeech(listener, most=most)


def measure(listener: Listener, name: str, pool: Pool, snr_db: float | None, most: int | None = None) -> Figure:
    """Word error rate on a pool; the noise is white for every other utterance, else pink."""
    chosen = range(len(pool) if most is None else min(most, len(pool)))
    expected = [pool[index].text for index in chosen]
    waves = [prepared(as_wave(pool[index].samples / 32768), index, snr_db) for index in chosen]
    began = time.monotonic()
    heard = listener.hear(waves)
    seconds = time.monotonic() - began
    pairs = list(zip(expected, heard, strict=True))
    worst = sorted(pairs, key=lambda pair: -word_error_rate([pair]))[:8]
    audio_s = sum(map(len, waves)) / RATE_HZ
    return Figure(name, word_error_rate(pairs), len(pairs), audio_s, seconds, tuple(worst))


def measure_nonspeech(listener: Listener, seed: int = 4242, most: int | None = None) -> Figure:
    """Words written on silence, noise, tones, music, knocks and hum: ten of each, never heard in training."""
    rng = random.Random(seed)
    each = _NONSPEECH_EACH if most is None else min(most, _NONSPEECH_EACH)
    waves = [make(rng.randint(1, 6) * RATE_HZ, rng) for make in KINDS.values() for _ in range(each)]
    names = [name for name in KINDS for _ in range(each)]
    began = time.monotonic()
    heard = listener.hear(waves)
    written = tuple((name, text) for name, text in zip(names, heard, strict=True) if text)
    total = sum(len(words(text)) for text in heard)
    audio_s = sum(map(len, waves)) / RATE_HZ
    return Figure("nonspeech", float(total), len(waves), audio_s, time.monotonic() - began, written)


def prepared(wave: Wave, seed: int, snr_db: float | None) -> Wave:
    """At a plain level, with 0.1 s around it as the gate leaves, and a quiet room or the wanted noise."""
    generator = np.random.default_rng(seed)
    level = np.float32(_LEVEL / max(float(np.abs(wave).max()), 1e-6))
    padded = np.pad(wave * level, int(_PAD * RATE_HZ))
    if snr_db is None:
        return as_wave(padded + white(len(padded), generator) * np.float32(_ROOM_RMS))
    noise = white(len(padded), generator) if seed % 2 else coloured(len(padded), generator)
    return with_noise(padded, noise, snr_db)


def described(figures: Iterable[Figure]) -> str:
    """A table for people."""
    lines = []
    for figure in figures:
        value = f"{figure.value:.0f} words" if figure.name == "nonspeech" else f"WER {figure.value:6.2%}"
        pace = figure.audio_s / max(figure.seconds, 1e-9)
        lines.append(f"{figure.name:12} {value:12} {figure.utterances:4} utterances, {pace:.0f} s of sound a second")
    return "\n".join(lines)
