"""Waiting for somebody else in time that this process really had."""

from __future__ import annotations

import asyncio
from typing import Any, Final

_SLICE_S: Final = 0.1
_COUNTED_AT_MOST_S: Final = 2 * _SLICE_S


async def answered_in_time(answer: asyncio.Future[Any], limit_s: float) -> bool:
    """Whether ``answer`` is done within ``limit_s`` seconds, of which any stall of this very process counts 0.2 s at most.

    A plain timeout blames the other side for what this one slept through (memory pressure, a stopped process): when the
    loop goes on, the time is up before the answer that lies in the socket was read.
    """
    clock = asyncio.get_running_loop().time
    waited_s = 0.0
    while not answer.done() and waited_s < limit_s:
        began = clock()
        await asyncio.wait({answer}, timeout=min(_SLICE_S, limit_s - waited_s))
        waited_s += min(clock() - began, _COUNTED_AT_MOST_S)
    return answer.done()
