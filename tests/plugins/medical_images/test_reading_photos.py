"""JPEG, PNG and HEIC stand upright, in plain RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pi_heif
import pytest
from PIL import Image

from appliance.plugin_api.images import PatientClaim
from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.refusals import RefusedError
from plugins.medical_images.reading.source import open_source
from tests.plugins.medical_images.picture_files import corner, photo

TURNED = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_every_exif_orientation_stands_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    turn = TURNED[orientation]
    stored = corner() if turn is None else corner().transpose(turn)
    source = open_source(photo(tmp_path / f"a.{ending}", stored, orientation=orientation), Limits())
    upright = np.asarray(source.frame(0)).astype(int)
    assert upright.shape == (24, 40, 3)
    assert np.abs(upright - np.asarray(corner())).mean() < 8
    facts = source.facts(None)
    assert (facts.width, facts.height, facts.media_type) == (40, 24, "image/jpeg" if ending == "jpg" else "image/png")


def test_heic_as_a_phone_makes_it() -> None:
    path = Path(__file__).parent / "phone.heic"
    source = open_source(path, Limits())
    assert pi_heif.is_supported(path.read_bytes())
    facts = source.facts(None)
    assert (facts.media_type, facts.width, facts.height) == ("image/heic", 64, 48)
    picture = np.asarray(source.frame(0)).astype(int)
    assert np.abs(picture[4, 4] - [255, 0, 0]).max() < 30
    assert np.abs(picture[40, 60] - [255, 255, 255]).max() < 30


def test_the_day_of_the_photograph(tmp_path: Path) -> None:
    assert open_source(photo(tmp_path / "a.jpg", corner()), Limits()).facts(None).taken == "2026-03-04"


def test_a_photograph_names_nobody(tmp_path: Path) -> None:
    facts = open_source(photo(tmp_path / "a.jpg", corner()), Limits()).facts(PatientClaim(("1",), ("Ana Souza",)))
    assert (facts.identity, facts.cautions) == ("absent", ("identity_absent",))


def test_what_is_clear_lies_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 1), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert np.asarray(open_source(tmp_path / "a.png", Limits()).frame(0)).tolist() == [[[255] * 3, [255] * 3]]


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(open_source(tmp_path / "a.png", Limits()).frame(0))[0, :, 0].tolist() == [0, 128, 255]


def test_grey_and_palette(tmp_path: Path) -> None:
    Image.new("L", (3, 3), 77).save(tmp_path / "grey.png")
    corner().quantize(4).save(tmp_path / "palette.png")
    assert np.asarray(open_source(tmp_path / "grey.png", Limits()).frame(0))[0, 0].tolist() == [77, 77, 77]
    assert np.asarray(open_source(tmp_path / "palette.png", Limits()).frame(0))[0, 0].tolist() == [255, 0, 0]


def test_a_photograph_has_one_frame(tmp_path: Path) -> None:
    source = open_source(photo(tmp_path / "a.jpg", corner()), Limits())
    with pytest.raises(RefusedError, match=r"image\.frame"):
        source.frame(1)


@pytest.mark.parametrize(
    ("name", "head"), [("a.gif", b"GIF89a"), ("a.tiff", b"II*\0"), ("a.pdf", b"%PDF-1.7"), ("empty", b"")]
)
def test_other_files_are_unsupported(tmp_path: Path, name: str, head: bytes) -> None:
    (tmp_path / name).write_bytes(head + b"\0" * 600 if head else b"")
    with pytest.raises(RefusedError, match=r"image\.unsupported"):
        open_source(tmp_path / name, Limits())
