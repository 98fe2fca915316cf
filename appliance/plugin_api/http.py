"""Routes, requests and replies, without any web framework.

A handler takes a ``Request`` and gives a ``Reply``. Every route names a permission; the application refuses to start
with one that does not. A mutating handler does all its work in one function given to ``Request.commit``: the effect and
the idempotency record become durable together, so a retry with the same ``Idempotency-Key`` never doubles anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from appliance.plugin_api.storage import Transaction

T = TypeVar("T")

PUBLIC: Final = "public"
"""The permission of a route that needs no identity (health, enrolment, login). It must be written out."""
SELF: Final = "self"
"""The permission of a route that any authenticated person has on their own session (logout, who am I)."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: a person, on an enrolled device, in a session. All identifiers are opaque strings."""

    user_id: str
    username: str
    role: str
    device_id: str
    session_id: str
    permissions: frozenset[str]
    practitioner_id: str | None = None

    def may(self, permission: str) -> bool:
        """Whether this person's role grants ``permission``."""
        return permission in self.permissions


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a stream; ``data`` becomes JSON (WHATWG HTML §9.2)."""

    event: str
    data: Any
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``body`` is a JSON-able value or msgspec Struct, raw ``bytes``, or an async stream of bytes/events."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    stream: AsyncIterator[bytes] | AsyncIterator[ServerSentEvent] | None = None


class Request(Protocol):
    """What a handler is given. Times out, size limits and authentication were already applied."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, str]:
        """Values of the ``{name}`` parts of the path."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """First value of each query parameter."""
        ...

    @property
    def query_items(self) -> list[tuple[str, str]]:
        """Every query parameter in order, repeats kept."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header values by lower-case name."""
        ...

    @property
    def principal(self) -> Principal:
        """Who is asking. On a PUBLIC route without a token this raises ``auth.required``."""
        ...

    @property
    def device_certificate(self) -> bytes | None:
        """The TLS client certificate (DER), when the connection brought one."""
        ...

    @property
    def language(self) -> str:
        """``"pt"`` or ``"en"``, from Accept-Language."""
        ...

    async def body(self, shape: type[T]) -> T:
        """The JSON body decoded into ``shape`` (a msgspec type). Raises ``invalid`` with the field."""
        ...

    async def raw_body(self) -> bytes:
        """The whole body, within the configured size limit."""
        ...

    def stream_body(self) -> AsyncIterator[bytes]:
        """The body as it arrives; nothing is held in memory."""
        ...

    def about(self, *, patient: str | Collection[str] | None = None, resource: str | None = None) -> None:
        """Say whose data this request touched (ids such as ``Patient/12``); it goes into the audit event.

        ``patient`` may be several: a page that shows ten patients is found by each of the ten. Calls add up. Every
        authenticated request is audited by the door itself; the event is durable before the reply leaves.
        """
        ...

    async def commit(self, change: Callable[[Transaction], Reply]) -> Reply:
        """Run ``change`` durably, once per Idempotency-Key; a repeat gets the first reply back."""
        ...


class WebSocketSession(Protocol):
    """An accepted WebSocket (RFC 6455). Messages are bounded by the configured size."""

    @property
    def principal(self) -> Principal: ...
    @property
    def parameters(self) -> Mapping[str, str]: ...
    @property
    def query(self) -> Mapping[str, str]: ...
    @property
    def language(self) -> str: ...

    def about(self, *, patient: str | Collection[str] | None = None, resource: str | None = None) -> None:
        """Say whose data this session touches; see ``Request.about``."""
        ...

    async def receive(self) -> str | bytes | None:
        """The next message; None once the client is gone or the node drains."""
        ...

    async def send(self, message: Any) -> None:
        """Send a JSON-able value as text, or ``bytes`` as binary."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with an RFC 6455 §7.4 status code."""
        ...


Handler = Callable[[Any], Awaitable[Reply]]
WebSocketHandler = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP operation. ``path`` parts in braces are parameters: ``/api/notes/{note_id}``."""

    method: str
    path: str
    permission: str
    handler: Handler
    summary: str
    request: Any = None
    """Shape of the JSON body, for the decoder and OpenAPI; None when there is no JSON body."""
    response: Any = None
    tag: str = ""
    max_body_bytes: int | None = None
    """A route's own size limit; None means the configured default."""
    body_timeout_s: float | None = None
    hot: bool = False
    """Served by raw ASGI in front of the framework: for small, frequent GET replies."""


@dataclass(frozen=True, slots=True)
class WebSocketRoute:
    """One WebSocket endpoint."""

    path: str
    permission: str
    handler: WebSocketHandler
    summary: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class StaticFolder:
    """Files served below a prefix, as they are."""

    prefix: str
    folder: Path
    permission: str = PUBLIC


AnyRoute = Route | WebSocketRoute | StaticFolder
