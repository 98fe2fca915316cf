"""Every message between the core and an engine's child process, in one file.

Wire format: a 4-byte little-endian length, then one msgpack-encoded Struct (a tagged array). A payload above 1 MiB
travels in shared memory and only its name crosses the socket; the channel does that, the two ends never see it.
EOF on either side means the other one is gone.
"""

from __future__ import annotations

from typing import Any

import msgspec

INLINE_LIMIT_BYTES = 1 << 20
MAX_FRAME_BYTES = 16 << 20


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


class Load(_Message, frozen=True):
    """First message to a child: build ``engine`` (``"package.module:Factory"``) and load the model."""

    engine: str
    config: dict[str, Any]


class Submit(_Message, frozen=True):
    """Start a request. ``payload`` is the plugin's own msgpack; ``deadline_s`` counts from now.

    ``traceparent`` (W3C Trace Context) is empty unless the request is traced.
    """

    request_id: int
    kind: str
    payload: bytes
    deadline_s: float
    lane: str
    tenant: str
    traceparent: str = ""


class Shared(_Message, frozen=True):
    """Announces that the next Submit's or Output's payload lies in shared memory block ``name``."""

    name: str
    size: int


class Cancel(_Message, frozen=True):
    """Stop a request; its slot is free within one step. Unknown ids are ignored."""

    request_id: int


class Ping(_Message, frozen=True):
    """Are you stepping? Answered by the stepping thread, so a wedged step is noticed."""

    nonce: int


class Close(_Message, frozen=True):
    """Finish what runs within ``drain_s`` seconds, then exit 0."""

    drain_s: float


class Loaded(_Message, frozen=True):
    """The child is ready. ``footprint_bytes`` is what it will hold at most; ``info`` is shown to people."""

    model_id: str
    model_sha256: str
    footprint_bytes: int
    demonstration: bool
    info: dict[str, Any]


class LoadFailed(_Message, frozen=True):
    """The child could not load; it exits after this."""

    code: str
    message: str


class Output(_Message, frozen=True):
    """A piece of an answer; ``final`` closes the request."""

    request_id: int
    payload: bytes
    final: bool


class Failed(_Message, frozen=True):
    """The request ended in an error: ``code`` is stable, ``message`` is for the log (never patient data)."""

    request_id: int
    code: str
    message: str


class Pong(_Message, frozen=True):
    """Answer to Ping, with the engine's own figures."""

    nonce: int
    stats: dict[str, float]


ToEngine = Load | Submit | Shared | Cancel | Ping | Close
FromEngine = Loaded | LoadFailed | Shared | Output | Failed | Pong
