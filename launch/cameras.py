"""The cameras of one run: what they are called, and the stages that each of them has for itself.

One camera's stages are called by their kind. Where there are several, each has its own (`pose@kitchen`), with sockets
and vitals in a folder of its own; they decide at one place, and when one ends the others go on.
"""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from ..stream.camera import Source, open_source
from ..stream.settings import Settings
from .accounts import Frames
from .summary import Truth
from .supervisor import Supervisor

MOST_CAMERAS = 12  # each takes a core or so, and four processes

NAMED = re.compile(r"([\w-]+)=(.+)", re.DOTALL)  # kitchen=rtsp://..., and no URL that has a = in it


@dataclass(frozen=True)
class Camera:
    """A camera that could be opened: what its messages are called by, where it is, and what it is."""

    name: str
    address: str = field(repr=False)  # it may hold a password
    live: bool
    truth: Truth | None = None


def find_cameras(settings: Settings, asked: Sequence[str], *, whose: str = "") -> list[Camera]:
    """Each of these cameras, opened once to see that it is there: NAME=ADDRESS, or an address alone. One without a name
    is called by its address, with several by `whose` it is too, and alone by that only.

    ValueError for one that is none, for two of one name, where some are live and others are not, and for too many.
    """
    cameras: list[Camera] = []
    if len(asked) > MOST_CAMERAS:
        raise ValueError(f"{len(asked)} cameras are too many for one machine; give at most {MOST_CAMERAS}")
    for address in asked:
        given = NAMED.fullmatch(address)
        name, address = (given[1], given[2]) if given else ("", address)
        if not name and len(asked) == 1:
            name = settings.name or whose
        duration_s = math.inf if settings.duration_s is None else settings.duration_s
        source = open_source(address, width=settings.width, height=settings.height, duration_s=duration_s)
        source.close()
        called = f"{whose}-{source.name}" if whose else source.name
        name = name or _unused(called, [camera.name for camera in cameras])
        if name in (camera.name for camera in cameras):
            raise ValueError(f"two cameras are called {name}; give each a name of its own, as in door=ADDRESS")
        cameras.append(Camera(name, address, source.live, _truth_of(source, address)))
    if len({camera.live for camera in cameras}) > 1:
        live = ", ".join(camera.name for camera in cameras if camera.live)
        raise ValueError(
            f"{live} would not wait for the files beside it, of which every frame is detected; give either or"
        )
    return cameras


def _truth_of(source: Source, address: str) -> Truth | None:
    """The source's truth in the vocabulary's words, if it has one."""
    if source.truth(0.0) is None:
        return None
    if not address.startswith("skeletons:"):
        return source.truth
    from ..train.vocabulary import translate

    dataset = Path(address.split(":")[1]).stem
    return lambda t: translate(dataset, source.truth(t))


class Line:
    """Stages that bring windows, one after the other, of the cameras whose end is still to come: those in `open`.

    A `tag` tells its stages from those of others. It is then one of several, with a folder of its own, and may be given
    up without them.
    """

    def __init__(self, supervisor: Supervisor, settings: Settings, cameras: Iterable[str], tag: str = "") -> None:
        self.open = set(cameras)
        self._supervisor, self._tag = supervisor, tag
        self._source = "replay" if settings.replay else "camera"
        self._stages = ("window",) if settings.replay else ("window", "track", "pose")  # before whoever sends to them
        if tag:
            settings = replace(settings, own=tempfile.mkdtemp(prefix="", dir=supervisor.settings.own))
        self._settings = settings

    @classmethod
    def of(cls, camera: Camera, supervisor: Supervisor, tag: str = "") -> Self:
        """The line of a camera."""
        settings = replace(supervisor.settings, camera=camera.address, name=camera.name, lossless=not camera.live)
        return cls(supervisor, settings, [camera.name], tag)

    @property
    def lives(self) -> bool:
        """Whether none of its stages was given up."""
        return all(self._supervisor.runs(name) for name in self._names())

    def prepare(self) -> None:
        """Start whatever must be ready before there are pictures."""
        for kind in self._stages:
            self._start(kind)

    def begin(self) -> None:
        """Let the pictures, or the recording, come."""
        self._start(self._source)

    def stop(self) -> None:
        """No more pictures; what is on its way may still arrive."""
        if self._supervisor.runs(self._source + self._tag):
            self._supervisor.end(self._source + self._tag)

    def end(self) -> None:
        """Its stages are not needed any more."""
        for name in self._names():
            if self._supervisor.runs(name):
                self._supervisor.end(name)

    def forget(self) -> Frames | None:
        """Once it was ended: what became of its frames, and nothing of it is left; None while a stage still ends."""
        if any(self._supervisor.runs(name) for name in self._names()):
            return None
        counters = {name.partition("@")[0]: self._supervisor.forget(name) for name in self._names()}
        shutil.rmtree(self._settings.own, ignore_errors=True)
        return Frames.of(counters)

    def _names(self) -> list[str]:
        return [kind + self._tag for kind in (self._source, *reversed(self._stages))]

    def _start(self, kind: str) -> None:
        self._supervisor.start(kind, self._tag, settings=self._settings, needed=not self._tag)


class Lines:
    """What a run's windows come from: a line of each camera, or a single one of a recording in which they are.

    Call `look` beside the supervisor's `watch`.
    """

    def __init__(self, supervisor: Supervisor, cameras: Sequence[Camera]) -> None:
        self.given_up: list[str] = []
        self.several = len(cameras) > 1
        if supervisor.settings.replay:
            self._lines = [Line(supervisor, supervisor.settings, (camera.name for camera in cameras))]
            return
        tags = [""]
        if len(cameras) > 1:
            words = [f"@{re.sub(r'[^A-Za-z0-9_.-]', '_', camera.name)[:40]}" for camera in cameras]
            tags = [_unused(word, words[:i]) for i, word in enumerate(words)]
        self._lines = [Line.of(camera, supervisor, tag) for camera, tag in zip(cameras, tags, strict=False)]

    @property
    def over(self) -> bool:
        """Whether all of them have ended, or were given up."""
        return not any(line.open for line in self._lines)

    def prepare(self) -> None:
        """Start whatever must be ready before there are pictures."""
        for line in self._lines:
            line.prepare()

    def begin(self) -> None:
        """Let the pictures, or the recording, come."""
        for line in self._lines:
            line.begin()

    def ended(self, camera: str) -> None:
        """Whoever decides has decided the last of this camera."""
        for line in self._lines:
            if camera in line.open:
                line.open.remove(camera)
                if not line.open and not self.over:
                    line.end()

    def look(self) -> None:
        """Give up the line of one of several cameras when one of its stages is."""
        for line in self._lines:
            if line.open and not line.lives:
                self.given_up += sorted(line.open)
                line.open.clear()
                line.end()

    def stop(self) -> None:
        """No more pictures; what is on its way may still arrive."""
        for line in self._lines:
            if line.open:
                line.stop()


def _unused(name: str, taken: list[str]) -> str:
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)
