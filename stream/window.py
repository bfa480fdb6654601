"""Window: the last 64 frames of each person on the 30 Hz clock, cut every `hop` ticks.

Streaming equals batch: a window depends only on the frames it shows, never on how they arrived, so the same frames
cut offline give the same numbers (asserted in tests/stream/test_window.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ, Resampler
from ..encoder.layout import NTU25
from .wire import Tracks, Window

F32 = NDArray[np.float32]
_ROOT = NTU25.index("SpineBase")


class WindowCutter:
    """Cuts the windows of one camera's people. Call `push` with every `Tracks`, in order, and `finish` at the end.

    `delay` is 0 ticks: a window ends with the newest tick. A person closer than `near_m` to another fills that one's
    second slot.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`frames` a window, `hop` ticks between windows, `min_valid` ticks of a person before the first one."""

        frames: int = 64
        hop: int = 2
        min_valid: int = 15
        near_m: float = 1.5

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._people: dict[int, _Person] = {}

    def push(self, tracks: Tracks) -> Iterator[Window]:
        """The windows that these people's new ticks complete, first those of people who have left."""
        for ended in tracks.ended:
            if (person := self._people.pop(ended, None)) is not None:
                yield from self._last(ended, person)
        complete: list[tuple[int, int]] = []
        for track, joints in zip(tracks.ids, tracks.joints, strict=True):
            person = self._people.setdefault(track, _Person(camera=tracks.camera, keep=2 * self.config.frames))
            first, ticks = person.resampler.push(tracks.t, joints)
            person.captured_at, person.t = tracks.captured_at, tracks.t
            for tick, value in enumerate(ticks, start=first):
                person.add(tick, value)
                if (tick + 1) % self.config.hop == 0 and len(person.ticks) >= self.config.min_valid:
                    complete.append((track, tick))
        # Cut only when everybody's ticks are in, so that the second slot does not depend on the order of the people.
        for track, tick in complete:
            yield self._cut(track, self._people[track], tick, last=False)

    def finish(self) -> Iterator[Window]:
        """The last windows of everybody still in view: the stream is over."""
        for track, person in self._people.items():
            yield from self._last(track, person)
        self._people = {}

    def _last(self, track: int, person: _Person) -> Iterator[Window]:
        # Whoever was never in a window is not worth an ending: nobody downstream has heard of them.
        if person.windows or len(person.ticks) >= self.config.min_valid:
            yield self._cut(track, person, max(person.ticks), last=True)

    def _cut(self, track: int, person: _Person, last_tick: int, *, last: bool) -> Window:
        frames = self.config.frames
        ticks = range(last_tick - frames + 1, last_tick + 1)
        known = [tick for tick in ticks if tick in person.ticks]
        joints = np.zeros((2, frames, 25, 3), np.float32)
        for i, tick in enumerate(ticks):
            joints[0, i] = person.ticks[max(tick, known[0])]
        other = self._near(track, person.ticks[last_tick], last_tick)
        if other is not None:
            for i, tick in enumerate(ticks):
                joints[1, i] = other.ticks.get(tick, 0.0)
        window = Window(
            camera=person.camera, t=person.t, captured_at=person.captured_at, track=track, index=person.windows,
            first_tick=ticks[0], valid=len(known), last=last, joints=np.ascontiguousarray(joints.transpose(3, 1, 2, 0)),
        )  # fmt: skip
        person.windows += 1
        return window

    def _near(self, track: int, joints: F32, tick: int) -> _Person | None:
        """Whoever else is nearest at this tick, if near enough to count as together."""
        others = [
            (float(np.linalg.norm(other.ticks[tick][_ROOT] - joints[_ROOT])), other)
            for name, other in self._people.items()
            if name != track and tick in other.ticks
        ]
        distance, nearest = min(others, key=lambda pair: pair[0], default=(np.inf, None))
        return nearest if distance < self.config.near_m else None


@dataclass
class _Person:
    camera: str
    keep: int  # ticks: a window's, and as many more as may come at once after a gap
    resampler: Resampler = field(default_factory=lambda: Resampler(HZ))
    ticks: dict[int, F32] = field(default_factory=dict)
    windows: int = 0
    t: float = 0.0
    captured_at: float = 0.0

    def add(self, tick: int, joints: F32) -> None:
        self.ticks[tick] = joints
        self.ticks.pop(tick - self.keep, None)


def cut_offline(joints_TMVC: F32, last: int, frames: int = 64) -> F32:
    """The window (3, frames, 25, 2) that ends with frame `last` of joints (T, 2, 25, 3) at 30 Hz, all at once.

    Frames before the first repeat it, as `WindowCutter` does for people who have just come into view.
    """
    at = np.maximum(np.arange(last - frames + 1, last + 1), 0)
    return np.ascontiguousarray(joints_TMVC[at].transpose(3, 0, 2, 1))
