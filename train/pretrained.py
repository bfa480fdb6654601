"""The encoder that a task starts from: a pretraining run's, a bundle's, or none (random, seeded)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ..encoder.bundle import Bundle
from ..encoder.dste import DSTE
from ..encoder.modality import Modality
from ..encoder.weights import load_detector


@dataclass(frozen=True)
class Pretrained:
    """An encoder on the CPU in evaluation mode, and the modality that it takes."""

    encoder: DSTE
    modality: Modality


def load_pretrained(path: str) -> Pretrained:
    """The encoder of a run folder of `train pretrain`, or that of a bundle (a directory, or a shipped one's name).

    Raises ValueError if `path` is neither.
    """
    checkpoint = Path(path) / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        if "encoder" not in state:
            raise ValueError(f"{checkpoint} is no pretraining run's; give the folder that `train pretrain` wrote")
        encoder = DSTE(DSTE.Config(**state["config"]))
        encoder.load_state_dict(state["encoder"])
        return Pretrained(encoder.eval(), state["modality"])
    detector = load_detector(Bundle.load(path))
    return Pretrained(detector.encoder, detector.config.modality)


def random_encoder(config: DSTE.Config, seed: int, modality: Modality = "joint") -> Pretrained:
    """An encoder as it is drawn: the baseline of every frozen task."""
    torch.manual_seed(seed)
    return Pretrained(DSTE(config).eval(), modality)
