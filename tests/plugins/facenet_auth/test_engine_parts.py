"""Pictures, resampling, boxes, alignment and pose, each by itself."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plugins.facenet_auth import engine_boxes as boxes
from plugins.facenet_auth.engine_alignment import SIDE, TEMPLATE, aligned, sharpness, similarity
from plugins.facenet_auth.engine_pictures import PictureError, picture
from plugins.facenet_auth.engine_pose import HEAD, pose
from plugins.facenet_auth.engine_resample import Areas
from plugins.facenet_auth.messages import MOST_SIDE_PX, Frame
from tests.fakes.marked_faces import Head, draw, jpeg, png
from tools.face_models import seeded


# -- pictures -----------------------------------------------------------------------------------------------------------
def _png_header(width: int, height: int) -> bytes:
    """A PNG file that says how large it is and has almost nothing in it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def _gif() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "GIF")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        _gif(),
        _png_header(100_000, 100_000),
        _png_header(MOST_SIDE_PX + 1, 30),
        _png_header(23, 100),
        png(np.zeros((64, 64, 3), np.uint8))[:60],
        jpeg(draw(Head()))[:500],
        png(draw(Head()), exif=b"Exif\0\0II*\0"),
    ],
    ids=["empty", "text", "gif", "bomb", "wide", "narrow", "cut png", "cut jpeg", "cut exif"],
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(PictureError):
        picture(Frame(content))


@given(st.binary(max_size=300), st.integers(-5, 70), st.integers(-5, 70))
def test_any_bytes_are_a_picture_or_refused(content: bytes, width: int, height: int) -> None:
    try:
        seen = picture(Frame(content, width, height))
    except PictureError:
        return
    assert seen.pixels.shape == (height, width, 3)


def test_a_photograph_lying_on_its_side_is_put_upright() -> None:
    upright = draw(Head())
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
    seen = picture(Frame(jpeg(np.rot90(upright).copy(), exif=exif.tobytes())))
    assert (seen.width, seen.height) == (320, 240)
    assert np.abs(seen.pixels.astype(float) - upright).mean() < 5.0


def test_grey_and_transparent_pictures_become_colours() -> None:
    for mode in ("L", "RGBA", "P", "1"):
        file = io.BytesIO()
        Image.new(mode, (40, 30)).save(file, "PNG")
        assert picture(Frame(file.getvalue())).pixels.shape == (30, 40, 3)


def test_a_large_picture_is_looked_at_in_small() -> None:
    seen = picture(Frame(png(np.zeros((1200, 1920, 3), np.uint8))))
    assert seen.factor == 3
    assert seen.small.shape == (400, 640, 3)


# -- resampling ---------------------------------------------------------------------------------------------------------
@settings(max_examples=40)
@given(st.integers(1, 23), st.integers(1, 23), st.integers(1, 30), st.integers(1, 30))
def test_every_new_pixel_is_the_mean_of_what_it_covers(rows: int, columns: int, height: int, width: int) -> None:
    old = np.random.default_rng(rows * 31 + columns).integers(0, 256, (rows, columns, 3)).astype(np.uint8)
    new = Areas(old).resized(height, width)
    for down, across in {(0, 0), (height - 1, width - 1), (height // 2, width // 3)}:
        top, bottom = down * rows // height, -(-(down + 1) * rows // height)
        left, right = across * columns // width, -(-(across + 1) * columns // width)
        assert new[:, down, across] == pytest.approx(old[top:bottom, left:right].mean(axis=(0, 1)), abs=1e-3)


def test_a_window_is_resampled_as_if_it_were_cut_out() -> None:
    old = np.random.default_rng(7).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    cut = Areas(np.ascontiguousarray(old[5:37, 11:50])).resized(24, 24)
    assert np.array_equal(Areas(old).resized(24, 24, (11, 5, 50, 37)), cut)


def test_sums_beyond_32_bits_do_not_matter() -> None:
    white = np.full((4096, 4096, 1), 255, np.uint8)
    assert np.array_equal(Areas(white).resized(7, 5), np.full((1, 7, 5), 255, np.float32))


# -- boxes --------------------------------------------------------------------------------------------------------------
def test_overlapping_boxes_give_way_to_the_strongest() -> None:
    some = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 4, 4]], np.float32)
    scores = np.array([0.8, 0.9, 0.7, 0.6], np.float32)
    assert boxes.strongest(some, scores, 0.5).tolist() == [1, 2, 3]
    assert boxes.strongest_within(some, scores, 0.5).tolist() == [1, 2], "a box inside another one goes"
    assert boxes.strongest(some, scores, 0.5, np.array([0, 1, 0, 0])).tolist() == [1, 0, 2, 3]
    assert boxes.strongest(some[:0], scores[:0], 0.5).shape == (0,)


def test_squares_and_windows() -> None:
    square = boxes.squared(np.array([[10, 20, 20, 60]], np.float32))
    assert square.tolist() == [[-5.0, 20.0, 35.0, 60.0]]
    assert boxes.windows(square, 30, 50).tolist() == [[0, 19, 30, 50]]
    moved = boxes.shifted(np.array([[0, 0, 9, 19]], np.float32), np.array([[0.1, 0.1, -0.1, 0.0]], np.float32))
    assert moved.tolist() == pytest.approx(np.array([[1.0, 2.0, 8.0, 19.0]]))


# -- alignment ----------------------------------------------------------------------------------------------------------
@settings(max_examples=50)
@given(st.floats(0.2, 5.0), st.floats(-180.0, 180.0), st.floats(-300.0, 300.0), st.floats(-300.0, 300.0))
def test_a_similarity_is_found_again(scale: float, angle: float, x: float, y: float) -> None:
    turn = np.radians(angle)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = TEMPLATE * SIDE
    found = similarity(points, points @ matrix.T + [x, y])
    assert found == pytest.approx(np.concatenate([matrix, [[x], [y]]], axis=1), abs=1e-6)


def test_landmarks_that_fall_together_are_refused() -> None:
    with pytest.raises(ValueError, match="fall together"):
        aligned(np.zeros((50, 50, 3), np.uint8), np.full((5, 2), 20.0))


@pytest.mark.parametrize("roll", [0.0, 30.0, -75.0])
@pytest.mark.parametrize("eyes", [30.0, 60.0, 110.0])
def test_landmarks_come_to_lie_in_their_places(roll: float, eyes: float) -> None:
    """A disc is drawn around each landmark: the middles of the discs are found again where the template wants them."""
    head = Head(x=300, y=300, eyes=eyes, roll=roll)
    face = aligned(draw(head, width=600, height=600), head.landmarks())
    wanted = (
        similarity(head.landmarks(), TEMPLATE * SIDE) @ np.concatenate([head.landmarks(), np.ones((5, 1))], axis=1).T
    ).T
    down, across = np.mgrid[0:SIDE, 0:SIDE]
    for place, weight in (
        (2, face[..., 1:].min(axis=2) > 180),
        (0, (face[..., 1] - face[..., 2] > 120) & (across < 80)),
    ):
        seen = np.array([across[weight].mean(), down[weight].mean()])
        assert np.abs(seen - wanted[place]).max() < 1.5


def test_a_face_over_the_pictures_edge_is_filled() -> None:
    head = Head(x=20, y=20, eyes=60)
    face = aligned(draw(head), head.landmarks())
    assert face.shape == (SIDE, SIDE, 3)
    assert np.isfinite(face).all()


def test_sharpness_falls_with_blur_and_is_nothing_on_a_wall() -> None:
    sharp = seeded.picture(3, SIDE).astype(np.float32) + 20 * np.random.default_rng(0).normal(size=(SIDE, SIDE, 1))
    quarter = Areas(sharp.clip(0, 255).astype(np.uint8)).resized(40, 40).transpose(1, 2, 0).astype(np.uint8)
    soft = Areas(quarter).resized(SIDE, SIDE).transpose(1, 2, 0)
    assert sharpness(sharp) > 10 * sharpness(soft)
    assert sharpness(np.full((SIDE, SIDE, 3), 90.0)) == pytest.approx(0.0, abs=1e-9)


# -- pose ---------------------------------------------------------------------------------------------------------------
@settings(max_examples=40)
@given(st.floats(-45.0, 45.0), st.floats(-30.0, 30.0), st.floats(-60.0, 60.0), st.floats(10.0, 300.0))
def test_the_turn_of_a_mean_head_is_found_again(yaw: float, pitch: float, roll: float, size: float) -> None:
    turned = Head(yaw=yaw, pitch=pitch, roll=roll).turned()
    assert pose(HEAD @ turned[:2].T * size + 77.0) == pytest.approx((yaw, pitch, roll), abs=1e-3)


def test_a_nose_to_the_right_is_a_turn_to_the_persons_left() -> None:
    frontal = HEAD[:, :2] * 50.0
    assert pose(frontal) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    left, up, clockwise = frontal.copy(), frontal.copy(), frontal @ np.array([[0.9, 0.4], [-0.4, 0.9]])
    left[2, 0] += 8.0
    up[2, 1] -= 8.0
    assert pose(left).yaw > 8.0
    assert pose(up).pitch > 5.0
    assert pose(clockwise).roll > 15.0


def test_points_without_extent_have_no_pose() -> None:
    assert pose(np.zeros((5, 2))) == (0.0, 0.0, 0.0)
