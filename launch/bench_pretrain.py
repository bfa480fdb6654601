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
from torch import Tensor, nn
from torch.nn import functional as F

from ..encoder.dste import DSTE
from ..encoder.skeleton_encoder import sinusoids
from ..train.clips import Clips
from ..train.device import computed_in, described, training_device
from ..train.objectives.mgfd import VIEWS
from ..train.pretrain import Pretraining, PretrainingRun
from ..train.projectors import Projectors


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
        self.model = _PublishedDSTE(hidden).to(device)
        self.projectors = Projectors(hidden).to(device)
        self.optimizer = torch.optim.Adam([*self.model.parameters(), *self.projectors.parameters()], lr=1e-4)

    def step(self) -> float:
        chosen = self.rng.choice(len(self.clips), self.batch)
        samples = [[self._view(int(i)) for i in chosen] for _ in range(VIEWS)]
        projected = []
        for view in samples:
            projected.append(self.projectors(self.model(torch.stack(view).to(self.device))))
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


class _PublishedDSTE(nn.Module):
    """The encoder with PyTorch's own attention, branch after branch."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.t_embedding, self.s_embedding = (
            nn.Sequential(nn.Linear(n, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, hidden))
            for n in (150, 192)
        )
        self.t_layers = nn.ModuleList(_PublishedLayer(hidden, 64) for _ in range(2))
        self.s_layers = nn.ModuleList(_PublishedLayer(hidden, 50) for _ in range(2))
        self.t_position: Tensor
        self.register_buffer("t_position", sinusoids(64, hidden))
        self.s_position = nn.Parameter(torch.randn(50, hidden) * 0.02)

    def forward(self, x_BCTVM: Tensor) -> Tensor:
        t = self.t_embedding(x_BCTVM.permute(0, 2, 4, 3, 1).flatten(2))
        s = self.s_embedding(x_BCTVM.permute(0, 4, 3, 2, 1).flatten(3).flatten(1, 2))
        for layer in self.t_layers:
            t = layer(t + self.t_position)
        for layer in self.s_layers:
            s = layer(s + self.s_position)
        return torch.cat((t.amax(dim=1), s.amax(dim=1)), dim=-1)


class _PublishedLayer(nn.Module):
    def __init__(self, hidden: int, tokens: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(hidden, 1, batch_first=True)
        self.convolution = nn.Conv1d(hidden, hidden, 1)
        self.mix1, self.mix2 = nn.Linear(tokens, tokens), nn.Linear(tokens, tokens)
        self.ca1, self.ca2, self.dsa1, self.dsa2 = (nn.LayerNorm(hidden) for _ in range(4))
        self.ca_mlp, self.dsa_mlp = (
            nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden)) for _ in range(2)
        )
        self.gap = torch.arange(0, tokens, 4)

    def forward(self, x_BNH: Tensor) -> Tensor:
        c = x_BNH + F.relu(self.convolution(x_BNH.transpose(1, 2)).transpose(1, 2))
        c = self._attend(self.ca1(c)) + x_BNH
        c = _drop_path(self.ca_mlp(self.ca2(c)))
        shifted = x_BNH.transpose(1, 2)
        shifted = (self.mix2(F.relu(self.mix1(shifted))) + shifted).transpose(1, 2).clone()
        shifted[:, self.gap] = x_BNH[:, self.gap]
        branches = []
        for branch in (shifted, x_BNH):
            attended = self._attend(self.dsa1(branch)) + branch
            branches.append(attended + _drop_path(self.dsa_mlp(self.dsa2(attended))))
        return 0.5 * c + 0.25 * (branches[0] + branches[1])

    def _attend(self, x_BNH: Tensor) -> Tensor:
        out: Tensor = self.attention(x_BNH, x_BNH, x_BNH)[0]
        return _drop_path(out)


def _drop_path(x_BNH: Tensor) -> Tensor:
    return x_BNH * ((torch.rand(len(x_BNH), 1, 1, device=x_BNH.device) >= 0.1).float() / 0.9)


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
