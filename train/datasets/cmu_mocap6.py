"""Five long exercise recordings of the CMU motion capture database, two people, every frame labelled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...encoder.layout import NTU25
from ..recording import Recording, single_person
from .npz import clips, load
from .placing import in_front_of_camera

CLASSES = (
    "(unused)", "JumpJack", "Jog", "Squat", "KneeRaise", "ArmCircle", "Twist", "SideReach", "Box", "UpDown",
    "ToeTouchOneHand", "SideBend", "ToeTouchTwoHands",
)  # fmt: skip
_HZ = 30.0


def read(folder: Path) -> Iterator[Recording]:
    """The recordings, turned to face the camera and moved in front of it."""
    data = load(folder, "cmu_mocap6", "x25", "y", "offsets", "name", "subject")
    for i, frames in clips(data["offsets"]):
        recording = single_person(
            name=f"cmu_mocap6/{data['name'][i]}", subject=f"cmu_mocap6/{data['subject'][i]}", trimmed=False,
            times_s=np.arange(frames.stop - frames.start) / _HZ, joints=in_front_of_camera(data["x25"][frames]),
            layout=NTU25, labels=data["y"][frames],
        )  # fmt: skip
        if recording is not None:
            yield recording
