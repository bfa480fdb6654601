"""A labelled stream through the live path's own windows, engine and decoder, as fast as the machine goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.bundle import BundleConfig, DecodeParameters
from ..encoder.clock import HZ
from ..encoder.engine import Infers
from ..stream.decode import Decoder, segment
from ..stream.detect import softmax
from ..stream.window import WindowCutter, cut_offline
from ..stream.wire import Decision, Event, Scores
from ..train.detection_report import ScoredStream
from ..train.metrics import frame_accuracy, segment_f1, segments, without_ignored
from ..train.streams import Stream

_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Windowed:
    """A stream's window scores: the windows end with frames `ends`, `probabilities` (W, 64, K)."""

    stream: Stream
    ends: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def score_windows(engine: Infers, stream: Stream, hop: int) -> Windowed:
    """Score the windows that `WindowCutter` would cut of this stream (the frames' ticks being 0, 1, 2 ...)."""
    first = WindowCutter.Config().min_valid - 1
    ends = np.array(
        [t for t in range(len(stream.labels)) if t >= first and (t + 1) % hop == 0] + [len(stream.labels) - 1]
    )
    scored = [
        softmax(engine.infer(np.stack([cut_offline(stream.joints, end) for end in ends[i : i + _BATCH]])))
        for i in range(0, len(ends), _BATCH)
    ]
    return Windowed(stream=stream, ends=ends, probabilities=np.concatenate(scored))


def decode_stream(windowed: Windowed, config: BundleConfig, parameters: DecodeParameters) -> ScoredStream:
    """What the live decoder makes of these scores: probabilities and labels a frame, and the events."""
    stream, classes = windowed.stream, config.classes
    probabilities = np.zeros((len(stream.labels), len(classes)), np.float32)
    events: list[tuple[str, float, float]] = []
    decided = np.zeros(len(stream.labels), np.int64)
    for said in _said(windowed, config, parameters):
        if isinstance(said, Decision):
            probabilities[said.first_tick : said.first_tick + len(said.labels)] = said.probabilities
        elif said.kind == "end" and said.t_end is not None and said.t_end > said.t_start:
            events.append((said.action, said.t_start, said.t_end))
            decided[round(said.t_start * HZ) : round(said.t_end * HZ)] = classes.index(said.action)
    return ScoredStream(
        name=f"{stream.name} ({stream.source})", subject=stream.subject, probabilities=probabilities, decided=decided,
        truth=np.asarray(stream.labels, np.int64), hz=HZ, events=tuple(events),
    )  # fmt: skip


def _said(windowed: Windowed, config: BundleConfig, parameters: DecodeParameters) -> Iterator[Decision | Event]:
    decoder = Decoder(config.classes, parameters)
    for i, (end, probabilities) in enumerate(zip(windowed.ends, windowed.probabilities, strict=True)):
        scores = Scores(
            camera="offline", t=end / HZ, captured_at=0.0, track=1, index=i, first_tick=int(end) - config.frames + 1,
            valid=min(int(end) + 1, config.frames), last=i == len(windowed.ends) - 1, probabilities=probabilities,
            scored_at=0.0,
        )  # fmt: skip
        yield from decoder.push(scores, 0.0)


def fit_decoder(windowed: Sequence[Windowed], config: BundleConfig, delay: int) -> DecodeParameters:
    """The thresholds and the minimum duration with which validation streams decode best, for a given delay.

    Best is the sum of segment F1 (IoU 0.5) and frame accuracy: the one rewards whole events, the other their edges.
    """
    unfitted = DecodeParameters(delay=delay)
    streams = [decode_stream(w, config, unfitted) for w in windowed]
    truths = [np.asarray(stream.truth) for stream in streams]

    def quality(parameters: DecodeParameters) -> float:
        decided = [segment(stream.probabilities, parameters) for stream in streams]
        found = [segments(without_ignored(d, t)) for d, t in zip(decided, truths, strict=True)]
        return segment_f1(found, [segments(t) for t in truths], iou=0.5) + frame_accuracy(decided, truths)

    return max(
        (
            DecodeParameters(delay=delay, enter=enter, leave=leave, min_frames=min_frames)
            for enter in (0.25, 0.35, 0.45, 0.55, 0.65, 0.75)
            for leave in (0.15, 0.25, 0.35, 0.45, 0.55)
            for min_frames in (4, 8, 12, 16, 20)
            if leave <= enter
        ),
        key=quality,
    )
