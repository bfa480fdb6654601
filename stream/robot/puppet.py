"""The humanoid on strings: postures become joint angles, and these are followed as a heavy arm follows a will.

The arms by inverse kinematics; everything smoothly, within a joint's limits and never faster than a joint may turn.
Deterministic: time goes by in rounds, and only when it is told to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .behaviours import BEHAVIOURS, Part
from .humanoid import STEP_S, Humanoid
from .posture import REST, SIDES, Posture, Reach, together
from .robot import Person

F64 = NDArray[np.float64]

ROUND_S = 0.02
_BRISK, _CALM = 14.0, 3.0  # how fast angles follow (1/s): for somebody, and to the safe pose
_MOST_RAD_S, _MOST_M_S2 = 6.0, 1.5
REACH_M = 1.0  # how far from where it started it steps
_HOME_AFTER_S, _HOME_M_S = 3.0, 0.15
_STRIDE_M, _SWING, _LIFT = 0.35, 0.45, 0.8  # of a step: length, and how far hip and knee swing at a brisk pace
_BRISK_M_S, _BROAD_M = 0.3, 0.2
_MOVED_RAD, _MOVED_M = 0.02, 0.005
_SETTLES_S = 1.5
_HINGES = ("shoulder1", "shoulder2", "elbow")
_JOINTS_OF: dict[Part, tuple[str, ...]] = {
    "left": tuple(f"left_{hinge}" for hinge in _HINGES), "right": tuple(f"right_{hinge}" for hinge in _HINGES),
    "head": ("neck_pan", "neck_tilt"), "trunk": ("abdomen_x", "abdomen_y", "abdomen_z"), "feet": (),
}  # fmt: skip


class Puppet:
    """The body, where it stands, and where its joints are on their way to."""

    def __init__(self) -> None:
        self.body = Humanoid()
        self.at = np.zeros(3)  # where it stands: x, y, yaw
        self._speed = np.zeros(3)
        self._phase = self._idle_s = 0.0
        self._angles, self._rates = np.zeros(len(self.body.joints)), np.zeros(len(self.body.joints))
        self._arms = {side: np.zeros(3) for side in SIDES}
        self._angles[:] = self._aims(REST)
        for _ in range(int(_SETTLES_S / STEP_S)):  # at rest from the beginning, not with arms held out
            self._pull()
            self.body.step()

    def round(self, behaviours: Sequence[str], t: float, person: Person | None, *, safe: bool = False) -> None:
        """`ROUND_S` go by, `t` seconds after these behaviours began, for this person. `safe`: slowly to rest."""
        seen = None if person is None else self._from_here(person)
        wanted = together(() if safe else (BEHAVIOURS[name].posture(t, seen) for name in behaviours))
        self._idle_s = 0.0 if behaviours or safe else self._idle_s + ROUND_S
        self._walk(wanted)
        pull = (stiffness := _CALM if safe else _BRISK) ** 2 * (self._aims(wanted) - self._angles)
        self._rates = np.clip(
            self._rates + ROUND_S * (pull - 2 * stiffness * self._rates), -_MOST_RAD_S, _MOST_RAD_S
        )  # critically damped
        self._angles = self._angles + ROUND_S * self._rates
        self._pull()
        for _ in range(round(ROUND_S / STEP_S)):
            self.body.step()

    def stands(self) -> tuple[F64, F64]:
        """Its joints' angles and where it is, to be compared with later by `has_moved`."""
        return self.body.angles, self.at.copy()

    def has_moved(self, since: tuple[F64, F64], behaviours: Iterable[str]) -> bool:
        """Whether a part that these behaviours move has left where it was; those that need none nod."""
        parts = set().union(*(BEHAVIOURS[name].parts for name in behaviours)) or {"head"}
        angles, at = since
        joints = {joint for part in parts for joint in _JOINTS_OF[part]}
        turned = np.abs(self.body.angles - angles) > _MOVED_RAD
        stepped = "feet" in parts and float(np.linalg.norm(self.at[:2] - at[:2])) > _MOVED_M
        return stepped or any(turned[i] for i, joint in enumerate(self.body.joints) if joint in joints)

    def _from_here(self, person: Person) -> Person:
        """The person as they are from where the robot stands now."""
        x, y, yaw = self.at
        turn = np.array([[math.cos(yaw), math.sin(yaw), 0], [-math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
        return replace(person, joints=(person.joints - (x, y, 0)) @ turn.T)

    def _walk(self, wanted: Posture) -> None:
        """Step about, by no more than it can, and back home when nothing has been asked for a while."""
        cos, sin = math.cos(self.at[2]), math.sin(self.at[2])
        goal = np.array([
            wanted.ahead_m_s * cos - wanted.aside_m_s * sin, wanted.ahead_m_s * sin + wanted.aside_m_s * cos,
            wanted.turn_rad_s,
        ])  # fmt: skip
        if self._idle_s > _HOME_AFTER_S:
            most = _HOME_M_S * np.array([1, 1, 3])
            goal = np.clip(-1.5 * self.at, -most, most)
        self._speed += np.clip(goal - self._speed, -_MOST_M_S2 * ROUND_S, _MOST_M_S2 * ROUND_S)
        before = self.at.copy()
        self.at += self._speed * ROUND_S
        self.at[:2] *= min(1.0, REACH_M / max(float(np.linalg.norm(self.at[:2])), 1e-9))
        self._speed[:2] = (self.at[:2] - before[:2]) / ROUND_S
        self._phase += 2 * math.pi * ROUND_S * self._pace() / _STRIDE_M
        x, y, yaw = self.at.tolist()
        self.body.place(x, y, yaw)

    def _pace(self) -> float:
        """How fast its feet must go, in m/s: turning on the spot takes steps too."""
        return float(np.linalg.norm(self._speed[:2])) + _BROAD_M * abs(float(self._speed[2]))

    def _aims(self, wanted: Posture) -> F64:
        """The angle that each joint should have for this posture, as far as it can (J,)."""
        aims = dict.fromkeys(self.body.joints, 0.0)
        aims |= {"abdomen_z": -wanted.turn, "abdomen_y": -wanted.bend, "abdomen_x": wanted.lean}
        aims |= {"neck_pan": wanted.pan, "neck_tilt": wanted.tilt}
        for side, hand, elbow in (
            ("left", wanted.left or REST.left, wanted.left_elbow),
            ("right", wanted.right or REST.right, wanted.right_elbow),
        ):
            assert hand is not None
            aims |= zip((f"{side}_{hinge}" for hinge in _HINGES), self._reached(side, hand, elbow), strict=True)
        pace = min(self._pace() / _BRISK_M_S, 1.0)
        for side, phase in (("left", self._phase), ("right", self._phase + math.pi)):
            lifted = pace * max(math.sin(phase), 0.0)
            aims |= {f"{side}_hip_y": -_SWING * lifted, f"{side}_knee": -_LIFT * lifted}
        return np.array([np.clip(aims[joint], *self.body.limits[joint]) for joint in self.body.joints])

    def _reached(self, side: str, hand: Reach, elbow: Reach | None) -> list[float]:
        arm, outward = self.body.arms[side], 1 if side == "left" else -1
        elbow_at = None if elbow is None else _place(elbow, outward, arm.length)
        self._arms[side] = arm.reach(_place(hand, outward, arm.length), self._arms[side], elbow_at)
        return self._arms[side].tolist()

    def _pull(self) -> None:
        self.body.drive(dict(zip(self.body.joints, self._angles.tolist(), strict=True)))


def _place(reach: Reach, outward: int, length: float) -> F64:
    """Metres from the shoulder: x ahead, y to the left, z up."""
    return length * np.array([reach.ahead, outward * reach.out, reach.up])
