"""The caller's place in an engine's queue, told before the first piece of an answer that has to wait for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

from appliance.plugin_api.errors import ProntuarioError

T = TypeVar("T")


class Place(msgspec.Struct, frozen=True):
    """``position`` 1 is next, 0 is being answered now. An estimate: more urgent requests go before."""

    position: int


class Queued(Generic[T]):
    """Give ``told`` to ``CallOptions.on_queue``, then read ``pieces``.

    A request that never waited has no places: its first item is its first piece, or its error.
    """

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._position = 0
        self._waited = False

    def told(self, position: int) -> None:
        """The dispatcher says where the request stands; the newest word counts."""
        self._waited = self._waited or position > 0
        self._position = position
        if self._waited:
            self._news.set()

    async def pieces(self, source: AsyncGenerator[T, None]) -> AsyncGenerator[Place | T, None]:
        """Places as they are told until the first piece comes, then the pieces; closing it closes ``source``.

        Raises:
            ProntuarioError: whatever ``source`` raises.
        """
        first = asyncio.ensure_future(_first(source))
        try:
            while not await self._came(first):
                self._news.clear()
                yield Place(self._position)
            for piece in first.result():
                yield piece
            async for piece in source:
                yield piece
        finally:
            first.cancel()
            with suppress(asyncio.CancelledError, ProntuarioError):
                await first
            with suppress(ProntuarioError):
                await source.aclose()

    async def _came(self, first: asyncio.Future[list[T]]) -> bool:
        """Wait for the first piece or for news; whether it was the piece."""
        news = asyncio.ensure_future(self._news.wait())
        try:
            ends: set[asyncio.Future[Any]] = {first, news}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        return first.done()


async def _first(source: AsyncGenerator[T, None]) -> list[T]:
    """The first piece; an empty list where there is none."""
    async for piece in source:
        return [piece]
    return []
