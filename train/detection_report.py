"""Every number of an evaluation on labelled streams, and the table of them for the terminal.

`evaluate_streams` is what `skelstream evaluate` and the training tasks call; the measures themselves are defined in
`metrics.py` (frames, segments, events) and `average_precision.py` (PKU-MMD's detection protocol).

Shapes: T frames, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from .average_precision import detections_from_probabilities, map_over_actions, map_over_videos
from .metrics import (
    Event,
    Labels,
    Segment,
    edit_score,
    event_f1,
    f1_at_k,
    frame_accuracy,
    known_part,
    segments,
    without_ignored,
)
from .vocabulary import IGNORE


@dataclass(frozen=True, kw_only=True)
class ScoredStream:
    """One labelled stream and what was made of it.

    `probabilities` (T, K) a frame, before any decision; `decided` (T,) the labels that the live system settled on;
    `truth` (T,) with `IGNORE` where it is not known; frame i is at i / hz seconds. `subject` is who moves ("" if not
    known). `events` are those that the live system sent, in the same seconds; None takes those that `decided` spells.
    `said_s` are the seconds at which each of them was first said: the time of the newest frame that the system had seen
    by then; None where that is not known. In the spans `unknown_s` (from, to) the system said that it had no name for
    what it saw; `decided` is background there.
    """

    name: str
    probabilities: NDArray[np.floating]
    decided: Labels
    truth: Labels
    hz: float
    subject: str = ""
    events: tuple[Event, ...] | None = None
    said_s: tuple[float, ...] | None = None
    unknown_s: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class DetectionReport:
    """All measures are shares of 1, save `edit` (0 to 100); NaN where the truth holds no action at all.

    `frames` and `hours` count frames with a known truth only. `map_*` are PKU-MMD's at an overlap of 0.5, from the
    probabilities; `map_*_script` is what published figures are to be compared with (see `average_precision.py`). All
    else is of the decided labels, and `event_f1` (overlap 0.5) of the events.
    """

    streams: int
    subjects: int
    frames: int
    hours: float
    frame_accuracy: float
    map_actions: float
    map_videos: float
    map_actions_script: float
    map_videos_script: float
    f1_10: float
    f1_25: float
    f1_50: float
    edit: float
    event_f1: float

    def table(self, title: str = "Detection") -> Table:
        """The report for the terminal: what was measured on how much, in per cent."""
        what = f"{self.streams} streams, {self.subjects} subjects, {self.frames} frames, {self.hours:.2f} h"
        table = Table(title=title, caption=what)
        table.add_column("measure")
        table.add_column("%", justify="right")
        for name, value in (
            ("frame accuracy", self.frame_accuracy),
            ("mAP@0.5 over actions", self.map_actions),
            ("mAP@0.5 over videos", self.map_videos),
            ("mAP@0.5 over actions, as PKU-MMD's script", self.map_actions_script),
            ("mAP@0.5 over videos, as PKU-MMD's script", self.map_videos_script),
            ("segment F1@10", self.f1_10),
            ("segment F1@25", self.f1_25),
            ("segment F1@50", self.f1_50),
            ("edit score", self.edit / 100),
            ("event F1", self.event_f1),
        ):
            table.add_row(name, "–" if math.isnan(value) else f"{100 * value:.1f}")
        return table


def evaluate_streams(streams: Sequence[ScoredStream], classes: Sequence[str]) -> DetectionReport:
    """Measure the streams; `classes` are the K names, the background first.

    Frames whose truth is `IGNORE` count for nothing; every segment, detection and event is cut there (`metrics.py`).
    ValueError for no streams, names given twice, arrays that disagree, labels that are no class, or a stream without
    any known frame.
    """
    if not streams:
        raise ValueError("there is no stream to evaluate; give at least one")
    if len({stream.name for stream in streams}) < len(streams):
        raise ValueError("two streams have the same name; name each once, or their detections get mixed")
    for stream in streams:
        check_stream(stream, len(classes))

    truth = {s.name: segments(s.truth) for s in streams}
    decided = {s.name: segments(without_ignored(s.decided, s.truth)) for s in streams}
    detections = [
        detection
        for s in streams
        # Probability 0 is no detection at any threshold: a run of frames ends where the truth is not known.
        for detection in detections_from_probabilities(
            s.name, np.where((s.truth == IGNORE)[:, None], 0.0, s.probabilities)
        )
    ]
    sent = [spelt(decided[s.name], s, classes) if s.events is None else known_events(s) for s in streams]
    frames = [int((s.truth != IGNORE).sum()) for s in streams]
    return DetectionReport(
        streams=len(streams),
        subjects=len({s.subject for s in streams if s.subject}),
        frames=sum(frames),
        hours=sum(n / s.hz for n, s in zip(frames, streams, strict=True)) / 3600,
        frame_accuracy=frame_accuracy([s.decided for s in streams], [s.truth for s in streams]),
        map_actions=map_over_actions(detections, truth),
        map_videos=map_over_videos(detections, truth),
        map_actions_script=map_over_actions(detections, truth, interpolation="script"),
        map_videos_script=map_over_videos(detections, truth, interpolation="script"),
        f1_10=f1_at_k(list(decided.values()), list(truth.values()), 10),
        f1_25=f1_at_k(list(decided.values()), list(truth.values()), 25),
        f1_50=f1_at_k(list(decided.values()), list(truth.values()), 50),
        edit=sum(edit_score(decided[s.name], truth[s.name]) for s in streams) / len(streams),
        event_f1=event_f1(sent, [spelt(truth[s.name], s, classes) for s in streams]),
    )


def spelt(runs: Sequence[Segment], stream: ScoredStream, classes: Sequence[str]) -> list[Event]:
    """Runs of frames as events: the class by name, times in seconds."""
    return [(classes[int(run.label)], run.start / stream.hz, run.end / stream.hz) for run in runs]


def known_events(stream: ScoredStream) -> list[Event]:
    """The events that a stream sent, cut to the spans whose truth is known."""
    whole = [Segment(*event) for event in stream.events or ()]  # refuses an event that ends before it starts
    return [(str(part.label), part.start, part.end) for part in known_part(whole, stream.truth, stream.hz)]


def check_stream(stream: ScoredStream, n_classes: int) -> None:
    """ValueError for a stream whose parts contradict each other, in one line that names it."""
    shape = (len(stream.truth), n_classes)
    if stream.probabilities.shape != shape or stream.decided.shape != stream.truth.shape:
        raise ValueError(
            f"{stream.name}: probabilities {stream.probabilities.shape}, decided {stream.decided.shape} and truth "
            f"{stream.truth.shape} must be (T, {n_classes}), (T,) and (T,) of one stream"
        )
    if not stream.hz > 0:
        raise ValueError(f"{stream.name}: a rate of {stream.hz} Hz is none; give the frames a second")
    if stream.said_s is not None and len(stream.said_s) != len(stream.events or ()):
        raise ValueError(
            f"{stream.name}: {len(stream.said_s)} times for {len(stream.events or ())} events; give one each"
        )
    known = stream.truth != IGNORE
    if not known.any():
        raise ValueError(f"{stream.name}: the truth of no frame is known; leave the stream out")
    for what, labels in (("truth", stream.truth[known]), ("decided", stream.decided[known])):
        if not 0 <= labels.min() <= labels.max() < n_classes:
            raise ValueError(f"{stream.name}: {what} runs to {labels.min()}..{labels.max()}, of {n_classes} classes")
