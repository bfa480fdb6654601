"""Labels of a recording, as spans: the actions of everybody, from when to when."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...stream.wire import AnyMessage, Event, Lost
from .story import Story, Who


@dataclass(frozen=True, kw_only=True)
class Label:
    """Somebody's action; `start` and `end` in Unix seconds."""

    who: Who
    action: str
    start: float
    end: float
    confidence: float


class Labels:
    """The spans of a recording: the only thing of it that is kept in memory.

    What had not ended when the recording did, or when its camera was lost, ends with the last that is known.
    """

    def __init__(self, story: Story) -> None:
        self._story = story
        self._done: list[Label] = []
        self._open: dict[Who, Label] = {}  # so far

    def take(self, message: AnyMessage) -> None:
        """After the story was told of it."""
        if isinstance(message, Event):
            who = self._story.who(message.camera, message.track)
            label = Label(
                who=who, action=message.action, start=self._story.at(message.camera, message.t_start),
                end=self._story.at(message.camera, message.t if message.t_end is None else message.t_end),
                confidence=min(message.confidence, 1.0),
            )  # fmt: skip
            before = self._open.pop(who, None)
            if before is not None and (before.start, before.action) != (label.start, label.action):
                self._done.append(before)
            if message.t_end is None:
                self._open[who] = label
            else:
                self._done.append(label)
        elif isinstance(message, Lost):
            for who in [who for who in self._open if who.camera == message.camera]:
                self._done.append(self._open.pop(who))

    def all(self) -> list[Label]:
        """By person, then by time; nobody does two things at once."""
        tidy: list[Label] = []
        everything = [*self._done, *self._open.values()]
        for label in sorted(everything, key=lambda label: (label.who, label.start, label.end)):
            if tidy and tidy[-1].who == label.who and label.start < tidy[-1].end:
                label = replace(label, start=tidy[-1].end)
            if label.end > label.start:
                tidy.append(label)
        return tidy
