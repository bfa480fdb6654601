"""Normalisation: joints in metres, wherever somebody stands, however tall and whichever way they face, as joints about
one person's hips; points in a picture, whatever its size and however near, as points about one person's torso.

It is part of the deployed graph, so no engine and no caller can disagree about it. B batch, C coordinate, T frame,
V joint, M person slot, P point of the torso.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .config import Normalisation as Normalisation
from .layout import COCO17, NTU25

TORSO = 0.5  # hips to shoulders after normalisation: an adult's, in metres, so that numbers stay near metres
TORSO_LIMITS_M = (0.15, 1.0)  # no person's torso is shorter or longer; beyond lies a broken skeleton

# A torso that is seen from above or bent towards the camera is short in the picture; its person's box is not. Upright,
# the torso is about a third of the longer side. Less than a sixth is taken as a sixth.
TORSO_OF_BOX = 1 / 6
_SMALLEST = 1e-3  # of the picture's height, in which 2D joints are measured: nobody is smaller
_BEYOND = 1e6  # farther than any point in a picture
_NO_FACING = 1e-3  # of the torso's length: whose left and right lie closer than this faces nowhere and is not turned

_BASE, _SHOULDER = NTU25.index("SpineBase"), NTU25.index("SpineShoulder")
_LEFT, _RIGHT = ([NTU25.index(joint + side) for joint in ("Shoulder", "Hip")] for side in ("Left", "Right"))
_SHOULDERS = [COCO17.index("ShoulderLeft"), COCO17.index("ShoulderRight")]
_HIPS = [COCO17.index("HipLeft"), COCO17.index("HipRight")]


def normalise(joints_BCTVM: Tensor, scheme: Normalisation | None = None) -> Tensor:
    """Joints as a model sees them. Without a scheme: "facing" for the 25 joints of NTU25, "image" for COCO17's 17."""
    if scheme is None:
        scheme = "image" if joints_BCTVM.shape[3] == len(COCO17) else "facing"
    return NORMALISATIONS[scheme](joints_BCTVM)


def torso(joints_BCTVM: Tensor, causal: bool = False) -> Tensor:
    """Move and scale (B, 3, T, 25, M) metres so that slot 0's mean SpineBase is 0 and its mean torso 0.5 long.

    Both means run over the frames in which slot 0 is present (causal: over those so far); all slots share the origin
    and the scale, so that the distance between two people survives. A joint is unknown where it is exactly zero, and
    stays so; a person whose joints are all unknown is absent, and an empty window stays zero. Where SpineBase is
    unknown (hips below the picture's edge), the origin is an adult's torso below SpineShoulder; frames without one of
    the two do not count for the length, and without any such frame the torso is an adult's.
    """
    # The greatest along one axis after the other, and joints and people as one axis: engines are slow at reducing over
    # several axes and at broadcasting over five.
    known_BTVM = (joints_BCTVM.abs().amax(dim=1) > 0).to(joints_BCTVM.dtype)
    base_B1T, shoulder_B1T = known_BTVM[:, None, :, _BASE, 0], known_BTVM[:, None, :, _SHOULDER, 0]
    both_B1T = base_B1T * shoulder_B1T

    base_BCT, shoulder_BCT = joints_BCTVM[:, :, :, _BASE, 0], joints_BCTVM[:, :, :, _SHOULDER, 0]
    length_B1T = (shoulder_BCT - base_BCT).square().sum(dim=1, keepdim=True).sqrt()
    instead_B1T = shoulder_B1T * (1 - base_B1T)  # 0 wherever the base is known
    # Channel by channel: a constant of three numbers would have to be copied to a GPU while its graph is captured.
    x_BT, y_BT, z_BT = shoulder_BCT.unbind(dim=1)
    below_BCT = torch.stack((x_BT, y_BT - TORSO, z_BT), dim=1)
    origin_BCT = _mean(base_BCT * base_B1T + below_BCT * instead_B1T, base_B1T + instead_B1T, causal)
    some_B1T = _mean(both_B1T, both_B1T, causal)  # 1 where any frame counted, else 0
    torso_B1T = (_mean(length_B1T * both_B1T, both_B1T, causal) + (1 - some_B1T) * TORSO).clamp(*TORSO_LIMITS_M)

    known_B1TX = known_BTVM.flatten(2)[:, None]
    scaled_BCTX = (joints_BCTVM.flatten(3) - origin_BCT[..., None]) * (TORSO / torso_B1T)[..., None] * known_B1TX
    return scaled_BCTX.view_as(joints_BCTVM)


def facing(joints_BCTVM: Tensor, causal: bool = False) -> Tensor:
    """`torso`, then turned about the vertical (y) so that slot 0's mean direction from right to left points along +x.

    The direction is that of the shoulders and the hips together, where both of a pair are known, over all frames
    (causal: over those so far). All slots are turned alike: where another person stands, seen from slot 0, survives;
    from which side the camera saw them does not.
    """
    x_BCTVM = torso(joints_BCTVM, causal)
    left_BCTP, right_BCTP = x_BCTVM[:, :, :, _LEFT, 0], x_BCTVM[:, :, :, _RIGHT, 0]
    # The absent add nothing, and nor does a pair of which one is unknown.
    known_B1TP = ((left_BCTP.abs().amax(dim=1) > 0) & (right_BCTP.abs().amax(dim=1) > 0)).to(x_BCTVM.dtype)[:, None]
    across_BCT = ((left_BCTP - right_BCTP) * known_B1TP).sum(dim=-1)
    across_BCT = across_BCT.cumsum(dim=2) if causal else across_BCT.sum(dim=2, keepdim=True)
    length_BT = (across_BCT[:, 0].square() + across_BCT[:, 2].square()).sqrt()
    known_BT = length_BT > _NO_FACING * TORSO
    along = length_BT.clamp(min=_NO_FACING * TORSO)
    cos_BT1 = torch.where(known_BT, across_BCT[:, 0] / along, 1.0)[..., None]
    sin_BT1 = torch.where(known_BT, across_BCT[:, 2] / along, 0.0)[..., None]
    x, y, z = x_BCTVM.flatten(3).unbind(dim=1)
    return torch.stack((cos_BT1 * x + sin_BT1 * z, y, cos_BT1 * z - sin_BT1 * x), dim=1).view_as(x_BCTVM)


def image(joints_BCTVM: Tensor, causal: bool = False) -> Tensor:
    """Move and scale (B, 3, T, 17, M), x, y and confidence, so that slot 0's torso has its mean at 0 and is 0.5 long.

    Its mean runs over those of its four corners, shoulders and hips, that are known, its length over the frames in
    which all are (causal: over the frames so far), and is never below a sixth of the person's box (`TORSO_OF_BOX`).
    All slots share the origin and the scale. A joint with confidence 0 is unknown: its x and y become zero, as those
    of the absent are, and count for nothing. Confidence stays as it is.
    """
    xy_BCTVM, confidence = joints_BCTVM[:, :2], joints_BCTVM[:, 2:]
    known = (confidence > 0).to(joints_BCTVM.dtype)
    subject_BCTV, seen_B1TV = xy_BCTVM[..., 0], known[..., 0]

    corners = _SHOULDERS + _HIPS
    seen_B1TP = seen_B1TV[..., corners]
    origin_BCT = _mean((subject_BCTV[..., corners] * seen_B1TP).sum(dim=-1), seen_B1TP.sum(dim=-1), causal)

    whole_B1T = seen_B1TP.amin(dim=-1)
    spine_BCT = subject_BCTV[..., _SHOULDERS].mean(dim=-1) - subject_BCTV[..., _HIPS].mean(dim=-1)
    length_B1T = spine_BCT.square().sum(dim=1, keepdim=True).sqrt()
    torso_B1T = _mean(length_B1T * whole_B1T, whole_B1T, causal)

    there_B1T = seen_B1TV.amax(dim=-1)
    highest = torch.where(seen_B1TV > 0, subject_BCTV, -_BEYOND).amax(dim=-1)
    lowest = torch.where(seen_B1TV > 0, subject_BCTV, _BEYOND).amin(dim=-1)
    side_B1T = (highest - lowest).amax(dim=1, keepdim=True) * there_B1T
    box_B1T = _mean(side_B1T, there_B1T, causal)

    size_B1T = torch.maximum(torso_B1T, TORSO_OF_BOX * box_B1T).clamp(min=_SMALLEST)
    scaled = (xy_BCTVM - origin_BCT[..., None, None]) * (TORSO / size_B1T)[..., None, None]
    return torch.cat((scaled * known, confidence), dim=1)


def _mean(sum_BCT: Tensor, count_B1T: Tensor, causal: bool) -> Tensor:
    """The mean (B, C, 1) over frames of what was summed over `count` in each; causal: (B, C, T), over those so far."""
    if causal:
        return sum_BCT.cumsum(dim=2) / count_B1T.cumsum(dim=2).clamp(min=1)
    return sum_BCT.sum(dim=2, keepdim=True) / count_B1T.sum(dim=2, keepdim=True).clamp(min=1)


def _as_given(joints_BCTVM: Tensor) -> Tensor:
    return joints_BCTVM


NORMALISATIONS: dict[Normalisation, Callable[[Tensor], Tensor]] = {
    "torso": torso,
    "torso-causal": partial(torso, causal=True),
    "facing": facing,
    "facing-causal": partial(facing, causal=True),
    "image": image,
    "image-causal": partial(image, causal=True),
    "none": _as_given,  # weights from elsewhere, whose joints were prepared elsewhere too
}
