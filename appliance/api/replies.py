"""From a ``Reply`` to bytes on the wire, with the headers that every answer carries."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from appliance.plugin_api.http import Reply

Headers = list[tuple[bytes, bytes]]

NO_CONTENT: Final = 204
NOT_MODIFIED: Final = 304
_encoder: Final = msgspec.json.Encoder()
_COMMON: Final[Headers] = [
    (b"strict-transport-security", b"max-age=31536000"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_DEFAULTS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_PREFIX: Final = secrets.token_hex(4)
_counter = iter(range(1 << 62))


def encode_body(body: Any) -> bytes:
    """Raw ``bytes`` as they are, nothing for None, everything else as JSON."""
    if isinstance(body, bytes):
        return body
    return b"" if body is None else _encoder.encode(body)


def head_of(reply: Reply, mode: str, length: int | None) -> Headers:
    """The answer's headers. ``length`` is the body's, or None for a stream; ``mode`` is the store's."""
    own = encode_headers(reply.headers)
    names = {name for name, _ in own}
    headers = [*_COMMON, *own]
    headers.extend(pair for pair in _DEFAULTS if pair[0] not in names)
    headers.append((b"x-prontuario-mode", mode.encode("ascii")))
    headers.append((b"x-request-id", f"{_PREFIX}{next(_counter):x}".encode("ascii")))
    if reply.status != NO_CONTENT and b"content-type" not in names and (length != 0 or reply.stream is not None):
        headers.append((b"content-type", reply.content_type.encode("latin-1")))
    if length is not None and reply.status not in {NO_CONTENT, NOT_MODIFIED}:
        headers.append((b"content-length", b"%d" % length))
    return headers


def encode_headers(headers: Mapping[str, str]) -> Headers:
    """Header pairs for ASGI.

    Raises:
        ValueError: a value would break out of its line (response splitting).
    """
    encoded: Headers = []
    for name, value in headers.items():
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"header {name!r} holds a line break")
        encoded.append((name.lower().encode("ascii"), value.encode("latin-1")))
    return encoded
