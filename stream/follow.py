"""Follow several people at once: one landmarker a person, and a look for somebody new a few times a second.

MediaPipe's own mode for several looks for more people in every frame while there are fewer than asked for, which costs
as much as two people do, and it loses people who come near one another. A landmarker that knows of one person follows
them by itself, and is steadier. Somebody new is looked for by one that is free, in a picture in which everybody who is
followed already is covered, and it then goes on with whomever it found.

Shapes: 33 landmarks of BlazePose, 2 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import BLAZEPOSE33
from .wire import U8

F32 = NDArray[np.float32]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; the last two are outside

# Somebody new is looked for as often as this, or at once after one was found; a look costs as much as one more person.
LOOK_EVERY_MS = 200
# Two landmarkers whose trunks are nearer than this, in lengths of the trunk, are on one body.
_TWIN = 0.25
_SHOULDERS_HIPS = [BLAZEPOSE33.index(f"{part}{side}") for part in ("Shoulder", "Hip") for side in ("Left", "Right")]
_HEAD = [BLAZEPOSE33.index(name) for name in ("Nose", "EarLeft", "EarRight")]
_LEGS = [BLAZEPOSE33.index(f"{part}{side}") for part in ("Hip", "Knee", "Ankle") for side in ("Left", "Right")]
_BODY = sorted({*_SHOULDERS_HIPS, *_LEGS})
_MARGIN = 0.3  # in lengths of the trunk: how far a body reaches beyond its landmarks
_HEAD_MARGIN = 0.15


@dataclass(frozen=True)
class Found:
    """One person: MediaPipe's landmarks in parts of the picture and in metres, and in pixels (33, 2)."""

    image: Sequence[Any]
    world: Sequence[Any]
    marks_px: F32

    @property
    def trunk_px(self) -> float:
        """The trunk's longer diagonal, which is also there when somebody turns or bends."""
        left, right, hip_left, hip_right = self.marks_px[_SHOULDERS_HIPS]
        return max(float(np.linalg.norm(left - hip_right)), float(np.linalg.norm(right - hip_left)), 4.0)


Look = Callable[[Any, int], Any]  # a picture of MediaPipe's and a stamp in ms to its PoseLandmarkerResult


class Followers:
    """Landmarkers in video mode, each for one person. `picture_of` makes MediaPipe's picture of RGB pixels."""

    def __init__(self, landmarkers: Sequence[Look], picture_of: Callable[[U8], Any]) -> None:
        self._picture_of = picture_of
        self._free = list(landmarkers)
        self._busy: list[tuple[Look, Found]] = []
        self._nobody_ms = -LOOK_EVERY_MS  # when somebody new was last looked for in vain

    def look(self, rgb: U8, stamp_ms: int) -> list[Found]:
        """Everybody in the picture (height, width, 3), each once. The stamps grow from call to call."""
        size = (rgb.shape[1], rgb.shape[0])
        picture = self._picture_of(rgb)
        following: list[tuple[Look, Found]] = []
        lost: list[Look] = []  # these have seen this picture, and its stamp is no longer new to them
        for landmarker, before in self._busy:
            # Of several heads side by side a landmarker is sure of none, so it is shown but one.
            own, *heads = [
                _box(person, _HEAD, _HEAD_MARGIN, size)
                for person in (before, *(other for _, other in self._busy if other is not before))
            ]
            heads = [head for head in heads if not _overlap(own, head)]
            shown = self._picture_of(_without(rgb, heads)) if heads else picture
            found = _only(landmarker(shown, stamp_ms), size)
            if found is not None and not any(_twins(found, other) for _, other in following):
                following.append((landmarker, found))
            else:
                # It looked on at the same body as another, or lost its own: the next one that it is shown is new.
                lost.append(landmarker)
        if self._free and (not following or stamp_ms - self._nobody_ms >= LOOK_EVERY_MS):
            known = [found for _, found in following]
            landmarker = self._free.pop(0)
            covers = [box for person in known for box in _boxes(person, size)]
            found = _only(landmarker(self._picture_of(_without(rgb, covers)) if covers else picture, stamp_ms), size)
            if found is not None and _is_new(found, known, size):
                following.append((landmarker, found))
            else:
                self._free.append(landmarker)
                self._nobody_ms = stamp_ms
        self._free += lost
        self._busy = following
        return [found for _, found in following]


def _only(result: Any, size: tuple[int, int]) -> Found | None:
    if not result.pose_landmarks:
        return None
    image = result.pose_landmarks[0]
    marks_px = np.array([(mark.x * size[0], mark.y * size[1]) for mark in image], np.float32)
    # Whoever has a number that is not finite is of no use to anybody.
    if not np.isfinite(marks_px).all():
        return None
    return Found(image=image, world=result.pose_world_landmarks[0], marks_px=marks_px)


def _twins(one: Found, other: Found) -> bool:
    """Whether two landmarkers are on the same body."""
    apart = np.linalg.norm((one.marks_px - other.marks_px)[_SHOULDERS_HIPS], axis=1).mean()
    return bool(apart < _TWIN * max(one.trunk_px, other.trunk_px))


def _box(person: Found, marks: list[int], margin: float, size: tuple[int, int]) -> Box:
    """Around some landmarks, `margin` lengths of the trunk wider, inside the picture of this (width, height)."""
    around = margin * person.trunk_px
    left, top = np.clip(person.marks_px[marks].min(axis=0) - around, 0, size).astype(int).tolist()
    right, bottom = np.clip(person.marks_px[marks].max(axis=0) + around, 0, size).astype(int).tolist()
    return left, top, right, bottom


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _boxes(person: Found, size: tuple[int, int]) -> list[Box]:
    """Head and trunk, and the legs, which alone are taken for somebody."""
    return [_box(person, part, _MARGIN, size) for part in (_HEAD + _SHOULDERS_HIPS, _LEGS)]


def _without(rgb: U8, boxes: Sequence[Box]) -> U8:
    """The picture with these boxes filled, row by row from the colour at the left to that at the right: a flat patch
    makes people of trees."""
    filled = rgb.copy()
    for left, top, right, bottom in boxes:
        if left < right and top < bottom:
            share = np.linspace(0, 1, right - left, dtype=np.float32)[None, :, None]
            ends = filled[top:bottom, [max(left - 1, 0), min(right, rgb.shape[1] - 1)]].astype(np.float32)
            filled[top:bottom, left:right] = ends[:, :1] * (1 - share) + ends[:, 1:] * share
    return filled


def _is_new(person: Found, known: Sequence[Found], size: tuple[int, int]) -> bool:
    """Whether somebody found where everybody known is covered is indeed somebody else, and not pieced together from
    what the covers left of them."""
    if any(_twins(person, other) for other in known):
        return False
    x, y = person.marks_px[_BODY].T
    inside = np.zeros(len(_BODY), bool)
    for left, top, right, bottom in (box for other in known for box in _boxes(other, size)):
        inside |= (left <= x) & (x < right) & (top <= y) & (y < bottom)
    return bool(inside.mean() < 0.5)
