"""Frame, segment and event measures against hand-computed cases, naive re-implementations and invariants."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.train.metrics import (
    Event,
    Labels,
    Segment,
    claims,
    confusion_matrix,
    edit_score,
    event_f1,
    f1_at_k,
    frame_accuracy,
    segment_f1,
    segments,
    without_ignored,
)
from skelstream.train.vocabulary import IGNORE

unhurried = settings(deadline=None)  # a busy machine is no failure
labels_T = st.lists(st.integers(-1, 3), max_size=40).map(lambda some: np.array(some, dtype=np.int64))
pairs_of_labels = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(-1, 3), min_size=n, max_size=n).map(np.array) for _ in range(2)))
)
some_segments = st.lists(
    st.builds(
        lambda label, start, length: Segment(label, start, start + length),
        st.integers(1, 3),
        st.integers(0, 30),
        st.integers(1, 12),
    ),
    max_size=8,
)


def array(text: str) -> NDArray[np.int64]:
    """'0011-' is background, background, class 1, class 1, not known."""
    return np.array([IGNORE if char == "-" else int(char) for char in text])


def test_segments_are_half_open_runs_without_background_and_unknown_frames() -> None:
    assert segments(array("0011220-1")) == [Segment(1, 2, 4), Segment(2, 4, 6), Segment(1, 8, 9)]
    assert segments(array("1-1")) == [Segment(1, 0, 1), Segment(1, 2, 3)]
    assert segments(array("0011"), background=1) == [Segment(0, 0, 2)]
    assert segments(array("")) == segments(array("000")) == segments(array("--")) == []
    with pytest.raises(ValueError, match=r"\(T,\)"):
        segments(np.zeros((2, 3), dtype=int))


@unhurried
@given(labels_T)
def test_segments_paint_the_labels_back(labels: Labels) -> None:
    painted = np.where(labels == IGNORE, IGNORE, 0)
    for run in segments(labels):
        painted[int(run.start) : int(run.end)] = run.label
    assert np.array_equal(painted, labels)


@pytest.mark.parametrize(("start", "end"), [(4925, 4036), (7, 7), (0.0, float("nan")), (float("nan"), 1.0)])
def test_an_inverted_or_empty_segment_is_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="empty or inverted"):
        Segment(1, start, end)


def test_frame_accuracy_pools_streams_and_skips_unknown_frames() -> None:
    assert frame_accuracy(array("0112"), array("0111")) == 0.75
    assert frame_accuracy(array("0112"), array("011-")) == 1.0
    # 1 of 1 and 1 of 4: pooled 2 of 5, not the mean of the two shares
    assert frame_accuracy([array("1"), array("1000")], [array("1"), array("1111")]) == pytest.approx(0.4)
    assert frame_accuracy(array("02"), array("01"), ignore=1) == 1.0
    with pytest.raises(ValueError, match="no frame has a known truth"):
        frame_accuracy(array("01"), array("--"))
    with pytest.raises(ValueError, match="must both be"):
        frame_accuracy(array("01"), array("011"))
    with pytest.raises(ValueError, match="at least one"):
        frame_accuracy([], [])


@unhurried
@given(pairs_of_labels)
def test_confusion_counts_every_known_frame_once(pair: tuple[Labels, Labels]) -> None:
    predicted, truth = np.abs(pair[0]), pair[1]
    counted = confusion_matrix(predicted, truth, 4)
    naive = np.zeros((4, 4), dtype=int)
    for p, t in zip(predicted, truth, strict=True):
        if t != IGNORE:
            naive[t, p] += 1
    assert np.array_equal(counted, naive)
    if (truth != IGNORE).any():
        assert frame_accuracy(predicted, truth) == pytest.approx(np.trace(counted) / counted.sum())


def test_confusion_survives_labels_stored_as_bytes_and_refuses_strange_ones() -> None:
    truth = np.array([19, -1, 19], dtype=np.int8)  # 19 * 20 does not fit into a byte
    assert confusion_matrix(np.array([18, 3, 19], dtype=np.int8), truth, 20)[19, 18:].tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"0\.\.2"):
        confusion_matrix(array("3"), array("1"), 3)
    with pytest.raises(ValueError, match="predicted labels"):
        confusion_matrix(array("-"), array("1"), 3)


def test_a_truth_is_found_once_and_the_rest_are_false_alarms() -> None:
    truth = [Segment(1, 0, 10), Segment(2, 10, 20)]
    predicted = [Segment(1, 0, 6), Segment(1, 4, 10), Segment(2, 10, 14), Segment(3, 0, 10)]
    assert claims(predicted, truth, 0.5) == [0, 0, None, None]
    assert segment_f1([predicted], [truth], 0.5) == pytest.approx(2 * 1 / (4 + 2))
    assert segment_f1([predicted], [truth], 0.4) == pytest.approx(2 * 2 / (4 + 2))


def test_the_larger_overlap_is_claimed_and_no_second_best() -> None:
    truth = [Segment(1, 0, 10), Segment(1, 10, 30)]
    # Both overlap the second truth more, so the first is missed, although each would do for it at this threshold.
    predicted = [Segment(1, 4, 30), Segment(1, 5, 30)]
    assert claims(predicted, truth, 0.1) == [1, 1]


def test_the_threshold_itself_is_enough() -> None:
    assert claims([Segment(1, 0, 5)], [Segment(1, 0, 10)], 0.5) == [0]
    assert claims([Segment(1, 10 / 30, 15 / 30)], [Segment(1, 10 / 30, 20 / 30)], 0.5) == [0]
    assert claims([Segment(1, 0, 49)], [Segment(1, 0, 100)], 0.5) == [None]
    for wrong in (0, -0.1, 50):
        with pytest.raises(ValueError, match="outside"):
            claims([], [], wrong)


def naive_f1(predicted: list[Segment], truth: list[Segment], iou: float) -> float:
    """MS-TCN's procedure, one frame set at a time: over predictions in order, best truth, hit it if it is free."""
    hit, true_positives = [False] * len(truth), 0
    for p in predicted:
        overlaps = []
        for t in truth:
            frames_p, frames_t = (set(range(int(s.start), int(s.end))) for s in (p, t))
            same = p.label == t.label
            overlaps.append(len(frames_p & frames_t) / len(frames_p | frames_t) if same else 0)
        best = max(range(len(truth)), key=lambda i: (overlaps[i], -truth[i].start, -i), default=None)
        if best is not None and overlaps[best] >= iou and not hit[best]:
            hit[best] = True
            true_positives += 1
    false_alarms, misses = len(predicted) - true_positives, len(truth) - true_positives
    if true_positives + false_alarms + misses == 0:
        return 1.0
    return true_positives / (true_positives + (false_alarms + misses) / 2)


@unhurried
@given(some_segments, some_segments, st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_f1_is_what_the_naive_procedure_finds(predicted: list[Segment], truth: list[Segment], iou: float) -> None:
    assert segment_f1([predicted], [truth], iou) == pytest.approx(naive_f1(predicted, truth, iou))


def in_seconds(some: list[Segment]) -> list[Event]:
    return [(f"a{s.label}", s.start / 30, s.end / 30) for s in some]


@unhurried
@given(pairs_of_labels, pairs_of_labels, st.randoms())
def test_f1_invariants(one: tuple[Labels, Labels], other: tuple[Labels, Labels], random: Random) -> None:
    predicted = [segments(without_ignored(p, t)) for p, t in (one, other)]
    truth = [segments(t) for _, t in (one, other)]
    scores = [f1_at_k(predicted, truth, k) for k in (10, 25, 50)]
    assert 1 >= scores[0] >= scores[1] >= scores[2] >= 0
    assert f1_at_k(truth, truth, 50) == 1
    shuffled = [random.sample(p, len(p)) for p in predicted]
    assert f1_at_k(shuffled, truth, 25) == scores[1]
    # seconds instead of frames, names instead of numbers: the same
    said, true = ([in_seconds(stream) for stream in streams] for streams in (predicted, truth))
    assert event_f1(said, true, iou=0.25) == scores[1]


@unhurried
@given(pairs_of_labels)
def test_what_is_predicted_where_the_truth_is_unknown_changes_nothing(pair: tuple[Labels, Labels]) -> None:
    predicted, truth = pair
    for fill in (0, 1, 2):
        changed = np.where(truth == IGNORE, fill, predicted)
        assert segments(without_ignored(changed, truth)) == segments(without_ignored(predicted, truth))


def test_an_action_across_unknown_frames_is_cut_and_not_welded() -> None:
    truth = array("11--11")
    assert len(segments(truth)) == 2
    assert f1_at_k([segments(without_ignored(array("111111"), truth))], [segments(truth)], 50) == 1
    # two wholly right pieces; dropping the frames instead would have compared one run of four with one of four
    assert f1_at_k([segments(without_ignored(array("110000"), truth))], [segments(truth)], 50) == pytest.approx(2 / 3)


def test_f1_pools_counts_over_streams() -> None:
    truth = [[Segment(1, 0, 10)], [Segment(1, 0, 10)] * 1 + [Segment(2, 20, 30), Segment(2, 40, 50)]]
    assert segment_f1([[Segment(1, 0, 10)], []], truth, 0.5) == pytest.approx(2 * 1 / (1 + 4))
    assert segment_f1([[], []], [[], []], 0.5) == 1
    assert segment_f1([[Segment(1, 0, 1)]], [[]], 0.5) == 0
    with pytest.raises(ValueError, match="one each"):
        segment_f1([[]], [[], []], 0.5)


def naive_distance(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(
        naive_distance(a[1:], b) + 1,
        naive_distance(a, b[1:]) + 1,
        naive_distance(a[1:], b[1:]) + (a[0] != b[0]),
    )


words = st.text("123", max_size=6)


@unhurried
@given(words, words)
def test_edit_score_is_the_levenshtein_distance_by_definition(a: str, b: str) -> None:
    runs = [[Segment(int(char), i, i + 1) for i, char in enumerate(word)] for word in (a, b)]
    longer = max(len(a), len(b))
    expected = 100 * (1 - naive_distance(a, b) / longer) if longer else 100
    assert edit_score(*runs) == pytest.approx(expected)
    assert edit_score(*reversed(runs)) == pytest.approx(expected)


def test_edit_score_by_hand() -> None:
    truth = segments(array("0110220330"))
    assert edit_score(truth, truth) == 100
    assert edit_score(segments(array("1112223330")), truth) == 100  # only the order counts
    assert edit_score(segments(array("0110110220330")), truth) == pytest.approx(75)  # 1 1 2 3: one too many of four
    assert edit_score([], truth) == 0
    assert edit_score([], []) == 100
