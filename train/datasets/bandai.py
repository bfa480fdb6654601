"""Bandai-Namco Research motion data sets 1 and 2 (Kobayashi et al., 2023): motion capture in many styles, trimmed.

The original files: dataset-1_bow_normal_001.bvh (set, class, style, take), in centimetres.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import BVH22
from ..recording import Recording, single_person
from .bvh import read_bvh
from .npz import clips, load
from .placing import in_front_of_camera
from .raw_text import find

CLASSES_1 = (
    "bow", "bye", "byebye", "call", "dance-short", "dash", "guide", "kick", "punch", "respond", "run", "slash", "walk",
    "walk-back", "walk-left", "walk-right",
)  # fmt: skip
CLASSES_2 = (
    "raise-up-both-hands", "raise-up-left-hand", "raise-up-right-hand", "run", "walk", "walk-turn-left",
    "walk-turn-right", "wave-both-hands", "wave-left-hand", "wave-right-hand",
)  # fmt: skip
_HZ = 30.0
_CENTIMETRE_M = 0.01

_Clip = tuple[str, int, NDArray[np.float64], NDArray[np.floating]]  # name, class, times, joints (T, 22, 3)


def read_1(folder: Path) -> Iterator[Recording]:
    """The 174 clips of data set 1, of bandai1.npz or of the original files."""
    return _read(folder, 1, CLASSES_1)


def read_2(folder: Path) -> Iterator[Recording]:
    """The clips of data set 2: the 180 of bandai2.npz, or as many as there are original files."""
    return _read(folder, 2, CLASSES_2)


def _read(folder: Path, number: int, classes: tuple[str, ...]) -> Iterator[Recording]:
    name = f"bandai{number}"
    found = _prepared(folder, name) if (folder / f"{name}.npz").is_file() else _original(folder, number, classes)
    for clip, label, times_s, joints in found:
        recording = single_person(
            # The actors are not named in the release: the whole set counts as one subject, which only trains.
            name=f"{name}/{clip}", subject=f"{name}/unknown", trimmed=True, times_s=times_s,
            joints=in_front_of_camera(joints), layout=BVH22, labels=np.full(len(joints), label, np.int16),
        )  # fmt: skip
        if recording is not None:
            yield recording


def _prepared(folder: Path, name: str) -> Iterator[_Clip]:
    data = load(folder, name, "x", "offsets", "label")
    for i, frames in clips(data["offsets"]):
        times_s = np.arange(frames.stop - frames.start, dtype=np.float64) / _HZ
        yield f"{i:03d}", int(data["label"][i]), times_s, data["x"][frames]


def _original(folder: Path, number: int, classes: tuple[str, ...]) -> Iterator[_Clip]:
    for path in find(folder, f"dataset-{number}_*.bvh", f"bandai{number}"):
        action = path.stem.split("_")[1]
        if action not in classes:
            raise ValueError(f"{path} names no action of data set {number}; keep the release's names")
        bvh = read_bvh(path)
        if bvh.joints != BVH22.joints:
            raise ValueError(f"{path} has other joints than the release's; fetch it again")
        joints = bvh.positions() * _CENTIMETRE_M
        times_s = np.arange(len(joints), dtype=np.float64) * bvh.frame_time_s
        yield path.stem.partition("_")[2], classes.index(action), times_s, joints
