"""The online report: a stream counted by hand, what cuts and pools it, and what is refused."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from skelstream.train.detection_report import ScoredStream
from skelstream.train.online_report import OnlineReport, online_report
from skelstream.train.vocabulary import IGNORE

CLASSES = ("background", "wave", "bow")
ROUND = [0] * 30 + [1] * 60 + [0] * 30 + [2] * 90 + [0] * 30  # 8 s: wave from 1 to 3 s, bow from 4 to 7 s


def stream(truth: ArrayLike, decided: ArrayLike, **changes: Any) -> ScoredStream:
    labels = np.array(decided)
    fields: dict[str, Any] = {
        "name": "s", "probabilities": np.eye(3, dtype=np.float32)[labels], "decided": labels, "truth": np.array(truth),
        "hz": 30.0, "events": (), "said_s": (),
    }  # fmt: skip
    return ScoredStream(**(fields | changes))


def right(late_s: float) -> ScoredStream:
    return stream(ROUND, ROUND, events=(("wave", 1.0, 3.0), ("bow", 4.0, 7.0)), said_s=(1.0 + late_s, 4.0 + late_s))


def test_a_stream_that_is_right_and_late() -> None:
    report = online_report([right(0.4)], CLASSES)
    assert (report.streams, report.times.actions, report.times.detected) == (1, 2, 1.0)
    assert (report.frame_accuracy, report.frame_map, report.frame_cap, report.event_f1) == (1, 1, 1, 1)
    assert report.times.median_ms == pytest.approx(400) and report.times.p90_ms == pytest.approx(400)
    assert (report.false_per_hour, report.unknown, report.calibration_error) == (0, 0, 0)
    assert report.hours == pytest.approx(8 / 3600)
    assert report.switches_per_minute == report.true_switches_per_minute == pytest.approx(4 * 60 / 8)


def test_a_stream_by_hand() -> None:
    # wave is found 0.5 s late, bow is missed, and a bow is said where nobody does anything
    decided = [2] * 15 + [0] * 15 + [1] * 60 + [0] * 150
    events = (("bow", 0.0, 0.5), ("wave", 1.0, 3.0))
    report = online_report([stream(ROUND, decided, events=events, said_s=(0.3, 1.5))], CLASSES)
    assert report.frame_accuracy == pytest.approx((240 - 15 - 90) / 240)
    assert report.event_f1 == pytest.approx(2 * 1 / (2 + 2))
    assert report.times.detected == 0.5
    assert report.times.median_ms == pytest.approx(500) and report.times.median_of_all_ms == math.inf
    assert report.false_per_hour == pytest.approx(1 / (8 / 3600))
    assert report.switches_per_minute == pytest.approx(3 * 60 / 8)
    # bow: 15 false frames of score 1, the 225 others tie behind them with all 90 true ones
    assert report.frame_map == pytest.approx((1 + 90 / 240) / 2)
    assert report.frame_cap == pytest.approx((1 + 0.5) / 2)
    # sure of every frame, and right in 135 of 240
    assert report.calibration_error == pytest.approx(1 - 135 / 240)


def test_what_was_unknown_is_shown_as_that_and_is_no_event() -> None:
    quiet = stream([0] * 300, [0] * 300, unknown_s=((1.0, 2.0), (5.0, 5.5)))
    report = online_report([quiet], CLASSES)
    assert report.unknown == pytest.approx(45 / 300)
    assert report.switches_per_minute == pytest.approx(4 * 60 / 10)
    assert (report.false_per_hour, report.frame_accuracy) == (0, 1)
    assert math.isnan(report.frame_map) and math.isnan(report.times.detected)


def test_where_the_truth_is_not_known_nothing_counts_but_what_is_shown() -> None:
    cut = np.array(ROUND)
    cut[100:120] = IGNORE
    said = (("bow", 3.35, 3.9),)
    report = online_report([stream(cut, ROUND, events=said, said_s=(3.6,))], CLASSES)
    assert report.hours == pytest.approx(220 / 30 / 3600)
    assert report.false_per_hour == 0 and report.times.detected == 0
    assert report.true_switches_per_minute == pytest.approx(4 * 60 / 8)


def test_streams_are_pooled() -> None:
    streams = [right(0.1), replace(right(0.3), name="t"), replace(right(0.9), name="u", events=(), said_s=())]
    report = online_report(streams, CLASSES)
    assert (report.streams, report.times.actions) == (3, 6)
    assert report.times.detected == pytest.approx(4 / 6)
    assert report.times.median_ms == pytest.approx(200) and report.times.median_of_all_ms == pytest.approx(300)
    assert report.event_f1 == pytest.approx(2 * 4 / (4 + 6))
    twice = online_report([right(0.1), replace(right(0.1), name="t")], CLASSES)
    assert twice == replace(online_report([right(0.1)], CLASSES), streams=2, hours=twice.hours, times=twice.times)


def test_what_cannot_be_measured_is_refused() -> None:
    def refused(*streams: ScoredStream, match: str) -> None:
        with pytest.raises(ValueError, match=match):
            online_report(streams, CLASSES)

    refused(match="at least one")
    refused(replace(right(0.1), said_s=None), match="not known when its events were said")
    refused(replace(right(0.1), events=None, said_s=None), match="not known when its events were said")
    refused(replace(right(0.1), said_s=(1.0,)), match="1 times for 2 events")
    refused(replace(right(0.1), truth=np.full(240, 3)), match="truth runs to")
    assert isinstance(online_report([right(0.1)], CLASSES), OnlineReport)
