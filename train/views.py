"""Views: what pretraining changes about a clip and asks the encoder to overlook (USDRL, arXiv 2412.09220).

The temporal crop is done where the clip is read (`clips.py`). Here follows what is done in space, for all views of a
batch at once, on whatever device they are: with equal chance, a corruption of 15 joints (all to zero, or all through
one random 3x3 matrix) or a shear of everybody. Decided by the dice alone (`dice.py`).
Joints in a picture (COCO17: x, y, confidence) keep their confidence, but for those that are corrupted to zero.
Shapes: B sample (views and clips together), C coordinate, T frame, V joint, M person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..encoder.layout import COCO17
from .dice import Dice

_CORRUPTED = 15


@dataclass(frozen=True, kw_only=True)
class Views:
    """`yaw_deg`: beyond the paper, turn each view about the vertical by up to so much; 0 is the paper's."""

    corruption: bool = True
    shear: bool = True
    yaw_deg: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.yaw_deg <= 180:
            raise ValueError(f"views.yaw_deg is {self.yaw_deg}; it lies between 0 and 180")

    def __call__(self, x_BCTVM: Tensor, dice: Dice) -> Tensor:
        """Each sample (3 coordinates about the origin, absent people zero) changed by a draw of its own."""
        if self.yaw_deg:
            x_BCTVM = turn(x_BCTVM, math.radians(self.yaw_deg), dice)
        if self.corruption and self.shear:
            corrupt_B = dice.uniform((1, 1, 1, 1), 0, 1, x_BCTVM.device) < 0.5
            return torch.where(corrupt_B, corrupt_joints(x_BCTVM, dice), shear(x_BCTVM, dice))
        if self.corruption:
            return corrupt_joints(x_BCTVM, dice)
        return shear(x_BCTVM, dice) if self.shear else x_BCTVM


def corrupt_joints(x_BCTVM: Tensor, dice: Dice) -> Tensor:
    """15 random joints of each sample, of both people: with equal chance zero, or through a matrix of U(-1, 1)."""
    v = x_BCTVM.shape[3]
    order_BV = dice.uniform((v,), 0, 1, x_BCTVM.device).argsort(dim=1)
    chosen_BV = (order_BV < min(_CORRUPTED, v))[:, None, None, :, None]
    matrix_B33 = dice.uniform((3, 3), -1, 1, x_BCTVM.device)
    mixed_B11 = dice.uniform((1, 1), 0, 1, x_BCTVM.device) < 0.5
    matrix_B33 = torch.where(mixed_B11, _without_confidence(matrix_B33, v), 0.0)
    return torch.where(chosen_BV, _apply(matrix_B33, x_BCTVM), x_BCTVM)


def shear(x_BCTVM: Tensor, dice: Dice) -> Tensor:
    """Each sample through a matrix with a unit diagonal and U(-1, 1) beside it."""
    matrix_B33 = dice.uniform((3, 3), -1, 1, x_BCTVM.device)
    unit = torch.eye(3, dtype=torch.bool, device=x_BCTVM.device)
    return _apply(_without_confidence(torch.where(unit, 1.0, matrix_B33), x_BCTVM.shape[3]), x_BCTVM)


def turn(x_BCTVM: Tensor, most: float, dice: Dice) -> Tensor:
    """Each sample turned about the vertical (y) through the origin by up to `most` radians.

    Raises ValueError for joints in a picture, which cannot be turned about an axis in it.
    """
    if x_BCTVM.shape[3] == len(COCO17):
        raise ValueError("joints in a picture cannot be turned; set views.yaw_deg to 0")
    angle_B = dice.uniform((), -most, most, x_BCTVM.device)
    cos, sin, zero, one = angle_B.cos(), angle_B.sin(), torch.zeros_like(angle_B), torch.ones_like(angle_B)
    return _apply(torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], 1).view(-1, 3, 3), x_BCTVM)


def _without_confidence(matrix_B33: Tensor, joints: int) -> Tensor:
    """The matrix for joints in a picture, whose third number is no coordinate; that of joints in space as it is."""
    if joints != len(COCO17):
        return matrix_B33
    planar = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], device=matrix_B33.device)
    return matrix_B33 * planar + torch.diag(torch.tensor([0.0, 0.0, 1.0], device=matrix_B33.device))


def _apply(matrix_B33: Tensor, x_BCTVM: Tensor) -> Tensor:
    return (matrix_B33.to(x_BCTVM.dtype) @ x_BCTVM.flatten(2)).view_as(x_BCTVM)
