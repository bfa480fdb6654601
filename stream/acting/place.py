"""Places in the actor's room: where the body and its feet stand, and where they may.

Metres in Kinect camera space; the floor is the plane of x (to the camera's left) and z (away from the camera).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Root:
    """Where the body stands in the room, metres in camera space, and how far it is turned to its right (0: towards
    the camera's plane)."""

    x: float
    z: float
    yaw: float

    def offset(self, right: float, forward: float) -> tuple[float, float]:
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + right * c + forward * s, self.z + right * s - forward * c


@dataclass(frozen=True)
class Foot:
    """A foot in the room: the floor point below the resting ankle, its direction, its height and its heel's lift."""

    x: float
    z: float
    yaw: float
    up: float = 0.0
    heel: float = 0.0


def standing_foot(root: Root, side: str, stance: dict[str, float]) -> Foot:
    """Where a foot ("l" or "r") stands at rest under a body at `root`."""
    sign = 1.0 if side == "r" else -1.0
    x, z = root.offset(sign * stance["half_width"], 0.0)
    return Foot(x, z, root.yaw + sign * stance["toe_out"])


@dataclass(frozen=True)
class Room:
    """Where the actor may stand so that a camera of 60 x 47 degrees sees the whole body, raised hands included."""

    near_m: float
    far_m: float
    margin_m: float

    def somewhere(self, rng: np.random.Generator, share: float = 1.0) -> tuple[float, float]:
        """A spot (x, z), at most `share` of the way from the middle to the picture's sides."""
        z = float(rng.uniform(self.near_m, self.far_m))
        half = share * self._half_width(z)
        return float(rng.uniform(-half, half)), z

    def inside(self, x: float, z: float) -> tuple[float, float]:
        """The spot (x, z) itself, or the nearest in its row that the camera sees."""
        z = min(max(z, self.near_m), self.far_m)
        half = self._half_width(z)
        return min(max(x, -half), half), z

    def _half_width(self, z: float) -> float:
        return z * math.tan(math.radians(30)) - self.margin_m


def facing_camera(x: float, z: float, rng: np.random.Generator) -> Root:
    """Somebody at (x, z) who looks about the camera's way, seldom more than 25 degrees past it."""
    aside = math.radians(25 if rng.random() < 0.93 else 40)
    return Root(x, z, math.atan2(-x, z) + float(rng.uniform(-aside, aside)))
