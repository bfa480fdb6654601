"""What the runs that train detectors share: the optimiser, its learning rate, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def adamw(model: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over what is trained; biases, norms and other vectors do not decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=lr,
    )


def warmed_cosine(step: int, steps: int, warmup: int) -> float:
    """The share of the learning rate at a step: linear warm-up, then half a cosine down to a hundredth."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(steps - warmup, 1)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def copy_of_weights(model: nn.Module) -> dict[str, Tensor]:
    """Where an average begins."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def follow_weights(average: Mapping[str, Tensor], model: nn.Module, share: float, step: int) -> None:
    """Move an exponential average towards the weights after a step; it keeps `share`, in the first steps less."""
    keep = min(share, (step + 1) / (step + 10))
    with torch.no_grad():
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1 - keep)
