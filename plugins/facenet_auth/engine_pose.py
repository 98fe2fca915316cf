"""How a head is turned, out of five landmarks: a mean head is laid over them (weak perspective, least squares).

Source of the method: POS, the first step of DeMenthon & Davis 1995. The mean head's proportions are those of adults in general
(distance between the pupils 1; the tip of the nose two fifths of it before the eyes): of one person the angles are off by some
degrees, always by the same ones, so a challenge is judged by how they change.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
HEAD: Final = np.array(
    [[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.58, -0.42], [-0.41, 1.05, -0.08], [0.41, 1.05, -0.08]]
)
"""Landmarks of a head that looks into the camera, as (5, 3): x to the picture's right, y down, z away from the camera."""


class Pose(NamedTuple):
    """Degrees; signs as in ``messages.Face``."""

    yaw: float
    pitch: float
    roll: float


def pose(landmarks: Array) -> Pose:
    """The turn of a head with ``landmarks`` (5, 2) in pixels. Landmarks that fall together give zeros."""
    own, head = landmarks - landmarks.mean(axis=0), HEAD - HEAD.mean(axis=0)
    matrix = np.linalg.lstsq(head, own.astype(np.float64), rcond=None)[0].T
    u, strengths, v = np.linalg.svd(matrix, full_matrices=False)
    if strengths[-1] <= 0.0:
        return Pose(0.0, 0.0, 0.0)
    across, down = u @ v
    away = np.cross(across, down)
    return Pose(
        # The head turns about its own upright axis first, then nods, then leans: a lean changes neither of the other two.
        yaw=float(np.degrees(np.arctan2(away[0], away[2]))),
        pitch=float(np.degrees(np.arcsin(np.clip(-away[1], -1.0, 1.0)))),
        roll=float(np.degrees(np.arctan2(-across[1], down[1]))),
    )
