"""A figure: somebody's joints as a camera sees them, how large the person is and which way the body faces; and the
parts that a picture of it is painted from.

A part is made of balls (joints and a few points between them, with a thickness in metres): a limb is the hull of two
balls, a chest that of seven.

Shapes: V joint (25 of NTU RGB+D), P points on an outline, 3 coordinates in metres in the camera's own space.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import NTU25
from .look import Colour, Look

F64 = NDArray[np.float64]

Ball = tuple[F64, float]  # centre (3,) in the camera's space, radius in metres
Hull = tuple[list[Ball], Colour]

HEAD, NECK = NTU25.index("Head"), NTU25.index("Neck")
SHOULDERS, BASE = NTU25.index("SpineShoulder"), NTU25.index("SpineBase")
SHOULDER_LEFT, SHOULDER_RIGHT = NTU25.index("ShoulderLeft"), NTU25.index("ShoulderRight")
HIP_LEFT, HIP_RIGHT = NTU25.index("HipLeft"), NTU25.index("HipRight")

# Bones of an adult of 1.75 m as Kinect measures them: their ratio to a person's own is the person's size.
_ADULT_BONES_M: tuple[tuple[str, str, float], ...] = (
    ("SpineBase", "SpineShoulder", 0.52),
    ("ShoulderLeft", "ElbowLeft", 0.28),
    ("ShoulderRight", "ElbowRight", 0.28),
    ("ElbowLeft", "WristLeft", 0.25),
    ("ElbowRight", "WristRight", 0.25),
    ("HipLeft", "KneeLeft", 0.40),
    ("HipRight", "KneeRight", 0.40),
    ("KneeLeft", "AnkleLeft", 0.38),
    ("KneeRight", "AnkleRight", 0.38),
)
_BONE_A = [NTU25.index(a) for a, _, _ in _ADULT_BONES_M]
_BONE_B = [NTU25.index(b) for _, b, _ in _ADULT_BONES_M]
_BONE_M = np.array([length for _, _, length in _ADULT_BONES_M])


@dataclass(kw_only=True)
class Part:
    """What is painted at one depth: hulls of balls in a colour each, those of one colour in a row layer by layer, so
    that they grow together; then flat outlines (P, 3) in the camera's space on top of them (a head)."""

    depth: float
    hulls: list[Hull]
    flats: list[tuple[F64, Colour]] = field(default_factory=list)


class Figure:
    """Joints `at` (25, 3), unknown ones NaN, with the axes `up`, `right` and `front` of the trunk; `size` is 1 for an
    adult of 1.75 m, and `thick` the same for the thickness of trunk and limbs."""

    def __init__(self, camera_V3: F64, size: float, look: Look) -> None:
        self.at = camera_V3
        self._known: list[bool] = np.asarray(np.isfinite(camera_V3).all(-1)).tolist()
        self.size = size
        self.thick = size * look.build
        self.look = look
        across = self._across()
        self.up = unit(camera_V3[SHOULDERS] - camera_V3[BASE], np.array([0.0, 1.0, 0.0]))
        self.right = unit(across - (across @ self.up) * self.up, np.array([1.0, 0.0, 0.0]))
        self.front = cross(self.up, self.right)
        trunk = (BASE, SHOULDERS, HIP_LEFT, HIP_RIGHT, SHOULDER_LEFT, SHOULDER_RIGHT)
        seen = [joint for joint in trunk if self.knows(joint)] or np.flatnonzero(self._known).tolist()
        self.trunk_z = fmean(camera_V3[seen, 2].tolist())

    def knows(self, *joints: int) -> bool:
        """Are all of these joints seen?"""
        return all(map(self._known.__getitem__, joints))

    def _across(self) -> F64:
        """From the person's left to the right: shoulders count for more, as they lie farther apart."""
        pairs = ((SHOULDER_LEFT, SHOULDER_RIGHT), (HIP_LEFT, HIP_RIGHT))
        return np.asarray(sum((self.at[b] - self.at[a] for a, b in pairs if self.knows(a, b)), np.zeros(3)))


def body_size(camera_V3: F64) -> float:
    """The person's size, 1 for an adult of 1.75 m; NaN without one whole bone."""
    ratios = np.linalg.norm(camera_V3[_BONE_A] - camera_V3[_BONE_B], axis=-1) / _BONE_M
    whole = ratios[np.isfinite(ratios)].tolist()
    return min(max(median(whole), 0.35), 1.3) if whole else math.nan


def mean_depth(hulls: Iterable[Hull]) -> float:
    """How far away the balls are on the average, in metres."""
    return fmean([float(centre[2]) for balls, _ in hulls for centre, _ in balls])


def unit(vector: F64, otherwise: F64) -> F64:
    """The vector's direction; `otherwise` where it has none or is unknown."""
    length = math.sqrt(vector @ vector)
    return vector / length if length > 1e-6 else otherwise  # NaN compares false


def cross(a: F64, b: F64) -> F64:
    """numpy's own takes ten times as long for two vectors of three."""
    ax, ay, az = a.tolist()
    bx, by, bz = b.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])
