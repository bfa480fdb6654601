"""From BlazePose's landmarks to NTU RGB+D's joints, standing in the room: metres in Kinect camera space.

MediaPipe's world landmarks have the right shape and size but no place (their origin is between the hips). The place
follows from where the same landmarks lie in the picture: the translation whose projection fits them best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import BLAZEPOSE33, to_ntu25

F32 = NDArray[np.float32]

# Most webcams and phones see 55 to 75 degrees across; a wrong guess scales the distance, not the posture.
ASSUMED_VIEW_DEGREES = 60.0
# BlazePose's world axes are x right, y down, z away; Kinect's are x left, y up, z away.
_TO_KINECT_AXES = np.array([-1.0, -1.0, 1.0], dtype=np.float32)
_NEAREST_M, _FARTHEST_M = 0.3, 15.0


@dataclass(frozen=True, kw_only=True)
class LiftedPerson:
    """One person as NTU25: `joints` (25, 3) metres in camera space, `pixels` (25, 2), `confidence` (25,) in 0..1."""

    joints: F32
    pixels: F32
    confidence: F32


def focal_length_px(size: tuple[int, int]) -> float:
    """Focal length in pixels of a camera whose longer side spans `ASSUMED_VIEW_DEGREES`."""
    return max(size) / (2 * math.tan(math.radians(ASSUMED_VIEW_DEGREES) / 2))


def lift(image: F32, world: F32, visibility: F32, size: tuple[int, int]) -> LiftedPerson:
    """Lift one person's landmarks, `image` (33, 3) pixels, `world` (33, 3) metres, `visibility` (33,), to camera space.

    `size` is the picture's (width, height).
    """
    shape = world * _TO_KINECT_AXES
    place = _translation(shape, image[:, :2], visibility, size)
    pixels = to_ntu25(np.concatenate([image[:, :2], np.zeros((33, 1), np.float32)], axis=1), BLAZEPOSE33)[:, :2]
    # A derived joint is as sure as the least sure landmark that it was derived from: convert 1 - visibility as well.
    doubt = to_ntu25(np.repeat(1 - visibility[:, None], 3, axis=1), BLAZEPOSE33)[:, 0]
    return LiftedPerson(
        joints=to_ntu25(shape + place, BLAZEPOSE33),
        pixels=pixels,
        confidence=np.clip(1 - doubt, 0, 1).astype(np.float32),
    )


def _translation(shape: F32, pixels: F32, visibility: F32, size: tuple[int, int]) -> F32:
    """The (3,) translation in metres that projects `shape` onto `pixels`, by weighted linear least squares.

    From u - cx = -f (X + tx) / (Z + tz) follows f tx + (u - cx) tz = -f X - (u - cx) Z, which is linear in (tx, tz);
    likewise for y. The landmarks that MediaPipe does not see weigh little.
    """
    focal = focal_length_px(size)
    offset = (pixels - np.array(size, np.float32) / 2).astype(np.float64)
    weight = np.sqrt(np.clip(visibility, 0.05, 1.0)).astype(np.float64)
    rows = np.zeros((2, len(shape), 3))
    rows[0, :, 0], rows[0, :, 2] = focal, offset[:, 0]
    rows[1, :, 1], rows[1, :, 2] = focal, offset[:, 1]
    right = np.stack([-focal * shape[:, i] - offset[:, i] * shape[:, 2] for i in range(2)])
    solution = np.linalg.lstsq((rows * weight[:, None]).reshape(-1, 3), (right * weight).reshape(-1), rcond=None)[0]
    depth = float(np.clip(solution[2], _NEAREST_M, _FARTHEST_M))
    if depth != solution[2]:  # degenerate landmarks: keep the direction, at the nearest believable distance
        centre = offset.mean(axis=0)
        solution = np.array([-centre[0] * depth / focal, -centre[1] * depth / focal, depth])
    return solution.astype(np.float32)
