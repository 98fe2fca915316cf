"""Work on files in a thread that cancelling does not leave behind, be it the thread or an open file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Closeable(Protocol):
    """What is to be closed, as a file."""

    def close(self) -> object:
        """Give up what it holds."""
        ...


C = TypeVar("C", bound=Closeable)


async def to_the_end(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``asyncio.to_thread`` that returns, or raises ``CancelledError``, only when the thread is over.

    ``to_thread`` gives up waiting at once when it is cancelled, and the thread goes on: whoever cancelled it and then
    touches the same files races with it. A leftover that found the position file gone once deleted a warm copy
    that had just become the record.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError:  # cancelled again: still not over
                continue
        if not running.cancelled():
            running.exception()  # seen; who cancelled has no use for it
        raise


async def opened(opening: Callable[P, C], *args: P.args, **kwargs: P.kwargs) -> C:
    """``to_the_end`` for work that opens something: cancelled, it closes what was opened meanwhile.

    Nobody else could: who cancelled never gets it, and a file that waits for the collector keeps its place on the disk.
    """
    made: list[C] = []
    try:
        await to_the_end(lambda: made.append(opening(*args, **kwargs)))
    except asyncio.CancelledError:
        for one in made:
            one.close()
        raise
    return made[0]
