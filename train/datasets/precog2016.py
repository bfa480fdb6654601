"""PRECOG 2016 (Jardim): 10 people fight the air in 60 untrimmed sequences, eight strikes with background between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...encoder.layout import KINECT20
from ..recording import Recording, single_person
from .npz import clips, load

CLASSES = (
    "background", "right punch", "left punch", "front right kick", "front left kick", "side right kick",
    "side left kick", "back fist", "elbow strike",
)  # fmt: skip
_HZ = 30.0


def read(folder: Path) -> Iterator[Recording]:
    """The 58 sequences that show somebody; Seq2_10 and Seq4_10 are all zero."""
    data = load(folder, "precog2016", "x", "y", "offsets", "name", "subject")
    for i, frames in clips(data["offsets"]):
        recording = single_person(
            name=f"precog2016/{data['name'][i]}", subject=f"precog2016/{data['subject'][i]}", trimmed=False,
            times_s=np.arange(frames.stop - frames.start) / _HZ,
            joints=data["x"][frames], layout=KINECT20, labels=data["y"][frames],
        )  # fmt: skip
        if recording is not None:
            yield recording
