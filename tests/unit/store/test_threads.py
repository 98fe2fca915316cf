"""Cancelling does not leave a thread behind."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from appliance.store.threads import opened, to_the_end


async def test_the_answer_and_the_failure_come_through() -> None:
    def add(one: int, *, other: int) -> int:
        return one + other

    assert await to_the_end(add, 1, other=2) == 3
    with pytest.raises(ZeroDivisionError):
        await to_the_end(lambda: 1 // 0)


@pytest.mark.parametrize("cancels", [1, 3])
@pytest.mark.parametrize("fails", [False, True])
async def test_cancelled_it_waits_for_the_thread(cancels: int, fails: bool) -> None:
    entered, leave, left = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        assert leave.wait(60)
        left.set()
        if fails:
            raise ValueError

    task = asyncio.create_task(to_the_end(work))
    assert await asyncio.to_thread(entered.wait, 60)
    for _ in range(cancels):
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done(), "its thread still runs"
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left.is_set()


async def test_a_file_that_a_cancelled_wait_opened_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    entered, leave = threading.Event(), threading.Event()
    files: list[BinaryIO] = []

    def work() -> BinaryIO:
        entered.set()
        assert leave.wait(60)
        files.append((tmp_path / "a").open("rb"))
        return files[0]

    task = asyncio.create_task(opened(work))
    assert await asyncio.to_thread(entered.wait, 60)
    task.cancel()
    leave.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files[0].closed


async def test_what_was_opened_is_given_and_a_failure_comes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await opened((tmp_path / "a").open, "rb")
    (tmp_path / "a").write_bytes(b"x")
    with await opened((tmp_path / "a").open, "rb") as file:
        assert file.read() == b"x"
