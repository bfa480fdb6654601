"""Normalisation: joints in metres, wherever somebody stands and however tall, as joints about one person's hips.

It is part of the deployed graph, so no engine and no caller can disagree about it. B batch, C coordinate, T frame,
V joint (NTU25), M person slot.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .layout import NTU25

# The name under which a bundle states that its weights expect `normalise`; another scheme would be another name.
Normalisation = Literal["torso"]

TORSO = 0.5  # SpineBase to SpineShoulder after normalisation: an adult's, in metres, so that numbers stay near metres
TORSO_LIMITS_M = (0.15, 1.0)  # no person's torso is shorter or longer; beyond lies a broken skeleton

_BASE, _SHOULDER = NTU25.index("SpineBase"), NTU25.index("SpineShoulder")


def normalise(joints_BCTVM: Tensor) -> Tensor:
    """Move and scale (B, 3, T, 25, M) metres so that slot 0's mean SpineBase is 0 and its mean torso 0.5 long.

    Both means run over the frames in which slot 0 is present; all slots share the origin and the scale, so that the
    distance between two people survives. A person is absent from a frame when all of their joints are exactly zero
    there; the absent stay exactly zero and count for nothing, and an empty window stays zero.
    """
    present_BTM = (joints_BCTVM.abs().amax(dim=(1, 3)) > 0).to(joints_BCTVM.dtype)
    subject_BT = present_BTM[:, :, 0]
    frames_B1 = subject_BT.sum(dim=1, keepdim=True).clamp(min=1.0)
    weight_BT = subject_BT / frames_B1

    base_BCT = joints_BCTVM[:, :, :, _BASE, 0]
    spine_BCT = joints_BCTVM[:, :, :, _SHOULDER, 0] - base_BCT
    origin_BC = (base_BCT * weight_BT[:, None]).sum(dim=2)
    torso_B = (spine_BCT.square().sum(dim=1).sqrt() * weight_BT).sum(dim=1).clamp(*TORSO_LIMITS_M)

    centred = joints_BCTVM - origin_BC[:, :, None, None, None]
    return centred * (TORSO / torso_B)[:, None, None, None, None] * present_BTM[:, None, :, None, :]
