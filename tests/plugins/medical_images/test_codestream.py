"""Sizes that compressed frames declare themselves."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image, features

from plugins.medical_images.reading.codestream import check_rle, declared_size
from plugins.medical_images.reading.refusals import RefusedError


def coded(kind: str, size: tuple[int, int], **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (17, 300), (640, 480)])
def test_jpeg(size: tuple[int, int]) -> None:
    assert declared_size(coded("JPEG", size)) == size
    assert declared_size(coded("JPEG", size, progressive=True)) == size


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
@pytest.mark.parametrize("container", [True, False])
def test_jpeg_2000(container: bool) -> None:
    assert declared_size(coded("JPEG2000", (30, 20), no_jp2=not container)) == (30, 20)


def j2k(width: int, height: int) -> bytes:
    """The beginning of a codestream: SOC, and SIZ as far as its sizes are read."""
    return b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 41, 0, width, height, 0, 0)


def box(kind: bytes, content: bytes, *, long: bool = False) -> bytes:
    size = struct.pack(">I4sQ", 1, kind, 16 + len(content)) if long else struct.pack(">I4s", 8 + len(content), kind)
    return size + content


JP2 = box(b"jP  ", b"\r\n\x87\n")


@pytest.mark.parametrize("long", [False, True])
def test_the_likeness_of_a_codestream_in_another_box_counts_for_nothing(long: bool) -> None:
    frame = JP2 + box(b"xml ", j2k(64, 64), long=long) + box(b"jp2c", j2k(60_000, 50_000), long=long)
    assert declared_size(frame) == (60_000, 50_000)


def test_a_codestream_to_the_end_of_the_file() -> None:
    assert declared_size(JP2 + struct.pack(">I4s", 0, b"jp2c") + j2k(30, 20)) == (30, 20)


@pytest.mark.parametrize("boxes", [b"", box(b"xml ", j2k(64, 64)), struct.pack(">I4s", 3, b"xml ") + j2k(64, 64)])
def test_a_jp2_without_a_codestream_is_refused(boxes: bytes) -> None:
    with pytest.raises(RefusedError):
        declared_size(JP2 + boxes)


def test_anything_else_says_nothing() -> None:
    assert declared_size(b"\0" * 100) is None
    assert declared_size(b"") is None


@pytest.mark.parametrize("broken", [b"\xff\xd8", b"\xff\xd8\xff\xc0\x00", b"\xff\xd8garbage", b"\xff\x4f\xff\x51\0\0"])
def test_a_broken_header_is_refused(broken: bytes) -> None:
    with pytest.raises(RefusedError):
        declared_size(broken)


def rle(*segments: bytes) -> bytes:
    starts, place = [], 64
    for segment in segments:
        starts.append(place)
        place += len(segment)
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


def test_rle_that_unpacks_as_it_should() -> None:
    check_rle(rle(b"\x03abcd" + b"\xfdz", b"\x80" + b"\xf9q"), expected=16)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        rle(),
        struct.pack("<16I", 16, *[64] * 15),
        struct.pack("<16I", 2, 80, 64, *[0] * 13) + b"\0" * 30,
        rle(b"\x81a" * 100),
    ],
)
def test_rle_that_does_not(frame: bytes) -> None:
    with pytest.raises(RefusedError):
        check_rle(frame, expected=64)
