"""The whole report: a perfect stream, a stream checked by hand, frames that do not count, and what is refused."""

from dataclasses import asdict, replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table

from skelstream.train.detection_report import ScoredStream, evaluate_streams
from skelstream.train.vocabulary import IGNORE

CLASSES = ("background", "wave", "bow")
MEASURES = (
    "frame_accuracy", "map_actions", "map_videos", "map_actions_script", "map_videos_script",
    "f1_10", "f1_25", "f1_50", "event_f1",
)  # fmt: skip


def stream(truth: ArrayLike, decided: ArrayLike | None = None, **changes: Any) -> ScoredStream:
    true = np.array(truth)
    said = true if decided is None else np.array(decided)
    sure = np.eye(len(CLASSES), dtype=np.float32)[np.maximum(said, 0)]
    fields: dict[str, Any] = {"name": "s", "probabilities": sure, "decided": said, "truth": true, "hz": 30.0}
    return ScoredStream(**(fields | changes))


ROUND = [0] * 30 + [1] * 60 + [0] * 30 + [2] * 90 + [0] * 30


def test_a_perfect_stream_is_perfect() -> None:
    report = evaluate_streams([stream(ROUND, subject="p1"), stream(ROUND, name="t", subject="p2")], CLASSES)
    assert {name: getattr(report, name) for name in MEASURES} == pytest.approx(dict.fromkeys(MEASURES, 1.0))
    assert report.edit == 100
    assert (report.streams, report.subjects, report.frames) == (2, 2, 480)
    assert report.hours == pytest.approx(16 / 3600)


def test_a_stream_by_hand() -> None:
    # wave found with overlap 30/60; bow missed; a false bow of 30 frames where nothing happens
    decided = [2] * 30 + [1] * 30 + [0] * 180
    report = evaluate_streams([stream(ROUND, decided)], CLASSES)
    assert report.frame_accuracy == pytest.approx((0 + 30 + 30 + 30) / 240)
    assert report.f1_50 == report.f1_10 == report.event_f1 == pytest.approx(2 * 1 / (2 + 2))
    assert report.map_actions == pytest.approx((1 + 0) / 2)
    # one video, two detections of score 1 that enter together: precision 1/2 up to recall 1/2
    assert report.map_videos == pytest.approx(1 / 4)
    assert report.edit == pytest.approx(0)  # bow, wave instead of wave, bow


def test_unknown_frames_count_for_nothing() -> None:
    truth = np.array(ROUND)
    truth[100:120] = truth[140:150] = IGNORE
    reports = []
    for fill in (0, 1, 2):
        decided = np.where(truth == IGNORE, fill, ROUND)
        unseen = [("wave", 3.4, 3.9)] * fill  # frames 102 to 117: nobody knows whether that was one
        events = (("wave", 1.0, 3.0), *unseen, ("bow", 4.0, 7.0))
        reports.append(evaluate_streams([stream(truth, decided, events=events)], CLASSES))
    assert asdict(reports[0]) == asdict(reports[1]) == asdict(reports[2])
    assert reports[0].frames == 210
    assert reports[0].frame_accuracy == reports[0].f1_50 == reports[0].map_videos == reports[0].event_f1 == 1


def test_the_events_that_were_sent_are_the_ones_that_count() -> None:
    late = (("wave", 2.5, 4.5), ("bow", 4.0, 7.0))  # the wave was from 1.0 to 3.0
    report = evaluate_streams([stream(ROUND, events=late)], CLASSES)
    assert report.f1_50 == 1
    assert report.event_f1 == pytest.approx(1 / 2)
    assert evaluate_streams([stream(ROUND, events=())], CLASSES).event_f1 == 0
    with pytest.raises(ValueError, match="inverted"):
        evaluate_streams([stream(ROUND, events=(("wave", 3.0, 1.0),))], CLASSES)


def test_a_stream_without_actions_counts_false_alarms_and_has_no_precision() -> None:
    quiet = evaluate_streams([stream([0] * 60)], CLASSES)
    assert np.isnan([quiet.map_actions, quiet.map_videos, quiet.map_actions_script, quiet.map_videos_script]).all()
    assert quiet.f1_50 == quiet.event_f1 == 1
    nervous = evaluate_streams([stream([0] * 60, [0] * 30 + [1] * 30)], CLASSES)
    assert nervous.f1_50 == nervous.event_f1 == nervous.edit == 0
    assert "–" in _printed(quiet.table())


def test_the_table_shows_every_measure_in_per_cent() -> None:
    decided = [2] * 30 + [1] * 30 + [0] * 180
    report = replace(evaluate_streams([stream(ROUND, decided, subject="p1")], CLASSES), edit=12.3, f1_25=0.456)
    shown = _printed(report.table(title="PKU-MMD I"))
    for text in ("PKU-MMD I", "37.5", "mAP@0.5 over actions", "over videos", "F1@10", "45.6", "12.3", "event F1"):
        assert text in shown
    assert "1 streams, 1 subjects, 240 frames" in shown


def _printed(table: Table) -> str:
    written = StringIO()
    Console(width=100, file=written).print(table)
    return written.getvalue()


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ([], "at least one"),
        ([stream(ROUND), stream(ROUND)], "same name"),
        ([stream(ROUND, probabilities=np.zeros((240, 2)))], "must be"),
        ([stream(ROUND, decided=[0] * 9)], "must be"),
        ([stream(ROUND, hz=0)], "Hz"),
        ([stream([IGNORE] * 5)], "no frame is known"),
        ([stream([0, 3], [0, 0])], "truth runs"),
        ([stream([0, 1], [0, -1])], "decided runs"),
        ([stream(ROUND, probabilities=np.full((240, 3), 7.0))], "softmax"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(streams: list[ScoredStream], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_streams(streams, CLASSES)
