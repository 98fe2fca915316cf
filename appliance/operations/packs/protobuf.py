"""The outer shape of a protobuf message, without its schema: enough to look into a model file before any library opens it.

Source: https://protobuf.dev/programming-guides/encoding/. Values are views of the file; nothing is copied or built.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

Field = tuple[int, "int | memoryview"]
_VARINT: Final = 0
_FIXED_64: Final = 1
_BYTES: Final = 2
_FIXED_32: Final = 5
_FIXED: Final = {_FIXED_64: 8, _FIXED_32: 4}
_LONGEST_VARINT: Final = 10


class ProtobufError(ValueError):
    """These bytes are no protobuf message."""


def view(path: Path) -> memoryview:
    """The whole file, read as it is looked at. Raises ``ProtobufError`` for an empty one, ``OSError``."""
    with path.open("rb") as file:
        try:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError as error:
            raise ProtobufError("the file is empty") from error


def fields(message: memoryview) -> Iterator[Field]:
    """(number, value) in the order of the file: an integer, or the bytes of a string, a message or a fixed-size number.

    Raises:
        ProtobufError: what comes next is no field, or reaches beyond the end.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise ProtobufError("a field without a number")
        if wire == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == _BYTES:
            length, place = _varint(message, place)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise ProtobufError(f"a field of unknown kind {wire}")
        if place + length > len(message):
            raise ProtobufError("a field reaches beyond the end")
        yield number, message[place : place + length]
        place += length


def text(value: int | memoryview) -> str:
    """A string field. Raises ``ProtobufError``."""
    try:
        return bytes(message(value)).decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("a text is not UTF-8") from error


def message(value: int | memoryview) -> memoryview:
    """A field that must have a length. Raises ``ProtobufError``."""
    if isinstance(value, int):
        raise ProtobufError("a number where a message belongs")
    return value


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(_LONGEST_VARINT):
        if place + shift >= len(data):
            raise ProtobufError("a number reaches beyond the end")
        byte = data[place + shift]
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value, place + shift + 1
    raise ProtobufError("a number of more than 64 bits")
