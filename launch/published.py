"""The network as its authors published it, to be measured against: PyTorch's own MultiheadAttention, one branch after
the other, gap tokens restored by an indexed write. The same function as `encoder/dste.py`, whose weights it takes.

Shapes: B batch, C coordinate, T frame, V joint, M person, H hidden, N token, K class.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..encoder.config import DSTEConfig
from ..encoder.dste import DSTE, Layer
from ..encoder.skeleton_encoder import sinusoids, spatial_tokens, temporal_tokens


class PublishedDSTE(nn.Module):
    """The encoder: (B, 3, T, V, M) -> temporal tokens (B, T, H) and spatial tokens (B, M * V, H)."""

    def __init__(self, config: DSTEConfig) -> None:
        super().__init__()
        tokens, hidden = config.people * config.joints, config.hidden
        self.t_embedding, self.s_embedding = (
            nn.Sequential(nn.Linear(n, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, hidden))
            for n in (tokens * config.coords, config.frames * config.coords)
        )
        self.t_layers, self.s_layers = (
            nn.ModuleList(PublishedLayer(config, n) for _ in range(config.layers)) for n in (config.frames, tokens)
        )
        self.t_position: Tensor
        self.register_buffer("t_position", sinusoids(config.frames, hidden))
        self.s_position = nn.Parameter(torch.randn(tokens, hidden) * 0.02)

    @classmethod
    def of(cls, encoder: DSTE) -> PublishedDSTE:
        """The same network with the weights of ours."""
        published = cls(encoder.config)
        published.s_position.data.copy_(encoder.s_position_NH)
        published.t_embedding.load_state_dict(encoder.t_embedding.state_dict())
        published.s_embedding.load_state_dict(encoder.s_embedding.state_dict())
        for theirs, ours in ((published.t_layers, encoder.t_layers), (published.s_layers, encoder.s_layers)):
            for layer, trained in zip(theirs, ours, strict=True):
                assert isinstance(layer, PublishedLayer) and isinstance(trained, Layer)
                layer.take(trained)
        return published.train(encoder.training)

    def forward(self, x_BCTVM: Tensor) -> tuple[Tensor, Tensor]:
        t_BTH = self.t_embedding(temporal_tokens(x_BCTVM))
        s_BNH = self.s_embedding(spatial_tokens(x_BCTVM))
        for layer in self.t_layers:
            t_BTH = layer(t_BTH + self.t_position)
        for layer in self.s_layers:
            s_BNH = layer(s_BNH + self.s_position)
        return t_BTH, s_BNH

    def clip(self, x_BCTVM: Tensor) -> Tensor:
        """(B, 2H)."""
        t_BTH, s_BNH = self(x_BCTVM)
        return torch.cat((t_BTH.amax(dim=1), s_BNH.amax(dim=1)), dim=-1)

    def dense(self, x_BCTVM: Tensor) -> Tensor:
        """(B, T, 2H)."""
        t_BTH, s_BNH = self(x_BCTVM)
        pooled = F.adaptive_avg_pool1d(s_BNH.transpose(1, 2), t_BTH.shape[1]).transpose(1, 2)
        return torch.cat((t_BTH, pooled), dim=-1)


class PublishedLayer(nn.Module):
    """CA and DSA, (B, N, H) -> (B, N, H)."""

    def __init__(self, config: DSTEConfig, tokens: int) -> None:
        super().__init__()
        hidden, self.alpha, self.drop = config.hidden, config.alpha, config.drop_path
        self.attention = nn.MultiheadAttention(hidden, 1, batch_first=True)
        self.convolution = nn.Conv1d(hidden, hidden, 1)
        self.mix1, self.mix2 = nn.Linear(tokens, tokens), nn.Linear(tokens, tokens)
        self.ca1, self.ca2, self.dsa1, self.dsa2 = (nn.LayerNorm(hidden) for _ in range(4))
        self.ca_mlp, self.dsa_mlp = (
            nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden)) for _ in range(2)
        )
        self.gap = torch.arange(0, tokens, config.gap)

    def take(self, layer: Layer) -> None:
        """Take the weights of our layer."""
        ca, dsa = layer.ca, layer.dsa
        self.attention.in_proj_weight.data.copy_(layer.attention.qkv.weight)
        self.attention.in_proj_bias.data.copy_(layer.attention.qkv.bias)
        self.attention.out_proj.load_state_dict(layer.attention.out.state_dict())
        self.convolution.weight.data.copy_(ca.convolution.weight[..., None])
        assert self.convolution.bias is not None
        self.convolution.bias.data.copy_(ca.convolution.bias)
        pairs = (
            (self.mix1, dsa.mix1), (self.mix2, dsa.mix2), (self.ca1, ca.norm1), (self.ca2, ca.norm2),
            (self.dsa1, dsa.norm1), (self.dsa2, dsa.norm2), (self.ca_mlp, ca.mlp), (self.dsa_mlp, dsa.mlp),
        )  # fmt: skip
        for mine, theirs in pairs:
            mine.load_state_dict(theirs.state_dict())

    def forward(self, x_BNH: Tensor) -> Tensor:
        c = x_BNH + F.relu(self.convolution(x_BNH.transpose(1, 2)).transpose(1, 2))
        c = self._attend(self.ca1(c)) + x_BNH
        c = self._drop_path(self.ca_mlp(self.ca2(c)))
        shifted = x_BNH.transpose(1, 2)
        shifted = (self.mix2(F.relu(self.mix1(shifted))) + shifted).transpose(1, 2).clone()
        shifted[:, self.gap] = x_BNH[:, self.gap]
        branches = []
        for branch in (shifted, x_BNH):
            attended = self._attend(self.dsa1(branch)) + branch
            branches.append(attended + self._drop_path(self.dsa_mlp(self.dsa2(attended))))
        return self.alpha * c + (1 - self.alpha) / 2 * (branches[0] + branches[1])

    def _attend(self, x_BNH: Tensor) -> Tensor:
        return self._drop_path(self.attention(x_BNH, x_BNH, x_BNH)[0])

    def _drop_path(self, x_BNH: Tensor) -> Tensor:
        if not self.training:
            return x_BNH
        kept = torch.rand(len(x_BNH), 1, 1, device=x_BNH.device) >= self.drop
        return x_BNH * (kept.float() / (1 - self.drop))
