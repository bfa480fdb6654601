"""The smoothing term: its value against plain loops, and what it pulls at."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.train.objectives.smoothness import smoothness_loss


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), frames=st.integers(2, 9), spread=st.floats(0.1, 30))
def test_it_is_the_mean_of_cut_off_squared_steps(seed: int, frames: int, spread: float) -> None:
    logits = np.random.default_rng(seed).normal(size=(2, frames, 3)) * spread
    log_probability = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    total = 0.0
    for b in range(2):
        for t in range(1, frames):
            for k in range(3):
                total += min(abs(log_probability[b, t, k] - log_probability[b, t - 1, k]), 4.0) ** 2
    expected = total / (2 * (frames - 1) * 3)
    assert float(smoothness_loss(torch.from_numpy(log_probability))) == pytest.approx(expected)


def test_scores_that_stand_still_cost_nothing_and_a_boundary_no_more_than_sixteen() -> None:
    assert float(smoothness_loss(torch.full((1, 5, 2), math.log(0.5)))) == 0
    assert float(smoothness_loss(torch.tensor([[[0.0, -900.0], [-900.0, 0.0]]]))) == 16


def test_only_the_later_frame_is_moved_towards_the_earlier() -> None:
    scores = torch.tensor([[[0.0], [1.0]]], requires_grad=True)
    smoothness_loss(scores).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert scores.grad is not None
    assert scores.grad.flatten().tolist() == [0.0, 2.0]
