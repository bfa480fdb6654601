"""The vocabulary of the shipped detector, and what each data set's own classes mean in it.

Twenty-three answers: nineteen actions that a robot should react to, three that two people do together, and the
background. A native class maps to one of them; to `background` when it is a movement outside the vocabulary that a
detector has to stay quiet about; to `None` when it is ambiguous (a golf swing is no throw, but not quite nothing
either): those frames teach and count nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CLASSES: tuple[str, ...] = (
    "background", "wave", "clap", "raise_hand", "point", "beckon", "stop", "bow", "punch", "kick", "throw", "push",
    "pull", "pick_up", "carry", "sit_down", "stand_up", "walk", "run", "jump", "shake_hands", "hug", "hand_over",
)  # fmt: skip
IGNORE = -1

_BACKGROUND = "background"
_KINDER_GATOR: dict[str, str | None] = {
    "Bow": "bow",
    "Wave-your-hand": "wave",
    "Wave-your-other-hand": "wave",
    "Raise-your-hand": "raise_hand",
    "Raise-your-other-hand": "raise_hand",
    "Point-at-the-camera": "point",
    "Signal-someone-to-come-here": "beckon",
    "Signal-someone-to-stop": "stop",
    "Punch": "punch",
    "Kick-a-ball": "kick",
    "Kick-a-ball-as-far-as-you-can": "kick",
    "Kick-a-ball-as-far-as-you-can-with-the-other-leg": "kick",
    "Kick-a-ball-with-the-other-leg": "kick",
    "Throw-a-ball": "throw",
    "Throw-a-ball-as-far-as-you-can": "throw",
    "Throw-a-ball-as-far-as-you-can-with-the-other-arm": "throw",
    "Throw-a-ball-with-your-other-arm": "throw",
    "Walk-in-place": "walk",
    "Walk-in-place-as-fast-as-you-can": None,  # between walk and run
    "Run-in-place": "run",
    "Run-in-place-as-fast-as-you-can": "run",
    "Jump": "jump",
    "Jump-as-high-as-you-can": "jump",
    "Do-two-jumping-jacks": "jump",
    "Push-an-imaginary-button-in-front-of-you": None,
    "Raise-your-arm-to-one-side": None,
    "Raise-your-arm-to-the-other-side": None,
    "Touch-your-toes": None,  # bow and pick_up both look like it
    "Do-a-forward-lunge": None,
    "Swim": None,
    "Climb-and-imaginary-ladder": None,
}
_UTKINECT: dict[str, str | None] = {
    "background": _BACKGROUND, "walk": "walk", "sitDown": "sit_down", "standUp": "stand_up", "pickUp": "pick_up",
    "carry": "carry", "throw": "throw", "push": "push", "pull": "pull", "waveHands": "wave", "clapHands": "clap",
}  # fmt: skip
_PRECOG: dict[str, str | None] = {
    "background": _BACKGROUND, "right punch": "punch", "left punch": "punch", "front right kick": "kick",
    "front left kick": "kick", "side right kick": "kick", "side left kick": "kick", "back fist": "punch",
    "elbow strike": None,
}  # fmt: skip
_NW_UCLA: dict[str, str | None] = {
    "pick up with one hand": "pick_up", "pick up with two hands": "pick_up", "drop trash": _BACKGROUND,
    "walk around": "walk", "sit down": "sit_down", "stand up": "stand_up", "donning": _BACKGROUND,
    "doffing": _BACKGROUND, "throw": "throw", "carry": "carry",
}  # fmt: skip
_MSR_ACTION3D: dict[str, str | None] = {
    "high arm wave": "wave", "horizontal arm wave": None, "hammer": _BACKGROUND, "hand catch": None,
    "forward punch": "punch", "high throw": "throw", "draw x": _BACKGROUND, "draw tick": _BACKGROUND,
    "draw circle": _BACKGROUND, "hand clap": "clap", "two hand wave": "wave", "side-boxing": "punch", "bend": None,
    "forward kick": "kick", "side kick": "kick", "jogging": "run", "tennis swing": None, "tennis serve": None,
    "golf swing": None, "pickup and throw": None,
}  # fmt: skip
_CMU: dict[str, str | None] = {
    "JumpJack": "jump", "Jog": "run", "Box": "punch", "Squat": _BACKGROUND, "KneeRaise": _BACKGROUND,
    "ArmCircle": _BACKGROUND, "Twist": _BACKGROUND, "SideReach": _BACKGROUND, "UpDown": None,
    "ToeTouchOneHand": None, "SideBend": _BACKGROUND, "ToeTouchTwoHands": None,
}  # fmt: skip
_BANDAI: dict[str, str | None] = {
    "bow": "bow", "bye": "wave", "byebye": "wave", "kick": "kick", "punch": "punch", "run": "run", "dash": "run",
    "walk": "walk", "walk-back": "walk", "walk-left": "walk", "walk-right": "walk", "walk-turn-left": "walk",
    "walk-turn-right": "walk", "raise-up-both-hands": "raise_hand", "raise-up-left-hand": "raise_hand",
    "raise-up-right-hand": "raise_hand", "wave-both-hands": "wave", "wave-left-hand": "wave",
    "wave-right-hand": "wave", "dance-short": _BACKGROUND, "respond": None, "guide": None, "call": None,
    "slash": None,
}  # fmt: skip
# Of what is done to one another, only the one who does it has the label (`pairs.py`).
_SBU: dict[str, str | None] = {
    "approaching": "walk", "departing": "walk", "kicking": "kick", "pushing": "push", "shaking hands": "shake_hands",
    "hugging": "hug", "exchanging object": "hand_over", "punching": "punch",
}  # fmt: skip
# What a table does not name is a movement outside the vocabulary: background.
_TABLES: dict[str, dict[str, str | None]] = {
    "kinder_gator": _KINDER_GATOR, "utkinect": _UTKINECT, "precog2016": _PRECOG, "nw_ucla": _NW_UCLA,
    "msr_action3d": _MSR_ACTION3D, "cmu_mocap6": _CMU, "bandai1": _BANDAI, "bandai2": _BANDAI,
    "sbu": _SBU, "actor": {name: name for name in CLASSES},
    "daily": {name: name for name in CLASSES} | {"turn": None},  # steps that go nowhere: a walk or not
}  # fmt: skip


DATASETS = tuple(_TABLES)  # those that the shipped detector may learn from


def class_map(dataset: str, native_classes: Sequence[str]) -> NDArray[np.int16]:
    """For each native class of a data set the index of ours, or `IGNORE`.

    Raises ValueError for a data set that the vocabulary does not know.
    """
    if dataset not in _TABLES:
        raise ValueError(f"no vocabulary for data set {dataset!r}; there is one for {', '.join(_TABLES)}")
    ours = [_TABLES[dataset].get(name, _BACKGROUND) for name in native_classes]
    return np.array([IGNORE if name is None else CLASSES.index(name) for name in ours], dtype=np.int16)


def translate(dataset: str, native: str | None) -> str | None:
    """Our word for a data set's class, or None where it has none. A set that is not known speaks our words."""
    if native is None:
        return None
    if dataset not in _TABLES:
        return native if native in CLASSES else None
    return _TABLES[dataset].get(native, _BACKGROUND)
