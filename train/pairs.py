"""Two people who do something to one another, as two streams: each of them once in slot 0, the other in slot 1.

A clip of SBU says what happens between its two people, not who does it. What both do (shaking hands, hugging, handing
over) is the label of both. Of a kick, a push or a punch it is the one whose foot or hand goes fastest towards the
other; of approaching and departing the one who walks. What the other one does then has no name: those frames teach and
count nothing.

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
    speed = [_towards(joints_TMVC, slot, _LIMBS[action]) for slot in (0, 1)]
    return bool(speed[0] >= speed[1]), bool(speed[1] > speed[0])


def _towards(joints_TMVC: NDArray[np.float32], slot: int, limbs: list[int]) -> float:
    """The greatest approach of a limb to the other's chest in one frame, less that of the own body, in metres."""
    chest_TC = joints_TMVC[:, 1 - slot, _SHOULDERS]
    own_T = np.linalg.norm(joints_TMVC[:, slot, _SHOULDERS] - chest_TC, axis=-1)
    limb_TL = np.linalg.norm(joints_TMVC[:, slot][:, limbs] - chest_TC[:, None], axis=-1)
    nearer = (own_T[:, None] - limb_TL)[3:] - (own_T[:, None] - limb_TL)[:-3]  # over 0.1 s: single frames jump
    return float(nearer.max(initial=0.0))
