"""Embeddings: from a stream's input vectors to the hidden width; one, or one a modality and their weighted mean.

Shapes: B batch, N token, I input, H hidden, K modality.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .modality import SINGLE


def embedding(inputs: int, hidden: int) -> nn.Sequential:
    """Linear, LayerNorm, ReLU, Linear: (B, N, I) -> (B, N, H) (USDRL, arXiv 2412.09220)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, hidden))


class MultimodalEmbedding(nn.ModuleDict):
    """One embedding each for joint, motion and bone; one encoder for all three (USDRL's multi-modal MPCT)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__({name: embedding(inputs, hidden) for name in SINGLE})

    def forward(self, inputs_KBNI: Sequence[Tensor], weights_BK: Tensor) -> Tensor:
        """(B, N, H): the sum over the modalities of weight times embedding."""
        # Every embedding of every sample: it costs some percent of the layers, and a batch may mix modalities.
        parts_KBNH = [weights_BK[:, k, None, None] * self[name](inputs_KBNI[k]) for k, name in enumerate(SINGLE)]
        mean_BNH: Tensor = parts_KBNH[0] + parts_KBNH[1] + parts_KBNH[2]
        return mean_BNH
