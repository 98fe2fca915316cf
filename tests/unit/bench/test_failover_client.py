"""The books of the failover benches must see what they are there to see: losses, two acknowledgers, outages."""

from __future__ import annotations

import asyncio
import time

import pytest

from bench.failover_client import Acknowledged, Books, Client, percentile


class Record:
    """A service in memory; while ``down`` it refuses, while ``mute`` it takes the write and loses the answer."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.term = 0
        self.down = False
        self.mute = False

    async def write(self, key: str) -> int:
        if self.down:
            raise ConnectionError
        self.rows[key] = self.rows.get(key, 0) + 1
        if self.mute:
            raise ConnectionError
        return self.term

    async def kept(self) -> set[str]:
        return set(self.rows)


def acks(*told: tuple[float, float, int]) -> Books:
    return Books([Acknowledged(f"k{n}", began, ended, term) for n, (began, ended, term) in enumerate(told)])


def test_the_outage_is_the_longest_gap_that_ends_after_the_fault() -> None:
    books = acks((0.0, 0.1, 0), (1.0, 5.0, 0), (5.0, 5.1, 0), (5.2, 7.1, 0), (7.1, 7.2, 0))
    assert books.outage_after(5.5) == pytest.approx(2.0)
    assert books.outage_after(0.2) == pytest.approx(4.9)


def test_a_service_that_never_came_back_was_out_for_ever() -> None:
    assert acks((0.0, 0.1, 0), (0.1, 0.2, 0)).outage_after(1.0) == float("inf")


def test_an_old_term_may_answer_what_was_sent_before_the_new_one_began() -> None:
    assert acks((0.0, 1.0, 1), (0.5, 2.0, 2), (0.9, 2.1, 1)).overlapping() == 0


def test_an_old_term_that_takes_new_writes_overlaps() -> None:
    assert acks((0.0, 1.0, 1), (0.5, 2.0, 2), (2.1, 2.2, 1), (2.1, 2.3, 2), (2.4, 2.5, 1)).overlapping() == 2


def test_what_was_acknowledged_and_is_gone_is_lost() -> None:
    assert acks((0, 1, 0), (1, 2, 0), (2, 3, 0)).lost({"k0", "k2", "other"}) == ["k1"]


def test_percentiles_are_ranks() -> None:
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (0.5, 0.95, 1.0)] == [2.0, 4.0, 4.0]
    assert percentile([5.0], 0.5) == 5.0


async def test_every_write_is_sent_until_it_is_acknowledged_with_its_own_key() -> None:
    record = Record()
    client = Client(record, "t")
    client.start()
    await client.steady(0.3)
    record.mute = True
    await asyncio.sleep(0.2)
    record.mute, record.down = False, True
    moment = time.monotonic()
    await asyncio.sleep(0.5)
    record.down, record.term = False, 1
    await client.steady(0.3, after=moment)
    await client.stop()
    assert len(client.books.acknowledged) == client.sent == len(record.rows)
    assert max(record.rows.values()) > 1
    assert client.books.lost(await record.kept()) == []
    assert client.books.outage_after(moment) >= 0.5
    assert client.books.overlapping() == 0


async def test_steady_waits_for_a_service_that_is_still_out() -> None:
    record = Record()
    client = Client(record, "t")
    client.start()
    await client.steady(0.2)
    record.down = True
    with pytest.raises(TimeoutError):
        await client.steady(0.2, after=time.monotonic(), limit_s=1.0)
    await client.stop(0.2)
    assert client.unanswered == 0
