"""The simulated robot: MuJoCo's humanoid in real time, in a thread of its own, performing `behaviours.py`.

Fifty times a second postures become joint angles (the arms by inverse kinematics), and these are followed as a heavy
arm follows a will: smoothly, never faster than a joint may turn.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .behaviours import BEHAVIOURS, Part
from .humanoid import BONES, STEP_S, Humanoid
from .posture import REST, SIDES, Posture, Reach, together
from .robot import Command, Person, Reading

F64 = NDArray[np.float64]

_ROUND_S = 0.02
_BRISK, _CALM = 14.0, 4.0  # how fast angles follow (1/s): for somebody, and to the safe pose
_MOST_RAD_S, _MOST_M_S2 = 6.0, 1.5
_REACH_M = 1.0  # how far from where it started it steps
_HOME_AFTER_S, _HOME_M_S = 3.0, 0.15
_STRIDE_M, _SWING, _LIFT = 0.35, 0.45, 0.8  # of a step: length, and how far hip and knee swing at a brisk pace
_BRISK_M_S = 0.3
_MOVED_RAD, _MOVED_M = 0.02, 0.005
_LATE_S = 0.25  # a machine that was asleep does not catch up on it all at once
_OF_PART: dict[Part, str] = {"left": "left_", "right": "right_", "head": "neck", "trunk": "abdomen"}
_ARM_HINGES = ("shoulder1", "shoulder2", "elbow")


class SimulatedRobot:
    """A `Robot` without a robot."""

    name = "mujoco"

    def __init__(self) -> None:
        self._body = Humanoid()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="robot", daemon=True)
        self._command, self._began = Command(), time.monotonic()
        self._safe = True
        self._at, self._speed = np.zeros(3), np.zeros(3)  # of the stand: x, y, yaw
        self._phase, self._idle_s = 0.0, 0.0
        joints = self._body.joints
        self._angles, self._rates = np.zeros(len(joints)), np.zeros(len(joints))
        self._arms = {side: np.zeros(3) for side in SIDES}
        self._reference: tuple[F64, F64] | None = None
        self._reading = Reading("safe", 0, False, 0.0, self._body.points().astype(np.float32), BONES)
        self._settle()

    def connect(self) -> None:
        self._thread.start()

    def perform(self, command: Command) -> None:
        for name in command.behaviours:
            if name not in BEHAVIOURS:
                raise ValueError(f"the robot {self.name} cannot {name!r}; it can {', '.join(BEHAVIOURS)}")
        with self._lock:
            self._safe = False
            if command.number != self._command.number:
                self._began = time.monotonic()
                self._reference = (self._body.angles, self._at.copy())
                self._reading = replace(self._reading, number=command.number, moved_at=0.0)
            self._command = command
            busy = bool(self._doing(time.monotonic() - self._began))
            self._reading = replace(self._reading, state="acting" if busy else "ready", busy=busy)

    def stop(self) -> None:
        with self._lock:
            self._safe = True
            self._reading = replace(self._reading, state="safe", busy=False)

    def state(self) -> Reading:
        with self._lock:
            return self._reading

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _settle(self) -> None:
        """Begin at rest, not with arms that are held out."""
        self._angles[:] = self._aims(REST)
        for _ in range(int(1.5 / STEP_S)):
            self._body.drive(dict(zip(self._body.joints, self._angles.tolist(), strict=True)))
            self._body.step()

    def _live(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            with self._lock:
                self._round()
            due = max(due + _ROUND_S, time.monotonic() - _LATE_S)
            self._ended.wait(max(due - time.monotonic(), 0))

    def _round(self) -> None:
        t = time.monotonic() - self._began
        doing = () if self._safe else self._doing(t)
        person = None if self._command.person is None else self._as_it_stands(self._command.person)
        wanted = together(BEHAVIOURS[name].posture(t, person) for name in doing)
        self._idle_s = 0.0 if doing or self._safe else self._idle_s + _ROUND_S
        self._walk(wanted)
        self._follow(self._aims(wanted), _CALM if self._safe else _BRISK)
        for _ in range(round(_ROUND_S / STEP_S)):
            self._body.step()
        self._note(doing)

    def _doing(self, t: float) -> tuple[str, ...]:
        return tuple(
            name for name in self._command.behaviours if (lasts_s := BEHAVIOURS[name].lasts_s) is None or t < lasts_s
        )

    def _as_it_stands(self, person: Person) -> Person:
        """The person from where the robot is now."""
        x, y, yaw = self._at
        turn = np.array([[math.cos(yaw), math.sin(yaw), 0], [-math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
        return replace(person, joints=(person.joints - (x, y, 0)) @ turn.T)

    def _walk(self, wanted: Posture) -> None:
        """Roll the stand about, by no more than it can, and back home when nothing is asked."""
        yaw = self._at[2]
        ahead, aside = np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])
        goal = np.array([*(wanted.ahead_m_s * ahead + wanted.aside_m_s * aside), wanted.turn_rad_s])
        if self._idle_s > _HOME_AFTER_S:
            most = np.array([_HOME_M_S, _HOME_M_S, 3 * _HOME_M_S])
            goal = np.clip(-1.5 * self._at, -most, most)
        self._speed += np.clip(goal - self._speed, -_MOST_M_S2 * _ROUND_S, _MOST_M_S2 * _ROUND_S)
        before = self._at.copy()
        self._at += self._speed * _ROUND_S
        far = float(np.linalg.norm(self._at[:2]))
        self._at[:2] *= min(1.0, _REACH_M / max(far, 1e-9))
        self._speed[:2] = (self._at[:2] - before[:2]) / _ROUND_S
        went = float(np.linalg.norm(self._at[:2] - before[:2])) + 0.2 * abs(float(self._at[2] - before[2]))
        self._phase += 2 * math.pi * went / _STRIDE_M
        self._body.place(*self._at.tolist())

    def _aims(self, wanted: Posture) -> F64:
        """The angle that each joint should have for this posture, as far as it can."""
        aims = dict.fromkeys(self._body.joints, 0.0)
        aims |= {"abdomen_z": -wanted.turn, "abdomen_y": -wanted.bend, "abdomen_x": wanted.lean}
        aims |= {"neck_pan": wanted.pan, "neck_tilt": wanted.tilt}
        for side, outward in (("left", 1), ("right", -1)):
            arm = self._body.arms[side]
            hand, elbow = getattr(wanted, side) or getattr(REST, side), getattr(wanted, f"{side}_elbow")
            place = arm.length * _vector(hand, outward)
            self._arms[side] = arm.reach(
                place, self._arms[side], None if elbow is None else arm.length * _vector(elbow, outward)
            )
            aims |= {f"{side}_{hinge}": angle for hinge, angle in zip(_ARM_HINGES, self._arms[side], strict=True)}
        pace = min(float(np.linalg.norm(self._speed[:2]) + 0.2 * abs(self._speed[2])) / _BRISK_M_S, 1.0)
        for side, phase in (("left", self._phase), ("right", self._phase + math.pi)):
            aims[f"{side}_hip_y"] = -_SWING * pace * max(math.sin(phase), 0.0)
            aims[f"{side}_knee"] = -_LIFT * pace * max(math.sin(phase), 0.0)
        return np.array([np.clip(aims[name], *self._body.limits[name]) for name in self._body.joints])

    def _follow(self, aims: F64, stiffness: float) -> None:
        """Critically damped, and within what a joint can do."""
        pull = stiffness**2 * (aims - self._angles) - 2 * stiffness * self._rates
        self._rates = np.clip(self._rates + _ROUND_S * pull, -_MOST_RAD_S, _MOST_RAD_S)
        self._angles = self._angles + _ROUND_S * self._rates
        self._body.drive(dict(zip(self._body.joints, self._angles.tolist(), strict=True)))

    def _note(self, doing: tuple[str, ...]) -> None:
        state: Literal["safe", "acting", "ready"] = "safe" if self._safe else "acting" if doing else "ready"
        moved_at = self._reading.moved_at
        if not moved_at and doing and self._reference is not None and self._has_moved(self._reference):
            moved_at = time.time()
        self._reading = Reading(
            state=state, number=self._command.number, busy=bool(doing), moved_at=moved_at,
            points=self._body.points().astype(np.float32), bones=BONES,
        )  # fmt: skip

    def _has_moved(self, reference: tuple[F64, F64]) -> bool:
        """Whether a part that the behaviours need has left where it was when they were asked for."""
        parts = set().union(*(BEHAVIOURS[name].parts for name in self._command.behaviours))
        angles, at = reference
        moved = np.abs(self._body.angles - angles) > _MOVED_RAD
        if "feet" in parts and float(np.linalg.norm(self._at[:2] - at[:2])) > _MOVED_M:
            return True
        names = tuple(prefix for part, prefix in _OF_PART.items() if part in parts) or ("neck",)
        return any(
            moved[i] for i, name in enumerate(self._body.joints)
            if name.startswith(names) and not name.endswith(("hip_x", "hip_y", "hip_z", "knee"))
        )  # fmt: skip


def _vector(reach: Reach, outward: int) -> F64:
    """x ahead, y to the left, z up."""
    return np.array([reach.ahead, outward * reach.out, reach.up])
