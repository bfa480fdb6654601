"""What the robot knows of each person: where they are, what they do, whether they fell, and when they moved first.

Pure: messages in, questions answered. Positions are the robot's (`robot.py`); times `t` the camera's, in seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import NTU25
from .policy import Mounting
from .robot import Person

F64 = NDArray[np.float64]
Seen = NDArray[np.bool_]

_GONE_S = 0.5
_MOST_NAMES = 10_000
_BASE, _CHEST = (NTU25.joints.index(name) for name in ("SpineBase", "SpineShoulder"))
_ANKLES = [NTU25.joints.index(name) for name in ("AnkleLeft", "AnkleRight")]
_MOVING = [
    NTU25.joints.index(name) for name in ("WristLeft", "WristRight", "Head", "SpineBase", *("AnkleLeft", "AnkleRight"))
]
_REMEMBERED_S = 4.0
# Somebody who moves by less than this in this time stands still: the pose's own jitter is about as large.
_STILL_M, _STILL_S = 0.03, 0.3
_DEPTH = 0.3  # along the line of sight the pose is three times as unsure
# Lying: the trunk nearer to level than to upright, and the chest no higher than a knee above the feet.
_LEVEL_DEG, _LOW_M = 55.0, 0.45
_UPRIGHT_DEG = 30.0
_FELL_WITHIN_S = 1.5  # who takes longer than this from upright to lying has lain down


@dataclass
class Somebody:
    """One person before one camera."""

    camera: str
    track: int
    person: Person
    t: float = 0.0
    captured_at: float = 0.0
    since_t: float = 0.0
    name: str = ""
    doing: str = ""  # as decided, since `doing_since`, and how surely
    doing_since: float = 0.0
    confidence: float = 0.0
    _upright_t: float = -math.inf
    _fell_t: float | None = None
    _places: deque[tuple[float, F64]] = field(default_factory=deque)

    def move(self, person: Person, t: float, captured_at: float) -> None:
        """They are here now."""
        self.person, self.t, self.captured_at = person, t, captured_at
        places = np.where(person.seen[_MOVING, None], person.joints[_MOVING] * (_DEPTH, 1, 1), np.nan)
        self._places.append((captured_at, places))
        while captured_at - self._places[0][0] > _REMEMBERED_S:
            self._places.popleft()
        self._watch_for_a_fall()

    @property
    def away_m(self) -> float:
        """How far away they are, across the floor."""
        return float(np.linalg.norm(self._middle()[:2]))

    @property
    def aside_deg(self) -> float:
        """How far to the side of where the robot faces."""
        x, y = self._middle()[:2]
        return abs(math.degrees(math.atan2(y, x)))

    def lies_for_s(self) -> float:
        """For how long they have been lying since they fell; 0 if they have not."""
        return 0.0 if self._fell_t is None else self.t - self._fell_t

    def moved_first_at(self) -> float | None:
        """When, in Unix seconds, the motion began that still goes on; None if it is longer ago than is remembered."""
        frames = list(self._places)
        for i in range(len(frames) - 1, 0, -1):
            at, places = frames[i]
            before = [other for earlier, other in frames[:i] if at - _STILL_S <= earlier]
            if before and frames[0][0] <= at - _STILL_S and not _apart(places, before[0]):
                return at
        return None

    def _middle(self) -> F64:
        seen = self.person.joints[self.person.seen]
        middle: F64 = seen.mean(axis=0) if len(seen) else np.array([math.inf, 0.0, 0.0])
        return middle

    def _watch_for_a_fall(self) -> None:
        lying = _lies(self.person)
        if lying is False:
            self._upright_t, self._fell_t = self.t, None
        elif lying and self._fell_t is None and self.t - self._upright_t <= _FELL_WITHIN_S:
            self._fell_t = self.t


def _apart(places: F64, before: F64) -> bool:
    """Whether any of the places has moved."""
    apart = np.linalg.norm(places - before, axis=1)
    return bool((apart[np.isfinite(apart)] > _STILL_M).any())


def _lies(person: Person) -> bool | None:
    """Whether somebody lies on the floor; None if too little of them is seen to tell, or it is neither."""
    hips, chest = person.joint(_BASE), person.joint(_CHEST)
    feet = [at for ankle in _ANKLES if (at := person.joint(ankle)) is not None]
    if hips is None or chest is None or not feet:
        return None
    trunk = chest - hips
    from_upright = math.degrees(math.atan2(float(np.linalg.norm(trunk[:2])), float(trunk[2])))
    above_feet = float(chest[2] - min(foot[2] for foot in feet))
    if from_upright >= _LEVEL_DEG and above_feet <= _LOW_M:
        return True
    return False if above_feet > _LOW_M and from_upright < _UPRIGHT_DEG else None


class Surroundings:
    """Everybody who is seen, from a camera that stands as `mounting` says."""

    def __init__(self, mounting: Mounting) -> None:
        turn = math.radians(mounting.turn)
        # Kinect's axes are x left, y up, z away; the robot's x ahead, y left, z up.
        ahead, left = (math.cos(turn), math.sin(turn), 0), (-math.sin(turn), math.cos(turn), 0)
        self._turn = np.array([left, (0, 0, 1), ahead], dtype=np.float64)
        self._at = np.array([mounting.ahead, mounting.left, mounting.height])
        self.people: dict[tuple[str, int], Somebody] = {}
        self._names: dict[tuple[str, int], str] = {}

    def see(self, camera: str, people: Mapping[int, tuple[F64, Seen]], t: float, captured_at: float) -> None:
        """Who is there now: of each their joints in camera space (25, 3), and which of these are seen (25,)."""
        for key, somebody in list(self.people.items()):
            if key[0] == camera and t - somebody.t > _GONE_S:  # a frame or two without them is no farewell
                del self.people[key]
        for track, (joints, seen) in people.items():
            person = Person(joints @ self._turn + self._at, seen)
            somebody = self.people.setdefault(
                (camera, track), Somebody(camera, track, person, since_t=t, name=self._names.get((camera, track), ""))
            )
            somebody.move(person, t, captured_at)

    def lose(self, camera: str) -> None:
        """Nobody is seen there any more."""
        for key in [key for key in self.people if key[0] == camera]:
            del self.people[key]

    def call(self, camera: str, track: int, name: str) -> None:
        """Somebody has this name."""
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        self._names[camera, track] = name
        if (somebody := self.people.get((camera, track))) is not None:
            somebody.name = name

    def nearest(self) -> Somebody | None:
        """Whoever is nearest."""
        return min(self.people.values(), key=lambda somebody: somebody.away_m, default=None)
