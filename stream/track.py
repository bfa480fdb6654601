"""Track: people of single frames become persons with an identity, lifted to NTU25 joints and smoothed.

Assignment minimises the total distance between where each known person was expected (constant velocity) and where
people were found, in units of their own body height, so that it holds near and far; crossing people keep their
names because they keep their speed. Smoothing is the one-euro filter (Casiez, Roussel, Vogel, CHI 2012), once for
the place in the room, which is noisy because a single camera sees depth badly, and once for the posture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import NTU25
from .lift import LiftedPerson, lift
from .wire import People, Tracks

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_TRUNK = [
    NTU25.index(name) for name in ("SpineBase", "SpineShoulder", "ShoulderLeft", "ShoulderRight", "HipLeft", "HipRight")
]
_ROOT = NTU25.index("SpineBase")


class OneEuro:
    """The one-euro low-pass filter on arrays: slow movement is smoothed, fast movement passes with little lag.

    `min_cutoff_hz` is the cut-off at rest, `beta` how much it rises with each unit a second of speed.
    """

    def __init__(self, *, min_cutoff_hz: float, beta: float, speed_cutoff_hz: float = 1.0) -> None:
        self.min_cutoff_hz, self.beta, self.speed_cutoff_hz = min_cutoff_hz, beta, speed_cutoff_hz
        self._t = -math.inf
        self._value: F64 | None = None
        self._speed: F64 | None = None

    def __call__(self, t: float, value: NDArray[np.floating]) -> F64:
        """The smoothed value at time `t` seconds, which must grow from call to call."""
        new = value.astype(np.float64)
        if self._value is None or self._speed is None:
            self._t, self._value, self._speed = t, new, np.zeros_like(new)
            return new
        dt = max(t - self._t, 1e-3)
        speed_share = _share(np.float64(self.speed_cutoff_hz), dt)
        self._speed = self._speed + speed_share * ((new - self._value) / dt - self._speed)
        # One cut-off a joint (the norm over its coordinates): otherwise a fast diagonal movement bends.
        cutoff = self.min_cutoff_hz + self.beta * np.linalg.norm(self._speed, axis=-1, keepdims=True)
        self._value = self._value + _share(cutoff, dt) * (new - self._value)
        self._t = t
        return self._value


def _share(cutoff_hz: F64 | np.float64, dt: float) -> F64:
    """The weight of the new sample in a first-order low-pass of this cut-off, for a step of `dt` seconds."""
    return np.asarray(1 / (1 + 1 / (2 * math.pi * cutoff_hz * dt)))


@dataclass
class _Track:
    id: int
    t: float
    trunk_px: F64
    velocity_px: F64  # pixels a second, of the trunk's middle
    height_px: float
    place: OneEuro = field(default_factory=lambda: OneEuro(min_cutoff_hz=0.8, beta=1.5))
    posture: OneEuro = field(default_factory=lambda: OneEuro(min_cutoff_hz=2.0, beta=4.0))

    def expected_px(self, t: float) -> F64:
        return self.trunk_px + self.velocity_px * (t - self.t)

    def see(self, t: float, person: LiftedPerson) -> F32:
        """Take in the person at time `t`; the smoothed joints (25, 3)."""
        trunk = person.pixels[_TRUNK].astype(np.float64)
        if t > self.t:
            moved = (trunk.mean(axis=0) - self.trunk_px.mean(axis=0)) / (t - self.t)
            self.velocity_px = 0.7 * self.velocity_px + 0.3 * moved
        self.t, self.trunk_px, self.height_px = t, trunk, 0.9 * self.height_px + 0.1 * _height_px(person)
        root = person.joints[_ROOT]
        return (self.place(t, root) + self.posture(t, person.joints - root)).astype(np.float32)


class Tracker:
    """Gives the people of one camera identities and NTU25 joints. Call `push` with every `People`, in order."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`patience_s`: how long somebody may be out of sight and keep the identity. `gate`: how far, in body heights,
        a person may be from where they were expected. `twin`: people nearer than this share one body."""

        patience_s: float = 0.7
        gate: float = 0.6
        twin: float = 0.08

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._tracks: list[_Track] = []
        self._next_id = 1

    def push(self, people: People) -> Tracks:
        """The same people with identities, in the order of `People`, less those found twice."""
        found = self._without_twins(
            [
                lift(*landmarks, people.size)
                for landmarks in zip(people.image, people.world, people.visibility, strict=True)
            ]
        )
        assigned = self._assign(people.t, found)
        ids, joints = [], []
        for person, track in zip(found, assigned, strict=True):
            if track is None:
                trunk = person.pixels[_TRUNK].astype(np.float64)
                track = _Track(self._next_id, people.t, trunk, np.zeros(2), _height_px(person))
                self._next_id += 1
                self._tracks.append(track)
            ids.append(track.id)
            joints.append(track.see(people.t, person))
        ended = [track for track in self._tracks if people.t - track.t > self.config.patience_s]
        self._tracks = [track for track in self._tracks if track not in ended]
        return Tracks(
            camera=people.camera,
            t=people.t,
            captured_at=people.captured_at,
            seq=people.seq,
            size=people.size,
            ids=tuple(ids),
            joints=_stack(joints, (25, 3)),
            pixels=_stack([person.pixels for person in found], (25, 2)),
            confidence=_stack([person.confidence for person in found], (25,)),
            ended=tuple(track.id for track in ended),
        )

    def _without_twins(self, people: list[LiftedPerson]) -> list[LiftedPerson]:
        """MediaPipe sometimes finds one body twice; the surer of two that coincide is kept."""
        kept: list[LiftedPerson] = []
        for person in sorted(people, key=lambda p: -float(p.confidence.mean())):
            distances = [_distance(person.pixels[_TRUNK], k.pixels[_TRUNK], _height_px(k)) for k in kept]
            if all(distance > self.config.twin for distance in distances):
                kept.append(person)
        return [person for person in people if any(person is k for k in kept)]

    def _assign(self, t: float, found: list[LiftedPerson]) -> list[_Track | None]:
        """For each person found the track it continues, or None: the assignment of least total distance.

        A pair beyond the gate is never made, and leaving a person alone costs as much as the gate. With few people,
        most pairs beyond the gate, trying every assignment is quick.
        """
        cost = [[_distance(p.pixels[_TRUNK], k.expected_px(t), k.height_px) for k in self._tracks] for p in found]

        def cheapest(i: int, taken: frozenset[int]) -> tuple[float, tuple[_Track | None, ...]]:
            if i == len(found):
                return 0.0, ()
            rest_cost, rest = cheapest(i + 1, taken)
            best: tuple[float, tuple[_Track | None, ...]] = (rest_cost + self.config.gate, (None, *rest))
            for k, track in enumerate(self._tracks):
                if k not in taken and cost[i][k] < self.config.gate:
                    rest_cost, rest = cheapest(i + 1, taken | {k})
                    best = min(best, (rest_cost + cost[i][k], (track, *rest)), key=lambda option: option[0])
            return best

        return list(cheapest(0, frozenset())[1])


def _height_px(person: LiftedPerson) -> float:
    """About the height of the person in pixels, from the trunk (which is seen when the legs are not)."""
    trunk = person.pixels[_TRUNK]
    torso = float(np.linalg.norm(trunk[1] - trunk[0]))
    shoulders = float(np.linalg.norm(trunk[3] - trunk[2]))
    return max(3.3 * torso, 4.0 * shoulders, 10.0)


def _distance(trunk_px: NDArray[np.floating], other_px: NDArray[np.floating], height_px: float) -> float:
    """Mean distance between two trunks (6, 2), in body heights."""
    return float(np.linalg.norm(trunk_px - other_px, axis=1).mean()) / height_px


def _stack(arrays: list[F32], shape: tuple[int, ...]) -> F32:
    return np.stack(arrays).astype(np.float32) if arrays else np.zeros((0, *shape), np.float32)
