"""From a ``Reply`` to bytes on the wire, with the headers that every answer carries."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from appliance.plugin_api.http import Reply

Headers = list[tuple[bytes, bytes]]

EVENT_STREAM: Final = "text/event-stream"
NO_CONTENT: Final = 204
NOT_MODIFIED: Final = 304
_UNSAFE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_encoder: Final = msgspec.json.Encoder()
_COMMON: Final[Headers] = [
    (b"strict-transport-security", b"max-age=31536000"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]
_DEFAULTS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_PREFIX: Final = secrets.token_hex(4)
_counter = iter(range(1 << 62))


@dataclass(slots=True)
class Answer:
    """A reply ready for the wire: either ``body`` or ``stream``."""

    status: int
    headers: Headers
    body: bytes = b""
    stream: AsyncIterator[Any] | None = None
    is_event_stream: bool = False


def prepare(reply: Reply, marks: Headers) -> Answer:
    """Encode everything that can fail, while a failure can still be answered. ``marks`` tell the node's standing.

    Raises:
        TypeError: the body is nothing that JSON can hold.
        ValueError: a header's value would break out of its line (response splitting).
    """
    if reply.stream is None:
        body = encode_body(reply.body)
        return Answer(reply.status, _head_of(reply, marks, reply.content_type, len(body)), body)
    # A stream without a content type of its own is one of events.
    kind = EVENT_STREAM if reply.content_type == "application/json" else reply.content_type
    headers = _head_of(reply, marks, kind, None)
    return Answer(reply.status, headers, b"", reply.stream, kind.partition(";")[0] == EVENT_STREAM)


def encode_body(body: Any) -> bytes:
    """Raw ``bytes`` as they are, nothing for None, everything else as JSON."""
    if isinstance(body, bytes):
        return body
    return b"" if body is None else _encoder.encode(body)


def _head_of(reply: Reply, marks: Headers, content_type: str, length: int | None) -> Headers:
    own = _encode_headers(reply.headers)
    names = {name for name, _ in own}
    headers = [*_COMMON, *own]
    headers.extend(pair for pair in _DEFAULTS if pair[0] not in names)
    headers.extend(marks)
    headers.append((b"x-request-id", f"{_PREFIX}{next(_counter):x}".encode("ascii")))
    if length != 0 and b"content-type" not in names:
        headers.append((b"content-type", content_type.encode("latin-1")))
    if length is not None and reply.status not in {NO_CONTENT, NOT_MODIFIED}:
        headers.append((b"content-length", b"%d" % length))
    return headers


def _encode_headers(headers: Mapping[str, str]) -> Headers:
    encoded: Headers = []
    for name, value in headers.items():
        if _UNSAFE.search(value) or not _TOKEN.fullmatch(name):
            raise ValueError(f"header {name!r} has characters that a header may not have")
        encoded.append((name.lower().encode("ascii"), value.encode("latin-1")))
    return encoded
