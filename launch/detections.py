"""What was detected in a video: the answer of `skelstream.detect` (`api.py`).

Shapes: T decided frame (on the 30 Hz clock), K class, F frame of the video with this person in it, V joint (25).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ
from ..stream.wire import UNKNOWN, Decision, Event, Tracks

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Span:
    """An action of one person, from when to when (seconds in the video), and how sure the model was on average."""

    person: int
    action: str
    t_start: float
    t_end: float
    confidence: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Person:
    """One person: what every decided frame holds, and where the joints were in every frame of the video.

    `times_s` (T,) seconds, `probabilities` (T, K), `labels` (T,) indices into the classes, -1 where it is none of them;
    `seen_s` (F,) seconds, `joints` (F, V, 3) metres in Kinect camera space, `pixels` (F, V, 2), `confidence` (F, V):
    0 for a joint that was not seen, which is zero in `joints` too.
    """

    number: int
    times_s: F64
    probabilities: F32
    labels: NDArray[np.int64]
    seen_s: F64
    joints: F32
    pixels: F32
    confidence: F32

    def __repr__(self) -> str:
        return f"Person(number={self.number}, {len(self.times_s)} frames decided, seen in {len(self.seen_s)})"


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Who did what when. `classes[0]` is the background; `people` are by number."""

    source: str
    classes: tuple[str, ...]
    frames: int
    size: tuple[int, int]
    events: tuple[Span, ...]
    people: Mapping[int, Person] = field(repr=False)
    mirror: bool = False

    def plot(self, path: str | Path) -> Path:
        """Who did what when, with probabilities and a few frames, as a picture: PNG, SVG or PDF, by the name's end.

        Needs matplotlib (extra `plot`). ValueError for a name that ends otherwise, or a place that cannot be written.
        """
        from .detections_picture import draw_detections

        return draw_detections(self, Path(path))


class Gathering:
    """Puts messages of one camera together, as they come."""

    def __init__(self) -> None:
        self.frames, self.size = 0, (0, 0)
        self.newest_s = 0.0
        self._spans: list[Span] = []
        self._decided: dict[int, list[Decision]] = {}
        self._seen: dict[int, list[tuple[float, F32, F32, F32]]] = {}

    def add(self, message: object) -> None:
        """Take a message into account; what is no `Tracks`, `Decision` or `Event` is none of ours."""
        if isinstance(message, Tracks):
            self.frames += 1
            self.size = message.size
            for i, track in enumerate(message.ids):
                seen = (message.t, message.joints[i], message.pixels[i], message.confidence[i])
                self._seen.setdefault(track, []).append(seen)
        elif isinstance(message, Decision):
            self._decided.setdefault(message.track, []).append(message)
            self.newest_s = max(self.newest_s, message.t)
        elif isinstance(message, Event) and message.t_end is not None:
            self._spans.append(
                Span(
                    person=message.track, action=message.action, t_start=message.t_start, t_end=message.t_end,
                    confidence=message.confidence,
                )
            )  # fmt: skip

    def done(self, source: str, classes: tuple[str, ...], *, mirror: bool) -> Detections:
        """All of it."""
        numbers = sorted(self._decided.keys() | self._seen.keys())
        return Detections(
            source=source, classes=classes, frames=self.frames, size=self.size, events=tuple(self._spans),
            people={n: self._person(n, len(classes)) for n in numbers}, mirror=mirror,
        )  # fmt: skip

    def _person(self, number: int, classes: int) -> Person:
        decided, seen = self._decided.get(number, []), self._seen.get(number, [])
        ticks = [d.first_tick + i for d in decided for i in range(len(d.labels))]
        return Person(
            number=number,
            times_s=np.array(ticks, np.float64) / HZ,
            probabilities=_joined((d.probabilities for d in decided), (0, classes)),
            labels=np.array([label for d in decided for label in d.labels], np.int64),
            seen_s=np.array([t for t, *_ in seen], np.float64),
            joints=_joined((joints[None] for _, joints, _, _ in seen), (0, 25, 3)),
            pixels=_joined((pixels[None] for _, _, pixels, _ in seen), (0, 25, 2)),
            confidence=_joined((confidence[None] for *_, confidence in seen), (0, 25)),
        )


def name_of(label: int, classes: tuple[str, ...]) -> str:
    """A label in words."""
    return "unknown" if label == UNKNOWN else classes[label]


def _joined(arrays: Iterable[F32], empty: tuple[int, ...]) -> F32:
    return np.concatenate([np.zeros(empty, np.float32), *arrays])
