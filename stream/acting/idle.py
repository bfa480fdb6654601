"""Background: what people do between actions, and a detector must not mistake for one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .cue import Cue, other_side
from .gait import roll_hips, stepped
from .motion import Gait, Phrase, Track, Way, arm
from .place import facing_camera


@dataclass(frozen=True)
class Idle:
    """The small sway of somebody alive: slow sines that never stop, each (amplitude, radians a second, phase)."""

    waves: tuple[tuple[str, int, float, float, float], ...]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Idle:
        def wave(
            part: str, index: int, amplitude: float, low_s: float, high_s: float
        ) -> tuple[str, int, float, float, float]:
            omega = 2 * math.pi / float(rng.uniform(low_s, high_s))
            return part, index, amplitude * float(rng.uniform(0.5, 1.0)), omega, float(rng.uniform(0, 2 * math.pi))

        return cls(
            (
                wave("pelvis", 0, 0.007, 5.0, 9.0),
                wave("pelvis", 2, 0.004, 4.0, 7.0),
                wave("trunk", 0, 0.015, 3.0, 5.0),  # breathing
                wave("trunk", 3, 0.03, 6.0, 11.0),
                wave("head", 0, 0.05, 4.0, 8.0),
                wave("head", 1, 0.12, 5.0, 10.0),
            )
        )

    def sway(self, controls: dict[str, list[float]], t: float) -> None:
        for part, index, amplitude, omega, phase in self.waves:
            controls[part][index] += amplitude * math.sin(omega * t + phase)


def interlude(cue: Cue, duration_s: float) -> Phrase:
    """A stretch of background of exactly this duration: nothing, a look about, a shift of weight, a fidget, a step."""
    standing = not cue.stage.sitting
    fidgets = [_scratch_head, _look_about]
    if standing:
        fidgets += [_cross_arms, _hands_on_hips, _shift_weight]
        if duration_s >= 1.7 and cue.chance(0.35):
            return _side_step(cue, duration_s)
    if duration_s >= 1.5 and cue.chance(0.75):
        fidgets[int(cue.rng.integers(len(fidgets)))](cue, duration_s)
    elif duration_s >= 0.8 and cue.chance(0.6):
        (_shift_weight if standing and cue.chance(0.5) else _look_about)(cue, duration_s)
    return cue.phrase(duration_s)


def _scratch_head(cue: Cue, duration_s: float) -> None:
    side = cue.side
    cue.arm(0.18 * duration_s, side, arm(0.35, -0.3, 0.5, 0.65, swivel=0.8))
    for i, share in enumerate((0.38, 0.46, 0.54, 0.62)):
        up = 0.42 + 0.03 * (i % 2)
        cue.arm(share * duration_s, side, cue.mid(0.24, up, 0.2, swivel=1.2, roll=0.4, flex=0.5))
        cue.key(share * duration_s, head=(0.15, 0.0, 0.1 if side == "r" else -0.1))
    cue.arm(0.82 * duration_s, side, arm(0.35, -0.35, 0.5, 0.68, swivel=0.8))


def _look_about(cue: Cue, duration_s: float) -> None:
    turn = cue.u(0.4, 0.9) * cue.sign()
    cue.key(0.35 * duration_s, head=(cue.u(-0.15, 0.25), turn, 0.0), trunk=(0.03, 0.0, 0.0, 0.15 * turn))
    cue.key(0.65 * duration_s, head=(cue.u(-0.15, 0.25), turn * cue.u(-0.9, 0.9), 0.0))


def _shift_weight(cue: Cue, duration_s: float) -> None:
    right = cue.u(0.015, 0.035) * cue.sign()
    for share in (0.38, 0.6):
        cue.key(share * duration_s, pelvis=(right, -0.004, 0.0), trunk=(0.03, 0.0, -2.2 * right, 0.0))


def _cross_arms(cue: Cue, duration_s: float) -> None:
    for share in (0.4, 0.6):
        cue.arm(share * duration_s, cue.side, cue.mid(-0.26, -0.34, 0.36, swivel=0.4, roll=0.8))
        cue.arm(share * duration_s, other_side(cue.side), cue.mid(-0.2, -0.42, 0.28, swivel=0.4, roll=0.8))
    for share in (0.2, 0.8):
        cue.arms(share * duration_s, arm(0.1, -0.6, 0.42, 0.72, swivel=0.5, roll=0.6))


def _hands_on_hips(cue: Cue, duration_s: float) -> None:
    for share in (0.38, 0.62):
        cue.arms(share * duration_s, arm(0.02, -0.66, 0.06, swivel=1.35, roll=0.6, flex=0.4))


def _side_step(cue: Cue, duration_s: float) -> Phrase:
    """Two small steps to a place near by, and a new facing: how somebody drifts through a room without sliding."""
    root = cue.stage.root
    x, z = root.offset(cue.u(-0.14, 0.14), cue.u(-0.14, 0.14))
    x, z = cue.body.room.inside(x, z)
    goal = facing_camera(x, z, cue.rng)
    yaw = root.yaw + math.remainder(goal.yaw - root.yaw, 2 * math.pi)
    arrives = 1.1
    way = Way(Track([(0.0, (root.x, root.z)), (arrives, (x, z))]), Track([(0.0, (root.yaw,)), (arrives, (yaw,))]))
    gait = stepped(cue, way, arrives, period_s=0.46, swing=0.8, height=0.022, heel=0.2)
    gait = Gait(way=way, goal=gait.goal, strides=gait.strides, duration_s=duration_s)
    roll_hips(cue, gait, lean=0.03)
    return cue.stepping(gait)
