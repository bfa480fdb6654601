"""Skeleton files: recordings of joints in one .npz, to be drawn as people.

The arrays are those of a data set that was read into one file: all clips end to end in `x` (frames, joints, 3) or
(frames, 2, joints, 3), metres, or as integers in `x_q` with their scale `x_scale`; `offsets` says where clips begin.
Time stamps, names and labels are used where they are there. The layout is told from the number of joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import BVH22, CMU31, KINECT20, NTU25, SBU15, to_ntu25

_LAYOUTS = {len(layout): layout for layout in (NTU25, KINECT20, SBU15, CMU31, BVH22)}
_HZ = 30.0
_TICKER_HZ = 60.0  # of `frame_no`, which numbers a Kinect's colour and depth frames together
_LEFT, _RIGHT = NTU25.index("ShoulderLeft"), NTU25.index("ShoulderRight")
_MAX_FRAMES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class SkeletonClip:
    """`times_s` (T,), `joints` (T, M, 25, 3) metres in camera space (absent people zero), `labels` a name a frame."""

    name: str
    times_s: NDArray[np.float64]
    joints: NDArray[np.float32]
    labels: tuple[str, ...] | None


def read_clip(spec: str) -> SkeletonClip:
    """The clip that "FILE" or "FILE:CLIP" names; CLIP is a number (default 0) or one of the file's names.

    Raises ValueError if there is no such file or clip, or the file holds no skeletons.
    """
    file, _, which = spec.partition(":")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"no skeleton file {file!r}; give skeletons:FILE.npz or skeletons:FILE.npz:CLIP")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _clip(path, {key: archive[key] for key in archive.files}, which)
    except (OSError, EOFError, KeyError, IndexError) as error:
        raise ValueError(
            f"{path} holds no skeletons that can be read ({error}); see stream/skeleton_file.py"
        ) from error


def _clip(path: Path, data: dict[str, Any], which: str) -> SkeletonClip:
    offsets = data["offsets"]
    names = [str(name) for name in data.get("name", [])]
    if which and not which.isdigit() and which not in names:
        raise ValueError(
            f"{path} has no clip {which!r}; it has numbers 0 to {len(offsets) - 2}, or names like {names[:3]}"
        )
    i = names.index(which) if which in names else int(which or 0)
    if i >= len(offsets) - 1:
        raise ValueError(f"{path} has no clip {i}; it has 0 to {len(offsets) - 2}")
    frames = slice(int(offsets[i]), int(offsets[i + 1]))
    if frames.stop - frames.start > _MAX_FRAMES:
        raise ValueError(f"clip {i} of {path} is longer than {_MAX_FRAMES} frames; cut it")
    x = np.asarray(data["x"][frames] if "x" in data else data["x_q"][frames] * data["x_scale"], np.float32)
    x = x[:, None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[2] not in _LAYOUTS or x.shape[3] != 3:
        raise ValueError(
            f"{path}: joints of shape {x.shape[1:]} are no layout that we know ({sorted(_LAYOUTS)} joints)"
        )
    seen = np.isfinite(x).all(axis=(2, 3), keepdims=True) & (x != 0).any(axis=(2, 3), keepdims=True)
    joints = np.where(seen, to_ntu25(np.nan_to_num(x), _LAYOUTS[x.shape[2]]), 0).astype(np.float32)
    times_s, keep = np.unique(_times(data, frames), return_index=True)
    labels = _labels(data, frames, i)
    return SkeletonClip(
        name=f"{path.stem}-{names[i] if names else i}", times_s=times_s - times_s[0],
        joints=_facing_the_camera(joints)[keep], labels=tuple(labels[k] for k in keep) if labels else None,
    )  # fmt: skip


def _times(data: dict[str, Any], frames: slice) -> NDArray[np.float64]:
    if "t_ms" in data:
        return np.asarray(data["t_ms"][frames], np.float64) / 1000
    if "frame_no" in data:
        return np.asarray(data["frame_no"][frames], np.float64) / _TICKER_HZ
    return np.arange(frames.stop - frames.start) / float(data.get("fps", _HZ))


def _labels(data: dict[str, Any], frames: slice, i: int) -> list[str] | None:
    """A name a frame, from per-frame labels `y` or the clip's `label`."""
    if "class_names" not in data:
        return None
    names = [str(name) for name in data["class_names"]]
    if "y" in data:
        return [names[k] for k in data["y"][frames]]
    return [names[data["label"][i]]] * (frames.stop - frames.start) if "label" in data else None


def _facing_the_camera(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Motion capture stands around the origin and looks along +z: turn it and move it 3 m in front of the camera."""
    seen = (joints != 0).any(axis=(2, 3))
    if not seen.any() or np.median(joints[seen][:, 0, 2]) > 0.8:
        return joints
    turned = joints.copy()
    if np.median(joints[seen][:, _LEFT, 0] - joints[seen][:, _RIGHT, 0]) > 0:
        turned *= np.array([-1, 1, -1], np.float32)
    floor = np.quantile(turned[seen][..., 1], 0.02)
    moved = turned + np.array([0, -1.0 - floor, 3.0], np.float32)
    return np.where(seen[:, :, None, None], moved, 0).astype(np.float32)
