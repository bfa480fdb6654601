"""Calibration: temperature, reliability and AUROC against computations of another kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.train.calibration import (
    auroc,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    softmax,
    unknown_scores,
)


def test_the_likelihood_of_what_is_known() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    assert negative_log_likelihood(probabilities, np.array([0, 1])) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)
    with pytest.raises(ValueError, match="must be"):
        negative_log_likelihood(probabilities, np.array([0]))


@settings(deadline=None, max_examples=5)
@given(true=st.floats(0.3, 4), seed=st.integers(0, 99))
def test_the_temperature_that_scores_were_made_with_is_found(true: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    honest = rng.normal(scale=2, size=(20_000, 4))
    shares = softmax(honest)
    truth = (shares.cumsum(axis=1) < rng.random((len(shares), 1))).sum(axis=1)
    found = fit_temperature(honest * true, truth)
    assert found == pytest.approx(true, rel=0.08)
    # No other temperature of a fine grid is better.
    grid = [negative_log_likelihood(softmax(honest * true / t), truth) for t in np.geomspace(0.1, 10, 200)]
    assert negative_log_likelihood(softmax(honest * true / found), truth) <= min(grid) + 1e-6


def test_calibration_by_hand() -> None:
    confidence = np.array([0.15, 0.2, 0.95, 1.0, 1.0])
    right = np.array([False, True, True, True, False])
    found = reliability(confidence, right, bins=10)
    assert found.counts.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 3]  # 0.2 closes the second bin
    assert found.accuracy[1] == 0.5 and found.accuracy[9] == pytest.approx(2 / 3) and np.isnan(found.accuracy[0])
    gaps = 2 * abs(0.5 - 0.175) + 3 * abs(2 / 3 - 2.95 / 3)
    assert found.error == pytest.approx(gaps / 5)


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_calibration_error_is_what_a_loop_over_bins_says(seed: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(5) * 0.5, size=60)
    truth = rng.integers(5, size=60)
    error = 0.0
    for i in range(bins):
        inside = [
            (max(p), int(np.argmax(p)) == t)
            for p, t in zip(probabilities.tolist(), truth.tolist(), strict=True)
            if i / bins < max(p) <= (i + 1) / bins
        ]
        if inside:
            mean, accuracy = np.mean([c for c, _ in inside]), np.mean([r for _, r in inside])
            error += len(inside) / 60 * abs(mean - accuracy)
    assert expected_calibration_error(probabilities, truth, bins) == pytest.approx(error, abs=1e-9)


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.lists(st.integers(-5, 5), min_size=1, max_size=30)
)  # fmt: skip
def test_auroc_is_the_share_of_pairs_in_order(positives: list[int], negatives: list[int]) -> None:
    pairs = [1.0 if p > n else 0.5 if p == n else 0.0 for p in positives for n in negatives]
    scores = np.array(positives + negatives, np.float32)
    positive = np.arange(len(scores)) < len(positives)
    assert auroc(scores, positive) == pytest.approx(np.mean(pairs))
    assert auroc(-scores, positive) == pytest.approx(1 - np.mean(pairs))


def test_auroc_needs_both_kinds() -> None:
    with pytest.raises(ValueError, match="only one kind"):
        auroc(np.ones(3), np.ones(3, bool))


def test_scores_of_the_unknown_rise_with_doubt() -> None:
    logits = np.array([[9.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    scores = unknown_scores(logits)
    assert set(scores) == {"energy", "maximum softmax", "maximum logit", "entropy"}
    assert all(doubtful > sure for sure, doubtful in scores.values())
    assert scores["energy"][1] == pytest.approx(-(1 + np.log(3))) and scores["entropy"][1] == pytest.approx(np.log(3))
    assert scores["maximum softmax"][1] == pytest.approx(-1 / 3) and scores["maximum logit"][0] == -9
