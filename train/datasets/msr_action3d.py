"""MSR-Action3D (Li, Zhang, Liu, CVPRW 2010): 20 gestures for games, 10 people, trimmed, at 15 Hz."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...encoder.layout import KINECT20
from ..recording import Recording, single_person
from .npz import clips, load

CLASSES = (
    "high arm wave", "horizontal arm wave", "hammer", "hand catch", "forward punch", "high throw", "draw x",
    "draw tick", "draw circle", "hand clap", "two hand wave", "side-boxing", "bend", "forward kick", "side kick",
    "jogging", "tennis swing", "tennis serve", "golf swing", "pickup and throw",
)  # fmt: skip
_HZ = 15.0


def read(folder: Path) -> Iterator[Recording]:
    """The 557 clips that the literature keeps."""
    data = load(folder, "msr_action3d", "x", "offsets", "name", "label", "subject", "used_in_cvpr12")
    for i, frames in clips(data["offsets"]):
        if not data["used_in_cvpr12"][i]:
            continue
        n = frames.stop - frames.start
        recording = single_person(
            name=f"msr_action3d/{data['name'][i]}", subject=f"msr_action3d/{data['subject'][i]}", trimmed=True,
            times_s=np.arange(n) / _HZ, joints=data["x"][frames], layout=KINECT20,
            labels=np.full(n, data["label"][i], np.int16),
        )  # fmt: skip
        if recording is not None:
            yield recording
