"""The camera of a drawn picture: where a point of Kinect's space lies in it, and where to stand to see somebody whole.

Shapes: T frame, 3 coordinates in metres, 2 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import NTU25

F64 = NDArray[np.float64]

NEAR_M = 0.5  # a joint nearer to the camera than this, or behind it, is not drawn: Kinect sees none there either

_HEAD, _SHOULDERS = NTU25.index("Head"), NTU25.index("SpineShoulder")
_ANKLES = [NTU25.index("AnkleLeft"), NTU25.index("AnkleRight")]
# Steps towards a framed picture: enough for most, and for people who walk up to the camera.
_STEPS = (12, 80)


@dataclass(frozen=True, kw_only=True)
class View:
    """A pinhole camera in Kinect's space: at `position` (metres), turned by `yaw` about the vertical towards +x and
    by `pitch` upwards (radians). By default it is the Kinect itself.

    ValueError for a picture without pixels or a field of view outside 0..180 degrees.
    """

    width: int
    height: int
    horizontal_fov_deg: float = 60.0
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    pitch: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a picture has at least one pixel each way, not {self.width}x{self.height}")
        if not 0 < self.horizontal_fov_deg < 180:
            raise ValueError(f"horizontal_fov_deg lies between 0 and 180, not {self.horizontal_fov_deg}")

    @cached_property
    def focal_px(self) -> float:
        return self.width / 2 / float(np.tan(np.radians(self.horizontal_fov_deg) / 2))

    @cached_property
    def _axes(self) -> F64:
        return _axes(self.yaw, self.pitch)

    def to_camera(self, joints: NDArray[np.floating]) -> F64:
        """Points (..., 3) in this camera's own space: x to its left, y up, z along its line of sight."""
        return (np.asarray(joints, dtype=np.float64) - self.position) @ self._axes.T

    def project(self, joints: NDArray[np.floating]) -> F64:
        """Points (..., 3) in metres as pixels (..., 2); NaN where a point is unknown or not in front of the camera."""
        return self.pixels(self.to_camera(joints))

    def pixels(self, camera: F64) -> F64:
        """Like `project`, for points in this camera's own space."""
        z = np.where(camera[..., 2] > 0, camera[..., 2], np.nan)
        u = self.width / 2 - self.focal_px * camera[..., 0] / z
        v = self.height / 2 - self.focal_px * camera[..., 1] / z
        return np.stack([u, v], axis=-1)

    @classmethod
    def framing(
        cls, joints: NDArray[np.floating], *, width: int, height: int, rng: np.random.Generator | None = None
    ) -> Self:
        """A camera that keeps the people (..., 25, 3) of a whole sequence in the picture, from hair to shoes.

        They stand 70 % of the picture high, less where they move about much. With `rng` the camera also varies: up to
        30 degrees to either side, from a little below to a little above, nearer and farther (55 to 80 %).

        ValueError where nobody has more than half of the joints.
        """
        people = np.asarray(joints, dtype=np.float64).reshape(-1, len(NTU25), 3)
        people = np.where(known(people)[..., None], people, np.nan)
        people = people[np.isfinite(people).all(-1).sum(-1) > len(NTU25) // 2]
        if not len(people):
            raise ValueError(
                "no person to frame: give joints (..., 25, 3) of which more than half are known and not zero"
            )
        yaw, pitch, target, fov = 0.0, 0.0, 0.7, cls.horizontal_fov_deg
        if rng is not None:
            yaw, pitch = np.radians(rng.uniform(-30, 30)), np.radians(rng.uniform(-14, 5))
            target, fov = rng.uniform(0.55, 0.8), rng.uniform(50, 70)
        # Hair and soles reach farther than the joints do.
        up = people[:, [_HEAD]] - people[:, [_SHOULDERS]]
        soles = people[:, _ANKLES] - 0.3 * np.linalg.norm(up, axis=-1, keepdims=True) * [0, 1, 0]
        people = np.concatenate([people, people[:, [_HEAD]] + 0.6 * up, soles], axis=1)
        axes = _axes(yaw, pitch)
        centre, distance = np.nanmedian(people.reshape(-1, 3), axis=0), 3.0
        for step in range(_STEPS[1]):
            view = cls(
                width=width, height=height, horizontal_fov_deg=fov, yaw=yaw, pitch=pitch,
                position=tuple((centre - distance * axes[2]).tolist()),
            )  # fmt: skip
            camera = view.to_camera(people)
            if np.mean(camera[..., 2] < NEAR_M) > 0.001:  # somebody stands behind the camera
                distance *= 1.5
                continue
            pixels = view.pixels(camera) / (width, height)
            low_T2, high_T2 = np.nanmin(pixels, axis=1), np.nanmax(pixels, axis=1)
            # A joint that goes wild for a moment must not send the camera away.
            low = np.quantile(low_T2, 0.01, axis=0, method="lower")
            high = np.quantile(high_T2, 0.99, axis=0, method="higher")
            if step >= _STEPS[0] and min(low.min(), 1 - high.max()) > 0.03:
                break
            tall = np.quantile(high_T2[:, 1] - low_T2[:, 1], 0.8)
            error = (low + high) / 2 - 0.5
            metres = distance * width / view.focal_px
            centre = centre - error[0] * metres * axes[0] - error[1] * metres * height / width * axes[1]
            distance *= float(max((high - low).max() / 0.9, tall / target))
        return view


def known(joints: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which joints (...,) of (..., 3) are measured: recorders write zeros where they saw nothing."""
    return np.asarray(np.isfinite(joints).all(-1) & (joints != 0).any(-1))


def _axes(yaw: float, pitch: float) -> F64:
    """A camera's axes as rows: to its left, up, along its line of sight."""
    left = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    ahead = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    return np.stack([left, np.cross(ahead, left), ahead])
