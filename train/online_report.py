"""Every online number of labelled streams: what `skelstream evaluate --online` shows in one row of its table.

The measures themselves are defined in `online.py`, `metrics.py` and `calibration.py`.

Shapes: T frames, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .calibration import expected_calibration_error
from .detection_report import ScoredStream, check_stream, known_events, spelt
from .metrics import Labels, Segment, event_f1, frame_accuracy, segments
from .online import DetectionTimes, SaidEvent, false_events, frame_map, switches, times_to_detection
from .vocabulary import IGNORE

_UNKNOWN = -1  # as a label of what was shown


@dataclass(frozen=True, kw_only=True)
class OnlineReport:
    """Shares of 1, save `times` (ms) and what is per hour or minute of stream; NaN where the truth holds no action.

    `frame_map` and `frame_cap` are the mean (calibrated) average precision of frames, from the probabilities, as is
    `calibration_error`; `event_f1` at an overlap of 0.5. `switches_per_minute` counts every change of what was shown,
    to and from background and unknown included; the truth itself has `true_switches_per_minute`. `unknown` is the
    share of time in which the system knew no name for what it saw. `hours` are of frames whose truth is known.
    """

    streams: int
    hours: float
    frame_accuracy: float
    frame_map: float
    frame_cap: float
    calibration_error: float
    event_f1: float
    times: DetectionTimes
    false_per_hour: float
    switches_per_minute: float
    true_switches_per_minute: float
    unknown: float


def online_report(streams: Sequence[ScoredStream], classes: Sequence[str]) -> OnlineReport:
    """Measure the streams; `classes` are the K names, the background first. All streams are pooled.

    ValueError for no streams, arrays that disagree, labels that are no class, or events without the time at which they
    were said.
    """
    if not streams:
        raise ValueError("there is no stream to measure; give at least one")
    for stream in streams:
        check_stream(stream, len(classes))
    numbers = {name: k for k, name in enumerate(classes)}
    said = [_said(stream, numbers) for stream in streams]
    done = [[Segment(s.label, s.start / x.hz, s.end / x.hz) for s in segments(x.truth)] for x in streams]
    known = [stream.truth != IGNORE for stream in streams]
    hours = sum(int(k.sum()) / s.hz for k, s in zip(known, streams, strict=True)) / 3600
    minutes = sum(len(s.truth) / s.hz for s in streams) / 60
    shown = [_shown(stream) for stream in streams]
    truth = [stream.truth for stream in streams]
    probabilities = [stream.probabilities for stream in streams]
    return OnlineReport(
        streams=len(streams),
        hours=hours,
        frame_accuracy=frame_accuracy([s.decided for s in streams], truth),
        frame_map=frame_map(probabilities, truth, calibrated=False),
        frame_cap=frame_map(probabilities, truth, calibrated=True),
        calibration_error=expected_calibration_error(
            np.concatenate([p[k] for p, k in zip(probabilities, known, strict=True)]),
            np.concatenate([t[k] for t, k in zip(truth, known, strict=True)]),
        ),
        event_f1=event_f1([known_events(s) for s in streams], [spelt(segments(s.truth), s, classes) for s in streams]),
        times=DetectionTimes.of([t for e, d in zip(said, done, strict=True) for t in times_to_detection(e, d)]),
        false_per_hour=sum(false_events(e, s.truth, s.hz) for e, s in zip(said, streams, strict=True)) / hours,
        switches_per_minute=sum(map(switches, shown)) / minutes,
        true_switches_per_minute=sum(switches(np.where(t == IGNORE, 0, t)) for t in truth) / minutes,
        unknown=sum(int((labels == _UNKNOWN).sum()) for labels in shown) / sum(map(len, shown)),
    )


def _said(stream: ScoredStream, numbers: dict[str, int]) -> list[SaidEvent]:
    if stream.events is None or stream.said_s is None:
        raise ValueError(f"{stream.name}: it is not known when its events were said; decode it with `decode_stream`")
    return [
        SaidEvent(numbers[action], start, end, said_s)
        for (action, start, end), said_s in zip(stream.events, stream.said_s, strict=True)
    ]


def _shown(stream: ScoredStream) -> Labels:
    """What a viewer saw of each frame (T,): the decided class, or `_UNKNOWN`."""
    labels = stream.decided.astype(np.int64)
    for since_s, until_s in stream.unknown_s:
        labels[round(since_s * stream.hz) : round(until_s * stream.hz)] = _UNKNOWN
    return labels
