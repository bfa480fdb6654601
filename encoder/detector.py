"""The detector: raw joints in, a class for every frame out. This is what is trained for detection and what is deployed.

Everything from the camera's metres to the logits is inside (normalisation, modality, encoder, head), so that the
exported graph leaves nothing to its callers. B batch, C coordinate, T frame, V joint, M person, H hidden, K class.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from .dste import DSTE
from .modality import MODALITIES, Modality
from .normalise import Normalisation, normalise


class Detector(nn.Module):
    """Frame-wise action detection (USDRL, dense representation with a linear head): (B, 3, 64, 25, 2) -> (B, 64, K)."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`classes[0]` is the background, which is not an action."""

        encoder: DSTE.Config = field(default_factory=lambda: DSTE.Config.named("small"))
        classes: tuple[str, ...]
        modality: Modality = "joint"
        normalisation: Normalisation = "torso"

        def __post_init__(self) -> None:
            if len(self.classes) < 2 or self.classes[0] != "background":
                raise ValueError("classes must be 'background' and then at least one action")
            if len(set(self.classes)) != len(self.classes):
                raise ValueError("classes must differ from one another")
            if self.modality not in MODALITIES:
                raise ValueError(f"no modality {self.modality!r}; there are {', '.join(MODALITIES)}")
            if self.normalisation != "torso":
                raise ValueError(f"no normalisation {self.normalisation!r}; there is 'torso'")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = DSTE(config.encoder)
        self.head = nn.Linear(2 * config.encoder.hidden, len(config.classes))
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, joints_BCTVM: Tensor) -> Tensor:
        """Frame logits (B, T, K) of joints (B, 3, T, 25, 2) float32, metres in camera space; absent people all zero."""
        x_BCTVM = MODALITIES[self.config.modality](normalise(joints_BCTVM))
        logits_BTK: Tensor = self.head(self.encoder.dense(x_BCTVM))
        return logits_BTK
