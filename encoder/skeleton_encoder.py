"""What all encoders share: a clip of skeletons in, one vector a frame and one a joint out.

Two streams look at the same clip: a temporal one with a token a frame, a spatial one with a token a joint and person.
The subclasses (DSTE, STTR) differ in their layers alone.
Shapes: B batch, C coordinate, T frame, V joint, M person, H hidden, N token (T or M * V), W width, K modality.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import EncoderConfig
from .embedding import MultimodalEmbedding, embedding
from .modality import MODALITIES, SINGLE


class SkeletonEncoder(nn.Module):
    """The encoder: (B, C, T, V, M) -> temporal tokens (B, T, H) and spatial tokens (B, M * V, H).

    An encoder of one modality is given that modality. A multi-modal one is given joints; `weights_BK` says how much of
    joint, motion and bone goes into each sample's embedding (a row of 1, 0, 0 is the joints alone), so that a batch
    may mix single and joined modalities; without it all three count the same.
    """

    # Positions are added before the first layer, and before every further one where this says so.
    positions_again: ClassVar[bool]

    def __init__(self, config: EncoderConfig, layer: Callable[[int, bool], nn.Module]) -> None:
        """`layer(tokens, causal)` makes one layer: (B, N, H) -> (B, N, H)."""
        super().__init__()
        self.config = config
        t_tokens, s_tokens, hidden = config.frames, config.people * config.joints, config.hidden
        embed = MultimodalEmbedding if config.multimodal else embedding
        self.t_embedding = embed(s_tokens * config.coords, hidden)
        self.s_embedding = embed(t_tokens * config.coords, hidden)
        self.t_layers = nn.ModuleList(layer(t_tokens, config.causal) for _ in range(config.layers))
        self.s_layers = nn.ModuleList(layer(s_tokens, False) for _ in range(config.layers))
        self.s_position_NH = nn.Parameter(torch.empty(s_tokens, hidden))
        self.t_position_TH: Tensor
        self.register_buffer("t_position_TH", sinusoids(t_tokens, hidden), persistent=False)
        self.pool_TN: Tensor
        self.register_buffer("pool_TN", _adaptive_mean(s_tokens, t_tokens), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.s_position_NH, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    @property
    def dense_width(self) -> int:
        """W, the width of `dense`."""
        return self.config.dense_width

    def forward(self, joints_BCTVM: Tensor, weights_BK: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The outputs of both streams: temporal (B, T, H) and spatial (B, M * V, H).

        Raises ValueError if a shape is not the encoder's.
        """
        return self.temporal(joints_BCTVM, weights_BK), self.spatial(joints_BCTVM, weights_BK)

    def clip(self, joints_BCTVM: Tensor, weights_BK: Tensor | None = None) -> Tensor:
        """The clip representation (B, 2H): each stream's maximum over its tokens, temporal first."""
        t_BTH, s_BNH = self(joints_BCTVM, weights_BK)
        return torch.cat((t_BTH.amax(dim=1), s_BNH.amax(dim=1)), dim=-1)

    def dense(self, joints_BCTVM: Tensor, weights_BK: Tensor | None = None) -> Tensor:
        """The dense representation (B, T, W): temporal tokens beside the spatial ones pooled onto the frames, W = 2H.

        Of a causal encoder the temporal tokens alone, W = H: a spatial token holds a joint's whole track.
        """
        if self.config.causal:
            return self.temporal(joints_BCTVM, weights_BK)
        t_BTH, s_BNH = self(joints_BCTVM, weights_BK)
        return torch.cat((t_BTH, torch.matmul(self.pool_TN, s_BNH)), dim=-1)

    def temporal(self, joints_BCTVM: Tensor, weights_BK: Tensor | None = None) -> Tensor:
        """The temporal stream's output (B, T, H)."""
        return self._through(self.t_layers, self.embed_temporal(joints_BCTVM, weights_BK), self.t_position_TH)

    def spatial(self, joints_BCTVM: Tensor, weights_BK: Tensor | None = None) -> Tensor:
        """The spatial stream's output (B, M * V, H)."""
        return self._through(self.s_layers, self.embed_spatial(joints_BCTVM, weights_BK), self.s_position_NH)

    def embed_temporal(self, joints_BCTVM: Tensor, weights_BK: Tensor | None = None) -> Tensor:
        """The temporal stream's tokens (B, T, H) before positions and layers."""
        return self._embed(self.t_embedding, temporal_tokens, joints_BCTVM, weights_BK)

    def embed_spatial(self, joints_BCTVM: Tensor, weights_BK: Tensor | None = None) -> Tensor:
        """The spatial stream's tokens (B, M * V, H) before positions and layers."""
        return self._embed(self.s_embedding, spatial_tokens, joints_BCTVM, weights_BK)

    def _embed(
        self, embed: nn.Module, tokens: Callable[[Tensor], Tensor], joints_BCTVM: Tensor, weights_BK: Tensor | None
    ) -> Tensor:
        c = self.config
        if joints_BCTVM.shape[1:] != (c.coords, c.frames, c.joints, c.people):
            expected = f"(B, {c.coords}, {c.frames}, {c.joints}, {c.people})"
            raise ValueError(f"the encoder takes joints of shape {expected}, not {tuple(joints_BCTVM.shape)}")
        if not c.multimodal:
            if weights_BK is not None:
                raise ValueError("the encoder has one modality and takes no weights; set multimodal in its config")
            single_BNH: Tensor = embed(tokens(joints_BCTVM))
            return single_BNH
        if weights_BK is None:
            weights_BK = joints_BCTVM.new_full((1, len(SINGLE)), 1 / len(SINGLE))
        elif weights_BK.shape != (len(joints_BCTVM), len(SINGLE)):
            expected = f"({len(joints_BCTVM)}, {len(SINGLE)})"
            raise ValueError(f"the encoder takes modality weights of shape {expected}, not {tuple(weights_BK.shape)}")
        mean_BNH: Tensor = embed([tokens(MODALITIES[name](joints_BCTVM)) for name in SINGLE], weights_BK)
        return mean_BNH

    def _through(self, layers: nn.ModuleList, x_BNH: Tensor, position_NH: Tensor) -> Tensor:
        for number, layer in enumerate(layers):
            x_BNH = layer(x_BNH + position_NH if number == 0 or self.positions_again else x_BNH)
        return x_BNH


def temporal_tokens(x_BCTVM: Tensor) -> Tensor:
    """The temporal stream's input (B, T, M * V * C), each frame ordered person, joint, coordinate."""
    return x_BCTVM.permute(0, 2, 4, 3, 1).flatten(2)


def spatial_tokens(x_BCTVM: Tensor) -> Tensor:
    """The spatial stream's input (B, M * V, T * C), each joint ordered frame, coordinate."""
    return x_BCTVM.permute(0, 4, 3, 2, 1).flatten(3).flatten(1, 2)


def sinusoids(tokens: int, hidden: int) -> Tensor:
    """Sinusoidal positions (N, H): sine in the even channels, cosine in the odd ones, base 10000."""
    frequency = torch.exp(torch.arange(0, hidden, 2).float() * (-math.log(10000.0) / hidden))
    angle = torch.arange(tokens).float()[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


def _adaptive_mean(tokens: int, frames: int) -> Tensor:
    """Adaptive mean pooling from N tokens to T frames as a matrix (T, N): one product in any engine."""
    return F.adaptive_avg_pool1d(torch.eye(tokens), frames).T.contiguous()
