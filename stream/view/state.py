"""The view's state: messages and moments go in, snapshots come out. Pure: no clock, no sockets, no threads.

`at` is always the receiver's clock in seconds, monotonic; it only decides what is old.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..wire import (
    UNKNOWN,
    AnyMessage,
    Decision,
    End,
    Event,
    Glimpse,
    Lost,
    Named,
    Preview,
    Report,
    RobotState,
    Taught,
    Tracks,
    Tuned,
    replaced,
)
from .camera import Camera
from .people import Names, skeletons
from .snapshot import CameraView, LogEntry, Picture, Snapshot, StageView
from .stages import Stages
from .trends import DropTrend

_CAMERAS = 32
_ROBOTS = 8
_UNTAUGHT_S = 5.0  # a lesson's classes may be decided so long before it is told of them


class Feed(Protocol):
    """Where messages come from: a socket's `Subscriber`, or anything else that has this method."""

    def receive(self, timeout_s: float) -> AnyMessage | None:
        """The next message, or None when none came within `timeout_s` seconds."""


@dataclass(frozen=True)
class Watched:
    """How the pipeline is: of every stage the newest report and how the stage is now, and every camera."""

    stages: list[tuple[Report, StageView]]
    cameras: list[CameraView]


class ViewState:
    """The whole view: every camera, every stage, every robot, and what people have set.

    `classes` are the names of the classes in the bundle's order, the background first; behind them come those that have
    been taught meanwhile. Raises ValueError for fewer than two classes, and for decisions that have fewer, or for
    seconds more, of them than are known of.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        if len(classes) < 2:
            raise ValueError("the view needs the background and at least one action; give the bundle's list of classes")
        self.classes = self._of_bundle = tuple(classes)
        self.names = Names()
        self.tuned = Tuned(at=0.0)
        self.taught: Taught | None = None
        self.robots: dict[str, RobotState] = {}
        self.drops = DropTrend()
        self._cameras: dict[str, Camera] = {}
        self.stages = Stages()
        self._untaught_since = math.inf

    def apply(self, message: AnyMessage, *, at: float) -> None:
        """Take one message in; those that the view does not show are ignored."""
        match message:
            case Preview() | Tracks():
                camera = self._camera(message.camera)
                if camera.began_anew(message):
                    camera = self._cameras[message.camera] = Camera(log_revision=camera.log_revision + 1)
                camera.frame(message, at)
                if isinstance(message, Tracks):
                    camera.tracks(message, at)
                else:
                    camera.pictures.add_preview(message)
            case Decision():
                self._camera(message.camera).decide(self._in_our_classes(message, at), at)
            case Glimpse():
                if len(message.probabilities) == len(self.classes):
                    self._camera(message.camera).glimpse(message, at)
            case Event():
                label = self.classes.index(message.action) if message.action in self.classes else UNKNOWN
                self._camera(message.camera).event(message, label)
            case Lost():
                self._camera(message.camera).lose(message)
            case End():
                self._camera(message.camera).ended = True
            case Report():
                if dropped := self.stages.take(message, at):
                    self.drops.add(at, message.stage, dropped)
            case Named():
                if self.names.take(message) and message.camera in self._cameras:
                    self._cameras[message.camera].log_revision += 1
            case Tuned():
                self.tuned = message if message.at > self.tuned.at else self.tuned
            case Taught():
                self._learn(message)
            case RobotState():
                self.robots.pop(message.robot, None)  # whoever spoke last is the last
                self.robots[message.robot] = message
                while len(self.robots) > _ROBOTS:
                    del self.robots[next(iter(self.robots))]

    def _in_our_classes(self, message: Decision, at: float) -> Decision:
        """The decision as if made in the classes of now: a lesson, or its being forgotten, is decided in and told of in
        two processes."""
        decided, known = message.probabilities.shape[1], len(self.classes)
        if decided <= known:
            self._untaught_since = math.inf
        else:
            self._untaught_since = min(self._untaught_since, at)
        if decided < len(self._of_bundle) or at - self._untaught_since > _UNTAUGHT_S:
            raise ValueError(
                f"the decisions have {decided} classes and the view has {known}; start both from the same bundle"
            )
        if decided == known:
            return message
        probabilities = np.pad(message.probabilities[:, :known], ((0, 0), (0, max(known - decided, 0))))
        labels = tuple(label if label < known else UNKNOWN for label in message.labels)
        return replaced(message, probabilities=probabilities, labels=labels)

    def _learn(self, taught: Taught) -> None:
        """What is taught by now stands behind the bundle's classes; what was decided before keeps its action."""
        if self.taught is not None and taught.at < self.taught.at:
            return
        self.taught = taught
        before, self.classes = self.classes, (*self._of_bundle, *taught.actions)
        if before == self.classes:
            return
        changed = [k for k, (old, new) in enumerate(zip(before, self.classes, strict=False)) if old != new]
        renamed = len(before) == len(self.classes) and len(changed) == 1
        places = {action: k for k, action in enumerate(self.classes)}
        labels = [k if renamed else places.get(action, UNKNOWN) for k, action in enumerate(before)]
        for camera in self._cameras.values():
            camera.relabel(labels)

    def cameras(self, *, at: float) -> list[CameraView]:
        """Every camera that was heard of, in the order in which they came."""
        return [camera.view(name, at) for name, camera in self._cameras.items()]

    def watched(self, *, at: float) -> Watched:
        """How the pipeline is."""
        return Watched(self.stages.newest(at), self.cameras(at=at))

    def snapshot(self, camera: str | None = None, *, at: float) -> Snapshot:
        """What is shown of a camera now; without a name, or for one not heard of, the first camera."""
        name = self._named(camera)
        shown = self._cameras[name] if name is not None else Camera()
        shown.forget(at)
        status = shown.status(at)
        people = [shown.people[track] for track in shown.present] if status == "live" else []
        return Snapshot(
            camera=name,
            status=status,
            t=_finite(shown.t),
            decided=_finite(shown.decided),
            fps=shown.fps(at),
            pose_fps=shown.pose_fps(at),
            latency=shown.latency(at),
            people=[person.view(self._name(name, person.track)) for person in sorted(people, key=lambda p: p.index)],
            runs=shown.runs(),
            names={track: called for track in shown.people if (called := self._name(name, track))},
            log_revision=shown.log_revision,
            cameras=self.cameras(at=at),
            stages=self.stages.shown(at),
        )

    def log(self, camera: str | None = None) -> list[LogEntry]:
        """The last actions of a camera, oldest first, each once; it changed when a snapshot's `log_revision` did."""
        name = self._named(camera)
        entries = [LogEntry(**entry) for entry in self._cameras[name].log.values()] if name is not None else []
        for entry in entries:
            entry["name"] = self._name(name, entry["track"])
        return entries

    def picture(self, camera: str | None = None, *, at: float) -> Picture | None:
        """The newest picture of a camera with the people of the same frame; None before the first."""
        name = self._named(None) if camera is None else camera
        pair = self._cameras[name].pictures.newest(at=at) if name in self._cameras else None
        if name is None or pair is None:
            return None
        preview, tracks = pair
        who = [] if tracks is None else [self._cameras[name].person(track) for track in tracks.ids]
        views = [person.view(self._name(name, person.track)) for person in who]
        people = [] if tracks is None else skeletons(tracks, views)
        return Picture(camera=name, seq=preview.seq, t=preview.t, size=preview.size, jpeg=preview.jpeg, people=people)

    def past(self, camera: str | None = None) -> tuple[str, Camera] | None:
        """The camera of which more than the timeline is asked; None before the first."""
        name = self._named(camera)
        return None if name is None else (name, self._cameras[name])

    def people_of(self, camera: str) -> dict[int, str]:
        """Who is on a camera's timeline, by identity: a letter each."""
        shown = self._cameras.get(camera)
        return {} if shown is None else {track: person.letter for track, person in shown.people.items()}

    def _name(self, camera: str | None, track: int) -> str:
        return "" if camera is None else self.names.of(camera, track)

    def _named(self, camera: str | None) -> str | None:
        return camera if camera in self._cameras else next(iter(self._cameras), None)

    def _camera(self, name: str) -> Camera:
        if name not in self._cameras:
            self._cameras[name] = Camera()
            if len(self._cameras) > _CAMERAS:
                del self._cameras[
                    min(self._cameras, key=lambda n: self._cameras[n].heard_at if n != name else math.inf)
                ]
        return self._cameras[name]


def _finite(t: float) -> float:
    return round(t, 3) if math.isfinite(t) else 0.0
