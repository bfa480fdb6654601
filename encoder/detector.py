"""The detector: joints in, a class for every frame out. This is what is trained for detection and what runs live.

B batch, C coordinate, T frame, V joint, M person, K class.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from .config import Task
from .deployed import Deployed, linear_head


class Detector(Deployed):
    """Frame-wise action detection (USDRL, dense representation with a linear head): (B, 3, T, V, M) -> (B, T, K)."""

    class Config(Deployed.Config):
        """`classes[0]` is the background, which is not an action."""

        task: ClassVar[Task] = "detect"

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.head = linear_head(config.encoder.dense_width, len(config.classes))

    def forward(self, joints_BCTVM: Tensor) -> Tensor:
        """Frame logits (B, T, K) of joints (B, 3, T, V, M) float32 (`prepared` tells their units)."""
        logits_BTK: Tensor = self.head(self.encoder.dense(self.prepared(joints_BCTVM)))
        return logits_BTK
