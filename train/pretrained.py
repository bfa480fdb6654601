"""The encoder that a task starts from: a pretraining run's, a bundle's, or none (random, seeded).

Shapes: B batch, C coordinate, T frame, V joint, M person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..encoder.build import build_encoder
from ..encoder.bundle import Bundle
from ..encoder.checkpoint import load_checkpoint
from ..encoder.config import AnyEncoderConfig, encoder_config, suited_normalisation
from ..encoder.detector import Detector
from ..encoder.modality import MODALITIES, Modality
from ..encoder.normalise import Normalisation, normalise
from ..encoder.skeleton_encoder import SkeletonEncoder
from ..encoder.weights import load_model
from .device import device_of


@dataclass(frozen=True)
class Pretrained:
    """An encoder in evaluation mode, and what it takes; of a detector also what it says, `head` a row a class."""

    encoder: SkeletonEncoder
    modality: Modality
    normalisation: Normalisation
    head: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)  # class: its weights (W,) and bias ()

    def prepared(self, joints_BCTVM: Tensor) -> Tensor:
        """What the encoder is given, (B, 3, T, V, M), of joints as a store holds them."""
        return MODALITIES[self.modality](normalise(joints_BCTVM, self.normalisation))

    def on(self, device: torch.device) -> Pretrained:
        """The same on a device: a copy, unless it is there."""
        return self if device_of(self.encoder) == device else replace(self, encoder=deepcopy(self.encoder).to(device))


def load_pretrained(path: str) -> Pretrained:
    """The encoder of a run folder of `train pretrain`, or that of a bundle (a directory, or a shipped one's name).

    It is on the CPU. Raises ValueError if `path` is neither.
    """
    checkpoint = Path(path) / "checkpoint.pt"
    if checkpoint.is_file():
        state = load_checkpoint(checkpoint)
        if not (isinstance(state, dict) and {"encoder", "config", "modality", "normalisation"} <= state.keys()):
            raise ValueError(f"{checkpoint} is no pretraining run's; give the folder that `train pretrain` wrote")
        encoder = build_encoder(encoder_config(state["config"]))
        encoder.load_state_dict(state["encoder"])
        return Pretrained(encoder.eval(), state["modality"], state["normalisation"])
    model = load_model(Bundle.load(path))
    head = _rows(model.head, model.config.classes) if isinstance(model, Detector) else {}
    return Pretrained(model.encoder, model.config.modality, model.config.normalisation, head)


def _rows(head: nn.Linear, classes: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
    return {name: (head.weight.detach()[i], head.bias.detach()[i]) for i, name in enumerate(classes)}


def random_encoder(config: AnyEncoderConfig, seed: int, modality: Modality = "joint") -> Pretrained:
    """An encoder as it is drawn, on the CPU, given joints as `suited_normalisation` says: every task's baseline."""
    torch.manual_seed(seed)
    return Pretrained(build_encoder(config).eval(), modality, suited_normalisation(config))


def weights_digest(module: nn.Module) -> str:
    """A digest of a module's weights."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
