"""What the view shows at one moment, as plain data that JSON can carry; the page and the terminal draw the same.

Times are those of the camera's own clock (`t`), in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypedDict

WINDOW_S = 30.0  # how far back the timeline reaches

Status = Literal["waiting", "live", "nobody", "lost", "ended"]


class PersonView(TypedDict):
    """A person in the picture: a letter, and the name that somebody gave them ("" for none). `action` is a class, -1
    what is none of them, None before the first decision; `top` are the likeliest classes.
    """

    track: int
    person: str
    name: str
    action: int | None
    confidence: float
    since: float
    top: list[tuple[int, float]]


class RunView(TypedDict):
    """A stretch of one action of one person (-1: none that has a name), `start` to `end` in seconds on the camera's
    clock.
    """

    track: int
    person: str
    action: int
    start: float
    end: float
    confidence: float


class LogEntry(TypedDict):
    """One action in the event log; `t_end` is None while it goes on."""

    track: int
    person: str
    name: str
    action: str
    t_start: float
    t_end: float | None
    confidence: float
    latency_ms: float


class StageView(TypedDict):
    """A stage's health. `drops` sums its counters of dropped things; `dropping` says that the sum has just grown.
    `age_s` is how old its newest frame is, where it should have one; `cpu` how many cores it keeps busy, where two
    reports have told; `restarts` how often it was started again.
    """

    stage: str
    pid: int
    state: Literal["starting", "ready", "stale", "ended", "failed", "silent"]
    drops: int
    dropping: bool
    age_s: float | None
    cpu: float | None
    restarts: int
    gauges: dict[str, float]
    message: str


class CameraView(TypedDict):
    """A camera; while it is lost, why, and since when (`lost_at`, Unix seconds). `people` are in its picture now."""

    name: str
    status: Status
    reason: str
    lost_at: float | None
    people: int


class Latency(TypedDict):
    p50_ms: float
    p95_ms: float


class Snapshot(TypedDict):
    """Everything about one camera at one moment, except its picture and its event log. `names` are those that were
    given to people on its timeline.
    """

    camera: str | None
    status: Status
    t: float
    decided: float
    fps: float | None
    pose_fps: float | None
    latency: Latency | None
    people: list[PersonView]
    runs: list[RunView]
    names: dict[int, str]
    log_revision: int
    cameras: list[CameraView]
    stages: list[StageView]


class PastSkeleton(TypedDict):
    """A person's joints in pixels of the original picture, and how sure each is."""

    track: int
    person: str
    pixels: list[list[float]]
    confidence: list[float]


class Skeleton(PastSkeleton):
    """The same, with what the person does (as in `PersonView`) and how sure that is."""

    name: str
    action: int | None
    share: float


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A JPEG and the people in it; `size` is the original's (width, height), to which the pixels belong."""

    camera: str
    seq: int
    t: float
    size: tuple[int, int]
    jpeg: bytes
    people: list[Skeleton]


def drops(stages: Iterable[StageView]) -> int:
    """How many things the stages dropped in all."""
    return sum(stage["drops"] for stage in stages)
