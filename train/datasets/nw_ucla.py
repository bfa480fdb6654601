"""NW-UCLA Multiview Action 3D (Wang et al., CVPR 2014): 10 actions, 10 people, 3 views, trimmed.

The rate is not documented; the strides of `walk around` are 16 frames long, which is 15 Hz for a person who walks.

The original files come in two forms: as all_sqe/a01_s01_e00_v01.json (class, subject, take, view), a clip's joints
(T, 20, 3) under "skeletons", and as view_1/a01_s01_e00/frame_0_tc_42_skeletons.txt, one a frame: for each person a line
with its number, then 20 lines of x,y,z,state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import KINECT20
from ..recording import Recording, single_person
from .npz import clips, load
from .raw_text import find

CLASSES = (
    "pick up with one hand", "pick up with two hands", "drop trash", "walk around", "sit down", "stand up", "donning",
    "doffing", "throw", "carry",
)  # fmt: skip
_ACTION_NUMBERS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)  # of the classes, in the files' names
_HZ = 15.0
_NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)")

_Clip = tuple[str, NDArray[np.floating]]  # a01_s01_e00_v01 and its joints (T, 20, 3)


def read(folder: Path) -> Iterator[Recording]:
    """The 1,484 clips, less those under five frames, of nw_ucla.npz or of the original files."""
    for name, joints in _prepared(folder) if (folder / "nw_ucla.npz").is_file() else _original(folder):
        match = _NAME.fullmatch(name)
        if match is None or int(match[1]) not in _ACTION_NUMBERS:
            raise ValueError(f"{name!r} is no name of an NW-UCLA clip (a01_s01_e00_v01); keep the set's names")
        n = len(joints)
        recording = single_person(
            name=f"nw_ucla/{name}", subject=f"nw_ucla/{int(match[2])}", view=str(int(match[4])), trimmed=True,
            times_s=np.arange(n) / _HZ, joints=joints.astype(np.float32), layout=KINECT20,
            labels=np.full(n, _ACTION_NUMBERS.index(int(match[1])), np.int16),
        )  # fmt: skip
        if recording is not None:
            yield recording


def _prepared(folder: Path) -> Iterator[_Clip]:
    data = load(folder, "nw_ucla", "x", "offsets", "name")
    for i, frames in clips(data["offsets"]):
        yield str(data["name"][i]), data["x"][frames]


def _original(folder: Path) -> Iterator[_Clip]:
    files = sorted(folder.rglob("a??_s??_e??_v??.json"))
    if files:
        yield from ((path.stem, _json_clip(path)) for path in files)
        return
    for clip in sorted({path.parent for path in find(folder, "frame_*_skeletons.txt", "nw_ucla")}):
        view = clip.parent.name.removeprefix("view_")
        frames = sorted(clip.glob("frame_*_skeletons.txt"), key=lambda path: int(path.name.split("_")[1]))
        yield f"{clip.name}_v{view:0>2}", np.stack([_text_frame(path) for path in frames])


def _json_clip(path: Path) -> NDArray[np.floating]:
    try:
        joints = np.array(json.loads(path.read_text())["skeletons"], np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as an NW-UCLA clip ({error}); fetch it again") from error
    if joints.ndim != 3 or joints.shape[1:] != (len(KINECT20), 3):
        raise ValueError(f"{path} has joints {joints.shape}, not (frames, {len(KINECT20)}, 3); fetch it again")
    return joints


def _text_frame(path: Path) -> NDArray[np.floating]:
    """The joints (20, 3) of the first person of a frame's file; all zero where it holds nobody."""
    try:
        lines = path.read_text().split()
        if not lines or lines == ["0"]:
            return np.zeros((len(KINECT20), 3))
        joints = np.array([line.split(",")[:3] for line in lines[1 : 1 + len(KINECT20)]], np.float64)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as an NW-UCLA frame ({error}); fetch it again") from error
    if joints.shape != (len(KINECT20), 3):
        raise ValueError(f"{path} is cut off: {joints.shape[0]} of {len(KINECT20)} joints; fetch it again")
    return joints
