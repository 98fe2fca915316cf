"""The part of Whisper's vocabulary that the grammar uses, with features that numerals and times share.

Training runs on compact ids: text, special tokens, times on a grid of 0.1 s, and one "unused" row that stands for all other
rows of the full vocabulary, which are equal in the exported model.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.demo_models.grammar import consult

WINDOW_S: Final = 10.0
FULL_SIZE: Final = 51_865
_TICK_S: Final = 0.02
_GRID_S: Final = 0.1
_TIMES: Final = round(WINDOW_S / _GRID_S) + 1
_WAVES: Final = 24
_SLOWEST_S, _FASTEST_S = 20.0, 0.25
_DIGITS: Final = 3
_NUMERAL_FEATURES: Final = 5 + 11 * _DIGITS
_SAMPLE_SEED: Final = 5
VOCABULARY_CONSULTS: Final = 15_000


@cache
def whisper_tokenizer() -> Any:
    """mlx_whisper's multilingual tokenizer, set to Portuguese transcription."""
    from mlx_whisper.tokenizer import get_tokenizer

    return get_tokenizer(multilingual=True, num_languages=99, language="pt", task="transcribe")


@dataclass(frozen=True)
class Vocabulary:
    """``text`` are full ids in use, ascending; ``numerals`` maps those of 0…999 to (space before, number)."""

    text: tuple[int, ...]
    numerals: dict[int, tuple[bool, int]]

    @cached_property
    def full(self) -> tuple[int, ...]:
        """The full id of every compact id but the last, which is the unused row."""
        tokenizer = whisper_tokenizer()
        special = (tokenizer.sot, tokenizer.eot, tokenizer.to_language_token("pt"), tokenizer.transcribe)
        control = (tokenizer.no_timestamps, tokenizer.no_speech)
        times = (tokenizer.timestamp_begin + round(index * _GRID_S / _TICK_S) for index in range(_TIMES))
        return (*self.text, *special, *control, *times)

    @cached_property
    def compact(self) -> dict[int, int]:
        """Compact id of each full id in use."""
        return {full: compact for compact, full in enumerate(self.full)}

    @property
    def unused(self) -> int:
        """The compact id of the unused row: the last."""
        return len(self.full)

    def special(self, name: str) -> int:
        """Compact id of ``sot``, ``eot``, ``transcribe``, ``no_timestamps``, ``no_speech`` or ``pt``."""
        tokenizer = whisper_tokenizer()
        return self.compact[tokenizer.to_language_token("pt") if name == "pt" else getattr(tokenizer, name)]

    def time(self, seconds: float) -> int:
        """Compact id of the grid time at or just before ``seconds``."""
        return len(self.full) - _TIMES + min(_TIMES - 1, max(0, int(seconds / _GRID_S + 1e-6)))

    def encode(self, text: str) -> list[int] | None:
        """Compact ids of a sentence as it follows a time, or None where a token is not in use."""
        full = whisper_tokenizer().encode(" " + text)
        return [self.compact[token] for token in full] if all(token in self.compact for token in full) else None

    def features(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(rows, features) shared by like rows, and (rows,) 1.0 where a row also has values of its own."""
        rows = len(self.full) + 1
        features = np.zeros((rows, 1 + 2 * _WAVES + _NUMERAL_FEATURES), np.float32)
        free = np.ones(rows, np.float32)
        waves = 2 * np.pi / (_SLOWEST_S * (_FASTEST_S / _SLOWEST_S) ** (np.arange(_WAVES) / (_WAVES - 1)))
        seconds = np.arange(_TIMES) * _GRID_S
        times = slice(rows - 1 - _TIMES, rows - 1)
        features[times, 0] = 1
        features[times, 1 : 1 + _WAVES] = np.sin(seconds[:, None] * waves)
        features[times, 1 + _WAVES : 1 + 2 * _WAVES] = np.cos(seconds[:, None] * waves)
        free[times] = 0
        for full, (spaced, number) in self.numerals.items():
            features[self.compact[full], 1 + 2 * _WAVES :] = _numeral(number, spaced=spaced)
        return features, free

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        content = {"text": self.text, "numerals": {str(token): value for token, value in self.numerals.items()}}
        path.write_text(json.dumps(content), encoding="utf-8")


def load_vocabulary(path: Path) -> Vocabulary:
    """Read what ``save`` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    numerals = {int(token): (bool(spaced), int(number)) for token, (spaced, number) in content["numerals"].items()}
    return Vocabulary(tuple(content["text"]), numerals)


def grammar_vocabulary(consults: int = VOCABULARY_CONSULTS) -> Vocabulary:
    """What ``consults`` sampled consults use, and every numeral of up to three digits that is one token."""
    rng = random.Random(_SAMPLE_SEED)
    texts = {sentence.text for _ in range(consults) for sentence in consult(rng).sentences}
    return vocabulary_of(texts)


def vocabulary_of(texts: Iterable[str]) -> Vocabulary:
    """The tokens of ``texts`` and every numeral of up to three digits that is one token."""
    encode = whisper_tokenizer().encode
    used = {token for text in texts for token in encode(" " + text)}
    numerals: dict[int, tuple[bool, int]] = {}
    for number in range(10**_DIGITS):
        for spaced in (False, True):
            tokens = encode((" " if spaced else "") + str(number))
            if len(tokens) == 1:
                numerals[tokens[0]] = (spaced, number)
    padded = (encode(f"{zeros}{digit}") for zeros in ("0", "00") for digit in range(10))
    used.update(tokens[0] for tokens in padded if len(tokens) == 1)
    return Vocabulary(tuple(sorted(used | set(numerals))), numerals)


def _numeral(number: int, *, spaced: bool) -> NDArray[np.float32]:
    """1, space before, number of digits (3), and for hundreds, tens and units one of 0–9 or absent."""
    row = np.zeros(_NUMERAL_FEATURES, np.float32)
    length = len(str(number))
    row[0], row[1], row[1 + length] = 1, float(spaced), 1
    for place, digit in enumerate(f"{number:0{_DIGITS}d}"):
        absent = place < _DIGITS - length
        row[5 + 11 * place + (10 if absent else int(digit))] = 1
    return row
