"""Foxglove's own message kinds, as far as they are used here: their JSON schemas, and how they are made.

Foxglove tells a kind by its name (foxglove.SceneUpdate is drawn in 3D, foxglove.Log is a log) and reads the fields that
its documentation lists; what is not used of a kind is there and empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]
F32 = NDArray[np.float32]

LINE_LIST = 2
INFO, WARNING = 2, 3
_NUMBER: Json = {"type": "number"}
_TEXT: Json = {"type": "string"}
_WHOLE: Json = {"type": "integer"}
_YES_NO: Json = {"type": "boolean"}
_STILL: Json = {"position": {"x": 0, "y": 0, "z": 0}, "orientation": {"x": 0, "y": 0, "z": 0, "w": 1}}


def kind(**fields: Json) -> Json:
    """The schema of an object with these fields, all of which are there."""
    return {"type": "object", "properties": fields, "required": list(fields)}


def _list_of(item: Json) -> Json:
    return {"type": "array", "items": item}


TIME = kind(sec=_WHOLE, nsec=_WHOLE)
_VECTOR = kind(x=_NUMBER, y=_NUMBER, z=_NUMBER)
_QUATERNION = kind(x=_NUMBER, y=_NUMBER, z=_NUMBER, w=_NUMBER)
_COLOUR = kind(r=_NUMBER, g=_NUMBER, b=_NUMBER, a=_NUMBER)
_POSE = kind(position=_VECTOR, orientation=_QUATERNION)
_LINE = kind(
    type=_WHOLE, pose=_POSE, thickness=_NUMBER, scale_invariant=_YES_NO, points=_list_of(_VECTOR), color=_COLOUR,
    colors=_list_of(_COLOUR), indices=_list_of(_WHOLE),
)  # fmt: skip
_SPHERE = kind(pose=_POSE, size=_VECTOR, color=_COLOUR)
_WORDS = kind(pose=_POSE, billboard=_YES_NO, font_size=_NUMBER, scale_invariant=_YES_NO, color=_COLOUR, text=_TEXT)
_ANYTHING = _list_of({"type": "object"})
_ENTITY = kind(
    timestamp=TIME, frame_id=_TEXT, id=_TEXT, lifetime=TIME, frame_locked=_YES_NO,
    metadata=_list_of(kind(key=_TEXT, value=_TEXT)), arrows=_ANYTHING, cubes=_ANYTHING, spheres=_list_of(_SPHERE),
    cylinders=_ANYTHING, lines=_list_of(_LINE), triangles=_ANYTHING, texts=_list_of(_WORDS), models=_ANYTHING,
)  # fmt: skip

SCHEMAS: dict[str, Json] = {
    "foxglove.SceneUpdate": kind(
        deletions=_list_of(kind(timestamp=TIME, type=_WHOLE, id=_TEXT)), entities=_list_of(_ENTITY)
    ),
    "foxglove.Log": kind(timestamp=TIME, level=_WHOLE, message=_TEXT, name=_TEXT, file=_TEXT, line=_WHOLE),
    "foxglove.FrameTransform": kind(
        timestamp=TIME, parent_frame_id=_TEXT, child_frame_id=_TEXT, translation=_VECTOR, rotation=_QUATERNION
    ),
}


def time_of(nanoseconds: int) -> Json:
    return {"sec": nanoseconds // 1_000_000_000, "nsec": nanoseconds % 1_000_000_000}


def log(at: int, name: str, message: str, level: int) -> Json:
    """A foxglove.Log."""
    return {"timestamp": time_of(at), "level": level, "message": message, "name": name, "file": "", "line": 0}


def upright(at: int, parent: str, child: str) -> Json:
    """A foxglove.FrameTransform that stands a camera's space (x to its left, y up, z away) in a room whose x is ahead,
    y to the left and z up."""
    turned = {"x": 0.5, "y": 0.5, "z": 0.5, "w": 0.5}
    return {
        "timestamp": time_of(at), "parent_frame_id": parent, "child_frame_id": child,
        "translation": {"x": 0, "y": 0, "z": 0}, "rotation": turned,
    }  # fmt: skip


def deletion(at: int, identity: str) -> Json:
    """Of a foxglove.SceneUpdate: this entity is gone."""
    return {"timestamp": time_of(at), "type": 0, "id": identity}


def figure(
    at: int, frame: str, identity: str, points: F32, known: NDArray[np.bool_], bones: Sequence[tuple[int, int]],
    colour: tuple[float, float, float], text: str, lifetime_s: float,
) -> Json:  # fmt: skip
    """Of a foxglove.SceneUpdate: points (V, 3) in metres as balls, bones as lines between those that are known, and
    text above them."""
    paint = {**dict(zip("rgb", colour, strict=True)), "a": 1}
    ends = [_vector(points[end]) for bone in bones if known[bone[0]] and known[bone[1]] for end in bone]
    line = {
        "type": LINE_LIST, "pose": _STILL, "thickness": 0.03, "scale_invariant": False, "points": ends, "color": paint,
        "colors": [], "indices": [],
    }  # fmt: skip
    size = {"x": 0.06, "y": 0.06, "z": 0.06}
    balls = [{"pose": {**_STILL, "position": _vector(point)}, "size": size, "color": paint} for point in points[known]]
    words = {
        "pose": {**_STILL, "position": _vector(_above(points[known]))}, "billboard": True, "font_size": 16,
        "scale_invariant": True, "color": paint, "text": text,
    }  # fmt: skip
    return {
        "timestamp": time_of(at), "frame_id": frame, "id": identity, "lifetime": time_of(round(1e9 * lifetime_s)),
        "frame_locked": False, "metadata": [], "arrows": [], "cubes": [], "spheres": balls, "cylinders": [],
        "lines": [line] if ends else [], "triangles": [], "texts": [words] if text and known.any() else [],
        "models": [],
    }  # fmt: skip


def _above(points: F32) -> F32:
    """A hand's breadth above the middle of them, up being y."""
    middle: F32 = points.mean(axis=0) if len(points) else np.zeros(3, np.float32)
    middle[1] = points[:, 1].max(initial=0.0) + 0.2
    return middle


def _vector(point: F32) -> Json:
    x, y, z = point.tolist()
    return {"x": round(x, 4), "y": round(y, 4), "z": round(z, 4)}
