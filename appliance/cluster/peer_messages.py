"""Everything that two nodes say to each other, and how it lies on the wire.

A frame is a 4-byte big-endian length and one msgpack array (msgspec Structs, tagged by name). A side that connects sends
``Request`` and ``Cancel``; the other answers every request with ``Reply`` (one, or several that say ``more``) or
``Refusal``. Requests are pipelined: replies come as they are ready, matched by ``number``.

Unknown tags make the frame undecodable: a new message needs ``PROTOCOL`` raised, and goes only to a peer that speaks it. Both
sides say theirs in ``Hello``. While a pair is updated its nodes run two versions: the newer one speaks the older one's too.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final, Literal

import msgspec

from appliance.cluster.model import Position

PROTOCOL: Final = 1
OLDEST_PROTOCOL: Final = 1
"""The version before this one must still be understood: it goes up one release after ``PROTOCOL``."""
PART_BYTES: Final = 1 << 20
"""How much of a file travels in one message."""
MAX_FRAME_BYTES: Final = PART_BYTES + (64 << 10)
MAX_CALL_BYTES: Final = PART_BYTES
_LENGTH: Final = struct.Struct(">I")

Area = Literal["ltx", "blob", "file"]


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


# -- replication ----------------------------------------------------------------------------------------------------------
class Hello(_Message, frozen=True):
    """Who connects, what it will speak, and in which epoch it believes. Answered by ``Held``.

    A peer that does not speak that refuses with ``cluster.peer_misunderstood``; then the older one is offered.
    """

    node: str
    protocol: int
    epoch: int


class PutLtx(_Message, frozen=True):
    """Bytes ``offset…`` of an LTX file of ``size`` bytes. Parts of a file come in order; the last one keeps the file.

    Answered by ``Held``. ``name`` is Litestream's (``0000000000000001-0000000000000005.ltx``).
    """

    epoch: int
    level: int
    name: str
    offset: int
    size: int
    body: bytes


class AskHeld(_Message, frozen=True):
    """What is held of ``epoch``? Answered by ``Held``."""

    epoch: int


class Held(_Message, frozen=True):
    """The highest contiguous position that the receiver holds durably, looked up after what it answers was kept."""

    position: Position


class Retain(_Message, frozen=True):
    """The primary's own files of levels 1 and above: the receiver may drop others, if no hole comes of it.

    Answered by ``Missing``: those of ``names`` (``level/name``) that it lacks.
    """

    epoch: int
    names: tuple[str, ...]


class Missing(_Message, frozen=True):
    """Of what was named, this is not there."""

    names: tuple[str, ...]


# -- blobs and files ------------------------------------------------------------------------------------------------------
class PutBlob(_Message, frozen=True):
    """Bytes ``offset…`` of an encrypted blob whose SHA-256 is ``address``. The last part keeps it. Answered by ``Done``."""

    epoch: int
    address: str
    offset: int
    size: int
    body: bytes


class HaveBlobs(_Message, frozen=True):
    """Which of these are missing? Answered by ``Missing``."""

    addresses: tuple[str, ...]


class DropBlob(_Message, frozen=True):
    """A blob was erased for good. Answered by ``Done``."""

    epoch: int
    address: str


class FileEntry(msgspec.Struct, frozen=True, array_like=True):
    """A file below a root: its path with ``/``, its size in bytes and its SHA-256 (hex)."""

    path: str
    size: int
    sha256: str


class HaveFiles(_Message, frozen=True):
    """Which of these files below ``root`` differ or are missing? Answered by ``Missing`` (paths)."""

    root: str
    entries: tuple[FileEntry, ...]


class PutFile(_Message, frozen=True):
    """Bytes ``offset…`` of a file; it waits aside, checked, until ``CommitFiles``. Answered by ``Done``."""

    epoch: int
    root: str
    entry: FileEntry
    offset: int
    body: bytes


class CommitFiles(_Message, frozen=True):
    """Put everything of this list into its place, if all of it is there and right. Answered by ``Done``."""

    epoch: int
    root: str
    entries: tuple[FileEntry, ...]


class Done(_Message, frozen=True):
    """It is durable."""


# -- anything else --------------------------------------------------------------------------------------------------------
class Call(_Message, frozen=True):
    """A request to a named service of the other node (inference, operator's verbs). ``body`` is the service's own.

    Answered by one ``Answer``, or by several.
    """

    service: str
    verb: str
    body: bytes


class Answer(_Message, frozen=True):
    """What a service says."""

    body: bytes


# -- frames ---------------------------------------------------------------------------------------------------------------
Question = Hello | PutLtx | AskHeld | Retain | PutBlob | HaveBlobs | DropBlob | HaveFiles | PutFile | CommitFiles | Call
Response = Held | Missing | Done | Answer


class Request(_Message, frozen=True):
    """A question; ``number`` is the asker's."""

    number: int
    question: Question


class Cancel(_Message, frozen=True):
    """Nobody waits for the replies to ``number`` any more."""

    number: int


class Reply(_Message, frozen=True):
    """A response; ``more`` says that another one follows. ``None`` with ``more=False`` ends a stream."""

    number: int
    response: Response | None
    more: bool


class Refusal(_Message, frozen=True):
    """It can't be done: a stable error code and its details (as in ``ProntuarioError``)."""

    number: int
    code: str
    details: dict[str, str | int | float | bool | None]
    retry_after: float | None = None


Upward = Request | Cancel
Downward = Reply | Refusal


class FrameError(Exception):
    """What came is not a message, or is too long; the connection is of no use any more."""


_encoder: Final = msgspec.msgpack.Encoder()
_upward: Final[msgspec.msgpack.Decoder[Upward]] = msgspec.msgpack.Decoder(Upward)
_downward: Final[msgspec.msgpack.Decoder[Downward]] = msgspec.msgpack.Decoder(Downward)


def to_frame(message: Upward | Downward) -> bytes:
    """The bytes to send.

    Raises:
        FrameError: it is larger than ``MAX_FRAME_BYTES``.
    """
    buffer = bytearray(_LENGTH.size)
    _encoder.encode_into(message, buffer, _LENGTH.size)
    size = len(buffer) - _LENGTH.size
    if size > MAX_FRAME_BYTES:
        raise FrameError(f"{size} bytes")
    _LENGTH.pack_into(buffer, 0, size)
    return bytes(buffer)


async def read_upward(reader: asyncio.StreamReader) -> Upward:
    """The next message from the side that asks.

    Raises:
        FrameError, OSError, asyncio.IncompleteReadError: the connection is of no use any more.
    """
    body = await _read_body(reader)
    try:
        return _upward.decode(body)
    except msgspec.MsgspecError as error:
        raise FrameError(type(error).__name__) from error


async def read_downward(reader: asyncio.StreamReader) -> Downward:
    """The next message from the side that answers. Raises like ``read_upward``."""
    body = await _read_body(reader)
    try:
        return _downward.decode(body)
    except msgspec.MsgspecError as error:
        raise FrameError(type(error).__name__) from error


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if size > MAX_FRAME_BYTES:
        raise FrameError(f"{size} bytes")
    return await reader.readexactly(size)
