"""The processes that train one model together, each with its share of every batch; `ALONE` is one by itself.

They are joined by torch.distributed (NCCL between GPUs, gloo between CPUs), whoever started them. Nothing in here
decides what is learnt: with any number of workers the numbers are those of one that has the whole batch.
Shapes: B row of the batch, K value.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, kw_only=True)
class Workers:
    """This process is number `rank` of `count`."""

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> Self:
        """Those of the process group that this process belongs to; alone where there is none."""
        if not distributed.is_initialized():
            return cls()
        return cls(rank=distributed.get_rank(), count=distributed.get_world_size())

    def share(self, batch: int) -> slice:
        """This worker's rows of a batch. They differ by one row at most between workers.

        Raises ValueError if there are more workers than rows.
        """
        if batch < self.count:
            raise ValueError(f"a batch of {batch} leaves some of {self.count} workers without work; give fewer workers")
        return slice(batch * self.rank // self.count, batch * (self.rank + 1) // self.count)

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the workers whenever they are computed."""
        if self.count == 1:
            return module
        device = next(module.parameters()).device
        return DistributedDataParallel(
            module, device_ids=[device] if device.type == "cuda" else None, gradient_as_bucket_view=True
        )

    def without_averaging(self, wrapped: nn.Module) -> AbstractContextManager[object]:
        """Gradients computed within are kept by this worker, until some are computed outside."""
        return wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else nullcontext()

    def gather(self, mine_BK: Tensor, batch: int) -> Tensor:
        """The whole batch's values (batch, K...), each worker having brought those of its share; no gradient."""
        mine_BK = mine_BK.detach()
        if self.count == 1:
            return mine_BK
        shares = [Workers(rank=rank, count=self.count).share(batch) for rank in range(self.count)]
        longest = max(share.stop - share.start for share in shares)
        # Collectives take equal shapes: the shorter shares are filled up, and what was filled up is cut off again.
        sent = mine_BK.new_zeros((longest, *mine_BK.shape[1:]))
        sent[: len(mine_BK)] = mine_BK
        received = [torch.empty_like(sent) for _ in shares]
        distributed.all_gather(received, sent)
        return torch.cat([part[: share.stop - share.start] for part, share in zip(received, shares, strict=True)])

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradients of these parameters, of a module that is not wrapped, the workers' mean."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def total(self, value: Tensor) -> Tensor:
        """The sum of a value over the workers; no gradient."""
        value = value.detach().clone()
        if self.count > 1:
            distributed.all_reduce(value)
        return value


ALONE = Workers()
