"""MSR-Action3D (Li, Zhang, Liu, CVPRW 2010): 20 gestures for games, 10 people, trimmed, at 15 Hz.

The original files: a01_s01_e01_skeleton3D.txt (class, subject, take), 20 lines a frame of x y z confidence, the joints
in an order of their own; files_used_in_cvpr12_paper.txt names the clips that the literature keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import KINECT20
from ..recording import Recording, single_person
from .npz import clips, load
from .raw_text import find, numbers

CLASSES = (
    "high arm wave", "horizontal arm wave", "hammer", "hand catch", "forward punch", "high throw", "draw x",
    "draw tick", "draw circle", "hand clap", "two hand wave", "side-boxing", "bend", "forward kick", "side kick",
    "jogging", "tennis swing", "tennis serve", "golf swing", "pickup and throw",
)  # fmt: skip
_HZ = 15.0
# The order of the joints in the original files.
_ORDER = (
    "ShoulderLeft", "ShoulderRight", "ShoulderCenter", "Spine", "HipLeft", "HipRight", "HipCenter", "ElbowLeft",
    "ElbowRight", "WristLeft", "WristRight", "HandLeft", "HandRight", "KneeLeft", "KneeRight", "AnkleLeft",
    "AnkleRight", "FootLeft", "FootRight", "Head",
)  # fmt: skip
_AS_KINECT20 = [_ORDER.index(joint) for joint in KINECT20.joints]
_KEPT = "files_used_in_cvpr12_paper.txt"

_Clip = tuple[str, NDArray[np.floating]]  # a01_s01_e01 and its joints (T, 20, 3)


def read(folder: Path) -> Iterator[Recording]:
    """The 557 clips that the literature keeps, of msr_action3d.npz or of the original files."""
    for name, joints in _prepared(folder) if (folder / "msr_action3d.npz").is_file() else _original(folder):
        n = len(joints)
        recording = single_person(
            name=f"msr_action3d/{name}", subject=f"msr_action3d/{int(name[5:7])}", trimmed=True,
            times_s=np.arange(n) / _HZ, joints=joints.astype(np.float32), layout=KINECT20,
            labels=np.full(n, int(name[1:3]) - 1, np.int16),
        )  # fmt: skip
        if recording is not None:
            yield recording


def _prepared(folder: Path) -> Iterator[_Clip]:
    data = load(folder, "msr_action3d", "x", "offsets", "name", "used_in_cvpr12")
    for i, frames in clips(data["offsets"]):
        if data["used_in_cvpr12"][i]:
            yield str(data["name"][i]), data["x"][frames]


def _original(folder: Path) -> Iterator[_Clip]:
    files = find(folder, "a??_s??_e??_skeleton3D.txt", "msr_action3d")
    kept = set(find(folder, _KEPT, "msr_action3d")[0].read_text().split())
    for path in files:
        name = path.stem.removesuffix("_skeleton3D")
        if name not in kept:
            continue
        lines = numbers(path, 3)
        if len(lines) % len(KINECT20):
            raise ValueError(f"{path} ends within a frame ({len(lines)} joints); fetch it again")
        yield name, lines.reshape(-1, len(KINECT20), 3)[:, _AS_KINECT20]
