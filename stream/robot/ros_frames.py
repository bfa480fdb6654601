"""Frames of ROS: axes, poses and names as REP 103 has them. Metres; quaternions with w >= 0.

Kinect camera space is x to the camera's left, y up, z away. ROS has x forward, y left, z up; and in a camera's optical
frame x right, y down, z forward.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import NTU25

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Seen = NDArray[np.bool_]
Fields = dict[str, Any]

NO_TURN: Fields = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}
_BASE, _LEFT, _RIGHT = (NTU25.index(name) for name in ("SpineBase", "ShoulderLeft", "ShoulderRight"))


def is_optical(frame: str) -> bool:
    """Whether this is a camera's own frame, by its name."""
    return frame.endswith(("_optical", "_optical_frame"))


def in_ros(joints: F32, optical: bool) -> F32:
    """Joints (..., 3) of Kinect camera space (x to the camera's left, y up, z away) with the axes of ROS."""
    x, y, z = np.moveaxis(joints, -1, 0)
    return np.stack([-x, -y, z] if optical else [z, x, y], axis=-1)


def up(optical: bool) -> F64:
    """Which way is up for a camera that is level."""
    return np.array([0.0, -1.0, 0.0] if optical else [0.0, 0.0, 1.0])


def chest(joints: F32, seen: Seen, upwards: F64) -> Fields | None:
    """The pose between somebody's shoulders: x to where the chest looks, y to their left, z along the spine.

    `joints` (25, 3) in the frame of the pose, `seen` (25,); `upwards` (3,) stands for a spine that is not seen. None if
    a shoulder is not seen either, or no direction can be told.
    """
    if not (seen[_LEFT] and seen[_RIGHT]):
        return None
    middle = (joints[_LEFT].astype(np.float64) + joints[_RIGHT]) / 2
    left = joints[_LEFT].astype(np.float64) - joints[_RIGHT]
    along = middle - joints[_BASE] if seen[_BASE] else upwards
    ahead = np.cross(left, along)
    if min(np.linalg.norm(left), np.linalg.norm(along), np.linalg.norm(ahead)) < 1e-3:
        return None
    z = along / np.linalg.norm(along)
    x = ahead / np.linalg.norm(ahead)
    return {"position": point(middle), "orientation": _quaternion(np.stack([x, np.cross(z, x), z], axis=1))}


def _quaternion(turn: F64) -> Fields:
    """A rotation matrix (3, 3) as a quaternion with w >= 0: the eigenvector of Bar-Itzhack's symmetric matrix."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = turn
    matrix = np.array([
        [xx - yy - zz, yx + xy, zx + xz, zy - yz],
        [yx + xy, yy - xx - zz, zy + yz, xz - zx],
        [zx + xz, zy + yz, zz - xx - yy, yx - xy],
        [zy - yz, xz - zx, yx - xy, xx + yy + zz],
    ])  # fmt: skip
    x, y, z, w = np.linalg.eigh(matrix / 3)[1][:, -1]
    sign = -1.0 if w < 0 else 1.0
    return {name: float(sign * value) for name, value in zip("xyzw", (x, y, z, w), strict=True)}


def header(at: float, frame: str) -> Fields:
    """std_msgs/Header; `at` is Unix seconds."""
    sec = math.floor(at)
    return {"stamp": {"sec": sec, "nanosec": min(int((at - sec) * 1e9), 999_999_999)}, "frame_id": frame}


def point(values: NDArray[np.floating[Any]]) -> Fields:
    """geometry_msgs/Point, to a tenth of a millimetre."""
    return {name: round(float(value), 4) for name, value in zip("xyz", values, strict=True)}


def points(values: F32) -> list[Fields]:
    """A geometry_msgs/Point for every row."""
    return [point(row) for row in values]


def plain(name: str) -> str:
    """A camera's or robot's name as a part of a frame's."""
    part = re.sub(r"\W", "_", name, flags=re.ASCII)
    return part if part[0].isalpha() else f"_{part}"
