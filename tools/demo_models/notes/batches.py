"""The batches of training: made on the fly from seeds, so that any of them can be made again after a restart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tokenizers import Tokenizer

from tools.demo_models.notes.hearing import Manner
from tools.demo_models.notes.samples import chunks, sample

_POOL: Final = 384
_TOKENS: Final = 3072
_MULTIPLE: Final = 8
_SHORT_MANNER: Final = Manner(short=1.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of token numbers of equal length (0 fills), and which of them the model is to write."""

    ids: list[list[int]]
    written: list[list[bool]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the stream of batches a training stands: the pool, and the batch within it."""

    pool: int = 0
    batch: int = 0


def batches(tokenizer: Tokenizer, seed: int, short_pools: int, start: Place) -> Iterator[tuple[Batch, Place]]:
    """Every batch from ``start`` on, each with the place behind it. The first ``short_pools`` pools are short consults."""
    number, skipped = start.pool, start.batch
    while True:
        rng = random.Random(f"{seed}-{number}")
        rows = _encoded(tokenizer, rng, _SHORT_MANNER if number < short_pools else Manner())
        grouped = _grouped(sorted(rows, key=lambda row: len(row[0])))
        rng.shuffle(grouped)
        for place in range(skipped, len(grouped)):
            yield _filled(grouped[place]), Place(number, place + 1)
        number, skipped = number + 1, 0


Row = tuple[list[int], list[bool]]


def _encoded(tokenizer: Tokenizer, rng: random.Random, manner: Manner) -> list[Row]:
    pieces = [chunks(sample(rng, manner).turns) for _ in range(_POOL)]
    encoded = iter(tokenizer.encode_batch([text for each in pieces for text, _ in each], add_special_tokens=False))
    rows: list[Row] = []
    for each in pieces:
        ids: list[int] = []
        written: list[bool] = []
        for _, own in each:
            piece = next(encoded).ids
            ids += piece
            written += [own] * len(piece)
        rows.append((ids, written))
    return rows


def _width(length: int) -> int:
    return -(-length // _MULTIPLE) * _MULTIPLE


def _grouped(rows: list[Row]) -> list[list[Row]]:
    groups: list[list[Row]] = []
    now: list[Row] = []
    for row in rows:  # in rising length, so the newest row sets the width
        if now and _width(len(row[0])) * (len(now) + 1) > _TOKENS:
            groups.append(now)
            now = []
        now.append(row)
    return [*groups, now]


def _filled(rows: list[Row]) -> Batch:
    width = _width(max(len(ids) for ids, _ in rows))
    return Batch(
        [ids + [0] * (width - len(ids)) for ids, _ in rows],
        [written + [False] * (width - len(written)) for _, written in rows],
    )
