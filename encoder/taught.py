"""Teach a detector a new action from a few showings: one more row for its head, on the frozen encoder's features.

    learnt = learn(shots, rest, known, temperature=...)      # seconds on a CPU; no torch
    logits_FK1 = np.concatenate((logits_FK, learnt.row.of(features_FW)[:, None]), axis=-1)

What the model knows stays as it is, to the bit: its rows are not touched. The new row's score stands beside theirs in
the softmax, so the chance that a frame is the new action is the logistic function of z - log(sum of exp of the others).
That is what is fitted: logistic regression whose offset is what the known classes say already. It is told the showings
from the person's own rest and from the anchors of everything that is known (`anchors.py`), pulled towards zero as hard
as so few showings need, and shifted until it takes no more of the rest and of the anchors than it may.

N frame, W feature, K class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .bundle import DecodeParameters

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

MOST_TAKEN = 0.01  # of the frames of the background, of all known actions together, and of the person's rest
MOST_OF_ONE = 0.05  # of the frames of any one known action
_PULL = 100.0  # of the weights towards zero: an L2 penalty on standardised features
_SHOWN, _KNOWN, _REST = 200.0, 2000.0, 400.0  # what all frames of a kind count together
_STEPS = 25
_FEW = 1e-3  # a step that gains less than this share is the last


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Frames as the head reads them: `features_NW`, and `known_N`, the log of the sum of exponentials of the logits
    that the known classes have for them, divided by the temperature."""

    features_NW: F32
    known_N: F32

    @classmethod
    def of(cls, answer_NO: F32, classes: int, temperature: float) -> Self:
        """Of an engine's answer (N, K + W) for frames."""
        return cls(features_NW=answer_NO[:, classes:], known_N=log_sum(answer_NO[:, :classes] / temperature))

    @classmethod
    def joined(cls, parts: Sequence[Frames]) -> Self:
        """All of these frames; at least one part."""
        return cls(
            features_NW=np.concatenate([part.features_NW for part in parts]),
            known_N=np.concatenate([part.known_N for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.known_N)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row for the head: logits are `features @ weights_W + bias`."""

    weights_W: F32
    bias: float

    def of(self, features: F32) -> F32:
        """The logits (...) of features (..., W)."""
        return np.asarray(features @ self.weights_W + np.float32(self.bias), np.float32)


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """A new row.

    `found`: the share of the showings that a row learnt from the others alone recognises (None where nobody asked, or
    for one alone). `kept`: the share of the showings' frames that it takes itself. `taken_K`: the share that it takes
    of the anchors of each class that is known, and `taken_rest` of the person's rest.
    """

    row: Row
    found: float | None
    kept: float
    taken_K: F64
    taken_rest: float


def log_sum(logits_NK: F32) -> F32:
    """The logarithm of the sum of exponentials (N,)."""
    largest_N = logits_NK.max(axis=-1)
    return np.asarray(largest_N + np.log(np.exp(logits_NK - largest_N[..., None]).sum(axis=-1)), np.float32)


def learn(
    shots: Sequence[Frames],
    rest: Frames | None,
    anchors: Frames,
    labels_N: NDArray[np.int16],
    *,
    temperature: float,
    judge: bool = True,
) -> Learnt:
    """Learn an action from the frames of its showings. `rest`: frames of the same person who does nothing of the kind.
    `labels_N` are the anchors' classes. `judge`: also find out how well the showings know one another, which takes as
    long again."""
    others = Frames.joined((anchors, rest)) if rest is not None and len(rest) else anchors
    counts_N = np.full(len(others), _KNOWN / len(anchors))
    counts_N[len(anchors) :] = _REST / max(len(others) - len(anchors), 1)
    scale = _Scale.of(anchors.features_NW)
    solved = _solve(shots, others, counts_N, scale, None)
    solved = _shifted(solved, scale, others, labels_N)

    found = None
    if judge and len(shots) > 1:
        recognised = []
        for i, shot in enumerate(shots):
            without = _solve([*shots[:i], *shots[i + 1 :]], others, counts_N, scale, solved)
            recognised.append(float(np.median(_surplus(_shifted(without, scale, others, labels_N), scale, shot)) > 0))
        found = float(np.mean(recognised))
    taken_N = _surplus(solved, scale, anchors) > 0
    taken_K = np.bincount(labels_N, weights=taken_N) / np.maximum(np.bincount(labels_N), 1)
    return Learnt(
        row=_row(solved, scale, temperature), found=found, taken_K=taken_K,
        kept=float(np.mean([(_surplus(solved, scale, shot) > 0).mean() for shot in shots])),
        taken_rest=float((_surplus(solved, scale, rest) > 0).mean()) if rest is not None and len(rest) else 0.0,
    )  # fmt: skip


def grown(parameters: DecodeParameters, classes: int, taught: int) -> DecodeParameters:
    """Decode parameters of `classes` classes for so many more: a taught action is believed as the median one is."""

    def longer(value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        if not isinstance(value, tuple):
            return value
        return (*value, *[type(value[1])(np.median(value[1:classes]))] * taught)

    enter, leave, belief, doubt = map(
        longer, (parameters.enter, parameters.leave, parameters.belief, parameters.doubt)
    )  # fmt: skip
    least = parameters.min_frames
    if isinstance(least, tuple):
        least = (*least, *[int(np.median(least[1:classes]))] * taught)
    return replace(parameters, enter=enter, leave=leave, belief=belief, doubt=doubt, min_frames=least)


@dataclass(frozen=True)
class _Scale:
    """Features are standardised by the anchors', so that one pull suits all."""

    mean_W: F32
    spread_W: F32

    @classmethod
    def of(cls, features_NW: F32) -> Self:
        return cls(features_NW.mean(axis=0), features_NW.std(axis=0) + np.float32(1e-3))

    def __call__(self, features_NW: F32) -> F32:
        return np.asarray((features_NW - self.mean_W) / self.spread_W, np.float32)


def _surplus(solved: F64, scale: _Scale, frames: Frames) -> F64:
    """By how much the new action's score is above all others together (N,): above 0 it is the likelier."""
    return np.asarray(scale(frames.features_NW) @ solved[:-1] + solved[-1] - frames.known_N)


def _solve(shots: Sequence[Frames], others: Frames, counts_N: F64, scale: _Scale, start: F64 | None) -> F64:
    """The weights (W + 1), the bias last: Newton's method, each step as long as it gains."""
    shown = Frames.joined(shots)
    each = np.concatenate([np.full(len(shot), _SHOWN / len(shots) / len(shot)) for shot in shots])
    x = scale(np.concatenate((shown.features_NW, others.features_NW)))
    x = np.concatenate((x, np.ones((len(x), 1), np.float32)), axis=1)
    truth = np.concatenate((np.ones(len(shown)), np.zeros(len(others))))
    offset = -np.concatenate((shown.known_N, others.known_N)).astype(np.float64)
    counts = np.concatenate((each, counts_N))
    pull = np.full(x.shape[1], _PULL)
    pull[-1] = 1e-3

    def loss(weights: F64) -> tuple[float, F64]:
        z = (x @ weights.astype(np.float32)).astype(np.float64) + offset
        return float((counts * (np.logaddexp(0, z) - truth * z)).sum() + 0.5 * (pull * weights**2).sum()), z

    if start is None:
        start = np.zeros(x.shape[1])
        start[-1] = -np.average(offset, weights=counts)
    weights = start
    before, z = loss(weights)
    for _ in range(_STEPS):
        share = 1 / (1 + np.exp(-np.clip(z, -30, 30)))
        gradient = x.T @ (counts * (share - truth)).astype(np.float32) + pull * weights
        spread = np.sqrt(counts * share * (1 - share)).astype(np.float32)[:, None] * x  # where all of the time goes
        curvature = (spread.T @ spread).astype(np.float64) + np.diag(pull)
        step, length = np.linalg.solve(curvature, gradient), 1.0
        after, z_after = loss(weights - step)
        while after > before - 1e-4 * length * float(gradient @ step) and length > 1e-4:
            length /= 2
            after, z_after = loss(weights - length * step)
        gained = before - after
        weights, before, z = weights - length * step, after, z_after
        if gained < _FEW * abs(before):
            break
    return weights


def _shifted(solved: F64, scale: _Scale, others: Frames, labels_N: NDArray[np.int16]) -> F64:
    """The weights with a bias that takes at most `MOST_TAKEN` of the anchors of the background, of those of all known
    actions together, and of the rest, and at most `MOST_OF_ONE` of one known action's."""
    surplus_N = _surplus(solved, scale, others)
    known_N, rest_N = surplus_N[: len(labels_N)], surplus_N[len(labels_N) :]
    kinds = [(known_N[labels_N == 0], MOST_TAKEN), (known_N[labels_N > 0], MOST_TAKEN), (rest_N, MOST_TAKEN)]
    kinds += [(known_N[labels_N == k], MOST_OF_ONE) for k in range(1, int(labels_N.max()) + 1)]
    shift = max(0.0, *(float(np.quantile(kind, 1 - most)) for kind, most in kinds if len(kind)))
    shifted = solved.copy()
    shifted[-1] -= shift
    return shifted


def _row(solved: F64, scale: _Scale, temperature: float) -> Row:
    """The weights in the features' own units, and before the division by the temperature."""
    weights_W = solved[:-1] / scale.spread_W
    bias = float(solved[-1] - weights_W @ scale.mean_W)
    return Row(weights_W=(temperature * weights_W).astype(np.float32), bias=temperature * bias)
