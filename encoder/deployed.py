"""What is trained for a task and deployed: normalisation, modality and encoder, and then what a subclass makes of it.

Everything from the camera's joints to the answer is inside, so that the exported graph leaves nothing to its callers.
B batch, C coordinate, T frame, V joint, M person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from .build import build_encoder
from .config import AnyEncoderConfig, DSTEConfig, Modality, Normalisation, Task, check_model
from .modality import MODALITIES
from .normalise import normalise


class Deployed(nn.Module):
    """The part that all tasks share; see Detector, Recogniser and Representer."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Raises ValueError unless the parts fit together (`check_model`)."""

        task: ClassVar[Task]
        encoder: AnyEncoderConfig = field(default_factory=lambda: DSTEConfig.named("small"))
        classes: tuple[str, ...]
        modality: Modality = "joint"
        normalisation: Normalisation = "torso"

        def __post_init__(self) -> None:
            check_model(self.task, self.encoder, self.classes, self.modality, self.normalisation)

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.encoder)

    def prepared(self, joints_BCTVM: Tensor) -> Tensor:
        """What the encoder is given, (B, 3, T, V, M), of joints (B, 3, T, V, M) as they come; absent people all zero.

        NTU25's joints are metres in camera space. COCO17's are x, y and confidence, y up, in heights of the picture.
        """
        return MODALITIES[self.config.modality](normalise(joints_BCTVM, self.config.normalisation))


def linear_head(width: int, classes: int) -> nn.Linear:
    """A linear head, drawn as the encoder's layers are."""
    head = nn.Linear(width, classes)
    nn.init.trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return head
