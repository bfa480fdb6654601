"""What a run of the pipeline amounted to: counts, latencies, and, if the camera knows the truth, how right it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..encoder.clock import HZ
from ..stream.wire import AnyMessage, Decision, Event, Report, Tracks
from ..train.metrics import frame_accuracy, segment_f1, segments, without_ignored
from .accounts import Accounts, told

Truth = Callable[[float], str | None]


@dataclass
class Summary:
    """Fed with every message of a run; `lines` says what there is to say.

    `counters` are what the stages have counted in all, by stage (`Supervisor.counters`).
    `latencies_s` holds, for each scored frame, the time from its capture to its first score; `event_latencies_s` that
    from the capture of the frame that decided an event to the event. Both mean something only when `live`.
    """

    classes: Sequence[str]
    live: bool
    latencies_s: list[float] = field(default_factory=list)
    event_latencies_s: list[float] = field(default_factory=list)
    reports: dict[str, Report] = field(default_factory=dict)
    memory_mb: dict[str, list[float]] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    first_tick: int | None = None
    end_tick: int = 0
    people: set[int] = field(default_factory=set)
    _scored_to: dict[int, float] = field(default_factory=dict)

    def add(self, message: AnyMessage) -> None:
        """Take a message of the bus into account."""
        if isinstance(message, Report):
            self.reports[message.stage] = message
            self.memory_mb.setdefault(message.stage, []).append(message.gauges.get("memory_mb", 0.0))
        elif isinstance(message, Tracks):
            self.people.update(message.ids)
        elif isinstance(message, Decision):
            newest = message.decided_at - message.captured_at
            # What has come since the person's last window is scored now; the older of it has waited for the newest.
            before = self._scored_to.get(message.track, message.t - 1 / HZ)
            self.latencies_s += [newest + i / HZ for i in range(round((message.t - before) * HZ))]
            self._scored_to[message.track] = message.t
            self.first_tick = (
                message.first_tick if self.first_tick is None else min(self.first_tick, message.first_tick)
            )
            self.end_tick = max(self.end_tick, message.first_tick + len(message.labels))
        elif isinstance(message, Event):
            if message.kind != "update":
                self.event_latencies_s.append(message.decided_at - message.captured_at)
            if message.kind == "end":
                self.events.append(message)

    def accuracy(self, truth: Truth) -> tuple[float, float] | None:
        """(frame accuracy, event F1 at IoU 0.5) against the truth at a time in seconds; None if nothing was decided.

        A frame's answer is the action of the event that covers it. Frames whose truth is not known do not count.
        """
        if self.first_tick is None:
            return None
        ticks = np.arange(self.first_tick, self.end_tick)
        known = [truth(tick / HZ) for tick in ticks]
        true = np.array([self.classes.index(name) if name in self.classes else -1 for name in known])
        said = np.zeros(len(ticks), np.int64)
        for event in (event for event in self.events if event.action in self.classes):  # unknown is no answer
            assert event.t_end is not None
            inside = (ticks / HZ >= event.t_start - 1e-6) & (ticks / HZ < event.t_end - 1e-6)
            said[inside] = self.classes.index(event.action)
        f1 = segment_f1([segments(without_ignored(said, true))], [segments(true)], iou=0.5)
        return frame_accuracy(said, true), f1

    def lines(self, truth: Truth | None = None) -> list[str]:
        """The summary for people."""
        accounts = Accounts.of(self.counters)
        lines = [
            f"frames      {accounts.captured} captured, {accounts.with_people} with a person, "
            f"dropped: {told(accounts.frames_dropped)}",
            f"windows     {accounts.windows} sent, {accounts.scored} scored, dropped: {told(accounts.windows_dropped)}",
        ]
        for what, values in (("scored frame", self.latencies_s), ("event", self.event_latencies_s)):
            if values and self.live:
                p50, p95, p99 = 1000 * np.percentile(values, [50, 95, 99])
                lines.append(f"latency     capture to {what}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms")
        if accounts.captured and not accounts.with_people:
            lines.append("nobody was seen")
        if truth is not None and (scores := self.accuracy(truth)) is not None:
            lines.append(f"truth       frame accuracy {100 * scores[0]:.1f} %, event F1@0.5 {scores[1]:.2f}")
        return lines
