"""CSV, for spreadsheets and data frames: a row for each action, or for each decided frame and person.

events  camera, run, person, name, action, start_s, end_s, confidence, start_utc
frames  camera, run, person, t_s, label, and the probability of each class under its name

Seconds are those of the first camera's clock: of a video, its own.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from ...encoder.clock import HZ
from ...stream.wire import AnyMessage, Decision
from ..detections import name_of
from .labels import Labels
from .story import Story, ticks_of


class EventsTable:
    """A row for each action; written when the recording has been gone through."""

    def __init__(self, path: Path, story: Story) -> None:
        self._path, self._story, self._labels = path, story, Labels(story)

    def take(self, message: AnyMessage, when: float) -> None:
        self._labels.take(message)

    def close(self) -> None:
        origin = self._story.origin or 0.0
        with _opened(self._path) as file:
            rows = csv.writer(file)
            rows.writerow(["camera", "run", "person", "name", "action", "start_s", "end_s", "confidence", "start_utc"])
            for label in self._labels.all():
                who = label.who
                rows.writerow([
                    who.camera, who.run + 1, who.track, self._story.names.get(who, ""), label.action,
                    f"{label.start - origin:.3f}", f"{label.end - origin:.3f}", f"{label.confidence:.4f}",
                    datetime.fromtimestamp(label.start, UTC).isoformat(timespec="milliseconds"),
                ])  # fmt: skip


class FramesTable:
    """A row for each decided frame and person, written as they come."""

    def __init__(self, path: Path, story: Story) -> None:
        self._story = story
        self._file = _opened(path)
        self._rows = csv.writer(self._file)
        self._words: tuple[str, ...] = ()

    def take(self, message: AnyMessage, when: float) -> None:
        if not isinstance(message, Decision):
            return
        words = self._story.words(message)
        if not self._words:
            self._words = words
            self._rows.writerow(["camera", "run", "person", "t_s", "label", *words])
        if words != self._words:
            raise ValueError(
                f"{', '.join(set(words) ^ set(self._words))} was taught or forgotten on the way, and a table has the "
                "same columns from its first row on; convert to .mcap or .rrd"
            )
        who = self._story.who(message.camera, message.track)
        begin = self._story.at(message.camera, 0.0) - (self._story.origin or 0.0)
        for t, label, i in ticks_of(message, HZ):
            likely = (f"{value:.4f}" for value in message.probabilities[i].tolist())
            name = name_of(label, words)
            self._rows.writerow([who.camera, who.run + 1, who.track, f"{begin + t:.3f}", name, *likely])

    def close(self) -> None:
        self._file.close()


def _opened(path: Path) -> TextIO:
    return path.open("w", newline="", encoding="utf-8")
