"""The projectors of pretraining: from each domain's representation to where the loss compares views.

Source: the authors' code of arXiv 2412.09220. They are thrown away after pretraining.
Shapes: B batch, H hidden, D dimension of the projection.
"""

from __future__ import annotations

from torch import Tensor, nn

from .objectives.mgfd import Domain


class Projectors(nn.Module):
    """One projector a domain: temporal and spatial (B, H) -> (B, 2H), instance (B, 2H) -> (B, 4H)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.temporal = projector(hidden, 2 * hidden)
        self.spatial = projector(hidden, 2 * hidden)
        self.instance = projector(2 * hidden, 4 * hidden, between=2 * hidden)

    def forward(self, clip_B2H: Tensor) -> dict[Domain, Tensor]:
        """The projections of clip representations (B, 2H), temporal half first."""
        temporal_BH, spatial_BH = clip_B2H.chunk(2, dim=-1)
        return {
            "temporal": self.temporal(temporal_BH),
            "spatial": self.spatial(spatial_BH),
            "instance": self.instance(clip_B2H),
        }


def projector(inputs: int, outputs: int, between: int | None = None) -> nn.Sequential:
    """Linear, BatchNorm, ReLU, twice, then a bare Linear; `between` (default: `outputs`) is the width in the middle."""
    width = outputs if between is None else between
    return nn.Sequential(
        nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True),
        nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True),
        nn.Linear(width, outputs),
    )  # fmt: skip
