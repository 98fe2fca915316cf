"""Training windows: which sentences lie in one window, their sound, and what the model should write."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np

from tools.demo_models.speech.damage import RATE_HZ, DamageOdds, Wave, damaged
from tools.demo_models.speech.letters import letters
from tools.demo_models.speech.mel import log_mel
from tools.demo_models.speech.nonspeech import nonspeech
from tools.demo_models.speech.pool import Pool, Utterance
from tools.demo_models.speech.vocabulary import WINDOW_S, Vocabulary, whisper_tokenizer

POSITIONS_PER_SECOND: Final = 50
_GRID_S: Final = 0.1
_SILENT_SHARE: Final = 0.03
_TIMED_SHARE: Final = 0.8
"""The rest is asked for bare text: the product finds word times through such a prompt."""
_MACRO: Final = 400
_TRIES: Final = 8
_FIRST_POOL: Final = 4_000
_GROWTH: Final = 1.6
"""Training may begin while the pool is made: by the time n windows were planned, 4,000 + 1.6 n sentences are there."""
_LEAD_S: Final = 0.85
_AROUND_S: Final = 0.8


@dataclass(frozen=True, slots=True)
class Stage:
    """How far training is (0 to 1) decides how hard its windows are."""

    progress: float

    def sentences(self, rng: random.Random) -> int:
        """One to three sentences a window; more than one in 10%, from the middle on in 18%."""
        several = 0.18 if self.progress >= 0.5 else 0.1
        draw = rng.random()
        return 1 if draw >= several else 2 if draw >= several * 0.25 else 3

    def longest_s(self) -> float:
        """Short sentences come first: the model finds out sooner where in the sound a word is."""
        return 2.4 if self.progress < 0.12 else WINDOW_S

    def odds(self) -> DamageOdds:
        """Damage grows from a third to its full share in the first fifth."""
        return DamageOdds().scaled(min(1.0, 0.33 + 3.4 * self.progress))

    def full_windows(self) -> float:
        """The share of batches filled to the whole window, as in use."""
        return 0.25 if self.progress >= 0.85 else 0.1


@dataclass(frozen=True, slots=True)
class Window:
    """A window to render: indices into the pool (none: nobody speaks) and the seed of all else."""

    sentences: tuple[int, ...]
    seed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Group:
    """Windows of like length for one step; ``frames`` is 0 for "as long as the longest"."""

    windows: tuple[Window, ...]
    frames: int
    progress: float


@dataclass(frozen=True, slots=True)
class Example:
    """One rendered window.

    ``mel`` (frames, 80); ``inputs`` and ``targets`` compact ids of one length; ``spans`` (seconds) for targets from index
    ``first_span``; ``letters`` for the letter head, empty when nobody speaks.
    """

    mel: np.ndarray
    inputs: list[int]
    targets: list[int]
    first_span: int
    spans: list[tuple[float, float]]
    letters: list[int]
    positions: int


class Plan(Protocol):
    """What the windows of a run depend on: a ``TrainingPlan``."""

    @property
    def windows(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def positions(self) -> int: ...
    def progress(self, windows: int) -> float: ...


def plan_groups(pool: Pool, plan: Plan) -> Iterator[Group]:
    """All groups of a run, each about ``plan.positions`` encoder positions; a function of its arguments only."""
    planned = 0
    for macro in range(math.ceil(plan.windows / _MACRO)):
        rng = random.Random(f"{plan.seed}/{macro}")
        stage = Stage(plan.progress(planned))
        there = len(pool) if plan.progress(0) else min(len(pool), int(_FIRST_POOL + _GROWTH * planned))
        made = sorted((_window(pool, rng, stage, there) for _ in range(_MACRO)), key=lambda window: window.seconds)
        groups = list(_grouped(made, plan.positions, stage, rng))
        rng.shuffle(groups)
        planned += _MACRO
        yield from groups


def render(pool: Pool, vocabulary: Vocabulary, window: Window, odds: DamageOdds) -> Example:
    """The sound and the targets of one window."""
    rng = random.Random(window.seed)
    if not window.sentences:
        return _silent(vocabulary, nonspeech(rng))
    timed = rng.random() < _TIMED_SHARE
    pieces, now = [np.zeros(int(rng.choice((0.0, 0.12, rng.uniform(0, 0.3), rng.uniform(0, _LEAD_S))) * RATE_HZ))], 0.0
    written: list[int] = []
    spans: list[tuple[float, float]] = []
    said: list[int] = []
    for place, index in enumerate(window.sentences):
        if place:
            pieces.append(np.zeros(int(rng.uniform(0.1, 0.6) * RATE_HZ)))
        now = sum(map(len, pieces)) / RATE_HZ
        utterance = pool[index]
        pieces.append(utterance.samples.astype(np.float64) * (rng.uniform(0.5, 1.0) / 32768))
        tokens, token_spans = _timed_tokens(vocabulary, utterance, now)
        end = now + utterance.duration_s
        if timed:
            closing = vocabulary.time(math.ceil(end / _GRID_S) * _GRID_S)
            tokens = [vocabulary.time(now), *tokens, closing]
            token_spans = [(now, now + 0.2), *token_spans, (end - 0.2, end + 0.1)]
        written += tokens
        spans += token_spans
        said += ([1] if said else []) + letters(utterance.spoken)
    pieces.append(np.zeros(int(rng.choice((0.0, 0.1, rng.uniform(0, 0.6))) * RATE_HZ)))
    wave = np.concatenate(pieces).astype(np.float32)[: int(WINDOW_S * RATE_HZ)]
    wave = damaged(wave, rng, odds, lambda length: _elsewhere(pool, rng, length))
    head = [vocabulary.special(name) for name in ("sot", "pt", "transcribe")]
    sequence = [*head, *([] if timed else [vocabulary.special("no_timestamps")]), *written, vocabulary.special("eot")]
    mel = log_mel(wave)
    return Example(mel, sequence[:-1], sequence[1:], 2 if timed else 3, spans, said, len(mel) // 2)


def _window(pool: Pool, rng: random.Random, stage: Stage, there: int) -> Window:
    if rng.random() < _SILENT_SHARE:
        return Window((), rng.getrandbits(48), 2.0)
    sentences: list[int] = []
    seconds = 0.0
    for _ in range(stage.sentences(rng)):
        index = _draw(pool, rng, stage, there)
        longer = seconds + pool.duration_s(index)
        if sentences and longer + _LEAD_S + 0.6 * len(sentences) > WINDOW_S - 0.2:
            break
        sentences.append(index)
        seconds = longer
    return Window(tuple(sentences), rng.getrandbits(48), seconds + 0.4 * (len(sentences) - 1))


def _draw(pool: Pool, rng: random.Random, stage: Stage, there: int) -> int:
    """A sentence of the stage's length, or after some tries any."""
    index = 0
    for _ in range(_TRIES):
        index = rng.randrange(there)
        if pool.duration_s(index) <= stage.longest_s():
            break
    return index


def _grouped(windows: list[Window], positions: int, stage: Stage, rng: random.Random) -> Iterator[Group]:
    current: list[Window] = []
    full = rng.random() < stage.full_windows()
    for window in windows:
        length = WINDOW_S if full else window.seconds + _AROUND_S
        if current and (len(current) + 1) * length * POSITIONS_PER_SECOND > positions:
            yield _group(current, stage, full=full)
            current = []
            full = rng.random() < stage.full_windows()
        current.append(window)
    if current:
        yield _group(current, stage, full=full)


def _group(windows: list[Window], stage: Stage, *, full: bool) -> Group:
    return Group(tuple(windows), round(WINDOW_S * 100) if full else 0, stage.progress)


def _silent(vocabulary: Vocabulary, wave: Wave) -> Example:
    """The first answer is "no speech"; after the usual head come the first time and the end."""
    inputs = [
        vocabulary.special("sot"),
        vocabulary.special("pt"),
        vocabulary.special("transcribe"),
        vocabulary.time(0.0),
    ]
    targets = [vocabulary.special("no_speech"), *inputs[2:], vocabulary.special("eot")]
    mel = log_mel(wave)
    return Example(mel, inputs, targets, 3, [], [], len(mel) // 2)


def _timed_tokens(
    vocabulary: Vocabulary, utterance: Utterance, offset_s: float
) -> tuple[list[int], list[tuple[float, float]]]:
    """Tokens of a sentence and the seconds of each: its letters' share of its word."""
    tokens = vocabulary.encode(utterance.text)
    if tokens is None:
        raise ValueError(f"the pool's vocabulary lacks a word of: {utterance.text}")
    tokenizer = whisper_tokenizer()
    pieces = [tokenizer.decode([vocabulary.full[token]]) for token in tokens]
    words: list[list[int]] = []
    for index, piece in enumerate(pieces):
        if piece.startswith(" ") or not words:
            words.append([])
        words[-1].append(index)
    ends = [*utterance.starts[1:], utterance.duration_s]
    spans: list[tuple[float, float]] = []
    for members, start, end in zip(words, utterance.starts, ends, strict=True):
        sizes = [max(1, len(pieces[index].strip())) for index in members]
        edges = offset_s + start + (end - start) * np.cumsum([0, *sizes]) / sum(sizes)
        spans += [(float(a), float(b)) for a, b in pairwise(edges)]
    return tokens, spans


def _elsewhere(pool: Pool, rng: random.Random, length: int) -> Wave:
    """Another voice, looped to ``length``."""
    voice = pool[rng.randrange(min(len(pool), _FIRST_POOL))].samples.astype(np.float32) / 32768
    return np.resize(np.roll(voice, rng.randrange(len(voice))), length)
