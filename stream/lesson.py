"""A lesson: somebody stands at rest, shows an action, comes back to rest, and shows it again.

    lesson = Lesson("draw_x", shots=5)
    for tracks in heard: lesson.push(tracks)
    lesson.showings                      # when lesson.phase is "learning"

It finds each showing by itself. What rest looks like is read off the person while they stand still: where the joints
are, seen from the hips, and how much they tremble. A movement begins when some joint leaves its place by more than that
and ends when all are back, or stay still in a new place. Pure: the tracks' own clock is the only one.

T tick of 30 Hz, J joint that is watched, V joint, C coordinate.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ, Resampler
from ..encoder.layout import NTU25
from .showing import LONGEST, Showing
from .wire import Tracks

F32 = NDArray[np.float32]
Phase = Literal["get ready", "show it", "seen", "learning", "failed"]

_HIPS = NTU25.index("SpineBase")
_WATCHED = [NTU25.index(name) for name in (
    "Head", "SpineShoulder", "ElbowLeft", "WristLeft", "ElbowRight", "WristRight", "KneeLeft", "AnkleLeft",
    "KneeRight", "AnkleRight",
)]  # fmt: skip
_ARMS = [NTU25.index(name) for name in ("ShoulderLeft", "ShoulderRight", "WristLeft", "WristRight")]
_BEFORE, _AFTER = 64, 16  # ticks of rest that a showing keeps before and after the movement
_STILL = 30  # ticks of stillness that make a rest
_STILL_M = 0.10  # within which all watched joints stay then
_LEAST_M = 0.15  # how far a joint leaves its place, at least, in a movement
_TREMBLES = 3.0  # times as far as it trembled at rest
_BACK = 12  # ticks at rest that end a movement
_HELD = 45  # ticks still in a new place that end it as well
_SHORTEST = 8  # ticks of a movement; anything shorter is a twitch
_SMOOTH = 3  # ticks over which a joint's place is averaged
_NOBODY_S, _NOTHING_S = 20.0, 30.0  # before the lesson is given up
_FAILURES = 3  # showings that could not be used, one after another
_KEPT = 512  # ticks


class Lesson:
    """`camera`: before which ("": the first that sees somebody); `track`: who shows (None: whoever is nearest).

    `phase`, `shown` and `message` tell people where it stands; `reason` is why it failed, in a line.
    """

    def __init__(self, action: str, *, shots: int, camera: str = "", track: int | None = None) -> None:
        self.action, self.shots = action, shots
        self.camera, self.track = camera, track
        self.phase: Phase = "get ready"
        self.message = "stand still, so that all of you is seen"
        self.showings: list[Showing] = []
        self._asked_track = track
        self._resampler = Resampler(HZ)
        self._ticks: list[F32] = []
        self._dropped = 0  # ticks that are no longer kept
        self._rest: F32 | None = None
        self._leaves_m = _LEAST_M
        self._began: int | None = None  # the tick at which the movement began
        self._since: float | None = None  # when this phase began, on the camera's clock
        self._t: float | None = None  # when the person was last seen
        self._failures = 0

    @property
    def shown(self) -> int:
        """How many showings there are."""
        return len(self.showings)

    @property
    def over(self) -> bool:
        """Whether nothing more is to be shown."""
        return self.phase in ("learning", "failed")

    def again(self) -> None:
        """Throw the last showing away."""
        if self.showings and not self.over:
            self.showings.pop()
            self._wait("the last one is thrown away; stand still")

    def push(self, tracks: Tracks) -> None:
        """Look at what is seen now."""
        if self.over or (self.camera and tracks.camera != self.camera):
            return
        if self._since is None:
            self._since = tracks.t
        joints = self._of_person(tracks)
        if joints is None:
            self._not_seen(tracks.t)
            return
        self.camera, self._t = tracks.camera, tracks.t
        for tick in self._resampler.push(tracks.t, joints)[1]:
            self._ticks.append(tick)
            if len(self._ticks) > _KEPT:
                del self._ticks[0]
                self._dropped += 1
            self._tick(tracks.t)

    def _of_person(self, tracks: Tracks) -> F32 | None:
        """The joints of whoever shows, who is chosen when first seen."""
        if self.track is None and tracks.ids:
            depths = [joints[_HIPS, 2] if joints[_HIPS].any() else np.inf for joints in tracks.joints]
            self._forget_person()
            self.track = tracks.ids[int(np.argmin(depths))]
        if self.track in tracks.ids and (self._t is None or tracks.t > self._t):
            return np.asarray(tracks.joints[tracks.ids.index(self.track)], np.float32)
        return None

    def _not_seen(self, t: float) -> None:
        since = max(when for when in (self._since, self._t) if when is not None)
        if t - since > _NOBODY_S:
            whom = "nobody is seen" if self._asked_track is None else f"person {self._asked_track} is not seen"
            self._fail(f"{whom}; stand where the camera sees all of you, and begin again")
        elif t - since > 2.0:
            self.track = self._asked_track  # whoever comes next
            if self.phase != "get ready":
                self._wait("you are not seen; come back and stand still")

    def _forget_person(self) -> None:
        self._resampler, self._t = Resampler(HZ), None
        self._dropped += len(self._ticks)
        self._ticks.clear()
        self._rest, self._began = None, None

    def _tick(self, t: float) -> None:
        if self.over:
            return
        assert self._since is not None
        if self._rest is None:
            self._find_rest(t)
            return
        away_m = self._away()
        if self._began is None:
            if away_m > self._leaves_m:
                self._began = self._dropped + len(self._ticks) - 1
            elif t - self._since > _NOTHING_S:
                self._fail(f"nothing was shown for {_NOTHING_S:.0f} s; begin again when you are ready")
            return
        moving = self._dropped + len(self._ticks) - self._began
        if moving > LONGEST + _HELD:
            self._refuse(f"that took longer than {LONGEST / HZ:.0f} s; show one short movement, then stand still")
        elif all(self._away(ticks_ago) <= self._leaves_m for ticks_ago in range(min(_BACK, moving))):
            self._take(moving - _BACK, t)
        elif moving > _HELD and self._moved_m(_HELD) < _STILL_M:
            self._take(moving - _HELD, t)

    def _find_rest(self, t: float) -> None:
        assert self._since is not None
        if len(self._ticks) >= _STILL + _SMOOTH and self._moved_m(_STILL) < _STILL_M:
            recent = np.stack([self._places(i) for i in range(_STILL)])
            if not _whole_arms(self._ticks[-1]):
                self.message = "your arms are not seen; step back until all of you is"
            else:
                self._rest = np.median(recent, axis=0).astype(np.float32)
                trembled = np.linalg.norm(recent - self._rest, axis=-1)
                self._leaves_m = max(_LEAST_M, _TREMBLES * float(np.quantile(trembled, 0.95)))
                self.phase, self._since = "show it", t
                self.message = f"show {self.action} now, then stand still again"
                return
        if t - self._since > _NOBODY_S:
            self._fail(
                "too little of you is seen; step back until the camera sees all of you, and begin again"
                if not _whole_arms(self._ticks[-1]) else "you never stood still; begin again, and stand still first"
            )  # fmt: skip

    def _take(self, frames: int, t: float) -> None:
        """The movement of the so many ticks since it began is over."""
        assert self._began is not None
        if frames < _SHORTEST:
            self._began = None
            return
        if frames > LONGEST:
            self._refuse(f"that took longer than {LONGEST / HZ:.0f} s; show one short movement, then stand still")
            return
        # A joint was under way before it was far enough to tell.
        first = max(self._began - _SMOOTH - 2, self._dropped)
        begin = max(first - _BEFORE, self._dropped)
        last = self._began + frames - 1
        end = min(last + 1 + _AFTER, self._dropped + len(self._ticks))
        joints = np.stack(self._ticks[begin - self._dropped : end - self._dropped])
        self.showings.append(Showing(joints_TVC=joints, first=first - begin, last=last - begin))
        self._failures = 0
        if self.shown == self.shots:
            self.phase, self.message = "learning", f"{self.action} has been shown; it is learnt"
        else:
            self._wait(f"seen {self.shown} of {self.shots}; stand still", "seen")
        self._since = t

    def _refuse(self, why: str) -> None:
        self._failures += 1
        if self._failures == _FAILURES:
            self._fail(f"{why} (and begin again)")
        else:
            self._wait(why)

    def _wait(self, message: str, phase: Phase = "get ready") -> None:
        self._rest, self._began = None, None
        self.phase, self.message, self._since = phase, message, self._t

    def _fail(self, why: str) -> None:
        self.phase, self.message = "failed", why

    def _away(self, ticks_ago: int = 0) -> float:
        """How far the watched joint that is farthest from its place at rest is from it, in metres."""
        assert self._rest is not None
        return float(np.linalg.norm(self._places(ticks_ago) - self._rest, axis=-1).max())

    def _moved_m(self, ticks: int) -> float:
        """How far any watched joint got in the last so many ticks."""
        places = np.stack([self._places(i) for i in range(ticks)])
        return float((places.max(axis=0) - places.min(axis=0)).max())

    def _places(self, ticks_ago: int) -> F32:
        """Where the watched joints were (J + 1, C), averaged over a few ticks: seen from the hips, and these last.

        What was not seen is where it was at rest, or at the hips."""
        end = len(self._ticks) - ticks_ago
        recent = np.stack(self._ticks[max(end - _SMOOTH, 0) : end])
        seen = (recent != 0).any(axis=-1)
        weight = np.maximum(seen.sum(axis=0), 1)[:, None]
        mean_VC = recent.sum(axis=0) / weight
        hips = mean_VC[_HIPS]
        places = np.concatenate((mean_VC[_WATCHED] - hips, hips[None] * np.array([1, 1, 0.5], np.float32)))
        hidden = ~np.append(seen.any(axis=0)[_WATCHED], seen.any(axis=0)[_HIPS])
        if self._rest is not None:
            places[hidden] = self._rest[hidden]
        else:
            places[hidden] = 0
        return np.asarray(places, np.float32)


def _whole_arms(joints_VC: F32) -> bool:
    """Whether shoulders and wrists are seen."""
    return bool((joints_VC[_ARMS] != 0).any(axis=-1).all())
