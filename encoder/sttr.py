"""STTR, the Spatio-Temporal Transformer: USDRL's baseline encoder, half of DSTE's size and a quarter of its work.

Source: arXiv 2412.09220 and the authors' code: two post-norm transformer layers a stream, one head, feed-forward H,
ReLU, no dropout; positions are added once, before the first layer. Its causal form needs masked attention alone.
Shapes: B batch, N token, H hidden.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from torch import Tensor, nn

from .attention import Attention
from .config import STTRConfig
from .skeleton_encoder import SkeletonEncoder


class STTR(SkeletonEncoder):
    """USDRL's baseline encoder."""

    Config: TypeAlias = STTRConfig
    positions_again: ClassVar[bool] = False
    config: STTRConfig

    def __init__(self, config: STTRConfig) -> None:
        super().__init__(config, lambda tokens, causal: PostNormLayer(config.hidden, tokens, causal))


class PostNormLayer(nn.Module):
    """a = LN1(x + Attn(x)); LN2(a + MLP(a)) on (B, N, H)."""

    def __init__(self, hidden: int, tokens: int, causal: bool) -> None:
        super().__init__()
        self.attention = Attention(hidden, tokens, causal)
        self.norm1 = nn.LayerNorm(hidden)
        self.norm2 = nn.LayerNorm(hidden)
        self.mlp = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))

    def forward(self, x_BNH: Tensor) -> Tensor:
        attended = self.norm1(x_BNH + self.attention(x_BNH))
        out: Tensor = self.norm2(attended + self.mlp(attended))
        return out
