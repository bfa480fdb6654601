"""The view's state: messages and moments go in, snapshots come out. Pure: no clock, no sockets, no threads.

`at` is always the receiver's clock in seconds, monotonic; it only decides what is old.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..wire import UNKNOWN, AnyMessage, Decision, End, Event, Lost, Preview, Report, Tracks
from .camera import Camera, skeletons
from .snapshot import CameraView, LogEntry, Picture, Snapshot, StageView

_STAGE_SILENT_S = 3.0  # reports come twice a second
_DROPPING_S = 5.0  # a stage that dropped something this recently is marked
_CAMERAS = 32
_STAGES = 64
_ORDER = ("camera", "pose", "track", "window", "detect", "decode")


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
    """The whole view: every camera and every stage.

    `classes` are the names of the classes in the bundle's order, the background first.
    Raises ValueError for fewer than two classes, and for a Decision that has another number of them.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        if len(classes) < 2:
            raise ValueError("the view needs the background and at least one action; give the bundle's list of classes")
        self.classes = tuple(classes)
        self._cameras: dict[str, Camera] = {}
        self._stages: dict[tuple[str, int], _Stage] = {}

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
                if message.probabilities.shape[1] != len(self.classes):
                    raise ValueError(
                        f"the decisions have {message.probabilities.shape[1]} classes and the view has "
                        f"{len(self.classes)}; start both from the same bundle"
                    )
                self._camera(message.camera).decide(message, at)
            case Event():
                label = self.classes.index(message.action) if message.action in self.classes else UNKNOWN
                self._camera(message.camera).event(message, label)
            case Lost():
                self._camera(message.camera).lose(message)
            case End():
                self._camera(message.camera).ended = True
            case Report():
                self._report(message, at)

    def cameras(self, *, at: float) -> list[CameraView]:
        """Every camera that was heard of, in the order in which they came."""
        return [camera.view(name, at) for name, camera in self._cameras.items()]

    def watched(self, *, at: float) -> Watched:
        """How the pipeline is. Of processes of one name the newest report counts: the stage was started again."""
        newest: dict[str, _Stage] = {}
        for (name, _), stage in sorted(self._stages.items(), key=lambda item: item[1].heard_at):
            newest[name] = stage
        stages = sorted(newest.items(), key=lambda item: _pipeline_order(item[0]))
        return Watched([(stage.report, stage.view(at)) for _, stage in stages], self.cameras(at=at))

    def snapshot(self, camera: str | None = None, *, at: float) -> Snapshot:
        """What is shown of a camera now; without a name, or for one not heard of, the first camera."""
        name = self._named(camera)
        shown = self._cameras[name] if name is not None else Camera()
        shown.forget(at)
        status = shown.status(at)
        return Snapshot(
            camera=name,
            status=status,
            t=_finite(shown.t),
            decided=_finite(shown.decided),
            fps=shown.fps(at),
            pose_fps=shown.pose_fps(at),
            latency=shown.latency(at),
            people=shown.people_now() if status == "live" else [],
            runs=shown.runs(),
            log_revision=shown.log_revision,
            cameras=self.cameras(at=at),
            stages=self._stages_shown(at),
        )

    def log(self, camera: str | None = None) -> list[LogEntry]:
        """The last actions of a camera, oldest first, each once; it changed when a snapshot's `log_revision` did."""
        name = self._named(camera)
        return list(self._cameras[name].log.values()) if name is not None else []

    def picture(self, camera: str | None = None, *, at: float) -> Picture | None:
        """The newest picture of a camera with the people of the same frame; None before the first."""
        name = self._named(camera)
        pair = self._cameras[name].pictures.newest(at=at) if name is not None else None
        if name is None or pair is None:
            return None
        preview, tracks = pair
        people = [] if tracks is None else skeletons(tracks, self._cameras[name])
        return Picture(camera=name, seq=preview.seq, t=preview.t, size=preview.size, jpeg=preview.jpeg, people=people)

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

    def _report(self, report: Report, at: float) -> None:
        key = (report.stage, report.pid)
        if key not in self._stages and len(self._stages) >= _STAGES:
            del self._stages[min(self._stages, key=lambda k: self._stages[k].heard_at)]
        self._stages.setdefault(key, _Stage(at)).update(report, at)

    def _stages_shown(self, at: float) -> list[StageView]:
        """The stages in the order of the pipeline; those that work no more only until another takes their place."""
        for (name, pid), stage in list(self._stages.items()):
            younger = (other.began_at > stage.heard_at for key, other in self._stages.items() if key[0] == name)
            if stage.view(at)["state"] in ("silent", "ended", "failed") and any(younger):
                del self._stages[name, pid]
        return [stage.view(at) for _, stage in sorted(self._stages.items(), key=lambda item: _pipeline_order(*item[0]))]


class _Stage:
    """What a stage's process reported last."""

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.heard_at = -math.inf
        self.drops = 0
        self.dropped_at = -math.inf

    def update(self, report: Report, at: float) -> None:
        drops = sum(count for name, count in report.counters.items() if "drop" in name)
        if drops > self.drops:
            self.dropped_at = at
        self.report, self.heard_at, self.drops = report, at, drops

    def view(self, at: float) -> StageView:
        working = self.report.state in ("starting", "ready", "stale")
        age_s = self.report.gauges.get("age_s")
        return StageView(
            stage=self.report.stage,
            pid=self.report.pid,
            state="silent" if working and at - self.heard_at > _STAGE_SILENT_S else self.report.state,
            drops=self.drops,
            dropping=at - self.dropped_at <= _DROPPING_S,
            age_s=None if age_s is None else round(age_s + at - self.heard_at, 3),
            gauges={name: value for name, value in self.report.gauges.items() if math.isfinite(value)},
            message=self.report.message,
        )


def _pipeline_order(stage: str, pid: int = 0) -> tuple[int, str, int]:
    return next((i for i, name in enumerate(_ORDER) if stage.startswith(name)), len(_ORDER)), stage, pid


def _finite(t: float) -> float:
    return round(t, 3) if math.isfinite(t) else 0.0
