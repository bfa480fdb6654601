"""DSTE, the Dense Spatio-Temporal Encoder of USDRL, with a causal form.

Source: arXiv 2508.12586 (TPAMI 2026) and arXiv 2412.09220 (AAAI 2025); where the papers and the authors' code differ,
this follows the code, so that the authors' weights give the authors' numbers (`checkpoint.py`, tests/golden).

Causal: attention alone is not enough, because DSA mixes tokens along their axis as well; both are lower-triangular in
the temporal stream, and the leak from later frames is exactly zero.
Shapes: B batch, H hidden, N token (T frames, or M * V joints of all people), S branch.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention
from .config import DSTEConfig
from .config import Size as Size
from .drop_path import DropPath
from .skeleton_encoder import SkeletonEncoder


class DSTE(SkeletonEncoder):
    """USDRL's encoder; positions are added again before every layer."""

    Config: TypeAlias = DSTEConfig
    positions_again: ClassVar[bool] = True
    config: DSTEConfig

    def __init__(self, config: DSTEConfig) -> None:
        super().__init__(config, lambda tokens, causal: Layer(config, tokens, causal))

    def _initialise(self) -> None:
        super()._initialise()
        for module in self.modules():
            if isinstance(module, ConvolutionAttention):
                # A Conv1d of the authors', which their truncated normal passes over: it starts as PyTorch starts it.
                module.convolution.reset_parameters()


class Layer(nn.Module):
    """y = alpha CA(x) + (1 - alpha) DSA(x) on (B, N, H); both halves use the one self-attention."""

    def __init__(self, config: DSTEConfig, tokens: int, causal: bool) -> None:
        super().__init__()
        self.alpha = config.alpha
        self.attention = Attention(config.hidden, tokens, causal)
        self.ca = ConvolutionAttention(config)
        self.dsa = DenseShiftAttention(config, tokens, causal)

    def forward(self, x_BNH: Tensor) -> Tensor:
        ca: Tensor = self.ca(x_BNH, self.attention)
        dsa: Tensor = self.dsa(x_BNH, self.attention)
        return self.alpha * ca + (1 - self.alpha) * dsa


class ConvolutionAttention(nn.Module):
    """CA: c = x + ReLU(Conv(x)); a = DropPath(Attn(LN1 c)) + x; DropPath(MLP(LN2 a)), with no residual at the end."""

    def __init__(self, config: DSTEConfig) -> None:
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

    def __init__(self, config: DSTEConfig, tokens: int, causal: bool) -> None:
        super().__init__()
        self.mix1 = TokenMix(tokens, causal)
        self.mix2 = TokenMix(tokens, causal)
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


class TokenMix(nn.Linear):
    """A linear map along the token axis, (B, H, N) -> (B, H, N). Causal: token i is made of tokens 0 to i."""

    def __init__(self, tokens: int, causal: bool) -> None:
        super().__init__(tokens, tokens)
        self.past_NN: Tensor | None
        self.register_buffer("past_NN", torch.ones(tokens, tokens).tril() if causal else None, persistent=False)

    def forward(self, x_BHN: Tensor) -> Tensor:
        return F.linear(x_BHN, self.weight if self.past_NN is None else self.weight * self.past_NN, self.bias)


def _mlp(hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))
