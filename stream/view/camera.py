"""What the view knows of one camera: its frames, its people and what they did in the last 30 seconds.

`at` is always the receiver's clock in seconds, monotonic; it only decides what is old.

Shapes: V joint (25), K class.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ...encoder.clock import HZ
from ..wire import UNKNOWN, Decision, Event, Lost, Preview, Tracks, replaced
from .pictures import Pictures
from .snapshot import WINDOW_S, CameraView, Latency, LogEntry, PersonView, RunView, Skeleton, Status

_RATE_S = 3.0  # frame rates are measured over this long
_LATENCY_S = 10.0
_SILENT_S = 2.0  # a camera without a frame for this long has gone
_STEADY_TICKS = 10  # confidences are means over so many: nobody can read a number that jumps 30 times a second
_RESTART_S = 1.0  # a camera clock that jumps back this far has begun anew
_TOP = 4
_LOGGED = 50


@dataclass
class _Run:
    label: int
    first: int
    end: int
    confidence: float
    ticks: int = 1  # decided as this; an action begins before it is believed, so the run may be longer


@dataclass
class _Person:
    index: int
    runs: deque[_Run] = field(default_factory=deque)
    recent: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=_STEADY_TICKS))

    @property
    def letter(self) -> str:
        return chr(ord("A") + self.index % 26) + (str(self.index // 26 + 1) if self.index >= 26 else "")

    def began(self, label: int, tick: int) -> None:
        """Move the start of the newest run back to when the action began: it is believed only some ticks later."""
        if not self.runs or self.runs[-1].label != label or self.runs[-1].first <= tick:
            return
        now = self.runs.pop()
        now.first = tick
        while self.runs and self.runs[-1].first >= tick:
            self.runs.pop()
        if self.runs:
            self.runs[-1].end = min(self.runs[-1].end, tick)
        self.runs.append(now)

    def ended(self, label: int, tick: int) -> None:
        """Move the newest end of this label back to when the action was over: that is seen only some ticks later."""
        for run, following in reversed(list(pairwise(self.runs))):
            if run.label == label:
                if run.first < tick < run.end:
                    run.end = following.first = tick
                return


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
        self.people: dict[int, _Person] = {}
        self.present: tuple[int, ...] = ()
        self.log: dict[tuple[int, str, float], LogEntry] = {}
        self.log_revision = log_revision
        self.pictures = Pictures()

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
        for track in message.ids:
            self.person(track)

    def decide(self, message: Decision, at: float) -> None:
        person = self.person(message.track)
        for i, label in enumerate(message.labels):
            tick = message.first_tick + i
            run = person.runs[-1] if person.runs else None
            if run is not None and tick < run.end:
                continue  # said before
            probability = _share(message.probabilities[i], label)
            if run is not None and run.end == tick and run.label == label:
                run.end, run.ticks = tick + 1, run.ticks + 1
                run.confidence += (probability - run.confidence) / run.ticks
            else:
                person.runs.append(_Run(label, tick, tick + 1, probability))
            person.recent.append(message.probabilities[i])
            self.decided = max(self.decided, (tick + 1) / HZ)
        self.t = max(self.t, message.t)
        self.latencies.append((at, message.decided_at - message.captured_at))
        self.forget(at)

    def event(self, message: Event, label: int) -> None:
        person = self.person(message.track)
        key = (message.track, message.action, message.t_start)
        latency_ms = 1000 * (message.decided_at - message.captured_at)
        self.log[key] = LogEntry(
            person=person.letter,
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

    def person(self, track: int) -> _Person:
        """The person of this track; somebody new gets the first letter that nobody on the timeline has."""
        if track not in self.people:
            taken = {person.index for person in self.people.values()}
            self.people[track] = _Person(next(i for i in range(len(taken) + 1) if i not in taken))
        return self.people[track]

    def forget(self, at: float) -> None:
        """Let go of what has left the timeline."""
        for track, person in list(self.people.items()):
            kept = 1 if track in self.present else 0  # the run that goes on stays: it says since when
            while len(person.runs) > kept and person.runs[0].end / HZ < self.t - WINDOW_S:
                person.runs.popleft()
            if not person.runs and track not in self.present:
                del self.people[track]
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

    def people_now(self) -> list[PersonView]:
        people = [(track, self.people[track]) for track in self.present]
        return [_person_view(track, person) for track, person in sorted(people, key=lambda pair: pair[1].index)]

    def runs(self) -> list[RunView]:
        """The actions of the last `WINDOW_S` seconds, and the unknown; the background (class 0) lies between them."""
        oldest = self.t - WINDOW_S
        return [
            RunView(
                person=person.letter,
                action=run.label,
                start=round(max(run.first / HZ, oldest), 3),
                end=round(run.end / HZ, 3),
                confidence=round(run.confidence, 3),
            )
            for person in self.people.values()
            for run in person.runs
            if run.label != 0 and run.end / HZ > oldest
        ]


def _person_view(track: int, person: _Person) -> PersonView:
    view = PersonView(track=track, person=person.letter, action=None, confidence=0.0, since=0.0, top=[])
    if person.runs:
        now = person.runs[-1]
        mean_K = np.mean(list(person.recent)[-now.ticks :], axis=0)  # nothing from before the action
        likeliest = np.argsort(-mean_K, kind="stable")[:_TOP]
        view["action"] = now.label
        view["confidence"] = round(_share(mean_K, now.label), 3)
        view["since"] = round(now.first / HZ, 3)
        view["top"] = [(int(k), round(float(mean_K[k]), 3)) for k in likeliest]
    return view


def _share(probabilities_K: np.ndarray, label: int) -> float:
    """How sure a label is; the unknown as sure as that it is none of the actions."""
    return float(1 - probabilities_K[1:].max() if label == UNKNOWN else probabilities_K[label])


def skeletons(tracks: Tracks, camera: Camera) -> list[Skeleton]:
    return [
        Skeleton(
            track=track,
            person=camera.person(track).letter,
            pixels=[[round(float(x), 1), round(float(y), 1)] for x, y in pixels],
            confidence=[round(float(c), 2) for c in confidence],
        )
        for track, pixels, confidence in zip(tracks.ids, tracks.pixels, tracks.confidence, strict=True)
    ]
