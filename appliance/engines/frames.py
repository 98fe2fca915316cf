"""The wire between core and child: a 4-byte little-endian length, then one msgpack Struct; the same code on both ends."""

from __future__ import annotations

import struct
from typing import Final, Generic, TypeVar

import msgspec

from appliance.engines.shared_block import BlockReceiver, BlockSender
from appliance.plugin_api.messages import (
    INLINE_LIMIT_BYTES,
    MAX_FRAME_BYTES,
    Output,
    Shared,
    Submit,
)

M = TypeVar("M")
_LENGTH: Final = struct.Struct("<I")
_ROOM_FOR_FIELDS: Final = 64 << 10


class FrameError(Exception):
    """What came is not a message, or is too long; the connection is of no use any more."""


class FrameTooLargeError(Exception):
    """A payload fits neither into a frame nor into shared memory."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"{size} bytes fit nowhere")


class FrameWriter:
    """Messages to bytes. Large payloads of Submit and Output go through shared memory."""

    def __init__(self, prefix: str) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self.blocks = BlockSender(prefix)

    def frame(self, message: object) -> bytes:
        """The bytes to send.

        Raises:
            FrameTooLargeError: nothing was sent; the connection stays usable.
        """
        if isinstance(message, (Submit, Output)) and len(message.payload) > INLINE_LIMIT_BYTES:
            return self._large(message)
        body = self._encode(message)
        return _LENGTH.pack(len(body)) + body

    def _large(self, message: Submit | Output) -> bytes:
        size = len(message.payload)
        try:
            shared = self.blocks.put(message.payload)
        except OSError as error:
            if size + _ROOM_FOR_FIELDS > MAX_FRAME_BYTES:
                raise FrameTooLargeError(size) from error
            body = self._encode(message)
            return _LENGTH.pack(len(body)) + body
        return self.frame(shared) + self.frame(msgspec.structs.replace(message, payload=b""))


class FrameReader(Generic[M]):
    """Bytes to messages; never holds more than one unfinished frame."""

    def __init__(self, union: type[M], prefix: str) -> None:
        self._decode = msgspec.msgpack.Decoder(union).decode
        self._buffer = bytearray()
        self._shared: Shared | None = None
        self.blocks = BlockReceiver(prefix)

    def feed(self, data: bytes) -> list[M]:
        """The messages that are complete now.

        Raises:
            FrameError: garbage, a frame above the limit.
            BlockError: a wrong announcement of shared memory.
        """
        self._buffer += data
        have, at, messages = len(self._buffer), 0, []
        with memoryview(self._buffer) as view:
            while have - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(view, at)
                if length > MAX_FRAME_BYTES:
                    raise FrameError("a frame is longer than the limit")
                end = at + _LENGTH.size + length
                if have < end:
                    break
                with view[at + _LENGTH.size : end] as body:
                    message = self._message(body)
                if message is not None:
                    messages.append(message)
                at = end
        del self._buffer[:at]
        return messages

    def _message(self, body: memoryview) -> M | None:
        try:
            message = self._decode(body)
        except (msgspec.DecodeError, ValueError) as error:
            raise FrameError("a frame is not a message") from error
        if isinstance(message, Shared):
            self._shared = message
            return None
        if self._shared is not None and isinstance(message, (Submit, Output)):
            payload = self.blocks.take(self._shared)
            self._shared = None
            return msgspec.structs.replace(message, payload=payload)
        return message
