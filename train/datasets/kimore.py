"""KIMORE (Capecci et al., TNSRE 2019): rehabilitation exercises before a Kinect v2, 25 joints with tracking states.

A recording is one CSV: a line a frame, 25 x (x, y, z in metres, state), in NTU RGB+D's order; state 0 is not tracked,
1 guessed from the others, 2 seen. The release calls it JointPosition*.csv, in a folder of the exercise (Es1 to Es5)
in one of the person; a lone recording comes as input.csv, of no stated exercise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...encoder.layout import NTU25
from ..recording import Recording, single_person
from .raw_text import find, numbers

CLASSES = ("not stated", "Es1", "Es2", "Es3", "Es4", "Es5")
_HZ = 30.0
_NOT_TRACKED = 0


def read(folder: Path) -> Iterator[Recording]:
    """The recordings under a folder. A frame in which any joint is not tracked is left out."""
    released = sorted(folder.rglob("JointPosition*.csv"))
    for path in released or find(folder, "input.csv", "kimore"):
        table = numbers(path, 4 * len(NTU25), delimiter=",").reshape(-1, len(NTU25), 4)
        joints = np.where(table[..., 3:] == _NOT_TRACKED, np.nan, table[..., :3]).astype(np.float32)
        parts = path.relative_to(folder).parts[:-1]
        exercise = next((part for part in parts if part in CLASSES), CLASSES[0])
        person = "/".join(parts[: parts.index(exercise)] if exercise in parts else parts) or "unknown"
        recording = single_person(
            name=f"kimore/{path.relative_to(folder).with_suffix('').as_posix()}", subject=f"kimore/{person}",
            trimmed=True, times_s=np.arange(len(joints)) / _HZ, joints=joints, layout=NTU25,
            labels=np.full(len(joints), CLASSES.index(exercise), np.int16),
        )  # fmt: skip
        if recording is not None:
            yield recording
