"""`skelstream bench pretrain`: clips a second of our pretraining against those of the published way, in one run.

The published way: a numpy loop augments one sample at a time, four views go through the model one after the other in
float32, attention is PyTorch's MultiheadAttention, the gap tokens are restored by an indexed write, the covariance and
correlation matrices are D x D. Ours: everything else in `train/`, in bfloat16 where the hardware has it. Both run on
the same device, see the same clips and compute the same loss.
Shapes: R view, B clip, C coordinate, T frame, V joint, M person, H hidden, N token, D projection.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from ..encoder.dste import DSTE
from ..train.clips import Clips
from ..train.device import computed_in, described, training_device
from ..train.objectives.mgfd import VIEWS
from ..train.pretrain import Pretraining, PretrainingRun
from ..train.projectors import Projectors
from .published import PublishedDSTE


def bench_pretrain(clips: Clips, hidden: int, batch: int, seconds: float, seed: int) -> int:
    """Alternate between the two ways until each has run for `seconds`, and print clips a second and the ratio."""
    config = Pretraining(encoder=DSTE.Config(hidden=hidden), batch=batch, epochs=10**6, lr=1e-4, seed=seed)
    device = training_device()
    run = PretrainingRun(clips, config, device=device)
    run.encoder.train()
    run.projectors.train()
    published = _Published(clips, hidden, batch, seed, device)
    ways: dict[str, Callable[[], float]] = {
        "published": published.step,
        "ours": lambda: float(run.advance(run.draw(run.step)).loss),
    }
    spent = dict.fromkeys(ways, 0.0)
    steps = dict.fromkeys(ways, 0)
    for step in ways.values():  # the first of each allocates
        step()
    while min(spent.values()) < seconds:
        for name, step in ways.items():  # turn by turn: what else the machine does hits both
            began = time.perf_counter()
            step()  # both end with the loss as a number, for which a GPU finishes its work
            spent[name] += time.perf_counter() - began
            steps[name] += 1
    rate = {name: steps[name] * batch / spent[name] for name in ways}
    dtype = str(computed_in(device, config.precision)).removeprefix("torch.")
    table = Table(title=f"pretraining, hidden {hidden}, batch {batch}, {described(device)}, ours in {dtype}, "
                  f"{torch.get_num_threads()} threads, {os.cpu_count()} cores")  # fmt: skip
    for column in ("way", "steps", "clips/s", "ratio"):
        table.add_column(column, justify="right")
    for name, value in rate.items():
        table.add_row(name, str(steps[name]), f"{value:.2f}", f"{value / rate['published']:.2f}")
    Console().print(table)
    return 0


class _Published:
    """One step of pretraining as the paper's code is described to do it."""

    def __init__(self, clips: Clips, hidden: int, batch: int, seed: int, device: torch.device) -> None:
        torch.manual_seed(seed)
        self.clips, self.batch, self.device = clips, batch, device
        self.rng = np.random.default_rng(seed)
        self.model = PublishedDSTE(DSTE.Config(hidden=hidden)).to(device)
        self.projectors = Projectors(hidden).to(device)
        self.optimizer = torch.optim.Adam([*self.model.parameters(), *self.projectors.parameters()], lr=1e-4)

    def step(self) -> float:
        chosen = self.rng.choice(len(self.clips), self.batch)
        samples = [[self._view(int(i)) for i in chosen] for _ in range(VIEWS)]
        projected = []
        for view in samples:
            projected.append(self.projectors(self.model.clip(torch.stack(view).to(self.device))))
        loss = torch.zeros((), device=self.device)
        for domain, weight in (("temporal", 0.5), ("spatial", 0.5), ("instance", 1.0)):
            loss = loss + weight * _published_loss([p[domain] for p in projected])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimizer.step()
        return float(loss.detach())

    def _view(self, i: int) -> Tensor:
        """One augmented view (3, 64, 25, 2) of one clip."""
        clip = self.clips.clips[i]
        x = np.asarray(self.clips.stores[clip.store].frames[clip.start : clip.start + clip.length])
        x = x.transpose(3, 0, 2, 1)  # C T V M
        length = max(int(np.floor(x.shape[1] * self.rng.uniform(0.1, 1))), min(64, x.shape[1]))
        start = self.rng.integers(0, x.shape[1] - length + 1)
        cropped = torch.from_numpy(np.ascontiguousarray(x[:, start : start + length])).permute(0, 2, 3, 1)
        flat = cropped.reshape(1, -1, length, 1)
        resized = F.interpolate(flat, size=(64, 1), mode="bilinear", align_corners=False)
        y = resized.reshape(3, 25, 2, 64).permute(0, 3, 1, 2).contiguous().numpy()
        y = y - y[:, :, :1, :1].mean(axis=1, keepdims=True)
        if self.rng.random() < 0.5:
            joints = self.rng.choice(25, 15, replace=False)
            matrix = self.rng.uniform(-1, 1, (3, 3)) if self.rng.random() < 0.5 else np.zeros((3, 3))
            y[:, :, joints] = np.einsum("ij,jtvm->itvm", matrix, y[:, :, joints])
        else:
            matrix = self.rng.uniform(-1, 1, (3, 3))
            np.fill_diagonal(matrix, 1)
            y = np.einsum("ij,jtvm->itvm", matrix, y)
        return torch.from_numpy(y.astype(np.float32))


def _published_loss(z: list[Tensor]) -> Tensor:
    """MG-FD of one domain with D x D matrices; the correlation is computed though its weight is 0 or 1e-3."""
    centre = torch.stack(z[:3]).mean(dim=0)
    similarity = sum((F.mse_loss(z[k], z[3]) + F.mse_loss(z[k], centre) for k in range(3)), torch.zeros(()))
    vac, correlation = torch.zeros(()), torch.zeros(())
    b, d = z[0].shape
    for view in z:
        centred = view - view.mean(dim=0)
        covariance = centred.T @ centred / (b - 1)
        off = covariance.square().sum() - covariance.diagonal().square().sum()
        vac = vac + 5 * F.relu(1 - torch.sqrt(view.var(dim=0) + 1e-4)).mean() + off / d
    standard = [F.batch_norm(view, None, None, training=True) for view in z]
    for i in range(VIEWS):
        for j in range(i + 1, VIEWS):
            c = standard[i].T @ standard[j] / b
            off = c.square().sum() - c.diagonal().square().sum()
            correlation = correlation + (1 - c.diagonal()).square().sum() + 0.005 * off
    return 5 * similarity + vac + 1e-3 * correlation
