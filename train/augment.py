"""What a window may become without changing what is done in it: seeded tensor functions on whole batches.

Shapes: B batch, C coordinate, T frame, V joint (NTU25), M person slot. A joint that is not known is exactly zero, as
are all those of absent people, and stays so.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..encoder.layout import NTU25

_BASE = NTU25.index("SpineBase")
_LEGS = [NTU25.index(joint + side) for joint in ("Knee", "Ankle", "Foot") for side in ("Left", "Right")]
_HIPS = [_BASE, NTU25.index("HipLeft"), NTU25.index("HipRight"), NTU25.index("SpineMid")]
_ARMS = [
    [NTU25.index(joint + side) for joint in ("Elbow", "Wrist", "Hand", "HandTip", "Thumb")]
    for side in ("Left", "Right")
]
_MIRROR = list(NTU25.mirror)


def augment(joints_BCTVM: Tensor, generator: torch.Generator) -> Tensor:
    """A batch as seen by another camera, of other bodies, mirrored, noisy, with bystanders, and not always whole."""
    x = mirror(joints_BCTVM, chance(len(joints_BCTVM), 0.5, generator))
    known_BTVM = (x.abs().amax(dim=1) > 0).float()
    x = rotate(x, generator, yaw=math.radians(40), pitch=math.radians(14), roll=math.radians(5))
    x = stretch(x, generator, 0.12)
    x = still_root(x, chance(len(x), 0.25, generator))
    x = add_noise(x, generator)
    x = x * known_BTVM[:, None]
    return hide(add_bystander(x, chance(len(x), 0.15, generator), generator), generator)


def chance(batch: int, p: float, generator: torch.Generator) -> Tensor:
    """(B,) bool, each true with probability p."""
    return torch.rand(batch, generator=generator) < p


def mirror(x_BCTVM: Tensor, which_B: Tensor) -> Tensor:
    """The chosen samples in a mirror: x negated, left and right exchanged."""
    flipped = x_BCTVM[:, :, :, _MIRROR] * torch.tensor([-1.0, 1.0, 1.0]).view(1, 3, 1, 1, 1)
    return torch.where(which_B.view(-1, 1, 1, 1, 1), flipped, x_BCTVM)


def rotate(x_BCTVM: Tensor, generator: torch.Generator, *, yaw: float, pitch: float, roll: float) -> Tensor:
    """Turn each sample about its person's mean place by angles drawn up to these (radians)."""
    limits = torch.tensor([pitch, yaw, roll])
    a, b, c = ((torch.rand(len(x_BCTVM), 3, generator=generator) * 2 - 1) * limits).unbind(1)
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    about_x = torch.stack([one, zero, zero, zero, a.cos(), -a.sin(), zero, a.sin(), a.cos()], 1).view(-1, 3, 3)
    about_y = torch.stack([b.cos(), zero, b.sin(), zero, one, zero, -b.sin(), zero, b.cos()], 1).view(-1, 3, 3)
    about_z = torch.stack([c.cos(), -c.sin(), zero, c.sin(), c.cos(), zero, zero, zero, one], 1).view(-1, 3, 3)
    centre = x_BCTVM[:, :, :, _BASE, 0].mean(dim=2)[:, :, None, None, None]
    return torch.einsum("bij,bjtvm->bitvm", about_x @ about_y @ about_z, x_BCTVM - centre) + centre


def stretch(x_BCTVM: Tensor, generator: torch.Generator, most: float) -> Tensor:
    """Each axis longer or shorter by up to `most`: other builds, and a camera that judges depth badly."""
    factor = 1 + (torch.rand(len(x_BCTVM), 3, generator=generator) * 2 - 1) * most
    return x_BCTVM * factor[:, :, None, None, None]


def still_root(x_BCTVM: Tensor, which_B: Tensor) -> Tensor:
    """The chosen samples without the person's way through the room, which a single camera sees badly."""
    base = x_BCTVM[:, :, :, _BASE, 0]
    way = (base - base.mean(dim=2, keepdim=True))[:, :, :, None, None]
    return torch.where(which_B.view(-1, 1, 1, 1, 1), x_BCTVM - way, x_BCTVM)


def add_noise(x_BCTVM: Tensor, generator: torch.Generator) -> Tensor:
    """Jitter of single joints (up to 1.5 cm a sample) and slow drift (up to 4 cm), more in depth than across."""
    b, c, t, v, m = x_BCTVM.shape
    axis = torch.tensor([1.0, 1.0, 1.8]).view(1, 3, 1, 1, 1)
    size = torch.rand(b, 1, 1, 1, 1, generator=generator)
    jitter = torch.randn(b, c, t, v, m, generator=generator) * 0.015
    knots = torch.randn(b * c, v * m, 6, generator=generator) * 0.04
    drift = F.interpolate(knots, size=t, mode="linear", align_corners=True).view(b, c, v, m, t).permute(0, 1, 4, 2, 3)
    return x_BCTVM + (jitter + drift) * size * axis


def add_bystander(x_BCTVM: Tensor, which_B: Tensor, generator: torch.Generator) -> Tensor:
    """Put somebody else of the batch beside the chosen people, where the second slot is free."""
    b = len(x_BCTVM)
    free_B = x_BCTVM[..., 1].abs().amax(dim=(1, 2, 3)) == 0
    other = x_BCTVM[torch.randperm(b, generator=generator)][..., 0]
    side = torch.sign(torch.rand(b, generator=generator) - 0.5) * (0.5 + 0.7 * torch.rand(b, generator=generator))
    beside = torch.stack([side, torch.zeros(b), torch.randn(b, generator=generator) * 0.3], dim=1)
    shift = x_BCTVM[:, :, 0, _BASE, 0] - other[:, :, 0, _BASE] + beside
    seen = (other.abs().amax(dim=1, keepdim=True) > 0).float()
    second = torch.where(
        (which_B & free_B).view(-1, 1, 1, 1), (other + shift[:, :, None, None]) * seen, x_BCTVM[..., 1]
    )
    return torch.stack([x_BCTVM[..., 0], second], dim=-1)


def hide(x_BCTVM: Tensor, generator: torch.Generator) -> Tensor:
    """Some people stand behind a desk or half out of the picture, and single joints are not found for a while.

    One window in ten is without the legs, half of those without the hips too (a webcam); one in twenty without an arm;
    in one of ten every joint is missing for a sixth of the frames.
    """
    b, _, t, v, _ = x_BCTVM.shape
    seen_BV = torch.ones(b, v)
    legs_B = chance(b, 0.10, generator)
    seen_BV[:, _LEGS] *= (~legs_B).float()[:, None]
    seen_BV[:, _HIPS] *= (~(legs_B & chance(b, 0.5, generator))).float()[:, None]
    side_B = torch.randint(len(_ARMS), (b,), generator=generator)
    arm_B = chance(b, 0.05, generator)
    for side, joints in enumerate(_ARMS):
        seen_BV[:, joints] *= (~(arm_B & (side_B == side))).float()[:, None]
    begin_BV = torch.randint(t, (b, v), generator=generator)
    since_BTV = torch.arange(t)[None, :, None] - begin_BV[:, None]
    flicker_B = chance(b, 0.10, generator)
    gone_BTV = (since_BTV >= 0) & (since_BTV < t // 6) & flicker_B[:, None, None]
    return x_BCTVM * (seen_BV[:, None] * (~gone_BTV).float())[:, None, :, :, None]
