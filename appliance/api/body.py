"""The request's body as it arrives: bounded in memory, in size and in the time that a client may waste.

At most ``BUFFER_BYTES`` wait between the network and the handler; beyond that the reader waits, and TCP's (or HTTP/2's)
flow control slows the client down.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from appliance.api.errors import BODY_INTERRUPTED, BODY_MALFORMED, BODY_STALLED, BODY_TOO_LARGE
from appliance.plugin_api.errors import INVALID

BUFFER_BYTES: Final = 256 * 1024
MIN_BYTES_PER_S: Final = 16 * 1024
"""Beyond its first ``body_timeout_s`` an upload must come at least this fast on average."""
LINGER_BYTES: Final = 64 << 20
LINGER_S: Final = 2.0

T = TypeVar("T")
_PLACE: Final = re.compile(r"^(?P<reason>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_QUOTED: Final = re.compile(r"(?:value|enum value) (?:'.*'|-?\d+)", re.DOTALL)


class RequestBody:
    """Filled by the connection, emptied by the handler. Quart constructs it (``Request.body_class``)."""

    def __init__(self, expected_content_length: int | None = None, _max_content_length: int | None = None) -> None:
        self.declared = expected_content_length
        self.complete = False
        self._parts: deque[bytes] = deque()
        self._waiting = 0
        self._interrupted = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    # -- the connection's side ------------------------------------------------------------------------------------
    async def put(self, data: bytes) -> None:
        """Hand over what arrived; waits while the handler is behind."""
        if data:
            await self._room.wait()
            self._parts.append(data)
            self._waiting += len(data)
            if self._waiting >= BUFFER_BYTES:
                self._room.clear()
            self._changed.set()

    def set_complete(self) -> None:
        """The client has sent everything."""
        self.complete = True
        self._changed.set()

    def interrupt(self) -> None:
        """The client is gone."""
        self._interrupted = True
        self._changed.set()

    # -- the handler's side ---------------------------------------------------------------------------------------
    async def chunks(self, limit_bytes: int, timeout_s: float) -> AsyncIterator[bytes]:
        """The body as it arrives.

        Raises:
            ProntuarioError: ``body.too_large`` 413, ``body.stalled`` 408, ``body.interrupted`` 400.
        """
        if self.declared is not None and self.declared > limit_bytes:
            raise BODY_TOO_LARGE(limit_bytes=limit_bytes)
        received, waited = 0, 0.0
        while True:
            while self._parts:
                part = self._take()
                received += len(part)
                if received > limit_bytes:
                    raise BODY_TOO_LARGE(limit_bytes=limit_bytes)
                yield part
            if self.complete and not self._parts:
                return
            if self._interrupted:
                raise BODY_INTERRUPTED()
            waited += await self._wait(timeout_s + received / MIN_BYTES_PER_S - waited)

    async def discard(self) -> None:
        """Take what still comes, for a while, so that the client reads our answer before the connection closes."""
        taken, waited = 0, 0.0
        while not (self.complete or self._interrupted) and taken < LINGER_BYTES and waited < LINGER_S:
            while self._parts:
                taken += len(self._take())
            if self.complete:
                return
            waited += await self._wait(LINGER_S - waited, patient=True)

    def _take(self) -> bytes:
        part = self._parts.popleft()
        self._waiting -= len(part)
        if self._waiting < BUFFER_BYTES:
            self._room.set()
        return part

    async def _wait(self, seconds: float, *, patient: bool = False) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._changed.clear()
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._changed.wait()
        except TimeoutError as error:
            if not patient:
                raise BODY_STALLED() from error
        return loop.time() - began


def decode_json(data: bytes, shape: type[T]) -> T:
    """``data`` as ``shape``.

    Raises:
        ProntuarioError: ``body.malformed`` 400 (no JSON), ``invalid`` 422 with the field's JSON path.
    """
    try:
        decoded: T = _decoder(shape).decode(data)  # type: ignore[arg-type]
    except msgspec.ValidationError as error:
        raise invalid_from(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BODY_MALFORMED() from None
    return decoded


def invalid_from(error: msgspec.ValidationError) -> Exception:
    """``invalid`` with the field; values that msgspec quotes are taken out, for they may be a patient's."""
    found = _PLACE.match(str(error))
    path = (found["path"] if found else None) or "$"
    reason = _QUOTED.sub("value", found["reason"] if found else "")
    return INVALID(field=path, name=path, reason=reason[:200])


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)
