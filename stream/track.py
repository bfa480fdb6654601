"""Track: people of single frames become persons with an identity, lifted to NTU25 joints and smoothed.

Nothing here knows faces or clothes. A person is known again by where they were expected in the picture and by how large
they are there, which tells near from far: two who cross keep their names because they keep their pace and their size.
Whoever is not found is waited for: long while they are expected behind somebody nearer, briefly in the open and beyond
the picture's edge, for there they have left. Who has left and comes back soon, near the same place and of the same
size, is known again; later they are somebody new. Each person's joints are smoothed by themselves (`smooth`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..encoder.assignment import assign
from ..encoder.layout import NTU25
from .lift import LiftedPerson, lift
from .smooth import Smoother
from .wire import People, Tracks

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_TRUNK = [
    NTU25.index(name) for name in ("SpineBase", "SpineShoulder", "ShoulderLeft", "ShoulderRight", "HipLeft", "HipRight")
]
# Speed is measured over this span, which ends this long ago: the last that is seen of somebody who disappears behind
# another is a body half guessed, which sticks to the other.
_SPEED_OVER_S, _SPEED_UNTIL_S = 0.5, 0.1
_GOES_ON_S = 0.7  # somebody unseen is expected to walk on, and to slow down: as far as in so many seconds at full pace
_BODY = (0.14, 0.5)  # half the width and half the height of somebody, in body heights, about the trunk's middle


@dataclass(eq=False)  # each is itself alone: to compare them would compare arrays
class _Track:
    since: float
    t: float  # when last seen
    trunk_px: F64  # (2,), the trunk's middle then
    height_px: float
    id: int = 0  # 0: not believed yet
    past: deque[tuple[float, F64]] = field(default_factory=lambda: deque(maxlen=64))  # the trunk's middle, with times
    smooth: Smoother = field(default_factory=Smoother)
    open_s: float = 0.0  # for how long they were not found though nobody stood before them
    looked: float = 0.0  # when that was last added to

    def expected_px(self, t: float) -> F64:
        """Where the trunk's middle (2,) should be at `t`."""
        before = [(at, place) for at, place in self.past if _SPEED_UNTIL_S <= self.t - at <= _SPEED_OVER_S]
        if len(before) < 2 or before[-1][0] <= before[0][0]:
            return self.trunk_px
        speed = (before[-1][1] - before[0][1]) / (before[-1][0] - before[0][0])
        place: F64 = self.trunk_px + speed * _GOES_ON_S * (1 - math.exp((self.t - t) / _GOES_ON_S))
        return place

    def see(self, t: float, person: LiftedPerson) -> F32:
        """Take in the person at time `t`; the smoothed joints (25, 3), exactly zero where one is not seen."""
        self.trunk_px = _middle_px(person)
        self.height_px += 0.1 * (_height_px(person) - self.height_px)
        self.t = self.looked = t
        self.open_s = 0.0
        self.past.append((t, self.trunk_px))
        return self.smooth(t, person)


class Tracker:
    """Gives the people of one camera identities and NTU25 joints. Call `push` with every `People`, in order.

    Identities count from `first_id`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How people are known again. Lengths are in body heights."""

        patience_s: float = 0.7
        """how long somebody who should be seen may be missing before they have `ended`"""
        hidden_s: float = 3.0
        """the same of somebody behind somebody nearer"""
        memory_s: float = 5.0
        """who was last seen no longer ago than this may come back as themselves"""
        probation_s: float = 0.1
        """somebody new beside others must be seen for so long to be believed: half-hidden bodies make ghosts"""
        reach: float = 0.5
        """how far somebody may be from where they were expected"""
        roams: float = 0.5
        """by how much that grows in a second of absence, as people do not walk straight on"""
        reach_most: float = 1.5
        growth: float = 0.6
        """by what part somebody may be larger than they were, or were larger than they are"""
        twin: float = 0.08
        """people nearer than this share one body"""

    def __init__(self, config: Config | None = None, *, first_id: int = 1) -> None:
        self.config = config or self.Config()
        self._tracks: list[_Track] = []
        self._ended: list[_Track] = []
        self._next_id = first_id

    @property
    def named(self) -> int:
        """The last identity that was given."""
        return self._next_id - 1

    def lose_everybody(self) -> None:
        """The camera is lost: whoever is seen when it is back begins anew, though some may be known again."""
        self._ended += [track for track in self._tracks if track.id]
        self._tracks = []

    def push(self, people: People) -> Tracks:
        """The same people with identities, in the order of `People`, less those found twice or not believed yet."""
        t = people.t
        found = self._without_twins(
            [
                lift(*landmarks, people.size)
                for landmarks in zip(people.image, people.world, people.visibility, people.presence, strict=True)
            ]
        )
        alone = not any(track.id for track in self._tracks)
        tracks = self._continued(t, found)
        joints = [track.see(t, person) for track, person in zip(tracks, found, strict=True)]
        self._name(t, [k for k in tracks if not k.id and (alone or t - k.since >= self.config.probation_s)])
        ended = self._give_up(t)
        told = [i for i, track in enumerate(tracks) if track.id]
        return Tracks(
            camera=people.camera,
            t=t,
            captured_at=people.captured_at,
            seq=people.seq,
            size=people.size,
            ids=tuple(tracks[i].id for i in told),
            joints=_stack([joints[i] for i in told], (25, 3)),
            pixels=_stack([found[i].pixels for i in told], (25, 2)),
            confidence=_stack([found[i].confidence * joints[i].any(axis=1) for i in told], (25,)),
            ended=tuple(track.id for track in ended),
        )

    def _without_twins(self, people: list[LiftedPerson]) -> list[LiftedPerson]:
        """One body is sometimes found twice; the surer of two that coincide is kept."""
        kept: list[LiftedPerson] = []
        for person in sorted(people, key=lambda p: -float(p.confidence.mean())):
            if all(_apart(person, other) > self.config.twin for other in kept):
                kept.append(person)
        return [person for person in people if any(person is k for k in kept)]

    def _continued(self, t: float, found: Sequence[LiftedPerson]) -> list[_Track]:
        """For each found person the track that they continue, or a new one."""
        places = [(_middle_px(person), _height_px(person)) for person in found]
        known = self._matches(t, places, self._tracks)
        tracks = [known.get(i) or _Track(t, t, *place) for i, place in enumerate(places)]
        self._tracks += [track for i, track in enumerate(tracks) if i not in known]
        return tracks

    def _name(self, t: float, tracks: Sequence[_Track]) -> None:
        """Name people who are believed from now on: as one who has ended lately, if they fit, or anew."""
        back = self._matches(t, [(track.trunk_px, track.height_px) for track in tracks], self._ended)
        for i, track in enumerate(tracks):
            if i in back:
                self._ended.remove(back[i])
                track.id = back[i].id
            else:
                track.id, self._next_id = self._next_id, self._next_id + 1

    def _matches(self, t: float, places: Sequence[tuple[F64, float]], tracks: Sequence[_Track]) -> dict[int, _Track]:
        """The tracks that people at these places (the trunk's middle and their height, in pixels) continue: the
        assignment of least total cost in which leaving somebody alone costs 1."""
        if not places or not tracks:
            return {}
        cost = np.ones((len(places), len(tracks) + len(places)))
        cost[:, : len(tracks)] = [[self._cost(t, *place, track) for track in tracks] for place in places]
        return {i: tracks[k] for i, k in assign(cost) if k < len(tracks) and cost[i, k] < 1}

    def _cost(self, t: float, middle_px: F64, height_px: float, track: _Track) -> float:
        """How little somebody found fits somebody known: 0 where and as large as expected, 1 and more for no match."""
        config = self.config
        off = float(np.linalg.norm(middle_px - track.expected_px(t))) / max(track.height_px, height_px)
        reach = min(config.reach + config.roams * max(t - track.t, 0.0), config.reach_most)
        grown = abs(math.log(height_px / track.height_px)) / math.log1p(config.growth)
        return off / reach + 0.5 * grown if grown < 1 else 1.0 + grown

    def _give_up(self, t: float) -> list[_Track]:
        """Let go of whoever has been missing for too long; those of them who have a name have ended."""
        config, ended = self.config, []
        for track in [track for track in self._tracks if track.t < t]:
            if not self._hidden(t, track):
                track.open_s += t - track.looked
            track.looked = t
            if not track.id or track.open_s > config.patience_s or t - track.t > config.hidden_s:
                self._tracks.remove(track)
                ended += [track] if track.id else []
        self._ended = [track for track in self._ended if t - track.t <= config.memory_s] + ended
        return ended

    def _hidden(self, t: float, track: _Track) -> bool:
        """Whether somebody who is seen now, and is larger, stands where this one is expected."""
        for other in self._tracks:
            if other.id and other.t == t and other.height_px > track.height_px:
                across, down = np.abs(other.trunk_px - track.expected_px(t)) / other.height_px
                if across < _BODY[0] and down < _BODY[1]:
                    return True
        return False


def _middle_px(person: LiftedPerson) -> F64:
    """The middle (2,) of the trunk."""
    return np.asarray(person.pixels[_TRUNK].mean(axis=0), np.float64)


def _height_px(person: LiftedPerson) -> float:
    """About the height of the person in pixels, from the trunk (which is seen when the legs are not)."""
    trunk = person.pixels[_TRUNK]
    torso = float(np.linalg.norm(trunk[1] - trunk[0]))
    shoulders = float(np.linalg.norm(trunk[3] - trunk[2]))
    return max(3.3 * torso, 4.0 * shoulders, 10.0)


def _apart(person: LiftedPerson, other: LiftedPerson) -> float:
    """Mean distance between two trunks in the picture, in body heights of the second."""
    off = np.linalg.norm(person.pixels[_TRUNK] - other.pixels[_TRUNK], axis=1)
    return float(off.mean()) / _height_px(other)


def _stack(arrays: Sequence[F32], shape: tuple[int, ...]) -> F32:
    return np.stack(arrays).astype(np.float32) if arrays else np.zeros((0, *shape), np.float32)
