"""DICOM pixels become what a radiologist would see: against pydicom's own processing, and against hand-made values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_modality_lut, apply_windowing

from plugins.medical_images.reading.dicom_grey import Window, windowed
from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.refusals import RefusedError
from plugins.medical_images.reading.source import open_source
from tests.plugins.medical_images.picture_files import dicom, group, ramp

FILE = "picture.dcm"


def seen(path: Path, frame: int = 0) -> np.ndarray[Any, Any]:
    return np.asarray(open_source(path, Limits()).frame(frame))


def grey(path: Path, frame: int = 0) -> np.ndarray[Any, Any]:
    picture = seen(path, frame)
    assert (picture[..., 0] == picture[..., 1]).all()
    assert (picture[..., 0] == picture[..., 2]).all()
    return picture[..., 0]


def of_wheel(name: str) -> Path:
    return Path(str(get_testdata_file(name, download=False)))


@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "693_J2KI.dcm"])
def test_windows_as_pydicom_does(name: str) -> None:
    path = of_wheel(name)
    data = pydicom.dcmread(path)
    windowed_there = apply_windowing(apply_modality_lut(data.pixel_array, data), data)
    low, high = _range(data)
    expected = (windowed_there - low) / (high - low) * 255
    assert np.abs(grey(path).astype(float) - expected).max() <= 1.0


def _range(data: Any) -> tuple[float, float]:
    """What pydicom's windowing maps to: the stored range, rescaled."""
    bits, signed = int(data.BitsStored), int(data.PixelRepresentation)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("LINEAR", [0, 42, 128, 212, 255, 255]),  # PS3.3 C.11.2.1.2.1
        ("LINEAR_EXACT", [0, 32, 96, 159, 223, 255]),
        ("SIGMOID", [19, 46, 96, 159, 209, 236]),
    ],
)
def test_the_three_window_functions(function: str, expected: list[int]) -> None:
    values = np.arange(6, dtype=np.float32)
    assert windowed(values, Window(2.5, 4.0, function)).tolist() == pytest.approx(expected, abs=1)


def test_the_first_of_several_windows_is_taken(tmp_path: Path) -> None:
    one = dicom(tmp_path / "one.dcm", ramp(8, 8), WindowCenter=1000, WindowWidth=500)
    two = dicom(tmp_path / "two.dcm", ramp(8, 8), WindowCenter=[1000, 40], WindowWidth=[500, 400])
    assert (grey(one) == grey(two)).all()
    assert len(np.unique(grey(one))) > 5


def test_monochrome1_is_the_negative_of_monochrome2(tmp_path: Path) -> None:
    dark = dicom(tmp_path / "1.dcm", ramp(8, 8), photometric="MONOCHROME1", WindowCenter=2048, WindowWidth=4096)
    light = dicom(tmp_path / "2.dcm", ramp(8, 8), WindowCenter=2048, WindowWidth=4096)
    assert (grey(dark) == 255 - grey(light)).all()
    assert grey(light)[0, 0] == 0


def test_rescale_comes_before_the_window(tmp_path: Path) -> None:
    hounsfield = np.array([[-1000, 40], [240, 3000]], np.int16)
    stored = (hounsfield + 1024).astype(np.uint16)
    path = dicom(
        tmp_path / FILE, stored, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400, Modality="CT"
    )
    assert grey(path).tolist() == [[0, 128], [255, 255]]


def test_signed_values_are_signed(tmp_path: Path) -> None:
    path = dicom(tmp_path / FILE, np.array([[-100, 0], [50, 100]], np.int16), WindowCenter=0.5, WindowWidth=201)
    assert grey(path).tolist() == [[0, 128], [191, 255]]


def test_bits_above_those_stored_do_not_count(tmp_path: Path) -> None:
    stored = np.array([[0, 4095], [2048, 1024]], np.uint16)
    overlaid = stored | np.array([[0x8000, 0], [0x8000, 0x4000]], np.uint16)
    fields = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = grey(dicom(tmp_path / "plain.dcm", stored, **fields))
    assert (grey(dicom(tmp_path / "overlaid.dcm", overlaid, **fields)) == plain).all()


def test_without_a_window_it_is_guessed_and_said_so(tmp_path: Path) -> None:
    path = dicom(tmp_path / FILE, ramp(64, 64, top=900))
    assert open_source(path, Limits()).facts(None).cautions == ("window_guessed",)
    picture = grey(path)
    assert (picture.min(), picture.max()) == (0, 255)


def test_eight_bits_need_no_window(tmp_path: Path) -> None:
    stored = ramp(16, 16, np.uint8, 200)
    path = dicom(tmp_path / FILE, stored)
    assert open_source(path, Limits()).facts(None).cautions == ()
    assert (grey(path) == stored).all()


def test_padding_does_not_spoil_the_guess(tmp_path: Path) -> None:
    stored = ramp(64, 64, np.int16, 100)
    padded = stored.copy()
    padded[:32] = -32000
    path = dicom(tmp_path / FILE, padded, PixelPaddingValue=-32000)
    assert grey(path)[32:].max() == 255
    assert len(np.unique(grey(path)[32:])) > 20


def test_a_look_up_table_of_interest(tmp_path: Path) -> None:
    table = group(LUTDescriptor=[4, 0, 8], LUTData=[255, 100, 50, 0])
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    path = dicom(tmp_path / FILE, np.array([[0, 1], [2, 3]], np.uint8), VOILUTSequence=[table])
    assert grey(path).tolist() == [[255, 100], [50, 0]]


def test_each_frame_has_its_own_window(tmp_path: Path) -> None:
    frames = np.stack([ramp(8, 8), ramp(8, 8)])
    windows = [
        group(FrameVOILUTSequence=[group(WindowCenter=centre, WindowWidth=400)], FrameContentSequence=[group()])
        for centre in (500, 3500)
    ]
    shared = [group(PixelValueTransformationSequence=[group(RescaleSlope=1, RescaleIntercept=0)])]
    path = dicom(
        tmp_path / FILE, frames, PerFrameFunctionalGroupsSequence=windows, SharedFunctionalGroupsSequence=shared
    )
    first, second = grey(path, 0), grey(path, 1)
    assert first.mean() > 200
    assert second.mean() < 60


def test_colours_as_they_are(tmp_path: Path) -> None:
    stored = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]]], np.uint8)
    assert (seen(dicom(tmp_path / FILE, stored, photometric="RGB")) == stored).all()


def test_luminance_and_chrominance_become_colours(tmp_path: Path) -> None:
    stored = np.array([[[76, 85, 255], [149, 43, 21]]], np.uint8)  # red and green (PS3.3 C.7.6.3.1.2)
    picture = seen(dicom(tmp_path / FILE, stored, photometric="YBR_FULL"))
    assert np.abs(picture.astype(int) - [[[255, 0, 0], [0, 255, 0]]]).max() <= 3


@pytest.mark.parametrize(
    "name", ["SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle.dcm", "examples_ybr_color.dcm", "SC_rgb_gdcm_KY.dcm"]
)
def test_colour_as_pydicom_gives_it(name: str) -> None:
    path = of_wheel(name)
    assert (seen(path) == pixel_array(path, index=0)).all()


def test_a_palette_is_looked_up() -> None:
    path = of_wheel("examples_palette.dcm")
    data = pydicom.dcmread(path)
    expected = pydicom.pixels.apply_color_lut(data.pixel_array, data) >> 8
    assert (seen(path) == expected).all()


def test_any_frame_of_many_and_no_other(tmp_path: Path) -> None:
    frames = np.stack([np.full((4, 6), value, np.uint8) for value in range(30)])
    source = open_source(dicom(tmp_path / FILE, frames), Limits())
    assert source.facts(None).frames == 30
    for number in (0, 17, 29):
        assert np.asarray(source.frame(number)).max() == number
    for number in (-1, 30):
        with pytest.raises(RefusedError, match=r"image\.frame"):
            source.frame(number)


def test_facts_are_those_of_the_header(tmp_path: Path) -> None:
    path = dicom(
        tmp_path / FILE, ramp(3, 5), Modality="DX", BodyPartExamined="CHEST", StudyDate="20260304",
        StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4", WindowCenter=1, WindowWidth=2,
    )  # fmt: skip
    facts = open_source(path, Limits()).facts(None)
    assert (facts.width, facts.height, facts.frames) == (5, 3, 1)
    assert (facts.modality, facts.body_part, facts.taken) == ("DX", "CHEST", "2026-03-04")
    assert (facts.study, facts.instance) == ("1.2.3", "1.2.3.4")
    assert facts.transfer_syntax == "Explicit VR Little Endian"
    assert facts.identity == "unchecked"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"BurnedInAnnotation": "YES"}, ("burned_in_declared",)),
        ({"BurnedInAnnotation": "NO", "Modality": "US"}, ()),
        ({"Modality": "US"}, ("burned_in_likely",)),
        ({"ConversionType": "WSD"}, ("burned_in_likely",)),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, ("burned_in_likely",)),
        ({"Modality": "CT"}, ()),
    ],
)
def test_identity_in_the_pixels_is_warned_about(
    tmp_path: Path, fields: dict[str, str], expected: tuple[str, ...]
) -> None:
    path = dicom(tmp_path / FILE, ramp(4, 4, np.uint8, 9), **fields)
    assert open_source(path, Limits()).facts(None).cautions == expected
