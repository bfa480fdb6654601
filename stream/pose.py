"""People in pictures: one frame in, the 33 BlazePose landmarks of everybody in it out.

MediaPipe's PoseLandmarker (Bazarevsky et al. 2020, arXiv 2006.10204) in its video mode: it finds a person once and then
follows, which is several times faster than to look for people in each frame, so frames of one camera must come in order
and each camera needs an estimator of its own. Several people are followed by a landmarker each (`follow`).

Shapes: N people, 33 landmarks, 3 coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from ..encoder.layout import BLAZEPOSE33
from .follow import Followers
from .pose_model import Say, Variant, ensure_pose_model
from .wire import F32, Frame, People

Landmarks = Sequence[Any]  # 33 of MediaPipe's objects with x, y, z, visibility and presence


class PoseEstimator:
    """Finds people with MediaPipe; a context manager.

    Building it may fetch the model (`ensure_pose_model`, whose errors it raises); `say` is told about that. MediaPipe
    1.x reports its own use to play.googleapis.com and has no switch for that; where it cannot, it works all the same.
    It also writes a few warnings to the process's stderr when it starts, and no variable silences them.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to look for people."""

        variant: Variant = "lite"
        """lite is the fastest, heavy the most exact"""
        people: int = 1
        """at most so many in one picture; each costs time"""
        min_confidence: float = 0.5
        """0..1: to find a person, and to go on following one"""

        def __post_init__(self) -> None:
            if self.people < 1:
                raise ValueError(f"people is {self.people}; look for at least 1")
            if not 0 <= self.min_confidence <= 1:
                raise ValueError(f"min_confidence is {self.min_confidence}; it lies between 0 and 1")

    def __init__(self, config: Config | None = None, *, say: Say | None = None) -> None:
        config = config or self.Config()
        model = ensure_pose_model(config.variant, say=say)
        import mediapipe  # takes seconds, and programs that only need Config's options need not wait for it

        vision = mediapipe.tasks.vision
        options = vision.PoseLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)),
            running_mode=vision.RunningMode.VIDEO,
            num_poses=1,
            min_pose_detection_confidence=config.min_confidence,
            min_pose_presence_confidence=config.min_confidence,
            min_tracking_confidence=config.min_confidence,
        )
        self._landmarkers = [vision.PoseLandmarker.create_from_options(options) for _ in range(config.people)]
        self._followers = Followers(
            [landmarker.detect_for_video for landmarker in self._landmarkers],
            lambda rgb: mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb),
        )
        self._clock = MonotoneClock()

    def estimate(self, frame: Frame) -> People:
        """The people in this frame, in an order which says nothing of who is who.

        ValueError: the image is not (height, width, 3) uint8, or `t` is no time.
        """
        image = frame.image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"a frame is (height, width, 3) uint8, not {image.shape} {image.dtype}")
        rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
        found = self._followers.look(rgb, self._clock.milliseconds(frame.t))
        return to_people(frame, [person.image for person in found], [person.world for person in found])

    def close(self) -> None:
        """Free the models; the estimator is of no use afterwards."""
        for landmarker in self._landmarkers:
            landmarker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class MonotoneClock:
    """Time stamps as MediaPipe wants them: whole milliseconds that only grow, at the pace of the camera's clock.

    A camera that starts again begins at an earlier `t`, and two frames may lie less than a millisecond apart. Such a
    frame is put one millisecond after the last, and those that follow keep their distances to it.
    """

    def __init__(self) -> None:
        self._last_ms = -1
        self._offset_ms: int | None = None

    def milliseconds(self, t: float) -> int:
        """The stamp of a frame at `t` seconds: the first is 0, each is larger than the one before."""
        if not abs(t) < 1e12:  # also refuses nan; MediaPipe would wrap what does not fit its 64-bit microseconds
            raise ValueError(f"a frame's time is {t} s, which is no time")
        camera_ms = round(t * 1000)
        if self._offset_ms is None or camera_ms + self._offset_ms <= self._last_ms:
            self._offset_ms = self._last_ms + 1 - camera_ms
        self._last_ms = camera_ms + self._offset_ms
        return self._last_ms


def to_people(frame: Frame, image: Sequence[Landmarks], world: Sequence[Landmarks]) -> People:
    """MediaPipe's N people of this frame as a message; whoever has a number that is not finite is left out.

    `image` is in parts of the picture's width (x, z) and height (y), `world` in metres.
    """
    height, width = frame.image.shape[:2]
    pixels, visibility, presence = _arrays(image)
    pixels *= np.array([width, height, width], np.float32)
    metres, _, _ = _arrays(world)
    sure = np.isfinite(visibility).all(1) & np.isfinite(presence).all(1)
    finite = np.isfinite(pixels).all((1, 2)) & np.isfinite(metres).all((1, 2)) & sure
    return People(
        camera=frame.camera,
        t=frame.t,
        captured_at=frame.captured_at,
        seq=frame.seq,
        size=(width, height),
        image=pixels[finite],
        world=metres[finite],
        visibility=visibility[finite].clip(0, 1),
        presence=presence[finite].clip(0, 1),
    )


def _arrays(people: Sequence[Landmarks]) -> tuple[F32, F32, F32]:
    """Landmark objects as (N, 33, 3), their visibility (N, 33) and presence (N, 33)."""
    flat = [(mark.x, mark.y, mark.z, mark.visibility, mark.presence) for person in people for mark in person]
    marks = np.array(flat, np.float32).reshape(len(people), len(BLAZEPOSE33), 5)
    return marks[..., :3].copy(), marks[..., 3].copy(), marks[..., 4].copy()
