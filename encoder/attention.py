"""Self-attention with one head, as every encoder here uses it.

Shapes: N token, H hidden; ... any leading axes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Self-attention written out: PyTorch's own takes a fused path that does not export.

    Causal: token i attends to tokens 0 to i.
    """

    def __init__(self, hidden: int, tokens: int, causal: bool) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(hidden)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.later_NN: Tensor | None
        later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1) if causal else None
        self.register_buffer("later_NN", later, persistent=False)

    def forward(self, x_NH: Tensor) -> Tensor:
        """(..., N, H) -> (..., N, H)."""
        query, key, value = self.qkv(x_NH).chunk(3, dim=-1)
        score_NN = (query * self.scale) @ key.transpose(-2, -1)
        if self.later_NN is not None:
            score_NN = score_NN.masked_fill(self.later_NN, -math.inf)
        out: Tensor = self.out(score_NN.softmax(dim=-1) @ value)
        return out
