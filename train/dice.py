"""Random numbers for some rows of a batch, as they would be if the whole batch were here.

A batch that is divided over workers is drawn by each of them as a whole, in numbers, and each takes its own rows': so
what happens to a clip depends on the seed and the step, and not on how many workers there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dice:
    """Draws for `rows` (indices, (B,)) of a batch of `total`, by a generator on the CPU."""

    generator: torch.Generator
    rows: Tensor
    total: int

    @classmethod
    def whole(cls, generator: torch.Generator, total: int) -> Self:
        """For all rows of a batch."""
        return cls(generator, torch.arange(total), total)

    def uniform(self, shape: tuple[int, ...], low: float, high: float, device: torch.device) -> Tensor:
        """(B, *shape) between `low` and `high`."""
        drawn = torch.rand((self.total, *shape), generator=self.generator, device=self.generator.device)
        return (low + (high - low) * drawn[self.rows]).to(device)
