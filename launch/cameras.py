"""The cameras of one run: what they are called, and the stages that each of them has for itself.

One camera's stages are called by their kind. Where there are several, each has its own (`pose@kitchen`), with sockets
and vitals in a folder of its own; they decide at one place, and when one ends the others go on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..stream.camera import Source, open_source
from ..stream.settings import Settings
from .summary import Truth
from .supervisor import Supervisor

_NAMED = re.compile(r"([\w-]+)=(.+)", re.DOTALL)  # kitchen=rtsp://..., and no URL that has a = in it
_STAGES = ("window", "track", "pose")  # before the camera itself, each before whoever sends to it


@dataclass(frozen=True)
class Camera:
    """A camera that could be opened: what its messages are called by, where it is, and what it is."""

    name: str
    address: str = field(repr=False)  # it may hold a password
    live: bool
    truth: Truth | None = None


def find_cameras(settings: Settings, asked: Sequence[str]) -> list[Camera]:
    """Each of these cameras, opened once to see that it is there: NAME=ADDRESS, or an address with a name of its own.

    ValueError for one that is none, for two of one name, and where some are live and others are not.
    """
    cameras: list[Camera] = []
    for address in asked:
        given = _NAMED.fullmatch(address)
        name, address = (given[1], given[2]) if given else (settings.name if len(asked) == 1 else "", address)
        duration_s = math.inf if settings.duration_s is None else settings.duration_s
        source = open_source(address, width=settings.width, height=settings.height, duration_s=duration_s)
        source.close()
        name = name or _unused(source.name, [camera.name for camera in cameras])
        if name in (camera.name for camera in cameras):
            raise ValueError(f"two cameras are called {name}; give each a name of its own, as in door=ADDRESS")
        cameras.append(Camera(name, address, source.live, _truth_of(source, address)))
    if len({camera.live for camera in cameras}) > 1:
        live = ", ".join(camera.name for camera in cameras if camera.live)
        raise ValueError(
            f"{live} would not wait for the files beside it, of which every frame is detected; give either or"
        )
    return cameras


def _unused(name: str, taken: list[str]) -> str:
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def _truth_of(source: Source, address: str) -> Truth | None:
    """The source's truth in the vocabulary's words, if it has one."""
    if source.truth(0.0) is None:
        return None
    if not address.startswith("skeletons:"):
        return source.truth
    from ..train.vocabulary import translate

    dataset = Path(address.split(":")[1]).stem
    return lambda t: translate(dataset, source.truth(t))


@dataclass
class _Line:
    """Stages that bring windows, one after the other, and the cameras whose end is still to come from there."""

    stages: tuple[str, ...]
    source: str
    open: set[str]
    settings: Settings
    tag: str = ""

    @property
    def names(self) -> list[str]:
        """Of its stages, the source first."""
        return [kind + self.tag for kind in (self.source, *reversed(self.stages))]


class Lines:
    """What a run's windows come from: started by a supervisor, ended one by one. Call `look` beside its `watch`."""

    def __init__(self, supervisor: Supervisor, cameras: Sequence[Camera]) -> None:
        """A line of each camera; of a recording (the settings' `replay`) in which they are, a single one."""
        self._supervisor = supervisor
        self._lines: list[_Line] = []
        self.given_up: list[str] = []
        if supervisor.settings.replay:
            names = {camera.name for camera in cameras}
            self._lines.append(_Line(("window",), "replay", names, supervisor.settings))
            return
        for number, camera in enumerate(cameras):
            settings = replace(supervisor.settings, camera=camera.address, name=camera.name, lossless=not camera.live)
            tag = ""
            if len(cameras) > 1:
                own = Path(supervisor.settings.own) / str(number)
                own.mkdir()
                settings, tag = replace(settings, own=str(own)), f"@{_word(camera.name, self._tags())}"
            self._lines.append(_Line(_STAGES, "camera", {camera.name}, settings, tag))

    def _tags(self) -> list[str]:
        return [line.tag[1:] for line in self._lines]

    @property
    def over(self) -> bool:
        """Whether all of them have ended, or were given up."""
        return not any(line.open for line in self._lines)

    def prepare(self) -> None:
        """Start whatever must be ready before there are pictures."""
        for line in self._lines:
            for stage in line.stages:
                self._start(stage, line)

    def begin(self) -> None:
        """Let the pictures, or the recording, come."""
        for line in self._lines:
            self._start(line.source, line)

    def _start(self, stage: str, line: _Line) -> None:
        alone = len(self._lines) == 1
        self._supervisor.start(stage, line.tag, settings=line.settings, needed=alone)

    def ended(self, camera: str) -> None:
        """Whoever decides has decided the last of this camera: its stages are not needed any more."""
        for line in self._lines:
            if camera in line.open:
                line.open.remove(camera)
                if not line.open and len(self._lines) > 1:
                    self._end(line.names)

    def look(self) -> None:
        """Give up a camera of several, one of whose stages is given up."""
        for line in self._lines:
            if line.open and not all(self._supervisor.runs(name) for name in line.names):
                self.given_up += sorted(line.open)
                line.open.clear()
                self._end(line.names)

    def stop(self) -> None:
        """No more pictures; what is on its way may still arrive."""
        self._end(line.source + line.tag for line in self._lines if line.open)

    def _end(self, names: Iterable[str]) -> None:
        for name in names:
            if self._supervisor.runs(name):
                self._supervisor.end(name)


def _word(name: str, taken: list[str]) -> str:
    """The name of a camera as part of a stage's: no blank, no slash."""
    return _unused(re.sub(r"[^\w.-]", "_", name), taken)
