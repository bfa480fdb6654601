"""DropPath: whole samples of a residual branch are left out while training (Huang et al., ECCV 2016).

A sample's draw should not depend on which other samples happen to be computed with it: a batch may be divided over
several workers, or go through in pieces. Within `rows_of_batch` every draw is made for the whole batch, and the rows
at hand take theirs.
Shapes: B sample, N token, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

_ROWS: ContextVar[tuple[Tensor, int] | None] = ContextVar("rows of the batch", default=None)


class DropPath(nn.Module):
    """While training, zero a whole (N, H) sample with probability p and scale the others by 1 / (1 - p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x_BNH: Tensor) -> Tensor:
        """(..., B, N, H) -> (..., B, N, H); every leading index is a sample with a draw of its own."""
        if not self.training or self.p == 0:
            return x_BNH
        *branches, samples = x_BNH.shape[:-2]
        if (batch := _ROWS.get()) is None:
            drawn = torch.rand((*branches, samples, 1, 1), device=x_BNH.device)
        else:
            rows_B, total = batch
            drawn = torch.rand((*branches, total, 1, 1), device=x_BNH.device)[..., rows_B.to(x_BNH.device), :, :]
        return x_BNH * ((drawn >= self.p).to(x_BNH.dtype) / (1 - self.p))


@contextmanager
def rows_of_batch(rows_B: Tensor, total: int) -> Iterator[None]:
    """Within this, what goes through an encoder are these rows (B,) of a batch of `total`."""
    token = _ROWS.set((rows_B, total))
    try:
        yield
    finally:
        _ROWS.reset(token)
