"""Linear probes: multinomial logistic regression on features that are computed once and stay as they are.

`GradientDescent` is the paper's protocol. `Exact` minimises the same cross-entropy (with a little L2) to convergence:
at the paper's learning rate a set of a thousand clips gets 320 steps in 160 epochs, which ends far from the optimum and
measures the optimiser rather than the features.
Shapes: R view of a clip, N clip, F feature, K class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_DROP = 0.1
_MOST_ITERATIONS = 1000


@dataclass(frozen=True, kw_only=True)
class GradientDescent:
    """SGD (arXiv 2508.12586): lr 0.006 (0.03 on NTU-60 xview), batch 512, 160 epochs, a tenth at 120 and 140.

    The momentum is the customary one: the paper names none.
    """

    lr: float = 0.006
    momentum: float = 0.9
    batch: int = 512
    epochs: int = 160
    drops: tuple[int, ...] = (120, 140)

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.batch < 1 or self.epochs < 1 or not 0 <= self.momentum < 1:
            raise ValueError("a probe needs lr above 0, batch and epochs of at least 1, and momentum in 0..1, below 1")


@dataclass(frozen=True, kw_only=True)
class Exact:
    """L-BFGS in float64 on standardised features, to the minimum of mean cross-entropy + l2 / 2 |W|^2.

    0.001 is the weight that scikit-learn's C = 1 gives a thousand clips. All views of all clips lie in memory at once.
    """

    l2: float = 1e-3

    def __post_init__(self) -> None:
        if self.l2 <= 0:
            raise ValueError(f"l2 is {self.l2}; it must be above 0, or separable classes have no minimum")


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features, and the mean training loss of each epoch (of the last step, if exact)."""

    weight_FK: Tensor
    bias_K: Tensor
    losses: tuple[float, ...]

    def __call__(self, features_NF: Tensor) -> Tensor:
        """Logits (N, K)."""
        return features_NF @ self.weight_FK + self.bias_K


def fit_probe(
    views_RNF: Tensor, labels_N: Tensor, classes: int, solver: GradientDescent | Exact, seed: int = 0
) -> Probe:
    """Fit a probe to R views of each clip; gradient descent draws one of them a clip and epoch, by the seed.

    It is fitted where the views are, and comes back on the CPU. Raises ValueError if the shapes disagree, or a label is
    outside 0..K-1.
    """
    if views_RNF.ndim != 3 or labels_N.shape != views_RNF.shape[1:2] or not len(labels_N):
        raise ValueError(f"features (R, N, F) and labels (N,) needed, not {(*views_RNF.shape,)}, {(*labels_N.shape,)}")
    if not 0 <= int(labels_N.min()) <= int(labels_N.max()) < classes:
        raise ValueError(
            f"labels run from {int(labels_N.min())} to {int(labels_N.max())}; classes are 0..{classes - 1}"
        )
    if isinstance(solver, Exact):
        return _exact(views_RNF, labels_N.to(views_RNF.device), classes, solver)
    return _descend(views_RNF, labels_N.to(views_RNF.device), classes, solver, seed)


def _descend(views_RNF: Tensor, labels_N: Tensor, classes: int, solver: GradientDescent, seed: int) -> Probe:
    views, clips, features = views_RNF.shape
    drawn_FK = torch.empty(features, classes).normal_(std=0.01, generator=torch.Generator().manual_seed(seed))
    weight_FK = drawn_FK.to(views_RNF.device).requires_grad_()
    bias_K = torch.zeros(classes, device=views_RNF.device, requires_grad=True)
    optimizer = torch.optim.SGD([weight_FK, bias_K], lr=solver.lr, momentum=solver.momentum)
    losses = []
    for epoch in range(solver.epochs):
        rng = np.random.default_rng((seed, epoch))
        order, view_N = rng.permutation(clips), rng.integers(views, size=clips)
        total = 0.0
        for at in range(0, clips, solver.batch):
            some = order[at : at + solver.batch]
            loss = F.cross_entropy(views_RNF[view_N[some], some] @ weight_FK + bias_K, labels_N[some])
            for group in optimizer.param_groups:
                group["lr"] = solver.lr * _DROP ** sum(epoch >= drop for drop in solver.drops)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            total += float(loss.detach()) * len(some)
        losses.append(total / clips)
    return Probe(weight_FK.detach().cpu(), bias_K.detach().cpu(), tuple(losses))


def _exact(views_RNF: Tensor, labels_N: Tensor, classes: int, solver: Exact) -> Probe:
    x_NF = views_RNF.flatten(0, 1).double()
    y_N = labels_N.repeat(len(views_RNF))
    mean_F, std_F = x_NF.mean(dim=0), x_NF.std(dim=0, correction=0)
    scale_F = torch.where(std_F > 1e-6, std_F, torch.inf)  # a feature that never changes says nothing
    x_NF = (x_NF - mean_F) / scale_F
    weight_FK = torch.zeros(x_NF.shape[1], classes, dtype=torch.float64, device=x_NF.device, requires_grad=True)
    bias_K = torch.zeros(classes, dtype=torch.float64, device=x_NF.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight_FK, bias_K], max_iter=_MOST_ITERATIONS, max_eval=2 * _MOST_ITERATIONS, tolerance_grad=1e-8,
        tolerance_change=1e-12, history_size=20, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x_NF @ weight_FK + bias_K, y_N) + solver.l2 / 2 * weight_FK.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    loss = float(objective().detach())
    # The standardisation goes into the weights, so that the probe takes features as they come.
    plain_FK = weight_FK.detach() / scale_F[:, None]
    return Probe(plain_FK.float().cpu(), (bias_K.detach() - mean_F @ plain_FK).float().cpu(), (loss,))
