"""Movement: tracks of key values, and the phrases made of them.

A *phrase* (one action, or one stretch of background) is a handful of key poses; between them every control moves by
quintic polynomials, which between two rests is the minimum-jerk movement of human reaching (Flash and Hogan,
J. Neurosci. 5(7), 1985, eq. 3).

A direction or place relative to the body is (right, up, forward), or for a limb (out, up, forward), so that one set of
numbers serves the left and the right. Lengths are in body heights, and for a hand, seen from its shoulder, in arm
lengths. Angles are radians.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from .place import Foot, Root, standing_foot

Values = tuple[float, ...]


class Track:
    """Values that pass through keys at given times, twice continuously differentiable, and rest outside them.

    Slopes at the keys are Fritsch and Carlson's (SIAM J. Numer. Anal. 17(2), 1980): zero wherever a value holds or
    turns. The acceleration at every key is zero, so from rest to rest the curve is the minimum-jerk one.
    """

    def __init__(self, keys: Sequence[tuple[float, Values]]) -> None:
        self._times = [t for t, _ in keys]
        if any(b <= a for a, b in pairwise(self._times)):
            raise AssertionError(f"key times must increase: {self._times}")
        self._values = [values for _, values in keys]

    @cached_property
    def _slopes(self) -> list[list[float]]:
        """At every key; most tracks of a long script are never asked."""
        values = np.array(self._values)
        slopes = np.zeros_like(values)
        if len(values) > 2:
            step = np.diff(self._times)[:, None]
            secant = np.diff(values, axis=0) / step
            before, after = secant[:-1], secant[1:]
            w_before, w_after = step[:-1] + 2 * step[1:], 2 * step[:-1] + step[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                mean = (w_before + w_after) / (w_before / after + w_after / before)
            slopes[1:-1] = np.where(before * after > 0, mean, 0.0)
        at_keys: list[list[float]] = slopes.tolist()
        return at_keys

    def at(self, t: float) -> list[float]:
        if t <= self._times[0] or t >= self._times[-1]:
            return list(self._values[0 if t <= self._times[0] else -1])
        i = bisect_right(self._times, t) - 1
        h = self._times[i + 1] - self._times[i]
        s = (t - self._times[i]) / h
        ease = _ease(s)
        start = h * (s - s**3 * (6 - 8 * s + 3 * s * s))
        end = -h * s**3 * (4 - 7 * s + 3 * s * s)
        ends = zip(self._values[i], self._values[i + 1], self._slopes[i], self._slopes[i + 1], strict=True)
        return [a * (1 - ease) + b * ease + start * slope_a + end * slope_b for a, b, slope_a, slope_b in ends]


def _ease(s: float) -> float:
    """The minimum-jerk way from 0 to 1."""
    return s**3 * (10 - 15 * s + 6 * s * s)


def _bump(s: float) -> float:
    """From 0 up to 1 in the middle and back, starting and ending at rest."""
    return 64 * s**3 * (1 - s) ** 3


def arm(
    out: float,
    up: float,
    forward: float,
    reach: float | None = None,
    *,
    swivel: float = 0.3,
    roll: float = 0.0,
    flex: float = 0.0,
    hang: float = 0.0,
) -> Values:
    """Where a wrist is from its shoulder, in arm lengths; with `reach`, (out, up, forward) is only the direction.

    `swivel` turns the elbow outwards (0: below a forward arm), `roll` turns the thumb inwards (0: up on a forward arm;
    pi/2: palm down), `flex` bends the hand towards the palm, `hang` 1 keeps the arm upright while the trunk bends.
    """
    length = math.sqrt(out * out + up * up + forward * forward)
    return (out / length, up / length, forward / length, length if reach is None else reach, swivel, roll, flex, hang)


# What a part's numbers mean: arms as `arm`; trunk lean, curl, tilt (to the right), twist (to the right); head nod,
# turn (to the right), tilt (to the right); pelvis right, up, forward from standing; a foot out, up, forward from where
# it stands, and its heel's lift in radians.
STAND: dict[str, Values] = {
    "arm_l": arm(0.12, -1.0, 0.07, 0.978, swivel=0.35, roll=0.25, flex=0.12, hang=1.0),
    "arm_r": arm(0.12, -1.0, 0.07, 0.978, swivel=0.35, roll=0.25, flex=0.12, hang=1.0),
    "trunk": (0.03, 0.0, 0.0, 0.0),
    "head": (0.0, 0.0, 0.0),
    "pelvis": (0.0, 0.0, 0.0),
    "foot_l": (0.0, 0.0, 0.0, 0.0),
    "foot_r": (0.0, 0.0, 0.0, 0.0),
}
SIT: dict[str, Values] = STAND | {
    "arm_l": arm(0.03, -0.72, 0.42, 0.8, swivel=0.5, roll=1.2, flex=0.1, hang=1.0),
    "arm_r": arm(0.03, -0.72, 0.42, 0.8, swivel=0.5, roll=1.2, flex=0.1, hang=1.0),
    "trunk": (0.05, 0.04, 0.0, 0.0),
    "pelvis": (0.0, -0.235, -0.2),
}


@dataclass(frozen=True)
class Way:
    """The root's way through the room: `spot` is (x, z), `yaw` (yaw,)."""

    spot: Track
    yaw: Track

    def at(self, t: float) -> Root:
        x, z = self.spot.at(t)
        return Root(x, z, self.yaw.at(t)[0])


@dataclass(frozen=True)
class Stage:
    """What one phrase hands to the next: the place, and whether the actor sits."""

    root: Root
    sitting: bool = False

    @property
    def rest(self) -> dict[str, Values]:
        return SIT if self.sitting else STAND


@dataclass(frozen=True, kw_only=True)
class Stride:
    """One foot's way from one foothold to the next."""

    lifts_at: float
    lands_at: float
    start: Foot
    end: Foot
    height_m: float
    kick_m: float  # how far the foot swings out behind
    heel: float  # how far the heel has come up when the foot lifts

    def at(self, t: float) -> Foot:
        s = (t - self.lifts_at) / (self.lands_at - self.lifts_at)
        if s <= 0:  # the heel comes up while the toes still stand
            ready = max(0.0, 1 + (t - self.lifts_at) / 0.2)
            return Foot(self.start.x, self.start.z, self.start.yaw, 0.0, self.heel * _ease(ready))
        way, bump = _ease(s), _bump(s)
        yaw = self.start.yaw + way * (self.end.yaw - self.start.yaw)
        back = self.kick_m * bump
        x = self.start.x + way * (self.end.x - self.start.x) - back * math.sin(yaw)
        z = self.start.z + way * (self.end.z - self.start.z) + back * math.cos(yaw)
        return Foot(x, z, yaw, self.height_m * bump, self.heel * (1 - way) + 0.5 * self.heel * bump)


@dataclass(frozen=True, kw_only=True)
class Gait:
    """A way with the strides that carry the body along it, ending on both feet at the goal."""

    way: Way
    goal: Root
    strides: dict[str, list[Stride]]
    duration_s: float

    @property
    def landings(self) -> list[tuple[float, str]]:
        """When each foot lands, in order."""
        return sorted((stride.lands_at, side) for side, strides in self.strides.items() for stride in strides)


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """One movement from rest to rest: tracks of controls, and where there are steps, the way and the strides."""

    duration_s: float
    starts_at: Stage
    ends_at: Stage
    tracks: dict[str, Track]
    stance: dict[str, float]
    way: Way | None = None
    strides: dict[str, list[Stride]] = field(default_factory=dict)

    def controls(self, t: float) -> dict[str, list[float]]:
        """The numbers of every part of `STAND`, free to be changed."""
        rest = self.starts_at.rest
        return {part: self.tracks[part].at(t) if part in self.tracks else list(rest[part]) for part in rest}

    def root(self, t: float) -> Root:
        return self.way.at(t) if self.way else self.starts_at.root

    def foot(self, t: float, side: str) -> Foot:
        for stride in self.strides.get(side, ()):
            if t < stride.lands_at:
                return stride.at(t)
        return standing_foot(self.ends_at.root, side, self.stance)
