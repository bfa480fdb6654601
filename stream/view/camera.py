"""What the view knows of one camera: its frames, its people and what they did in the last 30 seconds.

`at` is always the receiver's clock in seconds, monotonic; it only decides what is old.

Shapes: K class.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from ...encoder.clock import HZ
from ..wire import Decision, Event, Glimpse, Lost, Preview, Tracks, replaced
from .past import Past
from .people import Person
from .pictures import Pictures
from .snapshot import WINDOW_S, CameraView, Latency, LogEntry, RunView, Status
from .trends import LatencyTrend

_RATE_S = 3.0  # frame rates are measured over this long
_LATENCY_S = 10.0
_SILENT_S = 2.0  # a camera without a frame for this long has gone
_RESTART_S = 1.0  # a camera clock that jumps back this far has begun anew
_LOGGED = 50
_GLIMPSED = 64


class Camera:
    """What is known of one camera."""

    def __init__(self, log_revision: int = 0) -> None:
        self.t = -math.inf
        self.captured_at = -math.inf
        self.heard_at = -math.inf
        self.posed_at = -math.inf
        self.ended = False
        self.said_lost: Lost | None = None
        self.decided = -math.inf
        self.frames: deque[tuple[float, int]] = deque()  # captured_at, seq
        self.poses: deque[float] = deque()  # captured_at
        self.latencies: deque[tuple[float, float]] = deque()  # at, seconds
        self.trend = LatencyTrend()
        self.people: dict[int, Person] = {}
        self.glimpses: dict[int, tuple[float, np.ndarray]] = {}
        self.present: tuple[int, ...] = ()
        self.log: dict[tuple[int, str, float], LogEntry] = {}
        self.log_revision = log_revision
        self.pictures = Pictures()
        self.past = Past()

    def began_anew(self, message: Preview | Tracks) -> bool:
        """Whether this frame belongs to a new run of the camera: taken later, yet earlier on the camera's clock."""
        return message.captured_at > self.captured_at and message.t < self.t - _RESTART_S

    def frame(self, message: Preview | Tracks, at: float) -> None:
        """Note that a frame was captured. A stage may skip frames, so the rate is counted in `seq`, not in messages."""
        # Stages behind the camera end after it, with frames that were still on their way.
        if self.ended and message.captured_at > self.captured_at + _RESTART_S:
            self.ended = False
        self.heard_at = at
        self.t = max(self.t, message.t)
        self.captured_at = max(self.captured_at, message.captured_at)
        if not self.frames or message.seq > self.frames[-1][1]:
            self.frames.append((message.captured_at, message.seq))
            while self.frames[0][0] < self.frames[-1][0] - _RATE_S:
                self.frames.popleft()

    @property
    def lost(self) -> Lost | None:
        """What was said when the camera was lost, until a frame that was taken later has come."""
        said = self.said_lost
        return said if said is not None and self.captured_at <= said.at else None

    def lose(self, message: Lost) -> None:
        """Note that there are no pictures; said again, for whatever reason, it is lost since the first time."""
        self.ended = False
        self.said_lost = message if self.lost is None else replaced(message, at=self.lost.at)

    def tracks(self, message: Tracks, at: float) -> None:
        self.posed_at = at
        self.poses.append(message.captured_at)
        while self.poses[0] < self.poses[-1] - _RATE_S:
            self.poses.popleft()
        self.present = tuple(i for i in message.ids if i not in message.ended)
        self.pictures.add_tracks(message, at=at)
        self.past.see(message, [self.person(track).letter for track in message.ids])

    def decide(self, message: Decision, at: float) -> None:
        self.decided = max(self.decided, self.person(message.track).decide(message) / HZ)
        self.t = max(self.t, message.t)
        latency_s = message.decided_at - message.captured_at
        self.latencies.append((at, latency_s))
        self.trend.add(at, latency_s)
        self.forget(at)

    def event(self, message: Event, label: int) -> None:
        person = self.person(message.track)
        key = (message.track, message.action, message.t_start)
        latency_ms = 1000 * (message.decided_at - message.captured_at)
        self.log[key] = LogEntry(
            track=message.track,
            person=person.letter,
            name="",
            action=message.action,
            t_start=message.t_start,
            t_end=message.t_end if message.kind == "end" else None,
            confidence=message.confidence,
            # What counts is how soon its start was known.
            latency_ms=self.log[key]["latency_ms"] if key in self.log else latency_ms,
        )
        self.log_revision += 1
        while len(self.log) > _LOGGED:
            del self.log[next(iter(self.log))]
        if message.kind == "start":
            person.began(label, round(message.t_start * HZ))
        elif message.kind == "end" and message.t_end is not None:
            person.ended(label, round(message.t_end * HZ))

    def glimpse(self, message: Glimpse, at: float) -> None:
        """Keep the newest of everybody who is there."""
        self.glimpses[message.track] = (at, message.probabilities)
        while len(self.glimpses) > _GLIMPSED:
            del self.glimpses[next(iter(self.glimpses))]

    def relabel(self, labels: Sequence[int]) -> None:
        """Class k is class `labels[k]` from now on."""
        self.glimpses.clear()
        self.past.relabel(labels)
        for person in self.people.values():
            person.relabel(labels)

    def person(self, track: int) -> Person:
        """The person of this track; somebody new gets the first letter that nobody on the timeline has."""
        if track not in self.people:
            taken = {person.index for person in self.people.values()}
            self.people[track] = Person(track, next(i for i in range(len(taken) + 1) if i not in taken))
        return self.people[track]

    def forget(self, at: float) -> None:
        """Let go of what has left the timeline."""
        for track, person in list(self.people.items()):
            kept = 1 if track in self.present else 0  # the run that goes on stays: it says since when
            while len(person.runs) > kept and person.runs[0].end / HZ < self.t - WINDOW_S:
                if (run := person.runs.popleft()).label != 0:
                    self.past.add(person.run_view(run))
            if not person.runs and track not in self.present:
                del self.people[track]
                self.glimpses.pop(track, None)
        while self.latencies and self.latencies[0][0] < at - _LATENCY_S:
            self.latencies.popleft()

    def status(self, at: float) -> Status:
        if self.ended:
            return "ended"
        if self.lost is not None:
            return "lost"
        if at - self.heard_at > _SILENT_S:
            return "waiting"
        return "nobody" if not self.present and at - self.posed_at <= _SILENT_S else "live"

    def view(self, name: str, at: float) -> CameraView:
        status = self.status(at)
        lost = self.lost if status == "lost" else None
        return CameraView(
            name=name,
            status=status,
            reason=lost.reason if lost is not None else "",
            lost_at=lost.at if lost is not None else None,
            people=len(self.present) if status == "live" else 0,
        )

    def fps(self, at: float) -> float | None:
        if len(self.frames) < 2 or at - self.heard_at > _SILENT_S:
            return None
        (first_at, first), (last_at, last) = self.frames[0], self.frames[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else None

    def pose_fps(self, at: float) -> float | None:
        if len(self.poses) < 2 or at - self.posed_at > _SILENT_S or self.poses[-1] <= self.poses[0]:
            return None
        return (len(self.poses) - 1) / (self.poses[-1] - self.poses[0])

    def latency(self, at: float) -> Latency | None:
        recent = [1000 * latency for then, latency in self.latencies if then >= at - _LATENCY_S]
        if not recent:
            return None
        p50, p95 = np.percentile(recent, (50, 95))
        return Latency(p50_ms=float(p50), p95_ms=float(p95))

    def runs(self) -> list[RunView]:
        """The actions of the last `WINDOW_S` seconds, and the unknown; the background (class 0) lies between them."""
        oldest = self.t - WINDOW_S
        return [
            person.run_view(run)
            for person in self.people.values()
            for run in person.runs
            if run.label != 0 and run.end / HZ > oldest
        ]

    def bars(self, at: float) -> dict[int, list[float]]:
        """The newest class probabilities of everybody who is there, by identity."""
        return {
            track: [round(float(p), 3) for p in probabilities]
            for track, (heard_at, probabilities) in self.glimpses.items()
            if track in self.present and at - heard_at <= _SILENT_S
        }
