"""How the reference phone reaches the service: addresses, TLS, and connections that are given up when one of them broke.

A phone knows a name or the virtual IP and resolves it anew for every connection. Where a pair runs on loopback ports there is no
virtual IP: then the phone has both nodes' addresses and goes from one to the other.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import anyio
import httpx

from appliance.daemon.demo.alive import socket_options

CONNECT_S = 2.0
IDLE_S = 45.0
"""The service ends a connection that was idle for a minute (``api.keep_alive_timeout_s``). Who gives it up well before that
never sends into one that is just being closed."""


def client_context(client: Mapping[str, str]) -> ssl.SSLContext:
    """TLS 1.3 with nothing but the hospital's pinned root, showing the device's certificate."""
    context = ssl.create_default_context(cafile=client["ca"])
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(client["cert"], client["key"])
    return context


def is_stranger(error: BaseException | None) -> bool:
    """Whether what answered could not prove that it is the hospital's: no reason to try again, and never one to send a token."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


@dataclass(eq=False)
class _Pool:
    """The connections of one time between two breaks; closed once nobody uses them any more."""

    transport: httpx.AsyncHTTPTransport
    users: int = 0
    retired: bool = False

    async def leave(self) -> None:
        self.users -= 1
        await self.close_if_idle()

    async def close_if_idle(self) -> None:
        if self.retired and not self.users:
            await self.transport.aclose()


class _Body(httpx.AsyncByteStream):
    """A body that tells its pool when it ended."""

    def __init__(self, inner: httpx.AsyncByteStream, pool: _Pool) -> None:
        self._inner = inner
        self._pool = pool
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
        if self._open:
            self._open = False
            await self._pool.leave()


class Line(httpx.AsyncBaseTransport):
    """Sends requests to the address that answered last; ``give_up`` drops what broke and takes the next address."""

    def __init__(self, addresses: Sequence[str], client: Mapping[str, str], *, http2: bool) -> None:
        self._addresses = [httpx.URL(address) for address in addresses]
        self._at = 0
        self._http2 = http2
        self._context = client_context(client)
        self.websocket_context = client_context(client)
        """For WebSockets, which speak HTTP/1.1: httpx has the other one offer HTTP/2."""
        self._pool = self._new_pool()

    @property
    def address(self) -> httpx.URL:
        """Where requests go now."""
        return self._addresses[self._at]

    async def give_up(self, address: httpx.URL) -> None:
        """Use no connection made so far for a new request, and another address if there is one.

        Nothing happens when another task has already left ``address``.
        """
        if len(self._addresses) > 1 and address != self.address:
            return
        self._at = (self._at + 1) % len(self._addresses)
        old, self._pool = self._pool, self._new_pool()
        old.retired = True
        await old.close_if_idle()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` to the present address, whatever host it names."""
        pool, here = self._pool, self.address
        request.url = request.url.copy_with(scheme=here.scheme, host=here.host, port=here.port)
        request.headers["Host"] = here.netloc.decode()
        pool.users += 1
        try:
            answer = await pool.transport.handle_async_request(request)
        except BaseException as error:
            await pool.leave()
            if isinstance(error, anyio.EndOfStream):  # TLS met the end while it wrote: httpcore does not name this one
                raise httpx.WriteError("the connection ended") from error
            raise
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        return httpx.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_Body(answer.stream, pool),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        self._pool.retired = True
        await self._pool.transport.aclose()

    def _new_pool(self) -> _Pool:
        transport = httpx.AsyncHTTPTransport(
            verify=self._context,
            http2=self._http2,
            trust_env=False,
            socket_options=socket_options(),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=IDLE_S),
        )
        return _Pool(transport)
