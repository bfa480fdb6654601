"""What the humanoid can do: every behaviour is a posture for every moment since it began, given whom it is for.

Add one here, and a policy can name it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import NTU25
from .posture import Posture, Reach
from .robot import Person

F64 = NDArray[np.float64]
Part = Literal["left", "right", "head", "trunk", "feet"]

EYES_M = 1.48  # how high the humanoid looks from
SHOULDER_M, HALF_WIDTH_M, ARM_M = 1.352, 0.17, 0.62
HEAD, NECK, SPINE_SHOULDER = (NTU25.joints.index(name) for name in ("Head", "Neck", "SpineShoulder"))
_ARMS = {
    side: tuple(NTU25.joints.index(f"{joint}{side.capitalize()}") for joint in ("Shoulder", "Elbow", "Wrist"))
    for side in ("left", "right")
}
_HANDS = {side: NTU25.joints.index(f"Hand{side.capitalize()}") for side in ("left", "right")}
_WITHIN_REACH_M = 0.62
_STEP_M_S = 0.3


@dataclass(frozen=True)
class Behaviour:
    """`parts` of the body that it needs for itself; `lasts_s`: None if it goes on until something else is asked.

    `posture(t, person)` at `t` seconds since it began; the person is as the robot stands now: x ahead of its feet, y to
    its left, z up from the floor.
    """

    parts: frozenset[Part]
    lasts_s: float | None
    posture: Callable[[float, Person | None], Posture]


def _wave(t: float, person: Person | None) -> Posture:
    return Posture(right=Reach(0.3, 0.35 + 0.32 * math.sin(2 * math.pi * 1.7 * t), 0.62))


def _bow(t: float, person: Person | None) -> Posture:
    depth = 0.75 * _there_and_back(t, 2.2)
    return Posture(bend=depth, tilt=0.35 * depth)


def _nod(t: float, person: Person | None) -> Posture:
    return Posture(tilt=0.22 * (1 - math.cos(2 * math.pi * t / 0.6)))


def _look(t: float, person: Person | None) -> Posture:
    at = _face(person)
    if at is None:
        return Posture()
    bearing = math.atan2(at[1], at[0])
    turn = float(np.clip(0.3 * bearing, -0.5, 0.5))
    # What neck and waist cannot do the feet must.
    rate = 0.7 * math.copysign(1, bearing) if abs(bearing) > 1.1 else 0.0
    tilt = math.atan2(EYES_M - at[2], math.hypot(at[0], at[1]))
    return Posture(turn=turn, pan=bearing - turn, tilt=float(np.clip(tilt, -0.5, 0.6)), turn_rad_s=rate)


def _attend(t: float, person: Person | None) -> Posture:
    return replace(_look(t, person), bend=0.14)


def _mirror(t: float, person: Person | None) -> Posture:
    if person is None or (facing := _facing(person)) is None:
        return Posture()
    # As in a mirror: whoever stands opposite and lifts the right arm sees the left one lifted.
    left, right = _copied(person, "right", facing), _copied(person, "left", facing)
    return Posture(
        left=left and left[1], left_elbow=left and left[0], right=right and right[1], right_elbow=right and right[0]
    )


def _point(t: float, person: Person | None) -> Posture:
    chest = None if person is None else person.joint(SPINE_SHOULDER)
    return Posture(right=Reach(0.95, 0.0, 0.0) if chest is None else _towards(chest, 0.95))


def _step_back(t: float, person: Person | None) -> Posture:
    at = _face(person)
    away = -np.array([1.0, 0.0]) if at is None else -at[:2] / max(float(np.linalg.norm(at[:2])), 1e-6)
    palms = Reach(0.45, 0.15, -0.1)
    return Posture(left=palms, right=palms, ahead_m_s=_STEP_M_S * away[0], aside_m_s=_STEP_M_S * away[1])


def _offer(t: float, person: Person | None) -> Posture:
    return Posture(right=Reach(0.72, 0.0, -0.3), bend=0.12)


def _take(t: float, person: Person | None) -> Posture:
    hand = _nearest_hand(person)
    out = Reach(0.75, 0.0, -0.2) if hand is None else _towards(hand, 0.95)
    home = Reach(0.3, -0.15, -0.35)
    share = _ease((t - 1.3) / 0.7)  # out to what is held out, then back to the chest with it
    return Posture(right=Reach(*(share * b + (1 - share) * a for a, b in zip(out, home, strict=True))))


def _clap(t: float, person: Person | None) -> Posture:
    apart = 0.13 + 0.11 * math.cos(2 * math.pi * 1.8 * t)
    hand = Reach(0.6, apart - HALF_WIDTH_M / ARM_M, -0.12)
    return Posture(left=hand, right=hand)


def _stop(t: float, person: Person | None) -> Posture:
    return Posture(right=Reach(0.68, 0.05, 0.38))


def _call(t: float, person: Person | None) -> Posture:
    high = Reach(0.15, 0.3 + 0.25 * math.sin(2 * math.pi * 1.2 * t), 0.8)
    return Posture(right=Reach(0.3, -0.1, 0.32), left=high)


def _shrug(t: float, person: Person | None) -> Posture:
    much = _there_and_back(t, 1.6)
    hand = Reach(0.25 + 0.2 * much, 0.2 + 0.35 * much, -0.85 + 0.45 * much)
    return Posture(left=hand, right=hand, lean=0.12 * much)


def _parts(*parts: Part) -> frozenset[Part]:
    return frozenset(parts)


BEHAVIOURS: dict[str, Behaviour] = {
    "wave": Behaviour(_parts("right"), 2.6, _wave),
    "bow": Behaviour(_parts("trunk"), 2.2, _bow),
    "nod": Behaviour(_parts(), 1.2, _nod),
    "look": Behaviour(_parts("head"), None, _look),
    "attend": Behaviour(_parts("head", "trunk"), None, _attend),
    "mirror": Behaviour(_parts("left", "right"), None, _mirror),
    "point": Behaviour(_parts("right"), 2.0, _point),
    "step_back": Behaviour(_parts("left", "right", "feet"), 1.4, _step_back),
    "offer": Behaviour(_parts("right"), None, _offer),
    "take": Behaviour(_parts("right"), 2.4, _take),
    "clap": Behaviour(_parts("left", "right"), 2.2, _clap),
    "stop": Behaviour(_parts("right", "feet"), None, _stop),
    "call": Behaviour(_parts("left", "right"), None, _call),
    "shrug": Behaviour(_parts("left", "right"), 1.6, _shrug),
}


def _ease(share: float) -> float:
    """From 0 to 1 without a jerk."""
    x = min(max(share, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def _there_and_back(t: float, lasts_s: float) -> float:
    return _ease(t / (0.35 * lasts_s)) * _ease((lasts_s - t) / (0.35 * lasts_s))


def _face(person: Person | None) -> F64 | None:
    """Where somebody's head is, or what is nearest to it of what is seen."""
    for joint in (HEAD, NECK, SPINE_SHOULDER) if person is not None else ():
        assert person is not None
        if (at := person.joint(joint)) is not None:
            return at
    return None


def _nearest_hand(person: Person | None) -> F64 | None:
    """The hand that is held out: within reach of the right shoulder, and the nearer one."""
    hands = [] if person is None else [at for hand in _HANDS.values() if (at := person.joint(hand)) is not None]
    away = [float(np.linalg.norm(hand - (0, -HALF_WIDTH_M, SHOULDER_M))) for hand in hands]
    return hands[int(np.argmin(away))] if away and min(away) < 1.5 * _WITHIN_REACH_M else None


def _towards(place: F64, most: float) -> Reach:
    """The right hand as far as this place, or stretched towards it."""
    ahead, left, up = (place - (0, -HALF_WIDTH_M, SHOULDER_M)) / ARM_M
    far = max(math.sqrt(ahead**2 + left**2 + up**2), 1e-6)
    share = min(most / far, 1.0)
    return Reach(max(share * ahead, 0.1), -share * left, share * up)


def _facing(person: Person) -> F64 | None:
    """The axes of somebody's chest as rows (3, 3): ahead of them, to their left, up. None if no shoulders are seen."""
    left, right = person.joint(_ARMS["left"][0]), person.joint(_ARMS["right"][0])
    if left is None or right is None:
        return None
    aside = np.array([*(left - right)[:2], 0.0])
    width = float(np.linalg.norm(aside))
    if width < 0.05:  # seen from the side: which way they face is anybody's guess
        return None
    aside /= width
    up = np.array([0.0, 0.0, 1.0])
    return np.stack([np.cross(aside, up), aside, up])


def _copied(person: Person, side: str, facing: F64) -> tuple[Reach, Reach] | None:
    """One arm of somebody's as reaches of elbow and hand, in lengths of their own arm."""
    shoulder, elbow, wrist = (person.joint(joint) for joint in _ARMS[side])
    if shoulder is None or elbow is None or wrist is None:
        return None
    length = float(np.linalg.norm(elbow - shoulder) + np.linalg.norm(wrist - elbow))
    outward = 1 if side == "left" else -1
    elbow_at, hand_at = (facing @ (place - shoulder) / max(length, 0.2) for place in (elbow, wrist))
    return (
        Reach(elbow_at[0], outward * elbow_at[1], elbow_at[2]),
        Reach(hand_at[0], outward * hand_at[1], hand_at[2]),
    )
