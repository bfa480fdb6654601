"""A posture: what a behaviour wants of the body at a moment, in a person's words and not in joint angles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

SIDES = ("left", "right")


class Reach(NamedTuple):
    """Where a hand is, from its own shoulder, in lengths of the arm: ahead, out to its own side, up."""

    ahead: float
    out: float
    up: float


@dataclass(frozen=True, kw_only=True)
class Posture:
    """Angles in radians; what is not said is at rest.

    `turn` to the left, `bend` forward and `lean` to the left are the trunk's; `pan` to the left and `tilt` down the
    head's. `ahead_m_s`, `aside_m_s` (left) and `turn_rad_s` (left) are how fast it steps about.
    """

    left: Reach | None = None
    right: Reach | None = None
    left_elbow: Reach | None = None
    right_elbow: Reach | None = None
    turn: float = 0.0
    bend: float = 0.0
    lean: float = 0.0
    pan: float = 0.0
    tilt: float = 0.0
    ahead_m_s: float = 0.0
    aside_m_s: float = 0.0
    turn_rad_s: float = 0.0


REST = Posture(left=Reach(0.1, 0.2, -0.93), right=Reach(0.1, 0.2, -0.93))


def together(postures: Iterable[Posture]) -> Posture:
    """Several at once: an arm belongs to whoever wants it first, turns and steps add up, and the rest is at rest."""
    whole = Posture()
    for posture in postures:
        whole = Posture(
            left=whole.left or posture.left, right=whole.right or posture.right,
            left_elbow=whole.left_elbow or posture.left_elbow, right_elbow=whole.right_elbow or posture.right_elbow,
            turn=whole.turn + posture.turn, bend=whole.bend + posture.bend, lean=whole.lean + posture.lean,
            pan=whole.pan + posture.pan, tilt=whole.tilt + posture.tilt,
            ahead_m_s=whole.ahead_m_s + posture.ahead_m_s, aside_m_s=whole.aside_m_s + posture.aside_m_s,
            turn_rad_s=whole.turn_rad_s + posture.turn_rad_s,
        )  # fmt: skip
    return replace(whole, left=whole.left or REST.left, right=whole.right or REST.right)
