"""Time that this process did not have is not the other side's fault."""

from __future__ import annotations

import asyncio
import time

import pytest

from appliance.cluster.patience import answered_in_time


async def test_an_answer_in_time_and_none() -> None:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[None] = loop.create_future()
    loop.call_later(0.15, answer.set_result, None)
    assert await answered_in_time(answer, 60)
    assert await answered_in_time(answer, 0), "it was there already"
    never: asyncio.Future[None] = loop.create_future()
    assert not await answered_in_time(never, 0.25)
    assert not never.done(), "it may still come"


async def test_an_answer_that_came_while_this_process_stood_still_is_in_time() -> None:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[None] = loop.create_future()
    waiting = asyncio.create_task(answered_in_time(answer, 0.5))
    await asyncio.sleep(0.01)
    time.sleep(1.0)
    loop.call_soon(lambda: loop.call_soon(lambda: loop.call_soon(answer.set_result, None)))  # read a little later
    assert await waiting


async def test_a_failure_and_a_cancelled_answer_are_answers() -> None:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    failed.set_exception(OSError("gone"))
    assert await answered_in_time(failed, 1)
    with pytest.raises(OSError, match="gone"):
        await failed
    dropped: asyncio.Future[None] = loop.create_future()
    loop.call_soon(dropped.cancel)
    assert await answered_in_time(dropped, 60)
    assert dropped.cancelled()
