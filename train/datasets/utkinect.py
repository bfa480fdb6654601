"""UTKinect-Action3D (Xia, Chen, Aggarwal, CVPRW 2012): 8 people do ten actions in a row, with background between.

Its frame numbers are said to count at 30 Hz, but people would then take 2.6 s for a stride; read as 60 Hz (the sensor
numbered colour and depth frames together) they walk at 1.3 s and the skeletons come at the stated 15 Hz.

The original files: joints_s01_e01.txt, a line a frame (its number, 20 x (x y z)), which may repeat; actionLabel.txt, or
better actionLabel_modified.txt, where the publisher's mistakes are mended: a recording's name, then a line an action
(its class, its first and last frame number).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import KINECT20
from ..recording import Recording, single_person
from .npz import clips, load
from .raw_text import find, numbers

CLASSES = (
    "background", "walk", "sitDown", "standUp", "pickUp", "carry", "throw", "push", "pull", "waveHands", "clapHands",
)  # fmt: skip
_COUNTER_HZ = 60.0

_Sequence = tuple[
    str, NDArray[np.integer], NDArray[np.floating], NDArray[np.int16]
]  # name, frame numbers, joints, labels


def read(folder: Path) -> Iterator[Recording]:
    """The 16 untrimmed recordings, of utkinect.npz or of the original files, with the corrected labels."""
    for name, numbered, joints, labels in (
        _prepared(folder) if (folder / "utkinect.npz").is_file() else _original(folder)
    ):
        recording = single_person(
            name=f"utkinect/{name}", subject=f"utkinect/{int(name[1:3])}", trimmed=False,
            times_s=numbered.astype(np.float64) / _COUNTER_HZ, joints=joints.astype(np.float32), layout=KINECT20,
            labels=labels,
        )  # fmt: skip
        if recording is not None:
            yield recording


def _prepared(folder: Path) -> Iterator[_Sequence]:
    data = load(folder, "utkinect", "x", "y", "frame_no", "offsets", "name")
    for i, frames in clips(data["offsets"]):
        yield str(data["name"][i]), data["frame_no"][frames], data["x"][frames], data["y"][frames]


def _original(folder: Path) -> Iterator[_Sequence]:
    files = find(folder, "joints_s??_e??.txt", "utkinect")
    label_file = find(folder, "actionLabel*.txt", "utkinect")[-1]  # "_modified" sorts last
    segments = _segments(label_file)
    for path in files:
        name = path.stem.removeprefix("joints_")
        if name not in segments:
            raise ValueError(f"{label_file} says nothing of {name}; fetch it again")
        table = numbers(path, 1 + 3 * len(KINECT20))
        # A frame number that comes twice is the same moment, computed again.
        numbered, first = np.unique(table[:, 0].astype(np.int64), return_index=True)
        labels = np.zeros(len(numbered), np.int16)
        for kind, start, end in segments[name]:  # where two overlap, the file's later one holds
            labels[(numbered >= start) & (numbered <= end)] = kind
        yield name, numbered, table[first, 1:].reshape(-1, len(KINECT20), 3), labels


def _segments(path: Path) -> dict[str, list[tuple[int, int, int]]]:
    """For each recording the class, first and last frame number of its actions; one written NaN did not happen."""
    segments: dict[str, list[tuple[int, int, int]]] = {}
    name = ""
    for number, line in enumerate(path.read_text().split("\n"), 1):
        words = line.replace(":", " ").split()
        if len(words) == 1 and re.fullmatch(r"s\d\d_e\d\d", words[0]):
            name = words[0]
            segments[name] = []
        elif name and len(words) == 3 and words[0] in CLASSES and all(w.isdecimal() or w == "NaN" for w in words[1:]):
            if "NaN" not in words:
                segments[name].append((CLASSES.index(words[0]), int(words[1]), int(words[2])))
        elif words:
            raise ValueError(f"{path}, line {number}: {line.strip()!r} is no label; fetch it again")
    return segments
