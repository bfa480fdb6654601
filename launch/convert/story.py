"""What every format needs to know while a recording is gone through: when things were, what they are called, and what
goes on.

A recording may hold several cameras, each with a clock of its own, and several runs of each, whose clocks and people
begin anew. All of it is put on one axis, Unix seconds: a run begins when its first frame was captured, and keeps its
camera's clock from there on, so that a video that was read faster than it was filmed is as long as it was filmed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ...stream.wire import AnyMessage, Decision, End, Event, Message, Named, Taught, Tracks


class Who(NamedTuple):
    """Somebody before a camera, in one of its runs (0 is the first)."""

    camera: str
    run: int
    track: int


@dataclass
class _Clock:
    base: float  # Unix seconds at which the run's clock was 0
    run: int = 0
    newest_t: float = -math.inf
    latest: float = -math.inf  # Unix seconds, of all runs


@dataclass
class Story:
    """Goes through messages: `told(message)` is asked with each, in their order, and says when it was.

    `classes` are those of the model that decided, `taught` what had been taught besides before it was first told.
    """

    classes: tuple[str, ...]
    taught: tuple[str, ...] = ()
    names: dict[Who, str] = field(default_factory=dict)
    doing: dict[Who, Event] = field(default_factory=dict)  # what goes on, by its newest event
    origin: float | None = None  # Unix seconds at which the first camera's clock was 0
    _clocks: dict[str, _Clock] = field(default_factory=dict)

    def told(self, message: AnyMessage) -> float:
        """Take note of a message; returns when it was, in Unix seconds."""
        if isinstance(message, Message):
            clock = self._clock_of(message)
            clock.latest = max(clock.latest, clock.base + message.t)
        if isinstance(message, Event):
            who = self.who(message.camera, message.track)
            if message.kind == "end":
                self.doing.pop(who, None)
            else:
                self.doing[who] = message
        elif isinstance(message, Named):
            self.names[self.who(message.camera, message.track)] = message.name
        elif isinstance(message, Taught):
            self.taught = message.actions
        elif isinstance(message, End) and message.camera in self._clocks:
            self._clocks[message.camera].newest_t = math.inf
        if isinstance(message, Message):
            return self.at(message.camera, message.t)
        if isinstance(message, End):
            return self.latest(message.camera)
        return message.at

    def at(self, camera: str, t: float) -> float:
        """A moment on a camera's clock, in Unix seconds."""
        return self._clocks[camera].base + t

    def latest(self, camera: str) -> float:
        """The newest moment that is known of a camera, in Unix seconds."""
        return self._clocks[camera].latest if camera in self._clocks else self.origin or 0.0

    def who(self, camera: str, track: int) -> Who:
        """Somebody, in the run that the camera is in."""
        clock = self._clocks.get(camera)
        return Who(camera, clock.run if clock else 0, track)

    def called(self, who: Who) -> str:
        """For people: "Anna", or "person 3"; of a later run "person 3 (run 2)"."""
        run = f" (run {who.run + 1})" if who.run else ""
        return self.names.get(who) or f"person {who.track}{run}"

    def words(self, decision: Decision) -> tuple[str, ...]:
        """What the classes of a decision are called. ValueError if the model has others."""
        count = decision.probabilities.shape[1]
        known = (*self.classes, *self.taught)
        if count not in (len(self.classes), len(known)):
            raise ValueError(
                f"the recording's decisions have {count} classes, the model {len(known)}; give the model that decided "
                "with --model"
            )
        return known[:count]

    def _clock_of(self, message: Message) -> _Clock:
        clock = self._clocks.get(message.camera)
        if clock is None:
            clock = self._clocks[message.camera] = _Clock(message.captured_at - message.t)
            if self.origin is None:
                self.origin = clock.base
        elif isinstance(message, Tracks) and message.t <= clock.newest_t:  # another run
            begins = max(message.captured_at, clock.latest)
            clock.base, clock.run = begins - message.t, clock.run + 1
            self.doing = {who: event for who, event in self.doing.items() if who.camera != message.camera}
        if isinstance(message, Tracks):
            clock.newest_t = message.t
        return clock


def ticks_of(decision: Decision, hz: float) -> Iterator[tuple[float, int, int]]:
    """For each decided frame: when it was on the camera's clock, its label, and its place in the decision."""
    for i, label in enumerate(decision.labels):
        yield (decision.first_tick + i) / hz, label, i
