"""Five long exercise recordings of the CMU motion capture database, two people, every frame labelled.

The original files: 13_29.amc (subject, take) at 120 Hz; its labels 13_29.txt, a class a frame at 10 Hz, in one line;
and a skeleton for it, which AMC cannot be read without: 13.asf, the subject's in the CMU database.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import CMU31, NTU25, to_ntu25
from ..recording import Recording, single_person
from .asf_amc import read_amc, read_asf
from .npz import clips, load
from .placing import in_front_of_camera
from .raw_text import find

CLASSES = (
    "(unused)", "JumpJack", "Jog", "Squat", "KneeRaise", "ArmCircle", "Twist", "SideReach", "Box", "UpDown",
    "ToeTouchOneHand", "SideBend", "ToeTouchTwoHands",
)  # fmt: skip
_HZ = 30.0
_AMC_FRAMES = 4  # 120 Hz to 30 Hz
_LABEL_FRAMES = 3  # 30 Hz to 10 Hz

_Take = tuple[str, NDArray[np.floating], NDArray[np.integer]]  # 13_29, joints (T, 25, 3), labels (T,)


def read(folder: Path) -> Iterator[Recording]:
    """The recordings, of cmu_mocap6.npz or the original files, turned to face the camera and moved in front of it."""
    for name, joints, labels in _prepared(folder) if (folder / "cmu_mocap6.npz").is_file() else _original(folder):
        recording = single_person(
            name=f"cmu_mocap6/{name}", subject=f"cmu_mocap6/{name.partition('_')[0]}", trimmed=False,
            times_s=np.arange(len(joints)) / _HZ, joints=in_front_of_camera(joints), layout=NTU25,
            labels=labels.astype(np.int16),
        )  # fmt: skip
        if recording is not None:
            yield recording


def _prepared(folder: Path) -> Iterator[_Take]:
    data = load(folder, "cmu_mocap6", "x25", "y", "offsets", "name")
    for i, frames in clips(data["offsets"]):
        yield str(data["name"][i]), data["x25"][frames], data["y"][frames]


def _original(folder: Path) -> Iterator[_Take]:
    for path in find(folder, "*_*.amc", "cmu_mocap6"):
        subject = path.stem.partition("_")[0]
        asf = next(iter(folder.rglob(f"{subject}.asf")), None)
        texts = next(iter(folder.rglob(f"{path.stem}.txt")), None)
        if asf is None or texts is None:
            lacking = f"{subject}.asf (the subject's skeleton)" if asf is None else f"{path.stem}.txt (its labels)"
            raise ValueError(f"{path} cannot be read without {lacking}; put it into {folder}")
        skeleton = read_asf(asf)
        missing = set(CMU31.joints) - set(skeleton.names)
        if missing:
            raise ValueError(f"{asf} lacks the bones {', '.join(sorted(missing))}; fetch it again")
        order = [skeleton.names.index(joint) for joint in CMU31.joints]
        ends = skeleton.ends(read_amc(path, skeleton))[::_AMC_FRAMES, order]
        try:
            labels = np.array(texts.read_text().split(), np.int16)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{texts} holds no class numbers ({error}); fetch it again") from error
        if not len(labels) or labels.min() < 0 or labels.max() >= len(CLASSES):
            raise ValueError(f"{texts} does not say a class below {len(CLASSES)} for every frame; fetch it again")
        at = np.minimum(np.arange(len(ends)) // _LABEL_FRAMES, len(labels) - 1)
        yield path.stem, to_ntu25(ends, CMU31), labels[at]
