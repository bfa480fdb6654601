"""From BlazePose's landmarks to NTU RGB+D's joints, standing in the room: metres in Kinect camera space.

MediaPipe's world landmarks have the right shape and size but no place (their origin is between the hips). The place
follows from where the same landmarks lie in the picture: the translation whose projection fits them best.

MediaPipe always gives a whole body and invents what the picture does not show. Of the joints of drawn people with known
truth, presence tells the two apart: it is above 0.9 of nearly all that lie inside, also where the body itself hides
them, and below 0.1 of nearly all outside. Visibility does not: it is as low of the far arm of somebody seen from the
side, which is placed well. Only where next to nothing of it is left (under a desk) is there nothing to be seen.
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
# What is present counts in full from a visibility of a third: what a body itself hides of an ordinary view has a tenth.
_CLEAR = 3.0


@dataclass(frozen=True, kw_only=True)
class LiftedPerson:
    """One person as NTU25: `joints` (25, 3) metres in camera space, `pixels` (25, 2), `confidence` (25,) in 0..1.

    `sight` (25,) in 0..1 is how surely a joint is seen and not invented.
    """

    joints: F32
    pixels: F32
    confidence: F32
    sight: F32


def focal_length_px(size: tuple[int, int]) -> float:
    """Focal length in pixels of a camera whose longer side spans `ASSUMED_VIEW_DEGREES`."""
    return max(size) / (2 * math.tan(math.radians(ASSUMED_VIEW_DEGREES) / 2))


def lift(image: F32, world: F32, visibility: F32, presence: F32, size: tuple[int, int]) -> LiftedPerson:
    """Lift one person's landmarks to camera space: `image` (33, 3) pixels, `world` (33, 3) metres.

    `visibility` and `presence` (33,) in 0..1 as in `People`; `size` is the picture's (width, height).
    """
    shape = world * _TO_KINECT_AXES
    # What MediaPipe itself puts beyond the picture's edge nobody has seen.
    inside = ((image[:, :2] >= 0) & (image[:, :2] <= np.array(size))).all(axis=1)
    present = np.where(inside, presence, 0).astype(np.float32)
    place = _translation(shape, image[:, :2], visibility, present, size)
    pixels = to_ntu25(np.concatenate([image[:, :2], np.zeros((33, 1), np.float32)], axis=1), BLAZEPOSE33)[:, :2]
    return LiftedPerson(
        joints=to_ntu25(shape + place, BLAZEPOSE33),
        pixels=pixels,
        confidence=_least(visibility),
        sight=_least(np.minimum(present, _CLEAR * visibility)),
    )


def _needs() -> NDArray[np.bool_]:
    """(25, 33): which landmarks a joint is made of. One that only shifts it a little is not needed: SpineShoulder lies
    on the line from the hips through the shoulders, a twenty-fifth of the way beyond them."""
    units = np.zeros((len(BLAZEPOSE33), len(BLAZEPOSE33), 3))
    units[..., 0] = np.eye(len(BLAZEPOSE33))
    return np.asarray(np.abs(to_ntu25(units, BLAZEPOSE33)[..., 0].T) > 0.1)


_NEEDS = _needs()


def _least(sure: F32) -> F32:
    """A joint (25,) is as sure as the least sure (33,) of the landmarks that it is made of."""
    return np.asarray(np.where(_NEEDS, sure, np.inf).min(axis=1).clip(0, 1), np.float32)


def _translation(shape: F32, pixels: F32, visibility: F32, present: F32, size: tuple[int, int]) -> F32:
    """The (3,) translation in metres that projects `shape` onto `pixels`, by weighted linear least squares.

    From u - cx = -f (X + tx) / (Z + tz) follows f tx + (u - cx) tz = -f X - (u - cx) Z, which is linear in (tx, tz);
    likewise for y. The landmarks that something hides weigh little, and those that are not in the picture nothing.
    """
    focal = focal_length_px(size)
    offset = (pixels - np.array(size, np.float32) / 2).astype(np.float64)
    weight = np.sqrt(np.clip(visibility, 0.05, 1.0) * present).astype(np.float64)
    rows = np.zeros((2, len(shape), 3))
    rows[0, :, 0], rows[0, :, 2] = focal, offset[:, 0]
    rows[1, :, 1], rows[1, :, 2] = focal, offset[:, 1]
    right = np.stack([-focal * shape[:, i] - offset[:, i] * shape[:, 2] for i in range(2)])
    solution = np.linalg.lstsq((rows * weight[:, None]).reshape(-1, 3), (right * weight).reshape(-1), rcond=None)[0]
    depth = float(np.clip(solution[2], _NEAREST_M, _FARTHEST_M))
    if depth != solution[2]:  # degenerate landmarks: keep the direction, at the nearest believable distance
        centre = offset.mean(axis=0)
        solution = np.array([-centre[0] * depth / focal, -centre[1] * depth / focal, depth])
    return np.asarray(solution, np.float32)
