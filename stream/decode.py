"""Decode: the overlapping scores of a person's windows become one decision a frame, and decisions become events.

A frame is covered by many windows. Its final probability is the mean over those that have come by the time it is
decided, `delay` ticks after it was seen: more windows and more future make it surer, and later. An action starts when
its probability has stayed above `enter` (hysteresis: it goes on until below `leave`) for `min_frames`, and the event
says when it began, not when it was believed.

Pure: no clock of its own, no sockets. The same scores give the same decisions, live or from a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..encoder.bundle import DecodeParameters
from ..encoder.clock import HZ
from .wire import Decision, Event, EventKind, Scores

F64 = NDArray[np.float64]


class Decoder:
    """The decoder of one person. Call `push` with the person's `Scores` in the order of their index.

    `delay` ticks pass between a frame and its decision; an event needs `min_frames` more before it starts.
    """

    def __init__(self, classes: Sequence[str], parameters: DecodeParameters) -> None:
        self.classes, self.parameters = tuple(classes), parameters
        self._fusion = _Fusion(len(classes))
        self._segmenter = Segmenter(parameters)
        self._running: _Running | None = None
        self._decided_to: int | None = None  # the first tick that is not decided yet

    @property
    def delay(self) -> int:
        """Ticks between a frame and its decision."""
        return self.parameters.delay

    def push(self, scores: Scores, now: float) -> Iterator[Decision | Event]:
        """What these scores decide; `now` is the Unix time that goes into the messages."""
        self._fusion.add(scores)
        newest = scores.first_tick + len(scores.probabilities) - 1
        if self._decided_to is None:
            self._decided_to = newest - scores.valid + 1
        end = newest + 1 if scores.last else newest + 1 - self.delay
        if end > self._decided_to:
            ticks = range(self._decided_to, end)
            probabilities = self._fusion.take(ticks)
            decided = [self._segmenter.push(row) for row in probabilities]
            self._decided_to = end
            yield Decision(
                camera=scores.camera, t=scores.t, captured_at=scores.captured_at, track=scores.track,
                first_tick=ticks[0], labels=tuple(step.label for step in decided),
                probabilities=probabilities.astype(np.float32), decided_at=now,
            )  # fmt: skip
            for tick, step, row in zip(ticks, decided, probabilities, strict=True):
                yield from self._follow(scores, tick, step, row, now)
        if scores.last:
            yield from self._close(scores, (newest + 1) / HZ, now)

    def _follow(self, scores: Scores, tick: int, step: Step, row: F64, now: float) -> Iterator[Event]:
        running = self._running
        if running is not None and step.label != running.label:
            # Another action has taken over since `since` frames: that is when this one was over.
            yield from self._close(scores, (tick - step.since) / HZ, now)
            running = None
        if running is None and step.label != 0:
            self._running = running = _Running(step.label, (tick - step.since) / HZ)
            running.see(row[step.label], tick)
            yield self._event("start", scores, running, None, now)
        elif running is not None:
            running.see(row[running.label], tick)
            if tick - running.told >= HZ:  # once a second, for whoever came late
                running.told = tick
                yield self._event("update", scores, running, None, now)

    def _close(self, scores: Scores, t_end: float, now: float) -> Iterator[Event]:
        if self._running is not None:
            yield self._event("end", scores, self._running, t_end, now)
        self._running = None

    def _event(self, kind: EventKind, scores: Scores, running: _Running, t_end: float | None, now: float) -> Event:
        return Event(
            camera=scores.camera, t=scores.t, captured_at=scores.captured_at, kind=kind, track=scores.track,
            action=self.classes[running.label], t_start=running.t_start, t_end=t_end,
            confidence=running.confidence, decided_at=now,
        )  # fmt: skip


@dataclass
class _Running:
    label: int
    t_start: float
    total: float = 0.0
    frames: int = 0
    told: int = 0

    def see(self, probability: float, tick: int) -> None:
        self.told = self.told if self.frames else tick
        self.total += float(probability)
        self.frames += 1

    @property
    def confidence(self) -> float:
        return self.total / max(self.frames, 1)


class _Fusion:
    """Sums of the probabilities of every tick that is not decided yet."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._sum: dict[int, F64] = {}
        self._count: dict[int, int] = {}

    def add(self, scores: Scores) -> None:
        # The first columns, up to `valid`, show no frame of their own but the repeated first.
        skip = len(scores.probabilities) - scores.valid
        for tick, row in enumerate(scores.probabilities[skip:].astype(np.float64), start=scores.first_tick + skip):
            self._sum[tick] = self._sum[tick] + row if tick in self._sum else row
            self._count[tick] = self._count.get(tick, 0) + 1

    def take(self, ticks: range) -> F64:
        """The mean probabilities (n, K) of these ticks; they and all before are forgotten.

        A tick that no window scored (its windows were dropped) takes the next one's, or an even guess.
        """
        rows: list[F64] = []
        following: F64 = np.full(self._classes, 1 / self._classes)
        for tick in reversed(ticks):
            if tick in self._sum:
                following = self._sum[tick] / self._count[tick]
            rows.append(following)
        for tick in [tick for tick in self._sum if tick < ticks.stop]:
            del self._sum[tick], self._count[tick]
        return np.array(rows[::-1])


@dataclass(frozen=True)
class Step:
    """The label of one frame as decided, and for how many frames before it the same was already true."""

    label: int
    since: int


@dataclass
class Segmenter:
    """Hysteresis and minimum duration on a stream of probability rows.

    A class becomes the label once it led with at least `enter` for `min_frames` frames, and stays until it falls below
    `leave` or another has taken over in the same way. Class 0 is what remains.
    """

    parameters: DecodeParameters
    label: int = 0
    _candidate: int = 0
    _led: int = field(default=0)
    _free: int = field(default=1 << 30)  # frames since the last action was declared over: nobody moves a start past it

    def push(self, row: F64) -> Step:
        """Take the probabilities (K,) of the next frame."""
        leader = int(row[1:].argmax()) + 1
        if row[leader] < self.parameters.enter or row[leader] <= row[0]:
            leader = 0
        self._led = self._led + 1 if leader == self._candidate else 1
        self._candidate = leader
        self._free += 1
        if self.label != 0 and row[self.label] < self.parameters.leave:
            self.label, self._free = 0, 0
        if leader not in (0, self.label) and self._led >= self.parameters.min_frames:
            since = self._led - 1 if self.label != 0 else min(self._led - 1, self._free)
            self.label = leader
            return Step(leader, since)
        return Step(self.label, 0)


def segment(probabilities: NDArray[np.floating], parameters: DecodeParameters) -> NDArray[np.int64]:
    """The decided labels (T,) of a whole stream of probabilities (T, K), each start moved back to where it began.

    What `Decoder` says in events, as labels a frame, for evaluation.
    """
    segmenter, labels = Segmenter(parameters), np.zeros(len(probabilities), np.int64)
    for i, row in enumerate(np.asarray(probabilities, np.float64)):
        step = segmenter.push(row)
        labels[i - step.since : i + 1] = step.label
    return labels
