"""Window: the last 64 frames of each person on the 30 Hz clock, cut every `hop` ticks.

Streaming equals batch: a window depends only on the frames it shows, never on how they arrived, so the same frames
cut offline give the same numbers (asserted in tests/stream/test_window.py).

A joint that was not seen is exactly zero, here as everywhere. C coordinate, T frame, V joint, M person slot.
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
_TRUNK = [NTU25.index(name) for name in ("SpineBase", "SpineShoulder", "Head")]

_TOGETHER_TICKS = 30  # whether two people are together is decided over so many

# `evidence` looks back this far, about a second: the decisions of now rest on it, whatever was seen before.
EVIDENCE_TICKS = 32


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
        patience_s: float = 5.0

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._people: dict[int, _Person] = {}

    def push(self, tracks: Tracks) -> Iterator[Window]:
        """The windows that these people's new ticks complete, first those of people who have left."""
        # Whoever has not been seen for longer than a tracker waits was given up by one that could not say so any more.
        vanished = [track for track, person in self._people.items() if tracks.t - person.t > self.config.patience_s]
        for ended in {*tracks.ended, *vanished} - {*tracks.ids}:
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
        other = self._near(person, last_tick)
        if other is not None:
            for i, tick in enumerate(ticks):
                joints[1, i] = other.ticks.get(tick, 0.0)
        joints_CTVM = np.ascontiguousarray(joints.transpose(3, 1, 2, 0))
        window = Window(
            camera=person.camera, t=person.t, captured_at=person.captured_at, track=track, index=person.windows,
            first_tick=ticks[0], valid=len(known), last=last, joints=joints_CTVM,
            evidence=evidence(joints_CTVM, len(known)),
        )  # fmt: skip
        person.windows += 1
        return window

    def _near(self, person: _Person, tick: int) -> _Person | None:
        """Whoever else was nearest in the last second, if near enough to count as together.

        That is the median over the ticks that both have: one camera sees depth badly, and by the distance of the
        newest tick alone the slot changed 89 times a minute in drawn scenes of two to four people; so it does 26 times.
        """
        distance, nearest = self.config.near_m, None
        recent = range(tick - _TOGETHER_TICKS + 1, tick + 1)
        for other in self._people.values():
            both = [n for n in recent if n in person.ticks and n in other.ticks]
            if other is not person and len(both) >= _TOGETHER_TICKS // 3:
                apart = _apart_m(*(np.stack([who.ticks[n][_TRUNK] for n in both]) for who in (person, other)))
                if float(np.median(apart)) < distance:
                    distance, nearest = float(np.median(apart)), other
        return nearest


def _apart_m(joints_TVC: F32, others_TVC: F32) -> F32:
    """How far apart two people's trunks (T, 3, 3) are (T,), by the first joint that is seen of both; else infinity."""
    both_TV = joints_TVC.any(axis=2) & others_TVC.any(axis=2)
    off_TV = np.where(both_TV, np.linalg.norm(joints_TVC - others_TVC, axis=2), np.inf)
    first_T = both_TV.argmax(axis=1)
    return np.asarray(off_TV[np.arange(len(off_TV)), first_T], np.float32)


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


def evidence(joints_CTVM: F32, valid: int) -> float:
    """The share, 0..1, of the newest `EVIDENCE_TICKS` x 25 joints of slot 0 of a window that were seen.

    Of its frames only the newest `valid` count as seen: those before them repeat the first.
    """
    newest_CTV = joints_CTVM[:, -min(valid, EVIDENCE_TICKS) :, :, 0]
    seen_TV = (newest_CTV != 0).any(axis=0)
    return float(seen_TV.sum() / (EVIDENCE_TICKS * seen_TV.shape[1]))


def cut_offline(joints_TMVC: F32, last: int, frames: int = 64) -> F32:
    """The window (3, frames, 25, 2) that ends with frame `last` of joints (T, 2, 25, 3) at 30 Hz, all at once.

    Frames before the first repeat it, as `WindowCutter` does for people who have just come into view.
    """
    at = np.maximum(np.arange(last - frames + 1, last + 1), 0)
    return np.ascontiguousarray(joints_TMVC[at].transpose(3, 0, 2, 1))
