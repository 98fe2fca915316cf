"""Files made to hurt: each is refused by its header, before anything of the size that it claims is made."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from tests.plugins.medical_images.picture_files import corner, dicom, patched, photo, png_header, ramp
from tests.plugins.medical_images.reading_child import end_shared_readers, refused_within, shared_reader

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
RLE = "1.2.840.10008.1.2.5"
ROOM_BYTES = 1 << 30
"""What refusing a file may cost at most; the claims below are for tens of gigabytes."""


@pytest.fixture(autouse=True, scope="module")
def _no_leftovers() -> Iterator[None]:
    yield
    end_shared_readers()


async def refusal(path: Path, **limits: int) -> ProntuarioError:
    with pytest.raises(ProntuarioError) as caught:
        await shared_reader(**limits).inspect(path, None, CallOptions())
    return caught.value


def encapsulated(path: Path, syntax: str, frame: bytes, *, photometric: str = "MONOCHROME2", side: int = 64) -> Path:
    """A header of ``side`` × ``side`` over any codestream."""
    samples = (side, side, 3) if photometric == "RGB" else (side, side)
    dicom(path, np.zeros(samples, np.uint8), photometric=photometric)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    data.PixelData = encapsulate([frame])
    data["PixelData"].VR = "OB"
    data.save_as(path, enforce_file_format=True)
    return path


def jpeg(width: int, height: int) -> bytes:
    """A real JPEG whose frame header claims another size."""
    import io

    file = io.BytesIO()
    Image.new("L", (64, 64), 9).save(file, "JPEG")
    whole = bytearray(file.getvalue())
    place = whole.index(b"\xff\xc0")
    struct.pack_into(">HH", whole, place + 5, height, width)
    return bytes(whole)


def j2k(width: int, height: int) -> bytes:
    size = struct.pack(">HHIIIIIIIIH", 41, 0, width, height, 0, 0, width, height, 0, 0, 1) + b"\x07\x01\x01"
    return b"\xff\x4f\xff\x51" + size + b"\xff\xd9"


@pytest.mark.parametrize("size", [(100_000, 100_000), (1 << 31, 1), (20_000, 20_000)])
async def test_a_png_of_absurd_size(tmp_path: Path, size: tuple[int, int]) -> None:
    assert (await refusal(png_header(tmp_path / "a.png", *size))).kind.code in {"image.too_large", "image.damaged"}


async def test_a_png_just_above_the_limit_is_too_large(tmp_path: Path) -> None:
    assert (await refusal(png_header(tmp_path / "a.png", 1001, 1000), frame_pixels=1_000_000)).kind.status == 413


async def test_a_dicom_header_of_absurd_size(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", ramp(4, 4), Rows=65_535, Columns=65_535)
    error = await refusal(path)
    assert (error.kind.code, error.details["limit"]) == ("image.too_large", "100 MP")


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [(JPEG_BASELINE, jpeg(65_535, 65_535)), (JPEG_2000, j2k(100_000, 100_000)), (JPEG_2000, j2k(1 << 31, 1 << 31))],
)
async def test_a_small_header_over_a_huge_codestream(tmp_path: Path, syntax: str, frame: bytes) -> None:
    code, most = refused_within(encapsulated(tmp_path / "a.dcm", syntax, frame))
    assert code == "image.too_large"
    assert most < ROOM_BYTES


async def test_an_rle_frame_that_unpacks_without_end(tmp_path: Path) -> None:
    runs = b"\x81\x00" * 500_000  # 64 MB out of 1 MB
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + runs
    assert (await refusal(encapsulated(tmp_path / "a.dcm", RLE, frame))).kind.code == "image.damaged"


async def test_a_deflated_bomb(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    dicom(path, ramp(4, 4))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)
    good = path.read_bytes()
    start = 132 + 12 + pydicom.dcmread(path).file_meta.FileMetaInformationGroupLength
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = squeezed.compress(bytes(32 << 20)) + squeezed.flush()
    path.write_bytes(good[:start] + body)
    assert (await refusal(path, inflated_bytes=1 << 20)).kind.code == "image.too_large"


@pytest.mark.parametrize("frames", ["0", "-3", "99999999"])
async def test_a_number_of_frames_that_can_not_be(tmp_path: Path, frames: str) -> None:
    path = dicom(tmp_path / "a.dcm", ramp(4, 4), NumberOfFrames=frames)
    assert (await refusal(path)).kind.code in {"image.damaged", "image.too_large"}


async def test_ten_thousand_sequences_inside_each_other(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", ramp(4, 4))
    header = path.read_bytes()[: 132 + 12 + pydicom.dcmread(path).file_meta.FileMetaInformationGroupLength]
    nested = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(header + nested * 10_000)
    assert (await refusal(path)).kind.code == "image.damaged"


async def test_an_element_that_claims_four_gigabytes(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", ramp(4, 4))
    header = path.read_bytes()[: 132 + 12 + pydicom.dcmread(path).file_meta.FileMetaInformationGroupLength]
    path.write_bytes(header + b"\x08\x00\x05\x00UN\0\0\xfe\xff\xff\xff" + b"\0" * 100)
    assert (await refusal(path)).kind.status == 422


def shortened(path: Path, keep: float) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    return path


FILES: dict[str, Callable[[Path], Path]] = {
    "native": lambda folder: dicom(folder / "a.dcm", ramp(64, 64)),
    "jpeg": lambda folder: photo(folder / "a.jpg", corner(400, 300)),
    "png": lambda folder: photo(folder / "a.png", Image.effect_noise((100, 100), 80)),
    "heic": lambda folder: _copied(folder / "a.heic", Path(__file__).parent / "phone.heic"),
    "jpeg2000": lambda folder: _copied(folder / "a.dcm", Path(str(get_testdata_file("693_J2KI.dcm", download=False)))),
    "frames": lambda folder: _copied(
        folder / "a.dcm", Path(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    ),
}


def _copied(target: Path, source: Path) -> Path:
    target.write_bytes(source.read_bytes())
    return target


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("kind", ["native", "jpeg", "png", "heic"])
async def test_a_truncated_file(tmp_path: Path, kind: str, keep: float) -> None:
    error = await refusal(shortened(FILES[kind](tmp_path), keep))
    assert error.kind.code in {"image.damaged", "image.unsupported", "image.no_pixels"}


@pytest.mark.parametrize("kind", sorted(FILES))
async def test_any_flipped_bytes_are_an_answer_or_a_refusal(tmp_path: Path, kind: str) -> None:
    """Whatever a mangled file is, nothing but a refusal comes out of it; the engine answers the next request."""
    reader = shared_reader(frame_pixels=4_000_000, inflated_bytes=64 << 20)
    generator = np.random.default_rng(7)
    outcomes = set()
    for _ in range(12):
        path = FILES[kind](tmp_path)
        where = generator.integers(0, path.stat().st_size, 6)
        for place in where:
            patched(path, int(place), bytes([int(generator.integers(0, 256))]))
        try:
            outcomes.add((await reader.inspect(path, None, CallOptions())).media_type)
        except ProntuarioError as error:
            outcomes.add(error.kind.code)
    assert outcomes <= {
        "application/dicom", "image/jpeg", "image/png", "image/heic", "image.damaged", "image.unsupported", "image.too_large",
        "image.no_pixels",
    }  # fmt: skip
    whole = await reader.inspect(FILES[kind](tmp_path), None, CallOptions())
    assert whole.width > 0


async def test_every_refusal_says_what_to_do_in_both_languages(tmp_path: Path) -> None:
    error = await refusal(shortened(FILES["png"](tmp_path), 0.5))
    assert error.field == "image"
    assert "{" not in error.sentence("pt") + error.sentence("en") + error.next_step("pt") + error.next_step("en")
