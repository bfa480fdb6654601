"""Bandai-Namco Research motion data sets 1 and 2 (Kobayashi et al., 2023): motion capture in many styles, trimmed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...encoder.layout import BVH22
from ..recording import Recording, single_person
from .npz import clips, load
from .placing import in_front_of_camera

CLASSES_1 = (
    "bow", "bye", "byebye", "call", "dance-short", "dash", "guide", "kick", "punch", "respond", "run", "slash", "walk",
    "walk-back", "walk-left", "walk-right",
)  # fmt: skip
CLASSES_2 = (
    "raise-up-both-hands", "raise-up-left-hand", "raise-up-right-hand", "run", "walk", "walk-turn-left",
    "walk-turn-right", "wave-both-hands", "wave-left-hand", "wave-right-hand",
)  # fmt: skip
_HZ = 30.0


def read_1(folder: Path) -> Iterator[Recording]:
    """The 174 clips of data set 1."""
    return _read(folder, "bandai1")


def read_2(folder: Path) -> Iterator[Recording]:
    """The 180 clips of data set 2."""
    return _read(folder, "bandai2")


def _read(folder: Path, name: str) -> Iterator[Recording]:
    data = load(folder, name, "x", "offsets", "label", "style", "index")
    for i, frames in clips(data["offsets"]):
        n = frames.stop - frames.start
        recording = single_person(
            # The actors are not named in the release: the whole set counts as one subject, which only trains.
            name=f"{name}/{i:03d}", subject=f"{name}/unknown", trimmed=True, times_s=np.arange(n) / _HZ,
            joints=in_front_of_camera(data["x"][frames]), layout=BVH22,
            labels=np.full(n, data["label"][i], np.int16),
        )  # fmt: skip
        if recording is not None:
            yield recording
