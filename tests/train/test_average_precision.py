"""PKU-MMD's protocol against hand-computed curves, and against evaluate.py's procedure carried out literally."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.train.average_precision import (
    Detection,
    Interpolation,
    average_precision,
    detection_f1,
    detections_from_probabilities,
    map_over_actions,
    map_over_videos,
    protocol_scores,
    two_dimensional_ap,
)
from skelstream.train.metrics import Segment

unhurried = settings(deadline=None)  # a busy machine is no failure
Truth = dict[str, list[Segment]]
OneAP = Callable[[list[Detection], Truth, float], float]
VIDEOS = ("a", "b")
INTERPOLATIONS: tuple[Interpolation, ...] = ("paper", "script")
spans = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda s: (s[0], s[0] + s[1]))
truths = st.fixed_dictionaries(
    {v: st.lists(st.builds(lambda k, s: Segment(k, *s), st.integers(1, 3), spans), max_size=5) for v in VIDEOS}
).filter(lambda truth: any(truth.values()))
scores = st.integers(1, 5).map(lambda n: n / 5)  # few values, so that ties are common
detection_lists = st.lists(
    st.builds(
        lambda k, s, v, p: Detection(k, s[0], s[1], v, p), st.integers(1, 3), spans, st.sampled_from(VIDEOS), scores
    ),
    max_size=12,
)


def hits(pattern: str) -> tuple[list[Detection], Truth]:
    """Detections by falling score: T finds a truth of its own, D finds the first truth again, F finds nothing."""
    truth: list[Segment] = []
    detections: list[Detection] = []
    for i, char in enumerate(pattern):
        score = 1 - i / 100
        place = i * 100 if char != "D" else truth[0].start
        detections.append(Detection(1, place, place + 10, "v", score))
        if char == "T":
            truth.append(Segment(1, place, place + 10))
    return detections, {"v": truth}


@pytest.mark.parametrize(
    ("pattern", "paper", "script"),
    [
        ("TT", 1, 1),
        ("TTFF", 1, 1),
        ("FTT", 2 / 3, 2 / 3),
        ("TFT", (1 + 2 / 3) / 2, 2 / 3),  # the script never looks at the point where T alone is kept
        ("TFFT", (1 + 1 / 2) / 2, 1 / 2),
        ("TTFFT", (1 + 1 + 3 / 5) / 3, (1 + 1 + 3 / 5) / 3),
        ("TDT", (1 + 2 / 3) / 2, (1 + 2 / 3) / 2),  # D is a false alarm, but the script looks at the point before it
        ("TFFTFTFFF", (1 + 1 / 2 + 1 / 2) / 3, 2 / 5),
    ],
)
def test_average_precision_by_hand(pattern: str, paper: float, script: float) -> None:
    detections, truth = hits(pattern)
    assert average_precision(detections, truth) == pytest.approx(paper)
    assert average_precision(detections, truth, interpolation="script") == pytest.approx(script)


def literal_script(detections: list[Detection], truth: Truth, iou: float) -> float:
    """evaluate.py in its own steps: take away from the lowest score up, look after each detection with a claim."""
    detections = sorted(detections, key=lambda d: (-d.score, d.video, str(d.label), d.start, d.end))[::-1]
    ground = [(video, t) for video, some in truth.items() for t in some]

    def overlap(d: Detection, video: str, t: Segment) -> float:
        if d.video != video or d.label != t.label:
            return 0
        return (min(d.end, t.end) - max(d.start, t.start)) / (max(d.end, t.end) - min(d.start, t.start))

    claim, count = [], [0] * len(ground)
    for d in detections:
        options = [(overlap(d, v, t), -t.start, -g) for g, (v, t) in enumerate(ground) if overlap(d, v, t) >= iou]
        claim.append(-max(options)[2] if options else None)
        if claim[-1] is not None:
            count[claim[-1]] += 1
    positive, proposals, total = sum(c > 0 for c in count), len(detections), 0.0
    precision, recall = (positive / proposals if proposals else 0), positive / len(ground)
    for c in claim:
        proposals -= 1
        if c is None:
            continue
        count[c] -= 1
        positive -= count[c] == 0
        now, below = (positive / proposals, positive / len(ground)) if proposals else (0, 0)
        precision = max(precision, now)
        total += precision * (recall - below)
        recall = below
    return total


def literal_paper(detections: list[Detection], truth: Truth, iou: float) -> float:
    """The definition: at each recall level n / N, the best precision of any score threshold that reaches it."""
    n_true = sum(map(len, truth.values()))
    points = []
    for threshold in {d.score for d in detections}:
        kept = [d for d in detections if d.score >= threshold]
        found = set()
        for d in kept:
            options = [
                (
                    (min(d.end, t.end) - max(d.start, t.start)) / (max(d.end, t.end) - min(d.start, t.start)),
                    -t.start,
                    -g,
                )
                for g, t in enumerate(truth[d.video])
                if t.label == d.label
            ]
            if options and max(options)[0] >= iou:
                found.add((d.video, max(options)[2]))
        points.append((len(found), len(found) / len(kept)))
    return sum(max((p for n, p in points if n >= level), default=0) for level in range(1, n_true + 1)) / n_true


@unhurried
@given(detection_lists, truths, st.sampled_from([0.1, 0.5]))
def test_average_precision_is_what_both_definitions_say(detections: list[Detection], truth: Truth, iou: float) -> None:
    assert average_precision(detections, truth, iou) == pytest.approx(literal_paper(detections, truth, iou))
    scripted = average_precision(detections, truth, iou, "script")
    assert scripted == pytest.approx(literal_script(detections, truth, iou))


@unhurried
@given(detection_lists, truths)
def test_the_whole_protocol(detections: list[Detection], truth: Truth) -> None:
    literal: dict[Interpolation, OneAP] = {"script": literal_script, "paper": literal_paper}
    for interpolation, ap in literal.items():
        found = protocol_scores(detections, truth, 0.3, interpolation)
        of_class = {k: {v: [t for t in some if t.label == k] for v, some in truth.items()} for k in (1, 2, 3)}
        known = [k for k in of_class if any(of_class[k].values())]
        assert found.ap == pytest.approx(ap(detections, truth, 0.3))
        by_class = [ap([d for d in detections if d.label == k], of_class[k], 0.3) for k in known]
        assert found.map_actions == pytest.approx(np.mean(by_class))
        by_video = [ap([d for d in detections if d.video == v], {v: truth[v]}, 0.3) for v in truth if truth[v]]
        assert found.map_videos == pytest.approx(np.mean(by_video))
        assert found.f1 == pytest.approx(detection_f1(detections, truth, 0.3))
        overlaps = [(step + 1) * 0.05 for step in range(20)]
        # Twentieths as floats: 0.05 * 3 is a hair above 3 / 20, at which an overlap of exactly 3 / 20 must count.
        assert found.ap_2d == pytest.approx(np.mean([ap(detections, truth, o - 1e-9) for o in overlaps]))
        assert found.ap_2d == two_dimensional_ap(detections, truth, interpolation)


@unhurried
@given(detection_lists, truths, st.randoms())
def test_invariants(detections: list[Detection], truth: Truth, random: Random) -> None:
    shuffled = random.sample(detections, len(detections))
    moved = {video: random.sample(some, len(some)) for video, some in reversed(truth.items())}
    for interpolation in INTERPOLATIONS:
        for measure in (average_precision, map_over_actions, map_over_videos):
            value = measure(detections, truth, 0.5, interpolation)
            assert 0 <= value <= 1 + 1e-12
            assert measure(shuffled, moved, 0.5, interpolation) == pytest.approx(value)
            # Only the order of the scores matters.
            halved = [Detection(d.label, d.start, d.end, d.video, d.score / 2) for d in detections]
            assert measure(halved, truth, 0.5, interpolation) == pytest.approx(value)


@unhurried
@given(truths)
def test_a_perfect_detector_scores_one(truth: Truth) -> None:
    distinct = {video: list(dict.fromkeys(some)) for video, some in truth.items()}
    exact = [Detection(t.label, t.start, t.end, video, 0.9) for video, some in distinct.items() for t in some]
    for interpolation in INTERPOLATIONS:
        for measure in (average_precision, map_over_actions, map_over_videos):
            assert measure(exact, distinct, 1.0, interpolation) == pytest.approx(1)
    assert detection_f1(exact, distinct, 1.0) == 1


def test_classes_and_videos_without_truth_are_left_out_of_the_mean() -> None:
    truth = {"a": [Segment(1, 0, 10)], "b": [Segment(2, 0, 10)], "empty": []}
    found = [Detection(1, 0, 10, "a", 0.9), Detection(3, 0, 10, "a", 0.8), Detection(3, 0, 10, "empty", 0.99)]
    assert map_over_actions(found, truth) == pytest.approx(1 / 2)  # class 1: 1, class 2: 0, class 3: none
    assert map_over_videos(found, truth) == pytest.approx(1 / 2)
    louder = [*found, Detection(3, 0, 10, "a", 0.95)]
    assert map_over_actions(louder, truth) == pytest.approx(1 / 2)
    assert map_over_videos(louder, truth) == pytest.approx((1 / 2 + 0) / 2)  # but it is a false alarm in its video
    assert detection_f1(found, truth) == pytest.approx(2 * 1 / (3 + 2))


def test_without_any_truth_there_is_no_precision() -> None:
    assert math.isnan(map_over_actions([], {"a": []}))
    assert math.isnan(map_over_videos([Detection(1, 0, 1, "a", 0.5)], {}))
    scores = protocol_scores([Detection(1, 0, 1, "a", 0.5)], {"a": []})
    assert math.isnan(scores.f1) and math.isnan(scores.ap) and math.isnan(scores.ap_2d)
    for measure in (average_precision, two_dimensional_ap):
        with pytest.raises(ValueError, match="no true segment"):
            measure([], {"a": []})


def test_detections_are_runs_above_the_threshold_scored_by_their_mean() -> None:
    background = np.array([0.9, 0.5, 0.3, 0.98, 0.0])
    one = np.array([0.02, 0.5, 0.7, 0.01, 0.6])  # 0.02 itself is not above 0.02
    two = np.array([0.08, 0.0, 0.0, 0.01, 0.4])
    found = detections_from_probabilities("v", np.stack([background, one, two], axis=1))
    assert [(d.label, d.start, d.end) for d in found] == [(1, 1, 3), (1, 4, 5), (2, 0, 1), (2, 4, 5)]
    assert [d.score for d in found] == pytest.approx([0.6, 0.6, 0.08, 0.4])
    assert {d.video for d in found} == {"v"}
    assert detections_from_probabilities("v", np.zeros((0, 3))) == []


@unhurried
@given(st.lists(st.lists(st.sampled_from([0.0, 0.02, 0.3, 1.0]), min_size=3, max_size=3), max_size=20))
def test_detections_cover_exactly_the_frames_above_the_threshold(rows: list[list[float]]) -> None:
    probabilities = np.array(rows, dtype=np.float32).reshape(-1, 3)
    covered = np.zeros(probabilities.shape, dtype=int)
    for d in detections_from_probabilities("v", probabilities, threshold=0.1):
        covered[int(d.start) : int(d.end), int(d.label)] += 1
    expected = probabilities > 0.1
    expected[:, 0] = False
    assert np.array_equal(covered, expected)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.zeros(4), r"\(T, K\)"),
        (np.full((4, 2), 3.0), "softmax"),
        (np.full((4, 2), np.nan), "softmax"),
    ],
)
def test_what_is_no_probability_is_refused(probabilities: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detections_from_probabilities("v", probabilities)


def test_a_threshold_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        detections_from_probabilities("v", np.zeros((4, 2)), threshold=-0.1)
