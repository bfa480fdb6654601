"""The recogniser: a clip's joints in, a class for the whole clip out.

B batch, C coordinate, T frame, V joint, M person, K class.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from .config import Task
from .deployed import Deployed, linear_head


class Recogniser(Deployed):
    """Clip recognition (USDRL, clip representation with a linear head): (B, 3, T, V, M) -> (B, K)."""

    class Config(Deployed.Config):
        """`classes` are actions; none of them is a background."""

        task: ClassVar[Task] = "recognise"

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.head = linear_head(2 * config.encoder.hidden, len(config.classes))

    def forward(self, joints_BCTVM: Tensor) -> Tensor:
        """Clip logits (B, K) of joints (B, 3, T, V, M) float32 (`prepared` tells their units)."""
        logits_BK: Tensor = self.head(self.encoder.clip(self.prepared(joints_BCTVM)))
        return logits_BK
