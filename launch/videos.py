"""A folder of videos, every frame of each detected: `skelstream live offline --videos FOLDER --out EVENTS`.

    EVENTS/index.json            what became of each video, and which model said it
    EVENTS/a/clip.mp4.jsonl      one action a line: person, action, t_start, t_end (seconds), confidence

Called again, it goes on where it was stopped: a video is passed over if its events are there and it has not changed.
One that cannot be detected costs a line, is tried again the next time, and the exit code is then 1.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..encoder.bundle import Bundle
from ..stream.camera import open_source
from ..stream.pose_model import ensure_pose_model
from ..stream.settings import Settings
from ..stream.wire import AnyMessage, End, Event, Lost, Subscriber
from .accounts import Frames, told
from .cameras import MOST_CAMERAS, Camera, Line
from .live import interruption, wait_until_ready
from .log import Log
from .supervisor import StageFailed, Supervisor
from .videos_index import Identity, Index, identity

SUFFIXES = (".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv")
_WATCH_S = 0.1
_HEARD: tuple[type[AnyMessage], ...] = (Event, End, Lost)


@dataclass(frozen=True, kw_only=True)
class Videos:
    """What to read and where to write; `at_once`: so many videos at the same time."""

    settings: Settings
    folder: Path
    out: Path
    at_once: int = 1
    detectors: int = 1
    log_json: bool = False


def run_videos(asked: Videos) -> int:
    """Detect what is left to be detected; 1 if a video could not be, 130 if interrupted.

    Raises ValueError, before anything is started, if the request cannot be met, and DiskFull.
    """
    if not 1 <= asked.at_once <= MOST_CAMERAS:
        raise ValueError(f"{asked.at_once} videos at once cannot be; give 1 to {MOST_CAMERAS}")
    if asked.detectors < 1:
        raise ValueError(f"{asked.detectors} detectors detect nothing; give at least 1")
    videos = _videos_in(asked.folder)
    index = Index(asked.out, _said_by(asked.settings))
    ensure_pose_model(asked.settings.pose, say=lambda line: print(line, file=sys.stderr))
    log = Log(json=asked.log_json)
    left = {name: path for name, path in videos.items() if not index.has(name, identity(path))}
    log.tell("", f"{len(videos)} videos in {asked.folder}, {len(videos) - len(left)} of them done before")
    with interruption() as interrupted:
        try:
            if left and not _detect(asked, left, index, log, interrupted):
                log.tell("", "stopped; the same command goes on from here")
                return 130
        except StageFailed as failure:
            log.tell("", str(failure))
            return 2 if failure.wrong_request else 1
    failed = sum(index.failed(name) for name in videos)
    log.tell("", f"{len(videos) - failed} videos are done, {failed} could not be; {index.path} has them all")
    return int(failed > 0)


def _detect(asked: Videos, left: dict[str, Path], index: Index, log: Log, interrupted: threading.Event) -> bool:
    """All of `left`, some at a time; False if interrupted."""
    settings = replace(asked.settings, lossless=True)
    with (
        Supervisor(settings, tell=log.tell) as supervisor,
        Subscriber(supervisor.settings.place.link("bus-out"), _HEARD) as bus,
    ):
        supervisor.start("decode")
        for instance in range(asked.detectors):
            supervisor.start("detect", str(instance))
        if not wait_until_ready(supervisor, log, interrupted):
            return False
        work, watched = _Work(supervisor, left, index, log), 0.0
        while not interrupted.is_set():
            work.take_up(asked.at_once)
            if not work.running:
                return True
            work.hear(bus.receive(_WATCH_S))
            if time.monotonic() - watched > _WATCH_S:
                watched = time.monotonic()
                supervisor.watch()
                work.settle()
    return False


@dataclass
class _Video:
    """One that is being detected."""

    name: str
    identity: Identity
    line: Line
    actions: list[Event] = field(default_factory=list)
    failure: str = ""
    ending: bool = False


class _Work:
    """The videos that are left, and those that are being detected: by what their messages are called by."""

    def __init__(self, supervisor: Supervisor, left: dict[str, Path], index: Index, log: Log) -> None:
        self.running: dict[str, _Video] = {}
        self._supervisor, self._left, self._index, self._log = supervisor, left, index, log
        self._waiting: Iterator[tuple[int, str]] = enumerate(left, 1)
        self._settled = 0

    def take_up(self, at_once: int) -> None:
        """Begin with the next ones."""
        while len(self.running) < at_once and (following := next(self._waiting, None)) is not None:
            number, name = following
            path = self._left[name]
            try:
                open_source(str(path)).close()
                of = identity(path)
            except (ValueError, OSError) as error:
                self._fail(name, str(error))
                continue
            camera = Camera(str(number), str(path), live=False)  # a video may be called whatever its maker likes
            line = Line.of(camera, self._supervisor, f"@{number}")
            line.prepare()
            line.begin()
            self.running[camera.name] = _Video(name, of, line)

    def hear(self, message: AnyMessage | None) -> None:
        """What was said of one of them."""
        if not isinstance(message, Event | End | Lost) or (video := self.running.get(message.camera)) is None:
            return
        if isinstance(message, Event):
            if message.kind == "end":
                video.actions.append(message)
            return
        if isinstance(message, Lost):
            video.failure = f"it cannot be read any more ({message.reason})"
        if not video.ending:
            video.ending = True
            video.line.end()

    def settle(self) -> None:
        """Write down what became of those that are through, or given up."""
        for camera, video in list(self.running.items()):
            if not video.ending and not video.line.lives:
                video.ending, video.failure = True, "one of its stages was given up"
                video.line.end()
            if video.ending and (frames := video.line.forget()) is not None:
                del self.running[camera]
                self._write(video, frames)

    def _write(self, video: _Video, frames: Frames) -> None:
        if +frames.dropped and not video.failure:
            video.failure = f"not all of it was detected: {told(frames.dropped)}"
        if video.failure:
            self._fail(video.name, video.failure)
            return
        self._index.add(video.name, video.identity, frames, video.actions)
        self._say(f"{video.name}: {frames.captured} frames, {len(video.actions)} actions")

    def _fail(self, name: str, failure: str) -> None:
        self._index.fail(name, failure)
        self._say(f"{name}: {failure}")

    def _say(self, line: str) -> None:
        self._settled += 1
        self._log.tell("", f"{self._settled}/{len(self._left)}  {line}")


def _videos_in(folder: Path) -> dict[str, Path]:
    """Every video in the folder and those in it, by its path from there; ValueError if there is none."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give one with videos in it")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise ValueError(f"there is no video in {folder} ({', '.join(SUFFIXES)}); give a folder that holds some")
    return {path.relative_to(folder).as_posix(): path for path in found}


def _said_by(settings: Settings) -> dict[str, object]:
    """All that decides what is said of a video. ValueError for a model that is none, or a delay that it cannot have."""
    bundle = Bundle.load_live(settings.model)
    if settings.delay is not None:
        replace(bundle.config, decode=replace(bundle.config.decode, delay=settings.delay))
    return {
        "model": bundle.digest, "engine": settings.engine, "pose": settings.pose, "people": settings.people,
        "mirror": settings.mirror, "hop": settings.hop, "delay": settings.delay,
    }  # fmt: skip
