"""MG-FD, multi-grained feature decorrelation: the loss that pretrains USDRL's encoder without labels.

Source: arXiv 2412.09220 (AAAI 2025, section "Multi-Grained Feature Decorrelation") and arXiv 2508.12586 (TPAMI 2026);
the constants and the asymmetry of the four views follow the authors' code. Views of one clip should agree
(`similarity`), while the dimensions of a representation should vary and differ from one another
(`variance_covariance`, `cross_correlation`), in each of three domains: temporal, spatial, instance.

Pure functions, in float32 whatever comes in: variances of half-precision numbers are noise.
Shapes: R view, B batch, D dimension of the projection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Domain = Literal["temporal", "spatial", "instance"]
VIEWS = 4

_VARIANCE_EPS = 1e-4
_VARIANCE_WEIGHT = 5.0
_OFF_DIAGONAL_WEIGHT = 0.005
_STANDARD_EPS = 1e-5


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Loss = sum over domains of weight x (`similarity` sim + vac + `cross_correlation` xcorr).

    `cross_correlation` is 1e-3 in the AAAI code and 0 in the TPAMI code, where the term is then not computed.
    """

    similarity: float = 5.0
    cross_correlation: float = 0.0
    temporal: float = 0.5
    spatial: float = 0.5
    instance: float = 1.0

    def of(self, domain: Domain) -> float:
        """A domain's share."""
        return {"temporal": self.temporal, "spatial": self.spatial, "instance": self.instance}[domain]


@dataclass(frozen=True)
class Terms:
    """The loss, a scalar to differentiate, and each domain's part of it, for the log.

    The parts are tensors without a gradient: to read a number from a GPU in the middle of a step would make it wait.
    """

    loss: Tensor
    domains: dict[Domain, Tensor]


def mgfd(views_RBD: Mapping[Domain, Tensor], weights: Weights) -> Terms:
    """The whole loss of the four views' projections (4, B, D) in each domain; a domain may be missing.

    Raises ValueError if there are not four views, or fewer than two samples: one sample has no variance.
    """
    total, parts = torch.zeros(()), dict[Domain, Tensor]()
    for domain, z_RBD in views_RBD.items():
        if z_RBD.ndim != 3 or len(z_RBD) != VIEWS or z_RBD.shape[1] < 2:
            raise ValueError(f"{domain}: MG-FD takes (4, B, D) with B at least 2, not {tuple(z_RBD.shape)}")
        z_RBD = z_RBD.float()
        loss = weights.similarity * similarity(z_RBD) + variance_covariance(z_RBD)
        if weights.cross_correlation:
            loss = loss + weights.cross_correlation * cross_correlation(z_RBD)
        total = total.to(loss.device) + weights.of(domain) * loss
        parts[domain] = loss.detach()
    return Terms(total, parts)


def similarity(z_RBD: Tensor) -> Tensor:
    """sum over k = 1..3 of MSE(z_k, z_4) + MSE(z_k, mean(z_1, z_2, z_3))."""
    three, fourth = z_RBD[:3], z_RBD[3]
    # The three have equal sizes: the sum of their means is three times the mean over all.
    return 3 * (F.mse_loss(three, fourth.expand_as(three)) + F.mse_loss(three, three.mean(0, True).expand_as(three)))


def variance_covariance(z_RBD: Tensor) -> Tensor:
    """Summed over the views: 5 mean(relu(1 - sqrt(var + 1e-4))) + the squared off-diagonal covariances / D."""
    _, b, d = z_RBD.shape
    centred = z_RBD - z_RBD.mean(dim=1, keepdim=True)
    variance_RD = centred.square().sum(dim=1) / (b - 1)
    hinge = F.relu(1 - (variance_RD + _VARIANCE_EPS).sqrt()).mean(dim=1).sum()
    # The sum of all squared covariances less that of the diagonal. The former is the squared norm of a Gram matrix,
    # and the smaller of the two Gram matrices, B x B or D x D, has the same one: that saves most of the work.
    gram = centred @ centred.transpose(1, 2) if b < d else centred.transpose(1, 2) @ centred
    squares = gram.square().sum() / (b - 1) ** 2
    return _VARIANCE_WEIGHT * hinge + (squares - variance_RD.square().sum()) / d


def cross_correlation(z_RBD: Tensor) -> Tensor:
    """Summed over the six pairs of views: sum (1 - c_ii)^2 + 0.005 sum over i != j of c_ij^2.

    c (D, D) is the correlation over the batch between the features of one view and those of the other, each
    standardised as a BatchNorm without parameters does it.
    """
    _, b, d = z_RBD.shape
    mean, variance = z_RBD.mean(dim=1, keepdim=True), z_RBD.var(dim=1, keepdim=True, correction=0)
    standard_RBD = (z_RBD - mean) / (variance + _STANDARD_EPS).sqrt()
    total = z_RBD.new_zeros(())
    for first, second in combinations(standard_RBD, 2):
        diagonal_D = (first * second).sum(dim=0) / b
        # tr(A'B B'A) = tr(AA' BB'): again the B x B form where it is the smaller.
        if b < d:
            squares = ((first @ first.T) * (second @ second.T)).sum() / b**2
        else:
            squares = (first.T @ second / b).square().sum()
        off_diagonal = squares - diagonal_D.square().sum()
        total = total + (1 - diagonal_D).square().sum() + _OFF_DIAGONAL_WEIGHT * off_diagonal
    return total
