"""The normalisation `facing` without a window: the same formulas about means that run along with the stream.

B batch, C coordinate, T frame, V joint, M person slot.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .layout import NTU25
from .normalise import TORSO, TORSO_LIMITS_M

_NO_FACING = 1e-3  # of the torso's length: whose left and right lie closer than this is not turned; as in `facing`
_BASE, _SHOULDER = NTU25.index("SpineBase"), NTU25.index("SpineShoulder")
_LEFT, _RIGHT = ([NTU25.index(joint + side) for joint in ("Shoulder", "Hip")] for side in ("Left", "Right"))
_TRUNK = [_BASE, _SHOULDER, *_LEFT, *_RIGHT]


class Means(NamedTuple):
    """Running means of slot 0: SpineBase (x, y, z), the torso's length, right to left (x, z); and their weight."""

    values_B6: Tensor
    weight_B1: Tensor

    @classmethod
    def none(cls, batch: int) -> Means:
        """Those of nobody yet."""
        return cls(torch.zeros(batch, 6), torch.zeros(batch, 1))


def running_facing(x_BCTVM: Tensor, before: Means, memory: float) -> tuple[Tensor, Means]:
    """`facing` (normalise.py) with running means for the window's: joints (B, 3, T, 25, 2), and the means after them.

    An exponential moving average that begins as the plain mean (bias-corrected), so that the first frame already
    stands at the origin. A frame in which one of the joints that they speak of is unknown (exactly zero) leaves the
    means as they are, but they weigh less when it comes back.
    """
    known_BTVM = (x_BCTVM.abs().amax(dim=1) > 0).to(x_BCTVM.dtype)
    whole_BT1 = known_BTVM[..., _TRUNK, 0].amin(dim=2, keepdim=True)
    subject_BCTV = x_BCTVM[..., 0]
    base_BTC = subject_BCTV[..., _BASE].transpose(1, 2)
    spine_BTC = subject_BCTV[..., _SHOULDER].transpose(1, 2) - base_BTC
    across_BTC = (subject_BCTV[..., _LEFT] - subject_BCTV[..., _RIGHT]).sum(dim=-1).transpose(1, 2)
    length_BT1 = spine_BTC.square().sum(dim=2, keepdim=True).sqrt()
    seen_BT6 = torch.cat((base_BTC, length_BT1, across_BTC[..., 0::2]), dim=2)

    means_BT6, after = _running_means(seen_BT6, whole_BT1, before, math.exp(-1 / memory))
    origin_BCT = means_BT6[..., :3].transpose(1, 2)
    torso_BT = means_BT6[..., 3].clamp(*TORSO_LIMITS_M)
    scale_B1T11 = (TORSO / torso_BT)[:, None, :, None, None]
    x, y, z = ((x_BCTVM - origin_BCT[..., None, None]) * scale_B1T11).unbind(dim=1)

    across_x_BT, across_z_BT = means_BT6[..., 4], means_BT6[..., 5]
    wide_BT = (across_x_BT.square() + across_z_BT.square()).sqrt()
    known_BT = wide_BT > _NO_FACING * torso_BT
    along_BT = torch.where(known_BT, wide_BT, 1.0)
    cos_BT11 = torch.where(known_BT, across_x_BT / along_BT, 1.0)[..., None, None]
    sin_BT11 = torch.where(known_BT, across_z_BT / along_BT, 0.0)[..., None, None]
    turned_BCTVM = torch.stack((cos_BT11 * x + sin_BT11 * z, y, cos_BT11 * z - sin_BT11 * x), dim=1)
    return turned_BCTVM * known_BTVM[:, None], after


def _running_means(seen_BT6: Tensor, present_BT1: Tensor, before: Means, keep: float) -> tuple[Tensor, Means]:
    values_B6, weight_B1 = before
    means = []
    for seen_B6, present_B1 in zip(seen_BT6.unbind(dim=1), present_BT1.unbind(dim=1), strict=True):
        weight_B1 = keep * weight_B1 + present_B1
        share_B1 = present_B1 / weight_B1.clamp(min=1e-9)
        values_B6 = values_B6 + share_B1 * (seen_B6 - values_B6)
        means.append(values_B6)
    return torch.stack(means, dim=1), Means(values_B6, weight_B1)
