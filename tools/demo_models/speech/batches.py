"""Rendered windows as padded arrays, made ahead of the trainer in a thread of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.demo_models.speech.mel import BANDS
from tools.demo_models.speech.pool import Pool
from tools.demo_models.speech.vocabulary import WINDOW_S, Vocabulary
from tools.demo_models.speech.windows import POSITIONS_PER_SECOND, Example, Group, Stage, render

IGNORED: Final = -100
_MARGIN_S: Final = 0.12
_AHEAD: Final = 6


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded arrays of n windows.

    ``mel`` (n, frames, 80), ``inputs`` and ``targets`` (n, tokens); ``guide`` (n, tokens, positions) is 1 where a token was
    said. ``letters`` and ``text`` are the heads' targets of the rows in ``spoken``.
    """

    mel: NDArray[np.float32]
    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    guide: NDArray[np.float32]
    spoken: list[int]
    letters: list[list[int]]
    text: list[list[int]]
    positions: list[int]
    progress: float


class BatchError(RuntimeError):
    """A batch could not be made; the cause tells why."""

    def __init__(self) -> None:
        super().__init__("a batch could not be made")


def collate(examples: list[Example], vocabulary: Vocabulary, frames: int, progress: float) -> Batch:
    """Pad with 0.0 in the normalised mel domain, as the product fills its windows."""
    longest = max([frames, *(len(example.mel) for example in examples)])
    longest = min(longest + longest % 2, round(WINDOW_S * 100))
    tokens = max(len(example.inputs) for example in examples)
    mel = np.zeros((len(examples), longest, BANDS), np.float32)
    inputs = np.full((len(examples), tokens), vocabulary.special("eot"), np.int64)
    targets = np.full((len(examples), tokens), IGNORED, np.int64)
    guide = np.zeros((len(examples), tokens, longest // 2), np.float32)
    for row, example in enumerate(examples):
        mel[row, : len(example.mel)] = example.mel[:longest]
        inputs[row, : len(example.inputs)] = example.inputs
        targets[row, : len(example.targets)] = example.targets
        for place, (begin, end) in enumerate(example.spans, example.first_span):
            first = max(0, int((begin - _MARGIN_S) * POSITIONS_PER_SECOND))
            guide[row, place, first : int((end + _MARGIN_S) * POSITIONS_PER_SECOND) + 1] = 1
    spoken = [row for row, example in enumerate(examples) if example.letters]
    words = len(vocabulary.text)
    return Batch(
        mel,
        inputs,
        targets,
        guide,
        spoken,
        [examples[row].letters for row in spoken],
        [[token + 1 for token in examples[row].targets if token < words] for row in spoken],
        [min(examples[row].positions, longest // 2) for row in spoken],
        progress,
    )


def batches(pool: Pool, vocabulary: Vocabulary, groups: Iterable[Group]) -> Iterator[Batch]:
    """A batch for each group, in order. An error in the making is raised here."""
    made: queue.Queue[Any] = queue.Queue(_AHEAD)
    stop = threading.Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                made.put(item, timeout=1.0)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for group in groups:
                odds = Stage(group.progress).odds()
                examples = [render(pool, vocabulary, window, odds) for window in group.windows]
                put(collate(examples, vocabulary, group.frames, group.progress))
                if stop.is_set():
                    return
            put(None)
        except Exception as error:  # noqa: BLE001  it is raised again in the trainer's thread
            put(error)

    thread = threading.Thread(target=work, name="speech-batches", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if not isinstance(item, Batch):
                raise BatchError from item
            yield item
    finally:
        stop.set()
