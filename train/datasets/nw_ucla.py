"""NW-UCLA Multiview Action 3D (Wang et al., CVPR 2014): 10 actions, 10 people, 3 views, trimmed.

The rate is not documented; the strides of `walk around` are 16 frames long, which is 15 Hz for a person who walks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...encoder.layout import KINECT20
from ..recording import Recording, single_person
from .npz import clips, load

CLASSES = (
    "pick up with one hand", "pick up with two hands", "drop trash", "walk around", "sit down", "stand up", "donning",
    "doffing", "throw", "carry",
)  # fmt: skip
_HZ = 15.0


def read(folder: Path) -> Iterator[Recording]:
    """The 1,484 clips, less those under five frames."""
    data = load(folder, "nw_ucla", "x", "offsets", "name", "label", "subject", "view")
    for i, frames in clips(data["offsets"]):
        n = frames.stop - frames.start
        recording = single_person(
            name=f"nw_ucla/{data['name'][i]}", subject=f"nw_ucla/{data['subject'][i]}", view=str(data["view"][i]),
            trimmed=True, times_s=np.arange(n) / _HZ, joints=data["x"][frames], layout=KINECT20,
            labels=np.full(n, data["label"][i], np.int16),
        )  # fmt: skip
        if recording is not None:
            yield recording
