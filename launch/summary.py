"""What a run of the pipeline amounted to: counts, latencies, and, if the camera knows the truth, how right it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..encoder.clock import HZ
from ..stream.wire import AnyMessage, Decision, Event, Report
from ..train.metrics import frame_accuracy, segment_f1, segments, without_ignored
from .accounts import Accounts, told

Truth = Callable[[float], str | None]


@dataclass
class Summary:
    """Fed with every message of a run; `lines` says what there is to say.

    `counters` are what the stages have counted in all, by stage (`Supervisor.counters`); with `guests` some windows are
    of cameras on other machines. `latencies_s` holds, for each scored frame, the time from its capture to its first
    score; `event_latencies_s` that from the capture of the frame that decided an event to the event. Both mean
    something only when `live`. `events` are those that have ended; `decided` are the ticks of each camera that were
    decided, from the first to before the second.
    """

    classes: Sequence[str]
    live: bool
    guests: bool = False
    latencies_s: list[float] = field(default_factory=list)
    event_latencies_s: list[float] = field(default_factory=list)
    reports: dict[str, Report] = field(default_factory=dict)
    memory_mb: dict[str, list[float]] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    decided: dict[str, tuple[int, int]] = field(default_factory=dict)
    _scored_to: dict[tuple[str, int], float] = field(default_factory=dict)

    def add(self, message: AnyMessage) -> None:
        """Take a message of the bus into account."""
        if isinstance(message, Report):
            self.reports[message.stage] = message
            self.memory_mb.setdefault(message.stage, []).append(message.gauges.get("memory_mb", 0.0))
        elif isinstance(message, Decision):
            self._decision(message)
        elif isinstance(message, Event):
            if message.kind != "update":
                self.event_latencies_s.append(message.decided_at - message.captured_at)
            if message.kind == "end":
                self.events.append(message)

    def _decision(self, message: Decision) -> None:
        newest = message.decided_at - message.captured_at
        # What has come since the person's last window is scored now; the older of it has waited for the newest.
        person = message.camera, message.track
        before = self._scored_to.get(person, message.t - 1 / HZ)
        self.latencies_s += [newest + i / HZ for i in range(round((message.t - before) * HZ))]
        self._scored_to[person] = message.t
        first, end = message.first_tick, message.first_tick + len(message.labels)
        before_first, before_end = self.decided.get(message.camera, (first, end))
        self.decided[message.camera] = min(before_first, first), max(before_end, end)

    def accuracy(self, camera: str, truth: Truth) -> tuple[float, float] | None:
        """(frame accuracy, event F1 at IoU 0.5) of a camera against the truth at a time in seconds; None if nothing
        was decided.

        A frame's answer is the action of the event that covers it. Frames whose truth is not known do not count.
        """
        if camera not in self.decided:
            return None
        ticks = np.arange(*self.decided[camera])
        known = [truth(tick / HZ) for tick in ticks]
        true = np.array([self.classes.index(name) if name in self.classes else -1 for name in known])
        said = np.zeros(len(ticks), np.int64)
        for event in self.events:
            if event.camera != camera or event.action not in self.classes:  # unknown is no answer
                continue
            assert event.t_end is not None
            inside = (ticks / HZ >= event.t_start - 1e-6) & (ticks / HZ < event.t_end - 1e-6)
            said[inside] = self.classes.index(event.action)
        f1 = segment_f1([segments(without_ignored(said, true))], [segments(true)], iou=0.5)
        return frame_accuracy(said, true), f1

    def lines(self, truths: Mapping[str, Truth]) -> list[str]:
        """The summary for people; `truths` by camera."""
        accounts = Accounts.of(self.counters, guests=self.guests)
        several = len(accounts.frames) > 1
        lines = [
            f"frames      {f'{camera}: ' if several else ''}{frames.captured} captured, {frames.with_people} with a "
            f"person, dropped: {told(frames.dropped)}"
            for camera, frames in accounts.frames.items()
        ]
        lines.append(
            f"windows     {accounts.windows} {'came in' if self.guests else 'sent'}, {accounts.scored} scored, "
            f"dropped: {told(accounts.windows_dropped)}"
        )
        if self.guests:
            refused = {what[9:]: n for what, n in self.counters.get("gate", {}).items() if what.startswith("refused: ")}
            told_of = ", ".join(f"{n} {what}" for what, n in refused.items() if n)
            lines.append(f"gate        refused: {told_of or 'nothing'}")
        for what, values in (("scored frame", self.latencies_s), ("event", self.event_latencies_s)):
            if values and self.live:
                p50, p95, p99 = 1000 * np.percentile(values, [50, 95, 99])
                lines.append(f"latency     capture to {what}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms")
        if accounts.captured and not accounts.with_people:
            lines.append("nobody was seen")
        for camera, truth in truths.items():
            if (scores := self.accuracy(camera, truth)) is not None:
                of = f"{camera}: " if several else ""
                lines.append(f"truth       {of}frame accuracy {100 * scores[0]:.1f} %, event F1@0.5 {scores[1]:.2f}")
        return lines
