"""DSTE, the Dense Spatio-Temporal Encoder of USDRL: a clip of skeletons in, one vector a frame and one a joint out.

Source: arXiv 2508.12586 (TPAMI 2026) and arXiv 2412.09220 (AAAI 2025); where the papers and the authors' code differ,
this follows the code, so that the authors' weights give the authors' numbers (`checkpoint.py`, tests/golden).

Two streams look at the same clip: a temporal one with a token a frame, a spatial one with a token a joint and person.
Shapes: B batch, C coordinate, T frame, V joint, M person, H hidden, N token (T or M * V), S branch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = Literal["base", "small"]
_HIDDEN: dict[Size, int] = {"base": 1024, "small": 256}


class DSTE(nn.Module):
    """The encoder: (B, C, T, V, M) -> temporal tokens (B, T, H) and spatial tokens (B, M * V, H)."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`gap`: every gap-th token keeps its own value in DSA; `alpha`: CA's share of a layer's output."""

        hidden: int = 1024
        layers: int = 2
        gap: int = 4
        alpha: float = 0.5
        frames: int = 64
        joints: int = 25
        people: int = 2
        coords: int = 3
        drop_path: float = 0.1

        @classmethod
        def named(cls, size: Size) -> Self:
            """`base`: the paper's, hidden 1024, 57 M parameters. `small`: hidden 256, 3.7 M, the live default."""
            if size not in _HIDDEN:
                raise ValueError(f"no encoder size {size!r}; there are {', '.join(_HIDDEN)}")
            return cls(hidden=_HIDDEN[size])

        def __post_init__(self) -> None:
            counts = ("hidden", "layers", "gap", "frames", "joints", "people", "coords")
            if bad := [name for name in counts if getattr(self, name) < 1]:
                raise ValueError(f"encoder {', '.join(bad)} must be at least 1")
            if self.hidden % 2:
                raise ValueError(f"encoder hidden must be even (sines and cosines in pairs), not {self.hidden}")
            if not 0 <= self.alpha <= 1 or not 0 <= self.drop_path < 1:
                raise ValueError("encoder alpha must lie in 0..1 and drop_path in 0..1, below 1")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        t_tokens, s_tokens, hidden = config.frames, config.people * config.joints, config.hidden
        self.t_embedding = _embedding(s_tokens * config.coords, hidden)
        self.s_embedding = _embedding(t_tokens * config.coords, hidden)
        self.t_layers = nn.ModuleList(Layer(config, t_tokens) for _ in range(config.layers))
        self.s_layers = nn.ModuleList(Layer(config, s_tokens) for _ in range(config.layers))
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
        for module in self.modules():
            if isinstance(module, ConvolutionAttention):
                # A Conv1d of the authors', which their truncated normal passes over: it starts as PyTorch starts it.
                module.convolution.reset_parameters()

    def tokens(self, joints_BCTVM: Tensor) -> tuple[Tensor, Tensor]:
        """The stream inputs: (B, T, M * V * C) ordered person, joint, coordinate; (B, M * V, T * C) frame, coordinate.

        Raises ValueError if the shape is not the encoder's.
        """
        c = self.config
        if joints_BCTVM.shape[1:] != (c.coords, c.frames, c.joints, c.people):
            expected = f"(B, {c.coords}, {c.frames}, {c.joints}, {c.people})"
            raise ValueError(f"the encoder takes joints of shape {expected}, not {tuple(joints_BCTVM.shape)}")
        temporal = joints_BCTVM.permute(0, 2, 4, 3, 1).flatten(2)
        spatial = joints_BCTVM.permute(0, 4, 3, 2, 1).flatten(3).flatten(1, 2)
        return temporal, spatial

    def forward(self, joints_BCTVM: Tensor) -> tuple[Tensor, Tensor]:
        """The dense outputs: temporal (B, T, H) and spatial (B, M * V, H)."""
        t_in, s_in = self.tokens(joints_BCTVM)
        t_BTH, s_BNH = self.t_embedding(t_in), self.s_embedding(s_in)
        for layer in self.t_layers:
            t_BTH = layer(t_BTH + self.t_position_TH)
        for layer in self.s_layers:
            s_BNH = layer(s_BNH + self.s_position_NH)
        return t_BTH, s_BNH

    def clip(self, joints_BCTVM: Tensor) -> Tensor:
        """The clip representation (B, 2H): each stream's maximum over its tokens, temporal first."""
        t_BTH, s_BNH = self(joints_BCTVM)
        return torch.cat((t_BTH.amax(dim=1), s_BNH.amax(dim=1)), dim=-1)

    def dense(self, joints_BCTVM: Tensor) -> Tensor:
        """The dense representation (B, T, 2H): temporal tokens beside the spatial ones pooled onto the frames."""
        t_BTH, s_BNH = self(joints_BCTVM)
        return torch.cat((t_BTH, torch.matmul(self.pool_TN, s_BNH)), dim=-1)


class Layer(nn.Module):
    """y = alpha CA(x) + (1 - alpha) DSA(x) on (B, N, H); both halves use the one self-attention."""

    def __init__(self, config: DSTE.Config, tokens: int) -> None:
        super().__init__()
        self.alpha = config.alpha
        self.attention = Attention(config.hidden)
        self.ca = ConvolutionAttention(config)
        self.dsa = DenseShiftAttention(config, tokens)

    def forward(self, x_BNH: Tensor) -> Tensor:
        ca: Tensor = self.ca(x_BNH, self.attention)
        dsa: Tensor = self.dsa(x_BNH, self.attention)
        return self.alpha * ca + (1 - self.alpha) * dsa


class Attention(nn.Module):
    """Self-attention with one head, written out: PyTorch's own takes a fused path that does not export."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(hidden)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, x_NH: Tensor) -> Tensor:
        """(..., N, H) -> (..., N, H)."""
        query, key, value = self.qkv(x_NH).chunk(3, dim=-1)
        weight_NN = ((query * self.scale) @ key.transpose(-2, -1)).softmax(dim=-1)
        out: Tensor = self.out(weight_NN @ value)
        return out


class ConvolutionAttention(nn.Module):
    """CA: c = x + ReLU(Conv(x)); a = DropPath(Attn(LN1 c)) + x; DropPath(MLP(LN2 a)), with no residual at the end."""

    def __init__(self, config: DSTE.Config) -> None:
        super().__init__()
        self.convolution = nn.Linear(config.hidden, config.hidden)  # a convolution along the tokens of width 1
        self.norm1 = nn.LayerNorm(config.hidden)
        self.norm2 = nn.LayerNorm(config.hidden)
        self.mlp = _mlp(config.hidden)
        self.drop_path = DropPath(config.drop_path)

    def forward(self, x_BNH: Tensor, attention: Attention) -> Tensor:
        convolved = x_BNH + F.relu(self.convolution(x_BNH))
        attended = self.drop_path(attention(self.norm1(convolved))) + x_BNH
        out: Tensor = self.drop_path(self.mlp(self.norm2(attended)))
        return out


class DenseShiftAttention(nn.Module):
    """DSA: one transformer block on the tokens mixed along their axis and on the tokens as they are; their mean."""

    def __init__(self, config: DSTE.Config, tokens: int) -> None:
        super().__init__()
        self.mix1 = nn.Linear(tokens, tokens)
        self.mix2 = nn.Linear(tokens, tokens)
        self.norm1 = nn.LayerNorm(config.hidden)
        self.norm2 = nn.LayerNorm(config.hidden)
        self.mlp = _mlp(config.hidden)
        self.drop_path = DropPath(config.drop_path)
        # Every gap-th token keeps its own value. A constant factor, where an indexed write would pin the batch size
        # of an exported graph.
        self.mixes_N1: Tensor
        self.register_buffer("mixes_N1", (torch.arange(tokens) % config.gap != 0).float()[:, None], persistent=False)

    def forward(self, x_BNH: Tensor, attention: Attention) -> Tensor:
        mixed_BHN = self.mix2(F.relu(self.mix1(x_BNH.transpose(1, 2))))
        shifted_BNH = x_BNH + self.mixes_N1 * mixed_BHN.transpose(1, 2)
        branches_SBNH = torch.stack((shifted_BNH, x_BNH))
        attended = self.drop_path(attention(self.norm1(branches_SBNH))) + branches_SBNH
        out_SBNH: Tensor = attended + self.drop_path(self.mlp(self.norm2(attended)))
        return (out_SBNH[0] + out_SBNH[1]) / 2


class DropPath(nn.Module):
    """While training, zero a whole (N, H) sample with probability p and scale the others by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x_NH: Tensor) -> Tensor:
        """(..., N, H) -> (..., N, H); every leading index is a sample with a draw of its own."""
        if not self.training or self.p == 0:
            return x_NH
        keep = torch.rand((*x_NH.shape[:-2], 1, 1), device=x_NH.device) >= self.p
        return x_NH * (keep.to(x_NH.dtype) / (1 - self.p))


def sinusoids(tokens: int, hidden: int) -> Tensor:
    """Sinusoidal positions (N, H): sine in the even channels, cosine in the odd ones, base 10000."""
    frequency = torch.exp(torch.arange(0, hidden, 2).float() * (-math.log(10000.0) / hidden))
    angle = torch.arange(tokens).float()[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


def _embedding(inputs: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, hidden))


def _mlp(hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))


def _adaptive_mean(tokens: int, frames: int) -> Tensor:
    """Adaptive mean pooling from N tokens to T frames as a matrix (T, N): one product in any engine."""
    return F.adaptive_avg_pool1d(torch.eye(tokens), frames).T.contiguous()
