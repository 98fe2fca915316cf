"""Continuous batches by context length: a batch pads every row to its longest, so long and short contexts never share one."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import mlx.core as mx
from mlx_lm.generate import BatchGenerator

from plugins.medgemma_chat.engine_limits import KvBudget, PrefillPace, with_reserve
from plugins.medgemma_chat.engine_padding import drop_shared_padding
from plugins.medgemma_chat.engine_prefix import SHARED, PrefixCache
from plugins.medgemma_chat.engine_rows import Row
from plugins.medgemma_chat.engine_shares import Groups, TimeShare, crowd_of, group_for

EDGES: Final = (1024, 4096, 16384, 65536)
"""Prompt lengths (tokens) where a new bucket begins; within one, padding at most quadruples a row."""
MOST_TURNS_GIVEN: Final = 4
"""How often in a row a bucket that only reads lets shorter ones go first: a short prompt's steps from its first chunk to its token."""


class Response(Protocol):
    """What BatchGenerator says of one row's new token."""

    uid: int
    token: int
    logprobs: mx.array
    finish_reason: str | None


@dataclass(slots=True)
class Token:
    """A row's next token."""

    row: Row
    token: int
    logprobs: mx.array
    finish: str | None


class Buckets:
    """The rows inside the model, by request. Belongs to the thread that steps it."""

    def __init__(
        self,
        make: Callable[[], BatchGenerator],
        *,
        budget: KvBudget,
        pace: PrefillPace,
        prefixes: PrefixCache,
        max_rows: int,
        max_reading: int,
        edges: tuple[int, ...] = EDGES,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._make = make
        self._budget = budget
        self._pace = pace
        self._prefixes = prefixes
        self._max_rows = max_rows
        self._max_reading = max_reading
        self._edges = edges
        self._clock = clock
        self._buckets: dict[tuple[int, int], _Bucket] = {}
        """By the place of their prompts' length among the edges, and by group (``engine_shares``)."""
        self._share = TimeShare()
        self._turns_given = 0
        self.prefill_s = 0.0
        self.decode_s = 0.0

    def __len__(self) -> int:
        return sum(len(bucket.rows) for bucket in self._buckets.values())

    @property
    def nbytes(self) -> int:
        """Bytes that the caches of all rows hold now."""
        return sum(int(bucket.generator.prompt_cache_nbytes) for bucket in self._buckets.values() if bucket.rows)

    def room_for(self, row: Row, *, first: bool = False) -> bool:
        """Whether the row may join now, by number and by memory; ``first``: it may take what is kept for a person's first."""
        if len(self) >= (with_reserve(self._max_rows) if first else self._max_rows):
            return False
        longest = {key: [one.longest for one in bucket.rows.values()] for key, bucket in self._buckets.items()}
        longest.setdefault(self._key(row, first=first), []).append(row.longest)
        return (self._budget.fits if first else self._budget.fits_beside_others)(longest.values())

    def may_read(self, row: Row, *, first: bool = False) -> bool:
        """Whether its prompt would be read at once.

        A batch reads so many prompts together, and what comes after them in order: whoever came late would wait for all of
        one person's. So these wait outside, where people take turns.
        """
        bucket = self._buckets.get(self._key(row, first=first))
        most = with_reserve(self._max_reading) if first else self._max_reading
        return bucket is None or len(bucket.reading) < most

    def insert(self, row: Row, *, first: bool = False) -> None:
        """Let the row join, behind the longest beginning of its prompt that is known."""
        key = self._key(row, first=first)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self._make(), {}, {}, group=key[1])
        bucket.insert(row, self._prefixes)

    def step(self) -> Iterator[list[Token]]:
        """One token for every answering row, a chunk for every row that is still reading; a bucket at a time.

        While a short prompt waits for its first token, longer ones that are only being read let it go first for some steps.
        While others are answered, a crowd's rows are stepped for a part of the time.
        """
        crowd = crowd_of(self._people())
        held_up = crowd if not self._share.may_step else None
        rows = [bucket for _, bucket in sorted(self._buckets.items(), key=_by_key) if bucket.rows]
        active = self._whose_turn([bucket for bucket in rows if bucket.group != held_up])
        decoding = self.decoding
        reading = sum(len(bucket.reading) for bucket in active)
        for bucket in active:
            tokens = self._step_timed(bucket, self._pace.tokens(reading, others_wait=decoding), crowd)
            yield tokens

    @property
    def decoding(self) -> bool:
        """Whether a row is being answered: whatever else a step does, that row waits for it."""
        return any(bucket.decoding for bucket in self._buckets.values())

    def _whose_turn(self, active: list[_Bucket]) -> list[_Bucket]:
        """``active`` (shortest first) without what may wait."""
        waiting = next((at for at, bucket in enumerate(active) if bucket.awaited), len(active))
        now = [bucket for at, bucket in enumerate(active) if at <= waiting or bucket.decoding]
        if len(now) == len(active) or self._turns_given == MOST_TURNS_GIVEN:
            self._turns_given = 0
            return active
        self._turns_given += 1
        return now

    def _step_timed(self, bucket: _Bucket, chunk: int, crowd: int | None) -> list[Token]:
        """A step that is put down to the crowd or to the others.

        A step is only asked for here, and runs on while the next one is being prepared. So a crowd's is waited for on both sides, to
        be told from theirs; the others' go on overlapping.
        """
        by_crowd = crowd is not None and bucket.group == crowd
        if by_crowd:
            mx.synchronize(bucket.generator.stream)
        began = self._clock()
        tokens = self._step_one(bucket, chunk)
        if by_crowd:
            mx.synchronize(bucket.generator.stream)
        if crowd is not None:
            self._share.spent(self._clock() - began, by_crowd=by_crowd)
        return tokens

    def _step_one(self, bucket: _Bucket, chunk: int) -> list[Token]:
        generator = bucket.generator
        generator.prefill_step_size = chunk
        counters = generator._counters  # noqa: SLF001  the public stats() is a context manager over the same figures
        before = (counters.prompt_tokens, counters.prompt_time, counters.decode_time)
        progress, responses = generator.next()
        read, seconds = counters.prompt_tokens - before[0], counters.prompt_time - before[1]
        self._pace.learn(read, seconds)
        self.prefill_s += seconds
        self.decode_s += counters.decode_time - before[2]
        bucket.note_progress(progress, self._prefixes)
        bucket.drop_shared_padding()
        return bucket.tokens(responses)

    def remove(self, request_ids: set[int]) -> None:
        """Let rows go at once, wherever they are."""
        for bucket in self._buckets.values():
            bucket.remove({uid for uid, row in bucket.rows.items() if row.request_id in request_ids})

    def close(self) -> None:
        """Let everything go."""
        for bucket in self._buckets.values():
            bucket.remove(set(bucket.rows))
            bucket.generator.close()
        self._buckets.clear()

    def _key(self, row: Row, *, first: bool) -> tuple[int, int]:
        """Where the row belongs, as things are now."""
        return bisect.bisect_right(self._edges, len(row.prompt)), group_for(row.user, self._people(), modest=first)

    def _people(self) -> Groups:
        groups: Groups = (Counter(), Counter())
        for bucket in self._buckets.values():
            groups[bucket.group].update(row.user for row in bucket.rows.values())
        return groups


def _by_key(item: tuple[tuple[int, int], _Bucket]) -> tuple[int, int]:
    return item[0]


@dataclass(slots=True)
class _Bucket:
    """One BatchGenerator and its rows by its own number for them; ``reading``: what is left to read before the first token."""

    generator: BatchGenerator
    rows: dict[int, Row]
    reading: dict[int, _Reading]
    group: int

    @property
    def decoding(self) -> bool:
        return len(self.rows) > len(self.reading)

    @property
    def awaited(self) -> bool:
        """Whether a row has no token yet."""
        return any(row.completion_tokens == 0 for row in self.rows.values())

    def insert(self, row: Row, prefixes: PrefixCache) -> None:
        known = prefixes.longest(row.tenant, row.prompt)
        start = len(known[0]) if known else 0
        body = len(row.prompt) - 1
        marks = {row.shared_tokens: SHARED, body: row.tenant}
        stops = sorted(mark for mark in marks if start < mark <= body)
        segments = [row.prompt[a:b] for a, b in zip([start, *stops], stops, strict=False)]
        (uid,) = self.generator.insert_segments(
            [[*segments, row.prompt[-1:]]],
            [row.max_tokens],
            caches=[known[1]] if known else None,
            all_tokens=[known[0]] if known else None,
            samplers=[row.sampler],
            logits_processors=[[row.constraint] if row.constraint else []],
        )
        self.rows[uid] = row
        self.reading[uid] = _Reading(start, {mark: marks[mark] for mark in stops})

    def note_progress(self, progress: list[Any], prefixes: PrefixCache) -> None:
        """Keep the beginnings that were just read to their end."""
        for response in progress:
            reading = self.reading.get(response.uid)
            if reading is None:
                continue
            if response.end_of_prompt:
                del self.reading[response.uid]
                continue
            if response.end_of_segment:
                self._keep(response.uid, reading.start + response.progress[0], reading.marks, prefixes)

    def _keep(self, uid: int, read: int, marks: Mapping[int, str], prefixes: PrefixCache) -> None:
        space = marks.get(read)
        tokens = self.rows[uid].prompt[:read]
        if space is not None and prefixes.wants(space, tokens):
            cache, _ = self.generator.extract_cache([uid])[uid]
            prefixes.keep(space, tokens, cache)

    def drop_shared_padding(self) -> None:
        """After whatever lets rows come and go: that leaves padding."""
        for batch in (self.generator._generation_batch, self.generator._prompt_batch):  # noqa: SLF001
            drop_shared_padding(batch.prompt_cache, batch.tokens)

    def tokens(self, responses: list[Response]) -> list[Token]:
        found = []
        for response in responses:
            row = self.rows[response.uid] if response.finish_reason is None else self.rows.pop(response.uid)
            found.append(Token(row, response.token, response.logprobs, response.finish_reason))
        return found

    def remove(self, uids: set[int]) -> None:
        if uids:
            self.generator.remove(list(uids))
            self.drop_shared_padding()
        for uid in uids:
            del self.rows[uid]
            self.reading.pop(uid, None)


@dataclass(frozen=True, slots=True)
class _Reading:
    start: int
    """Tokens that the prefix cache spared."""
    marks: dict[int, str]
    """Where a beginning worth keeping ends, and whose it is."""
