"""UTKinect-Action3D (Xia, Chen, Aggarwal, CVPRW 2012): 8 people do ten actions in a row, with background between.

Its frame numbers are said to count at 30 Hz, but people would then take 2.6 s for a stride; read as 60 Hz (the sensor
numbered colour and depth frames together) they walk at 1.3 s and the skeletons come at the stated 15 Hz.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...encoder.layout import KINECT20
from ..recording import Recording, single_person
from .npz import clips, load

CLASSES = (
    "background", "walk", "sitDown", "standUp", "pickUp", "carry", "throw", "push", "pull", "waveHands", "clapHands",
)  # fmt: skip
_COUNTER_HZ = 60.0


def read(folder: Path) -> Iterator[Recording]:
    """The 16 untrimmed recordings, with the corrected labels."""
    data = load(folder, "utkinect", "x", "y", "frame_no", "offsets", "name", "subject")
    for i, frames in clips(data["offsets"]):
        recording = single_person(
            name=f"utkinect/{data['name'][i]}", subject=f"utkinect/{data['subject'][i]}", trimmed=False,
            times_s=data["frame_no"][frames].astype(np.float64) / _COUNTER_HZ,
            joints=data["x"][frames], layout=KINECT20, labels=data["y"][frames],
        )  # fmt: skip
        if recording is not None:
            yield recording
