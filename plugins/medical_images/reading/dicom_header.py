"""A DICOM file's header, without its pixels, within bounds. Source: DICOM PS3.10 §7, PS3.5 Annex A, PS3.3 C.7.6.3."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
)

from plugins.medical_images.reading.limits import Limits, check_frames, check_size
from plugins.medical_images.reading.refusals import NO_PIXELS, RefusedError, damaged, too_large, unsupported

HEADER_FAULTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # too deep a nesting, and what is not implemented
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and the decoders below it raise on broken files; they promise nothing narrower."""
_PREAMBLE: Final = 128
_MAGIC: Final = b"DICM"
_META_GROUP: Final = 2
_BLOCK: Final = 1 << 20
_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DEFER: Final = "64 KB"
"""Longer values stay in the file until somebody asks for them."""
_SAMPLES: Final = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}
_JPEG_BITS: Final = 8
"""No decoder here takes lossy JPEG of 12 bits."""
_BITS: Final = frozenset({1, 8, 16, 32, 64})


class Shape(msgspec.Struct, frozen=True):
    """What the header says of the pixels, checked against the limits. ``bits`` are those stored of each sample."""

    width: int
    height: int
    frames: int
    photometric: str
    bits: int
    frame_bytes: int
    syntax: str


def read_header(path: Path, limits: Limits) -> tuple[FileDataset, int | None]:
    """The data set, and where in the file the element with its pixels begins.

    None: the file has no preamble or is compressed as a whole; then the data set is in memory with its pixels, within the limits.

    Raises:
        RefusedError: ``image.damaged``, ``image.too_large``, ``image.no_pixels``.
    """
    try:
        with path.open("rb") as file:
            syntax = _syntax_in(file)
            if syntax == DeflatedExplicitVRLittleEndian:
                _check_inflated(file, limits)
            elif syntax is None and path.stat().st_size > limits.inflated_bytes:
                raise too_large("file", f"{limits.inflated_bytes >> 20} MiB")
            file.seek(0)
            if syntax is not None and syntax != DeflatedExplicitVRLittleEndian:
                data = dcmread(file, stop_before_pixels=True, defer_size=_DEFER)
                if file.tell() >= path.stat().st_size:
                    raise RefusedError(NO_PIXELS)
                return data, file.tell()
            data = dcmread(file, force=True)
    except HEADER_FAULTS as error:
        raise damaged("DICOM") from error
    if not any(keyword in data for keyword in _PIXELS):
        raise RefusedError(NO_PIXELS)
    if syntax is None:
        data.file_meta.TransferSyntaxUID = _syntax_of(data)
    return data, None


def shape_of(data: FileDataset, limits: Limits) -> Shape:
    """The pixels' form.

    Raises:
        RefusedError: ``image.no_pixels``, ``image.unsupported``, ``image.too_large``, ``image.damaged``.
    """
    try:
        return _shape(data, limits)
    except HEADER_FAULTS as error:
        raise damaged("DICOM") from error


def _shape(data: FileDataset, limits: Limits) -> Shape:
    if "Rows" not in data or "Columns" not in data:
        raise RefusedError(NO_PIXELS)
    photometric = text(data, "PhotometricInterpretation").upper()
    samples = number(data, "SamplesPerPixel", 1)
    if _SAMPLES.get(photometric) != samples:
        raise unsupported(f"{photometric or 'PhotometricInterpretation'}, {samples} samples")
    allocated = number(data, "BitsAllocated", 0)
    if allocated not in _BITS:
        raise unsupported(f"{allocated} bits")
    width, height = number(data, "Columns", 0), number(data, "Rows", 0)
    bytes_a_pixel = samples * max(1, allocated // 8)
    check_size(width, height, limits, bytes_a_pixel=bytes_a_pixel)
    frames = number(data, "NumberOfFrames", 1)
    check_frames(frames, limits)
    bits = number(data, "BitsStored", allocated)
    if not 1 <= bits <= allocated:
        raise damaged("BitsStored")
    syntax = _decodable(data)
    if syntax == JPEGExtended12Bit and bits > _JPEG_BITS:
        raise unsupported(f"{syntax.name}, {bits} bits")
    return Shape(width, height, frames, photometric, bits, width * height * bytes_a_pixel, syntax.name)


def text(data: Any, keyword: str) -> str:
    """The value as plain text; empty where it is missing. Of several the first."""
    value = data.get(keyword)
    if value is None:
        return ""
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        value = next(iter(value), "")
    return str(value).strip()


def number(data: Any, keyword: str, missing: int) -> int:
    """The value as a whole number; ``missing`` where it is absent or empty."""
    found = text(data, keyword)
    return int(found) if found else missing


def _decodable(data: FileDataset) -> UID:
    syntax = UID(str(data.file_meta.get("TransferSyntaxUID", "")))
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise unsupported(syntax.name if syntax else "TransferSyntaxUID")
    return syntax


def _syntax_in(file: BinaryIO) -> UID | None:
    """The transfer syntax of a file with a preamble; ``file`` then stands at the data set. None: there is none."""
    head = file.read(_PREAMBLE + len(_MAGIC))
    if head[_PREAMBLE:] != _MAGIC:
        return None
    meta = read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != _META_GROUP
    )
    syntax = text(meta, "TransferSyntaxUID")
    return UID(syntax) if syntax else None


def _check_inflated(file: BinaryIO, limits: Limits) -> None:
    """Unpack it once, keeping nothing, to know how large it becomes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    while block := file.read(_BLOCK):
        while block:
            total += len(inflater.decompress(block, _BLOCK))
            if total > limits.inflated_bytes:
                raise too_large("deflate", f"{limits.inflated_bytes >> 20} MiB")
            block = inflater.unconsumed_tail


def _syntax_of(data: FileDataset) -> UID:
    implicit, little = data.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian
