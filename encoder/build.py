"""From an encoder's config to the encoder."""

from __future__ import annotations

from .config import AnyEncoderConfig, DSTEConfig
from .dste import DSTE
from .skeleton_encoder import SkeletonEncoder
from .sttr import STTR


def build_encoder(config: AnyEncoderConfig) -> SkeletonEncoder:
    """The encoder of this config, its weights drawn from torch's global generator."""
    return DSTE(config) if isinstance(config, DSTEConfig) else STTR(config)
