"""The representer: joints in, a vector for every frame out. This is what pretraining leaves, before any task.

B batch, C coordinate, T frame, V joint, M person, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .config import Task
from .deployed import Deployed


class Representer(Deployed):
    """The encoder's dense representation (USDRL): (B, 3, T, V, M) -> (B, T, W)."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Deployed.Config):
        """No head, hence no classes."""

        task: ClassVar[Task] = "encode"
        classes: tuple[str, ...] = ()

    config: Config

    def forward(self, joints_BCTVM: Tensor) -> Tensor:
        """The dense representation (B, T, W) of joints (B, 3, T, V, M) float32 (`prepared` tells their units)."""
        return self.encoder.dense(self.prepared(joints_BCTVM))
