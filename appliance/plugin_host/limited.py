"""Calling a stranger's code with a limit on its time."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def call_within(limit_s: float, function: Callable[[], T]) -> T:
    """Run ``function`` in a thread of its own and give up waiting after ``limit_s`` (the thread is left behind).

    Raises:
        TimeoutError: it takes too long; whatever it raises, ``SystemExit`` included.
    """
    answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
    threading.Thread(target=_answer, args=(function, answers), name="plugin call", daemon=True).start()
    try:
        fine, value = answers.get(timeout=limit_s)
    except queue.Empty:
        raise TimeoutError(f"no answer within {limit_s:g} s") from None
    if not fine:
        raise value
    result: T = value
    return result


def _answer(function: Callable[[], Any], answers: queue.SimpleQueue[tuple[bool, Any]]) -> None:
    try:
        answers.put((True, function()))
    except BaseException as error:  # noqa: BLE001  it is handed to the caller, who decides
        answers.put((False, error))


async def call_hook_within(limit_s: float, hook: Callable[[], Any]) -> None:
    """Call a hook that may return an awaitable; neither its blocking part nor its waiting part may take longer.

    Raises:
        TimeoutError: it takes too long; whatever it raises.
    """
    loop = asyncio.get_running_loop()
    called: asyncio.Future[Any] = loop.create_future()

    def deliver(fine: bool, value: Any) -> None:
        if not called.done():
            called.set_result((fine, value))

    def run() -> None:
        answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        _answer(hook, answers)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, *answers.get())

    threading.Thread(target=run, name="plugin hook", daemon=True).start()
    async with asyncio.timeout(limit_s):
        fine, value = await called
        if not fine:
            raise value
        if inspect.isawaitable(value):
            await value
