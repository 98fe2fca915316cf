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
