"""MG-FD against its formulas written out in numpy, loop by loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.train.objectives.mgfd import Weights, cross_correlation, mgfd, similarity, variance_covariance

F64 = NDArray[np.float64]
SHAPES = st.tuples(st.integers(2, 9), st.integers(1, 9), st.integers(0, 10_000))  # B, D, seed: B < D and B > D


def draw(b: int, d: int, seed: int) -> F64:
    return np.random.default_rng(seed).normal(size=(4, b, d)) * 1.5 + 0.3


def similarity_by_hand(z: F64) -> float:
    centre = (z[0] + z[1] + z[2]) / 3
    return float(sum(((z[k] - z[3]) ** 2).mean() + ((z[k] - centre) ** 2).mean() for k in range(3)))


def vac_by_hand(z: F64) -> float:
    total = 0.0
    for view in z:
        d = view.shape[1]
        std = np.sqrt(view.var(axis=0, ddof=1) + 1e-4)
        covariance = np.atleast_2d(np.cov(view, rowvar=False, ddof=1))
        off = sum(covariance[i, j] ** 2 for i in range(d) for j in range(d) if i != j)
        total += 5 * np.maximum(1 - std, 0).mean() + off / d
    return total


def xcorr_by_hand(z: F64) -> float:
    total = 0.0
    standard = [(v - v.mean(0)) / np.sqrt(v.var(0) + 1e-5) for v in z]
    for first in range(4):
        for second in range(first + 1, 4):
            c = standard[first].T @ standard[second] / len(standard[first])
            for i in range(len(c)):
                for j in range(len(c)):
                    total += (1 - c[i, i]) ** 2 if i == j else 0.005 * c[i, j] ** 2
    return total


@settings(deadline=None, max_examples=40)
@given(SHAPES)
def test_every_term_is_its_formula(shape: tuple[int, int, int]) -> None:
    z = draw(*shape)
    tensor = torch.from_numpy(z)
    assert float(similarity(tensor)) == pytest.approx(similarity_by_hand(z), rel=1e-9)
    assert float(variance_covariance(tensor)) == pytest.approx(vac_by_hand(z), rel=1e-7, abs=1e-9)
    assert float(cross_correlation(tensor)) == pytest.approx(xcorr_by_hand(z), rel=1e-7, abs=1e-9)


def test_the_domains_are_weighed_as_the_paper_says() -> None:
    views = {"temporal": draw(6, 8, 1), "spatial": draw(6, 8, 2), "instance": draw(6, 16, 3)}
    terms = mgfd({k: torch.from_numpy(v) for k, v in views.items()}, Weights(cross_correlation=1e-3))  # type: ignore[misc]
    of = {k: 5 * similarity_by_hand(v) + vac_by_hand(v) + 1e-3 * xcorr_by_hand(v) for k, v in views.items()}
    assert float(terms.loss) == pytest.approx(of["instance"] + 0.5 * (of["temporal"] + of["spatial"]), rel=1e-5)
    assert terms.domains == pytest.approx(of, rel=1e-5)


@settings(deadline=None, max_examples=20)
@given(SHAPES, st.permutations(range(3)))
def test_the_first_three_views_are_alike_and_the_fourth_is_not(shape: tuple[int, int, int], order: list[int]) -> None:
    z = torch.from_numpy(draw(*shape))
    assert float(similarity(z[[*order, 3]])) == pytest.approx(float(similarity(z)), rel=1e-9)


def test_identical_views_agree_and_constant_ones_are_punished() -> None:
    same = torch.from_numpy(draw(16, 4, 0))[:1].expand(4, 16, 4)
    assert float(similarity(same)) == pytest.approx(0, abs=1e-20)
    assert float(variance_covariance(torch.zeros(4, 16, 4))) == pytest.approx(4 * 5 * (1 - 1e-2), rel=1e-6)


def test_the_gradient_is_that_of_the_formula() -> None:
    for b, d in ((3, 6), (7, 4)):  # both forms of the Gram matrix
        z = torch.from_numpy(draw(b, d, 5)).requires_grad_()
        for term in (similarity, variance_covariance, cross_correlation):
            assert torch.autograd.gradcheck(term, z)


@pytest.mark.parametrize("shape", [(3, 8, 4), (4, 1, 4), (4, 8)])
def test_what_is_not_four_views_of_a_batch_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="MG-FD takes"):
        mgfd({"instance": torch.zeros(shape)}, Weights())
