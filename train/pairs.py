"""Two people who do something to one another, as two streams: each of them once in slot 0, the other in slot 1.

A clip of SBU says what happens between its two people, not who does it. What both do (shaking hands, hugging, handing
over) is the label of both. Of a kick, a push or a punch it is the one whose foot or hand reaches farthest and goes
fastest towards the other; of approaching and departing the one who walks. What the other one does then has no name:
those frames teach and count nothing. (By speed alone whoever is pushed and throws up their arms is taken for the one
who pushes: of SBU's 119 such clips the two rules tell 20 apart, looked at one by one.)

Shapes: T frame, M person, V joint.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import NTU25

_LIMBS: dict[str, list[int]] = {
    "kick": [NTU25.index("AnkleLeft"), NTU25.index("AnkleRight")],
    "push": [NTU25.index("WristLeft"), NTU25.index("WristRight")],
    "punch": [NTU25.index("WristLeft"), NTU25.index("WristRight")],
}
_APART_M = 0.2  # between two people's hips; nearer, neither stands in any direction of the other
_BASE, _SHOULDERS = NTU25.index("SpineBase"), NTU25.index("SpineShoulder")


def turned(joints_TMVC: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same two people (T, 2, 25, 3) with the slots exchanged."""
    return np.ascontiguousarray(joints_TMVC[:, ::-1])


def acts(joints_TMVC: NDArray[np.float32], action: str) -> tuple[bool, bool]:
    """Who of the two people of a clip (T, 2, 25, 3) does what is called `action` (a word of the vocabulary)."""
    if action == "walk":
        way = [np.linalg.norm(np.ptp(joints_TMVC[:, slot, _BASE], axis=0)) for slot in (0, 1)]
        return bool(way[0] >= way[1]), bool(way[1] > way[0])
    if action not in _LIMBS:
        return True, True
    limbs = _LIMBS[action]
    does = [_reach(joints_TMVC, slot, limbs) + _towards(joints_TMVC, slot, limbs) for slot in (0, 1)]
    return bool(does[0] >= does[1]), bool(does[1] > does[0])


def _reach(joints_TMVC: NDArray[np.float32], slot: int, limbs: list[int]) -> float:
    """How far before the own hips, along the floor towards the other, a limb gets for three frames, in metres."""
    base_TC = joints_TMVC[:, slot, _BASE]
    way_TC = (joints_TMVC[:, 1 - slot, _BASE] - base_TC) * np.array([1, 0, 1], np.float32)
    apart_T = np.linalg.norm(way_TC, axis=-1)
    limb_TLC = joints_TMVC[:, slot][:, limbs]
    before_TL = np.einsum("tlc,tc->tl", limb_TLC - base_TC[:, None], way_TC) / np.maximum(apart_T, 1e-6)[:, None]
    known_TL = (limb_TLC != 0).any(axis=-1) & (apart_T > _APART_M)[:, None]
    before_TL = np.where(known_TL, before_TL, 0.0)
    return float(np.sort(before_TL, axis=0)[-3:].min(axis=0).max())  # three frames: single ones jump


def _towards(joints_TMVC: NDArray[np.float32], slot: int, limbs: list[int]) -> float:
    """The greatest approach of a limb to the other's chest in one frame, less that of the own body, in metres."""
    chest_TC = joints_TMVC[:, 1 - slot, _SHOULDERS]
    own_T = np.linalg.norm(joints_TMVC[:, slot, _SHOULDERS] - chest_TC, axis=-1)
    limb_TL = np.linalg.norm(joints_TMVC[:, slot][:, limbs] - chest_TC[:, None], axis=-1)
    nearer = (own_T[:, None] - limb_TL)[3:] - (own_T[:, None] - limb_TL)[:-3]  # over 0.1 s: single frames jump
    return float(nearer.max(initial=0.0))
