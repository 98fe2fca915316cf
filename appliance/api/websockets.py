"""WebSocket sessions (RFC 6455) as handlers see them; bounded queues, revocation, and a drain that is said aloud."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import msgspec

from appliance.api.context import Scope, Visit
from appliance.api.door import bearer_token
from appliance.plugin_api.http import Principal, WebSocketRoute

SUBPROTOCOL: Final = "prontuario"
TOKEN_PREFIX: Final = "bearer."  # noqa: S105  the scheme's name, no secret
GOING_AWAY: Final = 1012
"""Service restart: reconnect, here or to the other node (IANA WebSocket close codes)."""
REVOKED: Final = 4401
ERROR_BASE: Final = 4000
"""Private close codes are 4000 plus the HTTP status that the error would have had."""
_GONE: Final = object()


class Session(Visit):
    """Implements ``plugin_api.http.WebSocketSession`` over callables that the host provides."""

    __slots__ = (
        "_checked",
        "_close",
        "_inbox",
        "_may_continue",
        "_named",
        "_recheck_s",
        "_record",
        "_send",
        "closed",
        "draining",
    )

    def __init__(
        self,
        scope: Scope,
        route: WebSocketRoute,
        parameters: dict[str, str],
        *,
        inbox: asyncio.Queue[Any],
        send: Callable[[str | bytes], Awaitable[None]],
        close: Callable[[int, str], Awaitable[None]],
        record: Callable[[], Awaitable[None]],
        may_continue: Callable[[], Awaitable[bool]],
        recheck_s: float,
    ) -> None:
        super().__init__(scope, route, parameters)
        self._inbox = inbox
        self._send = send
        self._close = close
        self._record = record
        self._named = False
        self._may_continue = may_continue
        self._recheck_s = recheck_s
        self._checked = asyncio.get_running_loop().time()
        self.draining = False
        self.closed = False

    @property
    def principal(self) -> Principal:
        return super().principal

    async def receive(self) -> str | bytes | None:
        """The next message; None once the client is gone, the session is revoked or the node drains."""
        while not (self.draining or self.closed):
            try:
                async with asyncio.timeout(self._recheck_s):
                    message = await self._inbox.get()
            except TimeoutError:
                message = None
            if message is _GONE or not await self._still_admitted():
                return None
            if message is not None:
                return message  # type: ignore[no-any-return]
        return None

    def about(self, *, patient: str | Collection[str] | None = None, resource: str | None = None) -> None:
        """See ``plugin_api.http.Request.about``: the session's beginning was recorded before the handler knew whose data it is."""
        before = self.about_patients, self.about_resource
        super().about(patient=patient, resource=resource)
        self._named = self._named or (self.about_patients, self.about_resource) != before

    async def send(self, message: Any) -> None:
        """``bytes`` as binary, everything else as JSON text, once it is recorded whose data it is. Dropped once closed.

        Raises:
            ProntuarioError: ``audit.unavailable`` 503; nothing was sent.
        """
        if not self.closed:
            if self._named:
                await self._record()
                self._named = False
            await self._send(message if isinstance(message, bytes) else msgspec.json.encode(message).decode())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if not self.closed:
            self.closed = True
            await self._close(code, reason.encode()[:120].decode(errors="ignore"))

    def drain(self) -> None:
        """The node stops: ``receive`` returns None at once. What was not acknowledged will be sent again."""
        self.draining = True
        self._wake()

    def gone(self) -> None:
        """The client has left."""
        self._wake()

    def _wake(self) -> None:
        if not self._inbox.full():
            self._inbox.put_nowait(_GONE)

    async def _still_admitted(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._checked < self._recheck_s:
            return True
        self._checked = now
        if await self._may_continue():
            return True
        await self.close(REVOKED, "auth.revoked")
        return False


def offered_token(scope: Scope) -> tuple[str | None, str | None]:
    """(token, subprotocol to accept): by header, or by ``Sec-WebSocket-Protocol: prontuario, bearer.<token>``.

    Browsers can't set headers on a WebSocket; the subprotocol list is the one thing that they can send along.
    """
    offered = list(scope.get("subprotocols", []))
    accepted = SUBPROTOCOL if SUBPROTOCOL in offered else None
    token = bearer_token(scope)
    if token is None:
        token = next((name[len(TOKEN_PREFIX) :] for name in offered if name.startswith(TOKEN_PREFIX)), None)
    return token, accepted
