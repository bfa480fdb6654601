"""Motion capture faces +z around the origin, on a floor at y = 0; a Kinect's person faces -z, in front of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DISTANCE_M = 3.0
_CAMERA_HEIGHT_M = 1.0


def in_front_of_camera(joints: NDArray[np.floating]) -> NDArray[np.float32]:
    """Joints (T, V, 3), turned by half a turn about the vertical and moved 3 m away, 1 m above the floor."""
    placed = joints * np.array([-1.0, 1.0, -1.0]) + np.array([0.0, -_CAMERA_HEIGHT_M, _DISTANCE_M])
    return np.asarray(placed, np.float32)
