"""Modalities: joint, motion and bone, three ways to write down the same skeletons.

Pure functions of tensors (USDRL, arXiv 2508.12586), each from (B, 3, T, V, M) to the same shape, so that one encoder
takes any of them. 25 joints are NTU25's, x, y, z; 17 are COCO17's, x, y and confidence. A difference of two points in a
picture is known where both are: its confidence is the lower of theirs, and where that is 0 it is 0.
B batch, C coordinate, T frame, V joint, M person.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .config import Modality as Modality
from .layout import COCO17, COCO_BONES, USDRL_BONES

SINGLE: tuple[Literal["joint", "motion", "bone"], ...] = ("joint", "motion", "bone")

# The parent of joint i, with the pairs in the order of the child.
_PARENTS = {len(bones): [parent for _, parent in sorted(bones)] for bones in (USDRL_BONES, COCO_BONES)}


def joint(joints_BCTVM: Tensor) -> Tensor:
    """The joints as they are."""
    return joints_BCTVM


def motion(joints_BCTVM: Tensor) -> Tensor:
    """x[t + 1] - x[t], a frame's step to the next one; the last frame has no next one and is 0."""
    step = _difference(joints_BCTVM[:, :, 1:], joints_BCTVM[:, :, :-1])
    return F.pad(step, (0, 0, 0, 0, 0, 1))


def bone(joints_BCTVM: Tensor) -> Tensor:
    """Joint minus parent over USDRL's 25 pairs, or `COCO_BONES`; the root (SpineShoulder, nose) is 0.

    Raises ValueError for joints of another layout.
    """
    joints = joints_BCTVM.shape[3]
    if joints not in _PARENTS:
        raise ValueError(f"bones are known for 25 joints (ntu25) and 17 (coco17), not for {joints}")
    return _difference(joints_BCTVM, joints_BCTVM[:, :, :, _PARENTS[joints]])


def _difference(a_BCTVM: Tensor, b_BCTVM: Tensor) -> Tensor:
    difference = a_BCTVM - b_BCTVM
    if a_BCTVM.shape[3] != len(COCO17):
        return difference
    confidence = torch.minimum(a_BCTVM[:, 2:], b_BCTVM[:, 2:])
    return torch.cat((difference[:, :2] * (confidence > 0), confidence), dim=1)


MODALITIES: dict[Modality, Callable[[Tensor], Tensor]] = {
    "joint": joint, "motion": motion, "bone": bone,
    "joint+motion+bone": joint,  # a multi-modal encoder is given joints and makes the others itself
}  # fmt: skip
