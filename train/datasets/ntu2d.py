"""NTU RGB+D 60 and 120 as key points in pictures: what HRNet saw of their videos, in pyskl's pickles.

One file holds a whole set: {"split": {name: [ids]}, "annotations": [{"frame_dir", "label", "img_shape",
"original_shape", "total_frames", "keypoint" (M, T, 17, 2) pixels, "keypoint_score" (M, T, 17)}]} (Duan et al., PYSKL,
2022). `frame_dir` is NTU's own name of the sample, S001C001P001R001A001, so NTU's protocols divide these too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...encoder.layout import COCO17
from ..recording import Recording
from .ntu_names import CLASSES_60, CLASSES_120, sample
from .picture import in_picture
from .restricted_pickle import load

_HZ = 30.0
_PEOPLE = 2


def read_60(folder: Path) -> Iterator[Recording]:
    """The samples in `folder`/ntu60_hrnet.pkl."""
    return _read(folder / "ntu60_hrnet.pkl", "ntu60_2d", len(CLASSES_60))


def read_120(folder: Path) -> Iterator[Recording]:
    """The samples in `folder`/ntu120_hrnet.pkl."""
    return _read(folder / "ntu120_hrnet.pkl", "ntu120_2d", len(CLASSES_120))


def _read(path: Path, dataset: str, classes: int) -> Iterator[Recording]:
    """The samples that show somebody in five frames or more.

    The whole pickle has to be in memory, as it is one object. Raises ValueError for another schema.
    """
    content = load(path)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise ValueError(f"{path} is a pickle, but not of pyskl's schema (a dict with 'annotations'); get its NTU file")
    for number, annotation in enumerate(content["annotations"]):
        try:
            recording = _recording(annotation, dataset, classes)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: annotation {number} lacks a part ({error}); get the file again") from error
        except ValueError as error:
            raise ValueError(f"{path}: annotation {number}: {error}") from error
        if recording is not None:
            yield recording


def _recording(annotation: dict[str, Any], dataset: str, classes: int) -> Recording | None:
    name, label = annotation["frame_dir"], int(annotation["label"])
    about = sample(name)
    if not 0 <= label < classes:
        raise ValueError(f"label {label} of {name} is not one of {classes} classes")
    height, width = annotation["original_shape"] if "original_shape" in annotation else annotation["img_shape"]
    pixels, score = annotation["keypoint"], annotation["keypoint_score"]
    if pixels.ndim != 4 or pixels.shape[2:] != (17, 2) or score.shape != pixels.shape[:3]:
        raise ValueError(
            f"{name} has key points {pixels.shape} and scores {score.shape}, not (M, T, 17, 2), (M, T, 17)"
        )
    joints = in_picture(pixels.swapaxes(0, 1), score.swapaxes(0, 1), int(width), int(height))
    surest = np.argsort(-joints[..., 2].sum(axis=(0, 2)), kind="stable")[:_PEOPLE]
    joints = joints[:, surest]
    seen = joints.any(axis=(1, 2, 3))
    if seen.sum() < 5:
        return None
    return Recording(
        name=f"{dataset}/{name}", subject=f"{dataset}/{about.performer}", view=str(about.camera),
        setup=str(about.setup), trimmed=True, times_s=np.flatnonzero(seen) / _HZ, joints=joints[seen],
        layout=COCO17.name, labels=np.full(seen.sum(), label, np.int16),
    )  # fmt: skip
