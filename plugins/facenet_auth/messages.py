"""What travels between the plugin's two halves, as msgpack.

A request is a few pictures of one person; the answer says, for each, which faces are in it, how the head is turned, and, where there
is exactly one usable face, its embedding. Nothing is compared here and nothing is kept: that is the parent's affair.
"""

from __future__ import annotations

import msgspec

EXAMINE = "examine"
EMBEDDING_LENGTH = 512
EMBEDDING_BYTES = EMBEDDING_LENGTH * 4
MOST_FRAMES = 16
MOST_SIDE_PX = 4096
"""A picture with a longer side is refused before it is decoded."""

# Why a frame has no embedding (``FrameAnswer.problem``).
NO_FACE = "face.none"
SEVERAL_FACES = "face.several"
TOO_SMALL = "face.too_small"
TOO_BLURRED = "face.blurred"
BAD_IMAGE = "face.image"
PROBLEMS = (NO_FACE, SEVERAL_FACES, TOO_SMALL, TOO_BLURRED, BAD_IMAGE)

# Why a whole request failed.
INTERNAL = "internal"


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One picture: a JPEG or PNG file; or, when both sides are given, plain RGB (height * width * 3 bytes, row by row)."""

    image: bytes
    width: int = 0
    height: int = 0


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """From when on a face is good enough to be compared.

    ``smallest_px``: shorter side of its box. ``sharpness``: as in ``Face``. ``several_share``: a second face is only then disregarded
    when its box is narrower than this share of the first one's, as that of a person who passes behind.
    """

    smallest_px: float = 80.0
    sharpness: float = 20.0
    several_share: float = 0.5


class Examine(msgspec.Struct, frozen=True, array_like=True):
    """Up to ``MOST_FRAMES`` pictures, in the order in which they were taken."""

    frames: tuple[Frame, ...]
    limits: Limits = Limits()


class Face(msgspec.Struct, frozen=True, array_like=True):
    """A face that was found. Pixels of the upright picture, x to the right, y down.

    ``box`` is left, top, right, bottom. ``landmarks`` are the middle of the eye on the picture's left, of the other eye, the tip
    of the nose, the corner of the mouth on the picture's left, and the other corner, each (x, y). ``score`` is 0 to 1.
    Angles in degrees, of a picture that is not mirrored: ``yaw`` grows as the person turns to their own left (the nose moves to
    the picture's right), ``pitch`` as they look up, ``roll`` as the head leans clockwise in the picture. They come from five points
    and a mean head: trust changes from one frame to another, not the figure itself. ``sharpness`` is the variance of the
    Laplacian of the aligned face in grey levels (0 where it was not measured).
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    score: float
    yaw: float
    pitch: float
    roll: float
    sharpness: float = 0.0


class FrameAnswer(msgspec.Struct, frozen=True, array_like=True):
    """What one picture shows. ``faces`` begins with the largest.

    Exactly one of the two is there: ``embedding`` (``EMBEDDING_LENGTH`` little-endian float32 of unit length) or ``problem``.
    """

    width: int
    height: int
    faces: tuple[Face, ...]
    embedding: bytes = b""
    problem: str = ""


class Examined(msgspec.Struct, frozen=True, array_like=True):
    """One answer for each frame, in the request's order."""

    frames: tuple[FrameAnswer, ...]
