"""Modalities: joint, motion and bone, three ways to write down the same skeletons.

Pure functions of tensors (USDRL, arXiv 2508.12586), each from (B, 3, T, 25, M) to the same shape, so that one encoder
takes any of them. B batch, C coordinate, T frame, V joint (NTU25), M person.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from .layout import USDRL_BONES

Modality = Literal["joint", "motion", "bone"]

# The parent of joint i, with the pairs in the order of the child.
_PARENTS = [parent for _, parent in sorted(USDRL_BONES)]


def joint(joints_BCTVM: Tensor) -> Tensor:
    """The joints as they are."""
    return joints_BCTVM


def motion(joints_BCTVM: Tensor) -> Tensor:
    """x[t + 1] - x[t], a frame's step to the next one; the last frame has no next one and is 0."""
    step = joints_BCTVM[:, :, 1:] - joints_BCTVM[:, :, :-1]
    return F.pad(step, (0, 0, 0, 0, 0, 1))


def bone(joints_BCTVM: Tensor) -> Tensor:
    """Joint minus parent over USDRL's 25 pairs; the root of the pairs (SpineShoulder) is 0."""
    return joints_BCTVM - joints_BCTVM[:, :, :, _PARENTS]


MODALITIES: dict[Modality, Callable[[Tensor], Tensor]] = {"joint": joint, "motion": motion, "bone": bone}
