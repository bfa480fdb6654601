"""A labelled stream through the live path's own windows, engine and decoder, as fast as the machine goes.

Shapes: W window, F frame of a window, T frame of the stream, K class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.bundle import BundleConfig, DecodeParameters
from ..encoder.clock import HZ
from ..encoder.engine import Infers
from ..stream.decode import Decoder, Hindsight, Looks, Segmenter
from ..stream.window import WindowCutter, cut_offline, evidence
from ..stream.wire import Decision, Scores
from ..train.detection_report import ScoredStream
from ..train.online import SaidEvent
from ..train.streams import Stream

_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Windowed:
    """A stream's window scores: the windows end with frames `ends`; `logits_WFK`, and `evidence_W` in 0..1."""

    stream: Stream
    ends: NDArray[np.int64]
    logits_WFK: NDArray[np.float32]
    evidence_W: NDArray[np.float64]

    def scores(self) -> Iterator[Scores]:
        """As a detector gives them, one window after the other."""
        frames = self.logits_WFK.shape[1]
        for i, (end, logits_FK) in enumerate(zip(self.ends.tolist(), self.logits_WFK, strict=True)):
            yield Scores(
                camera="offline", t=end / HZ, captured_at=0.0, track=1, index=i, first_tick=end - frames + 1,
                valid=min(end + 1, frames), last=i == len(self.ends) - 1, logits=logits_FK,
                evidence=float(self.evidence_W[i]), scored_at=0.0,
            )  # fmt: skip


def score_windows(engine: Infers, stream: Stream, hop: int) -> Windowed:
    """Score the windows that `WindowCutter` would cut of this stream (the frames' ticks being 0, 1, 2 ...).

    ValueError for a hop that is none.
    """
    if hop < 1:
        raise ValueError(f"hop is {hop}; a window comes every 1 or more frames")
    first = WindowCutter.Config().min_valid - 1
    ends = [t for t in range(len(stream.labels)) if t >= first and (t + 1) % hop == 0] + [len(stream.labels) - 1]
    logits: list[NDArray[np.float32]] = []
    seen: list[float] = []
    for i in range(0, len(ends), _BATCH):
        windows = [cut_offline(stream.joints, end) for end in ends[i : i + _BATCH]]
        logits.append(engine.infer(np.stack(windows)))
        seen += [evidence(window, end + 1) for window, end in zip(windows, ends[i : i + _BATCH], strict=True)]
    return Windowed(stream=stream, ends=np.array(ends), logits_WFK=np.concatenate(logits), evidence_W=np.array(seen))


def decode_stream(windowed: Windowed, config: BundleConfig, parameters: DecodeParameters) -> ScoredStream:
    """What the live decoder makes of these scores: probabilities and labels a frame, and the events of actions.

    What is unknown is no action: its frames are labelled as background here, its events are spans of their own.
    """
    stream, decoder = windowed.stream, Decoder(config.classes, parameters)
    probabilities = np.zeros((len(stream.labels), len(config.classes)), np.float32)
    decided = np.zeros(len(stream.labels), np.int64)
    events: list[tuple[str, float, float]] = []
    said_s: list[float] = []
    unknown_s: list[tuple[float, float]] = []
    starts_s = 0.0
    for scores in windowed.scores():
        for said in decoder.push(scores, 0.0):
            if isinstance(said, Decision):
                probabilities[said.first_tick : said.first_tick + len(said.labels)] = said.probabilities
            elif said.kind == "start":
                starts_s = scores.t
            elif said.kind == "end" and said.t_end is not None and said.action == "unknown":
                unknown_s.append((said.t_start, said.t_end))
            elif said.kind == "end" and said.t_end is not None:
                events.append((said.action, said.t_start, said.t_end))
                said_s.append(starts_s)
                decided[round(said.t_start * HZ) : round(said.t_end * HZ)] = config.classes.index(said.action)
    return ScoredStream(
        name=f"{stream.name} ({stream.source})", subject=stream.subject, probabilities=probabilities, decided=decided,
        truth=np.asarray(stream.labels, np.int64), hz=HZ, events=tuple(events), said_s=tuple(said_s),
        unknown_s=tuple(unknown_s),
    )  # fmt: skip


def looks_of(windowed: Windowed, delay: int, temperature: float) -> Looks:
    """What a decoder has before it whenever it decides: for parameters that differ in nothing else, once is enough."""
    hindsight = Hindsight(windowed.logits_WFK.shape[2], delay, temperature)
    return Looks.stacked([look for scores in windowed.scores() if (look := hindsight.push(scores)) is not None])


def events_in(looks: Looks, classes: int, parameters: DecodeParameters) -> list[SaidEvent]:
    """The events that `decode_stream` finds, of classes by number (unknown: -1), in seconds; very much sooner."""
    events: list[SaidEvent] = []
    label, start, said = 0, 0, 0
    over = [(len(looks.end_W) - 1, (0, int(looks.end_W[-1])))]
    for w, (turned_to, tick) in [*Segmenter(classes, parameters).push(looks), *over]:
        if label != 0:
            events.append(SaidEvent(label=label, start=start / HZ, end=tick / HZ, said_s=said / HZ))
        label, start, said = turned_to, tick, int(looks.seen_W[w])
    return events
