"""Linear probes against the calculus: gradients computed in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skelstream.train.probes import Exact, GradientDescent, fit_probe

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(60, 7)) * RNG.uniform(0.1, 5, 7) + RNG.normal(size=7)).astype(np.float32)
Y = RNG.integers(0, 3, 60)


def gradient(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the mean cross-entropy, by hand."""
    logits = x.astype(np.float64) @ weight + bias
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = (probability / probability.sum(axis=1, keepdims=True) - np.eye(weight.shape[1])[Y]) / len(x)
    return x.T @ error, error.sum(axis=0)


@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_the_exact_probe_is_at_the_minimum(l2: float) -> None:
    probe = fit_probe(torch.from_numpy(X)[None], torch.from_numpy(Y), 3, Exact(l2=l2))
    scale, centre = X.std(axis=0), X.mean(axis=0)
    weight = probe.weight_FK.double().numpy() * scale[:, None]
    bias = probe.bias_K.double().numpy() + centre @ probe.weight_FK.double().numpy()
    by_weight, by_bias = gradient((X - centre) / scale, weight, bias)
    np.testing.assert_allclose(by_weight + l2 * weight, 0, atol=1e-6)
    np.testing.assert_allclose(by_bias, 0, atol=1e-6)


def test_a_feature_that_never_changes_counts_for_nothing() -> None:
    constant = np.concatenate([X, np.full((60, 1), 4.2, np.float32)], axis=1)
    with_it = fit_probe(torch.from_numpy(constant)[None], torch.from_numpy(Y), 3, Exact())
    without = fit_probe(torch.from_numpy(X)[None], torch.from_numpy(Y), 3, Exact())
    assert (with_it.weight_FK[-1] == 0).all()
    torch.testing.assert_close(with_it(torch.from_numpy(constant)), without(torch.from_numpy(X)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("drops,factor", [((), 1.0), ((0,), 0.1), ((0, 0), 0.01), ((1,), 1.0)])
def test_a_step_of_gradient_descent_follows_the_gradient_at_the_rate_of_its_epoch(
    drops: tuple[int, ...], factor: float
) -> None:
    def after_one_step(lr: float) -> np.ndarray:
        solver = GradientDescent(lr=lr, epochs=1, batch=60, drops=drops)
        return fit_probe(torch.from_numpy(X)[None], torch.from_numpy(Y), 3, solver).weight_FK.double().numpy()

    # Two rates from the same start tell the start and the step: W = W0 - rate * G.
    fast, slow = after_one_step(2.0), after_one_step(1.0)
    step = slow - fast
    expected = gradient(X, slow + step, np.zeros(3))[0] * factor
    np.testing.assert_allclose(step, expected, atol=1e-5)


def test_gradient_descent_learns_from_all_views() -> None:
    """One view tells classes 0 and 1 apart, the other 1 and 2: only both together tell all three apart."""
    y = torch.arange(90) % 3
    first, second = torch.zeros(90, 3), torch.zeros(90, 3)
    first[:, 0], first[:, 1] = (y == 0).float(), (y == 1).float()
    second[:, 1], second[:, 2] = (y == 1).float(), (y == 2).float()
    probe = fit_probe(torch.stack([first, second]), y, 3, GradientDescent(lr=0.5, batch=30, epochs=40))
    assert (probe(torch.eye(3)).argmax(dim=1) == torch.arange(3)).all()
    assert probe.losses[-1] < probe.losses[0]


def test_the_seed_decides() -> None:
    def weights(seed: int) -> torch.Tensor:
        solver = GradientDescent(batch=16, epochs=3)
        return fit_probe(torch.from_numpy(X)[None], torch.from_numpy(Y), 3, solver, seed).weight_FK

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_bad_input_is_refused() -> None:
    x, y = torch.from_numpy(X)[None], torch.from_numpy(Y)
    with pytest.raises(ValueError, match=r"classes are 0\.\.1"):
        fit_probe(x, y, 2, Exact())
    with pytest.raises(ValueError, match=r"\(R, N, F\)"):
        fit_probe(x[0], y, 3, Exact())
    with pytest.raises(ValueError, match="l2"):
        Exact(l2=0)
