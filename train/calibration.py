"""How far a detector's confidence can be believed, and by which score the unknown is told from the known.

Pure numpy. Shapes: N frame (or anything else that is judged), K class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Floats = NDArray[np.floating]

BINS = 15  # as Guo et al. have it
_COLDEST, _HOTTEST = 0.1, 10.0
_GOLDEN = (5**0.5 - 1) / 2


def softmax(logits: Floats) -> F64:
    """Probabilities over the last axis, float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    shares: F64 = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def negative_log_likelihood(probabilities_NK: Floats, truth_N: NDArray[np.integer]) -> float:
    """The mean of -log p(truth). ValueError for shapes that disagree, or nothing to judge."""
    if probabilities_NK.ndim != 2 or truth_N.shape != probabilities_NK.shape[:1] or not truth_N.size:
        raise ValueError(
            f"probabilities {probabilities_NK.shape} and truth {truth_N.shape} must be (N, K), (N,), N > 0"
        )
    of_truth_N = np.take_along_axis(probabilities_NK, truth_N.astype(np.int64)[:, None], axis=1)
    return float(-np.log(np.maximum(of_truth_N, 1e-12)).mean())


def fit_temperature(logits_NK: Floats, truth_N: NDArray[np.integer]) -> float:
    """The temperature in 0.1..10 by which logits must be divided for the least negative log-likelihood.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), section 4.2. The likelihood is concave in
    1 / temperature, so a golden-section search finds the one optimum. ValueError as `negative_log_likelihood`.
    """

    def cost(coldness: float) -> float:
        return negative_log_likelihood(softmax(logits_NK * coldness), truth_N)

    return 1 / _minimum(cost, 1 / _HOTTEST, 1 / _COLDEST)


def _minimum(cost: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one valley is least, to a thousandth of where it is."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = cost(left), cost(right)
    while high - low > 1e-3 * high:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = cost(right)
    return (low + high) / 2


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What lies in each of equally wide bins of confidence, (bins,): how many, their mean confidence, how many of them
    are right (a share; NaN in an empty bin)."""

    counts: NDArray[np.int64]
    confidence: F64
    accuracy: F64

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1: the mean gap between the two, weighted by how many they are."""
        filled = self.counts > 0
        gaps = np.abs(self.confidence - self.accuracy)[filled]
        return float((gaps * self.counts[filled]).sum() / self.counts.sum())


def reliability(confidence_N: Floats, right_N: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """The reliability diagram of confidences in 0..1 (Guo et al., 2017, eq. 2 and 3; bins closed above).

    ValueError for shapes that disagree, nothing to judge, or a confidence outside 0..1.
    """
    if confidence_N.shape != right_N.shape or confidence_N.ndim != 1 or not confidence_N.size:
        raise ValueError(f"confidence {confidence_N.shape} and right {right_N.shape} must both be (N,), N > 0")
    confidence_N = confidence_N.astype(np.float64)
    if not (confidence_N.min() >= 0 and confidence_N.max() <= 1 + 1e-6):
        raise ValueError("a confidence outside 0..1 is none; give probabilities")
    bin_N = np.clip(np.ceil(confidence_N * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(bin_N, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(bin_N, weights=confidence_N, minlength=bins) / counts
        accuracy = np.bincount(bin_N, weights=right_N.astype(np.float64), minlength=bins) / counts
    return Reliability(counts=counts, confidence=confidence, accuracy=accuracy)


def expected_calibration_error(probabilities_NK: Floats, truth_N: NDArray[np.integer], bins: int = BINS) -> float:
    """The error of the most probable class's probability as its confidence, 0 to 1; see `reliability`."""
    return reliability(probabilities_NK.max(axis=1), probabilities_NK.argmax(axis=1) == truth_N, bins).error


def auroc(scores_N: Floats, positive_N: NDArray[np.bool_]) -> float:
    """The chance that a positive scores higher than a negative, ties counting half: the area under the ROC curve.

    ValueError unless there are both, and for scores that are no numbers.
    """
    if scores_N.shape != positive_N.shape or scores_N.ndim != 1 or np.isnan(scores_N).any():
        raise ValueError(f"scores {scores_N.shape} and positive {positive_N.shape} must both be (N,), without NaN")
    positives = int(positive_N.sum())
    negatives = positive_N.size - positives
    if not positives or not negatives:
        raise ValueError("an area under the curve needs positives and negatives; there is only one kind")
    _, place_N, count = np.unique(scores_N, return_inverse=True, return_counts=True)
    rank_N = (np.cumsum(count) - (count - 1) / 2)[place_N]  # from 1, the mean of those that tie
    return float((rank_N[positive_N].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def unknown_scores(logits_NK: Floats) -> dict[str, F64]:
    """Four scores (N,) that are high where a motion is outside the vocabulary: what the literature tries first.

    energy (Liu et al., NeurIPS 2020), maximum softmax (Hendrycks and Gimpel, ICLR 2017), maximum logit (Hendrycks et
    al., ICML 2022), entropy of the softmax.
    """
    shares_NK = softmax(logits_NK)
    largest_N = logits_NK.max(axis=1).astype(np.float64)
    return {
        "energy": -(largest_N + np.log(np.exp(logits_NK - largest_N[:, None]).sum(axis=1))),
        "maximum softmax": -shares_NK.max(axis=1),
        "maximum logit": -largest_N,
        "entropy": -(shares_NK * np.log(np.maximum(shares_NK, 1e-12))).sum(axis=1),
    }
