"""The online measures, each against cases counted by hand and against what must hold whatever comes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.train.metrics import Segment
from skelstream.train.online import (
    DetectionTimes,
    SaidEvent,
    false_events,
    frame_average_precision,
    frame_map,
    switches,
    times_to_detection,
)
from skelstream.train.vocabulary import IGNORE

# --- average precision of frames -------------------------------------------------------------------------------------


def test_average_precision_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    positive = np.array([True, False, True, False, False, False])
    # positives at ranks 1 and 3: precisions 1/1 and 2/3
    assert frame_average_precision(scores, positive, calibrated=False) == pytest.approx((1 + 2 / 3) / 2)
    # c = 4/2 = 2: 2 * 1 / (2 * 1 + 0) and 2 * 2 / (2 * 2 + 1)
    assert frame_average_precision(scores, positive, calibrated=True) == pytest.approx((1 + 4 / 5) / 2)


def test_frames_of_equal_score_enter_together() -> None:
    # all alike: the precision is the share of positives; calibrated it is one half, however rare they are
    for n in (1, 3):
        positive = np.arange(12) < n
        assert frame_average_precision(np.ones(12), positive, calibrated=False) == pytest.approx(n / 12)
        assert frame_average_precision(np.ones(12), positive, calibrated=True) == pytest.approx(0.5)


def test_a_class_without_frames_has_no_average_precision() -> None:
    with pytest.raises(ValueError, match="leave such a class out"):
        frame_average_precision(np.ones(3), np.zeros(3, bool), calibrated=True)
    assert frame_average_precision(np.ones(3), np.ones(3, bool), calibrated=True) == 1.0
    with pytest.raises(ValueError, match=r"must both be \(N,\)"):
        frame_average_precision(np.ones(3), np.ones(4, bool), calibrated=True)


scored = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda frames: any(hit for _, hit in frames)
)


@given(scored, st.booleans(), st.integers(0, 99))
def test_average_precision_sees_only_the_order_of_the_scores(
    frames: list[tuple[int, bool]], calibrated: bool, seed: int
) -> None:
    scores, positive = np.array([s for s, _ in frames], float), np.array([hit for _, hit in frames])
    value = frame_average_precision(scores, positive, calibrated=calibrated)
    assert 0 < value <= 1
    order = np.random.default_rng(seed).permutation(len(frames))
    same = frame_average_precision(np.exp(scores[order]), positive[order], calibrated=calibrated)
    assert same == pytest.approx(value)


@given(scored, st.integers(2, 5))
def test_calibration_makes_the_number_of_negatives_not_matter(frames: list[tuple[int, bool]], times: int) -> None:
    more = [frame for frame in frames for _ in range(1 if frame[1] else times)]
    values = [
        frame_average_precision(np.array([s for s, _ in some], float), np.array([h for _, h in some]), calibrated=True)
        for some in (frames, more)
    ]
    assert values[0] == pytest.approx(values[1])


def test_frame_map_is_over_the_actions_that_occur_and_the_frames_that_are_known() -> None:
    truth = [np.array([0, 1, 1, IGNORE]), np.array([0, 2, 0])]
    scores = [np.zeros((4, 4)), np.zeros((3, 4))]
    scores[0][:, 1] = (0.5, 0.9, 0.1, 1.0)
    scores[1][:, 2] = (0.0, 0.7, 0.0)
    # class 1 over the six known frames: 0.9 hit, 0.5 miss, 0.1 hit; class 2: first; class 3 never occurs
    expected = ((1 + 2 / 3) / 2 + 1) / 2
    assert frame_map(scores, truth, calibrated=False) == pytest.approx(expected)
    assert math.isnan(frame_map([np.eye(4)[[0, 0]]], [np.array([0, 0])], calibrated=True))
    with pytest.raises(ValueError, match="give one each"):
        frame_map(scores, truth[:1], calibrated=True)
    with pytest.raises(ValueError, match=r"\(T, K\) and \(T,\)"):
        frame_map(scores, truth[::-1], calibrated=True)


# --- how soon --------------------------------------------------------------------------------------------------------

WAVE = Segment("wave", 10.0, 13.0)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (SaidEvent("wave", 10.1, 13.0, 10.6), 0.6),  # not its back-dated start, but when it was said
        (SaidEvent("wave", 9.7, 13.0, 9.9), 0.0),  # a little before the annotated start
        (SaidEvent("wave", 6.0, 13.0, 6.4), math.inf),  # an earlier one that was never ended
        (SaidEvent("wave", 6.0, 13.0, 10.4), 0.4),  # said now, dated back too far: it was said now all the same
        (SaidEvent("wave", 12.8, 13.4, 13.4), 3.4),  # just in time: less than half a second after the end
        (SaidEvent("wave", 12.8, 13.6, 13.5), math.inf),  # too late
        (SaidEvent("wave", 13.0, 14.0, 13.2), math.inf),  # does not overlap it
        (SaidEvent("clap", 10.1, 13.0, 10.6), math.inf),  # another action
    ],
)
def test_when_an_action_counts_as_said(event: SaidEvent, expected: float) -> None:
    assert times_to_detection([event], [WAVE]) == pytest.approx([expected])


def test_an_event_answers_one_action_and_an_action_takes_the_event_said_first() -> None:
    truth = [Segment("wave", 10.0, 12.0), Segment("wave", 12.3, 14.0)]
    one = SaidEvent("wave", 10.0, 14.0, 10.5)
    assert times_to_detection([one], truth) == [0.5, math.inf]
    assert times_to_detection([one], truth[::-1]) == [math.inf, 0.5]  # in the order that was asked for
    flicker = [SaidEvent("wave", 11.0, 12.0, 11.5), SaidEvent("wave", 10.2, 10.6, 10.5)]
    assert times_to_detection(flicker, truth[:1]) == [0.5]
    both = [one, SaidEvent("wave", 12.4, 14.0, 12.9)]
    assert times_to_detection(both, truth) == pytest.approx([0.5, 0.6])


events = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.floats(0, 20), st.floats(0.1, 5), st.floats(0, 4)), max_size=8
).map(lambda rows: [SaidEvent(label, t, t + length, t + late) for label, t, length, late in rows])
actions = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.floats(0.3, 3.0), st.floats(0.0, 2.0)), max_size=8)


def laid_out(rows: list[tuple[str, float, float]]) -> list[Segment]:
    t, truth = 0.0, []
    for label, length, gap in rows:
        truth.append(Segment(label, t + gap, t + gap + length))
        t += gap + length
    return truth


@given(events, actions)
def test_times_are_within_the_action_and_never_more_than_the_events(
    said: list[SaidEvent], rows: list[tuple[str, float, float]]
) -> None:
    truth = laid_out(rows)
    times = times_to_detection(said, truth)
    finite = [(time, action) for time, action in zip(times, truth, strict=True) if math.isfinite(time)]
    assert len(finite) <= len(said)
    assert all(0 <= time < action.end + 0.5 - action.start + 1e-9 for time, action in finite)


@given(actions, st.floats(0.0, 0.25))
def test_perfect_events_said_late_are_that_late(rows: list[tuple[str, float, float]], late: float) -> None:
    truth = laid_out(rows)
    said = [SaidEvent(action.label, action.start, action.end, action.start + late) for action in truth]
    assert times_to_detection(said[::-1], truth) == pytest.approx([late] * len(truth), abs=1e-9)


@given(actions, st.floats(-100.0, 100.0))
def test_times_do_not_depend_on_when_the_stream_began(rows: list[tuple[str, float, float]], shift: float) -> None:
    truth = laid_out(rows)
    said = [SaidEvent(action.label, action.start + 0.1, action.end, action.start + 0.3) for action in truth]
    moved = [Segment(a.label, a.start + shift, a.end + shift) for a in truth]
    moved_said = [SaidEvent(e.label, e.start + shift, e.end + shift, e.said_s + shift) for e in said]
    assert times_to_detection(moved_said, moved) == pytest.approx(times_to_detection(said, truth), abs=1e-9)


def test_the_missed_are_infinitely_late() -> None:
    times = DetectionTimes.of([0.1, 0.3, 0.2, math.inf])
    assert (times.actions, times.detected) == (4, 0.75)
    assert times.median_ms == pytest.approx(200)
    assert times.p90_ms == pytest.approx(280)  # linear between 200 and 300
    assert times.median_of_all_ms == pytest.approx(250)
    most_missed = DetectionTimes.of([0.1, math.inf, math.inf])
    assert most_missed.median_ms == pytest.approx(100) and most_missed.median_of_all_ms == math.inf
    silent = DetectionTimes.of([math.inf])
    assert silent.detected == 0 and math.isnan(silent.median_ms) and silent.median_of_all_ms == math.inf
    assert math.isnan(DetectionTimes.of([]).detected)


# --- how often in vain, how steadily ---------------------------------------------------------------------------------


def test_an_event_is_false_if_nobody_does_it_at_any_moment_of_it() -> None:
    truth = np.array([0] * 30 + [1] * 30 + [0] * 30 + [2] * 30)

    def count(*some: tuple[int, float, float]) -> int:
        return false_events([Segment(*one) for one in some], truth, 30.0)

    assert count((1, 0.0, 0.9), (1, 2.1, 2.9), (2, 1.0, 2.0)) == 3
    assert count((1, 0.0, 1.1), (1, 1.9, 4.0), (2, 2.0, 3.5)) == 0  # each meets its action, if only for a moment
    assert count((1, 3.99, 9.0)) == 1  # beyond the stream's end only what is in it counts
    assert count() == 0


def test_where_the_truth_is_not_known_no_event_is_false() -> None:
    truth = np.array([0] * 30 + [IGNORE] * 30 + [0] * 30)
    assert false_events([Segment(1, 1.0, 2.0)], truth, 30.0) == 0
    assert false_events([Segment(1, 0.5, 2.0)], truth, 30.0) == 0
    assert false_events([Segment(1, 0.0, 1.5)], truth, 30.0) == 1


@given(st.lists(st.integers(0, 3), min_size=5, max_size=60), st.data())
def test_no_event_cut_of_the_truth_is_false_and_every_event_on_background_is(
    labels: list[int], data: st.DataObject
) -> None:
    truth = np.array(labels)
    first = data.draw(st.integers(0, len(truth) - 1))
    last = data.draw(st.integers(first, len(truth) - 1))
    event = Segment(int(truth[first]), first / 30, (last + 1) / 30)
    assert false_events([event], truth, 30.0) == 0
    assert false_events([Segment(9, first / 30, (last + 1) / 30)], truth, 30.0) == 1


def test_switches_count_every_change_of_what_is_shown() -> None:
    assert switches(np.array([0, 0, 1, 1, -1, 0, 2, 2])) == 4
    assert switches(np.array([3])) == switches(np.zeros(0, int)) == 0
