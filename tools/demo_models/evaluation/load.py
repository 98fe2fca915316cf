"""Writes many different held-out consults, spoken and with their gold files: for benches, soaks and other people's models."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import soundfile

from appliance.daemon.demo.gold import SUFFIX, Gold, write_gold
from tools.demo_models.evaluation.gold import gold_of, held_out_consult
from tools.demo_models.evaluation.sounds import RATE_HZ, consult_audio
from tools.demo_models.speech.espeak import Delivery
from tools.demo_models.speech.voices import clean_delivery

AUDIO_SUFFIX: Final = ".flac"
Progress = Callable[[int, int], None]


def write_pairs(folder: Path, count: int, seed: str, progress: Progress = lambda _done, _of: None) -> int:
    """``count`` gold files; those that are there already are left. The number of new ones."""
    return _each(folder, count, progress, lambda name: _pair(folder / f"{name}{SUFFIX}", f"{seed}/{name}"))


def write_load(folder: Path, count: int, seed: str, progress: Progress = lambda _done, _of: None) -> int:
    """``count`` consults as ``NAME.flac`` (16 kHz mono) with ``NAME.gold.json``, each in its own voice and pace.

    A consult whose gold file is there is whole (it is written last) and is left as it is.
    """
    return _each(folder, count, progress, lambda name: _spoken(folder, name, f"{seed}/{name}"))


def write_spoken(folder: Path, name: str, seed: str, delivery: Delivery, **more: str | float) -> Gold:
    """Write one consult's audio, then its gold file, and return it."""
    made = held_out_consult(seed)
    wave, spans = consult_audio(made.sentences, delivery, _number(seed))
    gold = gold_of(
        made,
        seed,
        spans,
        voice=delivery.voice,
        words_per_minute=delivery.words_per_minute,
        pitch=delivery.pitch,
        **more,
    )
    soundfile.write(folder / f"{name}{AUDIO_SUFFIX}", wave, RATE_HZ, subtype="PCM_16")
    write_gold(folder / f"{name}{SUFFIX}", gold)
    return gold


def _each(folder: Path, count: int, progress: Progress, make: Callable[[str], None]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    new = 0
    for number in range(count):
        name = f"consult-{number:04d}"
        if not (folder / f"{name}{SUFFIX}").exists():
            make(name)
            new += 1
        progress(number + 1, count)
    return new


def _pair(path: Path, seed: str) -> None:
    write_gold(path, gold_of(held_out_consult(seed), seed))


def _spoken(folder: Path, name: str, seed: str) -> None:
    write_spoken(folder, name, seed, clean_delivery(random.Random(f"voice/{seed}")))


def _number(seed: str) -> int:
    return random.Random(f"room/{seed}").getrandbits(31)
