"""Whether a ``.mlpackage`` folder is a plain Core ML program: its manifest, one program, and blocks of numbers.

Sources: ``Model.proto`` and ``MIL.proto`` of coremltools; its ``MILBlob/Blob/StorageFormat.hpp`` for the weights. A package may name
no file outside itself, and may not be a custom, linked, pipelined or updatable model.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.operations.packs.errors import FORMAT, TRUNCATED
from appliance.operations.packs.protobuf import ProtobufError, fields, message, text, view

SUFFIX: Final = ".mlpackage"
_DATA: Final = "Data/com.apple.CoreML"
_ROOT: Final = "com.apple.CoreML/model.mlmodel"
_WEIGHTS_FOLDER: Final = "com.apple.CoreML/weights"
_MANIFEST: Final = re.compile(r"(?:.*/)?[^/]+\.mlpackage/Manifest\.json")
_MODEL: Final = re.compile(rf"(?:.*/)?[^/]+\.mlpackage/{_DATA}/model\.mlmodel")
_WEIGHTS: Final = re.compile(rf"(?:.*/)?[^/]+\.mlpackage/{_DATA}/weights/[\w-]+\.bin")
_REFERENCE: Final = re.compile(r"@model_path/weights/([\w-]+\.bin)")
_MOST_MANIFEST: Final = 1 << 20

_SPECIFICATION, _DESCRIPTION, _UPDATABLE, _PROGRAM = 1, 2, 10, 502
_HEADER: Final = struct.Struct("<II56x")
_METADATA: Final = struct.Struct("<IIQQ40x")
_SENTINEL: Final = 0xDEADBEEF
_STORAGE_VERSION: Final = 2
_LINE: Final = 64
_DEEPEST: Final = 64


class _NotAllowedError(ValueError):
    """The package holds what a pack must not hold."""


def inside(relative: str) -> bool:
    """Whether the path lies in a Core ML package."""
    return SUFFIX in {Path(part).suffix.lower() for part in relative.split("/")[:-1]}


def holds_weights(relative: str) -> bool:
    """Whether the path is that of a package's numbers (``….bin``, a name that pickles have elsewhere)."""
    return _WEIGHTS.fullmatch(relative) is not None


def looks_like_weights(start: bytes) -> bool:
    """Whether a file may begin so: its number of blocks can look like anything, its version can't."""
    return start[4:8] == _STORAGE_VERSION.to_bytes(4, "little")


def check_part(path: Path, relative: str) -> None:
    """One file of a package. Raises ``pack.format`` (422). Blocks."""
    try:
        _check(path, relative)
    except (ProtobufError, _NotAllowedError, struct.error) as error:
        raise FORMAT(file=relative, reason=f"Core ML: {error}") from error


def _check(path: Path, relative: str) -> None:
    if _MANIFEST.fullmatch(relative):
        _model_of(path)
    elif _MODEL.fullmatch(relative):
        _blobs_of(view(path))
    elif holds_weights(relative):
        _check_weights(view(path))
    else:
        raise _NotAllowedError("a package has no file of this name")


def check_package(folder: Path, package: str) -> None:
    """The package (a path below ``folder``) is whole: what its manifest and its program name is there.

    Raises:
        ProntuarioError: ``pack.truncated``, ``pack.format`` (422).
    """
    manifest, model = f"{package}/Manifest.json", f"{package}/{_DATA}/model.mlmodel"
    for name in (manifest, model):
        if not (folder / name).is_file():
            raise TRUNCATED(file=name)
    try:
        _model_of(folder / manifest)
        blobs = _blobs_of(view(folder / model))
    except (ProtobufError, _NotAllowedError) as error:
        raise FORMAT(file=package, reason=f"Core ML: {error}") from error
    for blob in sorted(blobs):
        if not (folder / package / _DATA / "weights" / blob).is_file():
            raise TRUNCATED(file=f"{package}/{_DATA}/weights/{blob}")


def _model_of(path: Path) -> None:
    """``Manifest.json`` names the one program and its weights, below ``Data``."""
    if path.stat().st_size > _MOST_MANIFEST:
        raise _NotAllowedError("its manifest is too large")
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        entries = msgspec.convert(manifest.get("itemInfoEntries"), dict[str, dict[str, str]])
        found = entries[str(manifest.get("rootModelIdentifier"))]["path"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError) as error:
        raise _NotAllowedError("its manifest can't be read") from error
    if not {entry.get("path") for entry in entries.values()} <= {_ROOT, _WEIGHTS_FOLDER} or found != _ROOT:
        raise _NotAllowedError("its manifest names other files")


def _blobs_of(model: memoryview) -> set[str]:
    """The names of the weight files that a program reads; it is a program and nothing else."""
    parts = list(fields(model))
    numbers = {number for number, value in parts if (number, value) != (_UPDATABLE, 0)}
    if not {_SPECIFICATION, _PROGRAM} <= numbers <= {_SPECIFICATION, _DESCRIPTION, _PROGRAM}:
        raise _NotAllowedError("it is no plain program")
    found: set[str] = set()
    for number, value in parts:
        if number == _PROGRAM:
            found |= set(_program(message(value)))
    return found


def _program(content: memoryview) -> Iterator[str]:
    for function in _values(content, 2):
        for block in _values(function, 3):
            yield from _block(block, 0)


def _values(content: memoryview, number: int) -> Iterator[memoryview]:
    """The values of a map field."""
    for found, entry in fields(content):
        if found == number:
            yield from (message(value) for key, value in fields(message(entry)) if key == 2)  # noqa: PLR2004 - a map's value


def _block(content: memoryview, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise _NotAllowedError("blocks within blocks")
    for number, operation in fields(content):
        if number == 3:  # noqa: PLR2004 - Block.operations
            yield from _operation(message(operation), depth)


def _operation(content: memoryview, depth: int) -> Iterator[str]:
    for number, value in fields(content):
        if number == 1 and text(value).startswith("custom"):
            raise _NotAllowedError(f"foreign operation ({text(value)})")
        if number == 4:  # noqa: PLR2004 - Operation.blocks
            yield from _block(message(value), depth + 1)
    for argument in _values(content, 2):
        for _, binding in fields(argument):
            yield from (name for key, value in fields(message(binding)) if key == 2 for name in _blob(message(value)))  # noqa: PLR2004
    for value in _values(content, 5):
        yield from _blob(value)


def _blob(value: memoryview) -> Iterator[str]:
    """The file that a ``Value`` lies in, if it lies in one."""
    for number, content in fields(value):
        if number == 5:  # noqa: PLR2004 - Value.blobFileValue
            names = [text(name) for key, name in fields(message(content)) if key == 1]
            matched = _REFERENCE.fullmatch(names[0]) if names else None
            if matched is None:
                raise _NotAllowedError("weights outside the package")
            yield matched[1]


def _check_weights(content: memoryview) -> None:
    """Blocks of numbers follow each other on lines of 64 bytes, as many as the header says, up to the end."""
    count, version = _HEADER.unpack_from(content)
    if version != _STORAGE_VERSION:
        raise _NotAllowedError(f"weights of version {version}")
    place = _HEADER.size
    for _ in range(count):
        sentinel, _kind, size, offset = _METADATA.unpack_from(content, place)
        if sentinel != _SENTINEL or offset != place + _METADATA.size or offset + size > len(content):
            raise _NotAllowedError("a block of weights has no proper head")
        place = -(-(offset + size) // _LINE) * _LINE
    if not 0 <= place - len(content) < _LINE:
        raise _NotAllowedError("bytes after the last block of weights")
