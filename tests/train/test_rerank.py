"""Boundary re-ranking: the targets frame by frame, and the published formula."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.train.average_precision import Detection, average_precision
from skelstream.train.metrics import Segment
from skelstream.train.rerank import REACH, boundary_targets, rerank

unhurried = settings(deadline=None)  # a busy machine is no failure


@unhurried
@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(1, 9)), max_size=8))
def test_a_frame_is_a_boundary_within_reach_of_one(runs: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, length in runs for _ in range(length)], np.int16)
    n = len(labels)
    starts = [i for i in range(n) if labels[i] > 0 and (i == 0 or labels[i - 1] != labels[i])]
    ends = [i for i in range(n) if labels[i] > 0 and (i == n - 1 or labels[i + 1] != labels[i])]
    expected = [[any(abs(i - j) <= REACH for j in edges) for edges in (starts, ends)] for i in range(n)]
    assert np.array_equal(boundary_targets(labels), np.array(expected, np.float32).reshape(n, 2))


@unhurried
@given(st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_formula(score: float, start: float, end: float, a: float) -> None:
    boundaries = np.zeros((10, 2))
    boundaries[3, 0], boundaries[7, 1] = start, end  # an action of frames 3 to 7: half-open, it ends at 8
    (found,) = rerank([Detection(1, 3, 8, "v", score)], boundaries, a)
    assert found.score == pytest.approx(score ** (1 - a) * (start * end) ** a)
    assert (found.label, found.start, found.end, found.video) == (1, 3, 8, "v")


def test_a_detection_with_true_edges_comes_before_a_surer_one_without() -> None:
    detections = [Detection(1, 10, 20, "v", 0.6), Detection(1, 40, 60, "v", 0.7)]
    truth = {"v": [Segment(1, 10, 20)]}
    boundaries = np.full((80, 2), 0.01)
    boundaries[10, 0] = boundaries[19, 1] = 0.9
    assert average_precision(detections, truth) == pytest.approx(1 / 2)
    assert average_precision(rerank(detections, boundaries), truth) == pytest.approx(1)


def test_what_cannot_be_ranked_is_refused() -> None:
    found = [Detection(1, 0, 5, "v", 0.5)]
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        rerank(found, np.zeros((5, 2)), a=1.5)
    with pytest.raises(ValueError, match="sigmoid"):
        rerank(found, np.full((5, 2), -3.0))
    with pytest.raises(ValueError, match="frame 5 of 4"):
        rerank(found, np.zeros((4, 2)))
