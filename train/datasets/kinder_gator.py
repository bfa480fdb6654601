"""Kinder-Gator (Aloba et al., Eurographics 2018): 8 children and 8 adults do 58 movements on request, one a clip.

A clip also holds the standing still before and after its movement; those frames get the class `still`, found by how
far any joint is from where it rested at the clip's start.

The original files: POSE-p565_05-Bow-1469182474370.csv (person, order in the session, movement, when), a heading, then a
line a frame: the time in milliseconds and 20 x (x, y, z).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import KINECT20
from ..recording import Recording, single_person
from .npz import clips, load
from .raw_text import find, numbers

MOVEMENTS = (
    "Bend-your-knee-while-raising-your-leg", "Bend-your-other-knee-while-raising-your-leg", "Bow",
    "Climb-and-imaginary-ladder", "Do-a-forward-lunge", "Do-two-jumping-jacks", "Draw-a-circle", "Draw-a-square",
    "Draw-a-triangle", "Draw-the-letter-A", "Draw-the-letter-C", "Draw-the-letter-K", "Draw-the-letter-M",
    "Draw-the-letter-X", "Fly-like-a-bird", "Fly-like-an-airplane", "Jump", "Jump-as-high-as-you-can", "Kick-a-ball",
    "Kick-a-ball-as-far-as-you-can", "Kick-a-ball-as-far-as-you-can-with-the-other-leg",
    "Kick-a-ball-with-the-other-leg", "Lift-your-leg-to-one-side", "Lift-your-leg-to-the-other-side",
    "Make-the-letter-A", "Make-the-letter-C", "Make-the-letter-K", "Make-the-letter-M", "Make-the-letter-P",
    "Make-the-letter-T", "Make-the-letter-X", "Make-the-letter-Y", "Point-at-the-camera", "Punch",
    "Push-an-imaginary-button-in-front-of-you", "Put-your-hands-on-your-hips-and-lean-to-the-other-side",
    "Put-your-hands-on-your-hips-and-lean-to-the-side", "Put-your-hands-on-your-hips-and-twist",
    "Raise-your-arm-to-one-side", "Raise-your-arm-to-the-other-side", "Raise-your-hand", "Raise-your-other-hand",
    "Run-in-place", "Run-in-place-as-fast-as-you-can", "Signal-someone-to-come-here", "Signal-someone-to-stop", "Swim",
    "Swipe-across-an-imaginary-screen-in-front-of-you-from-left-to-right",
    "Swipe-across-an-imaginary-screen-in-front-of-you-from-right-to-left", "Throw-a-ball",
    "Throw-a-ball-as-far-as-you-can", "Throw-a-ball-as-far-as-you-can-with-the-other-arm",
    "Throw-a-ball-with-your-other-arm", "Touch-your-toes", "Walk-in-place", "Walk-in-place-as-fast-as-you-can",
    "Wave-your-hand", "Wave-your-other-hand",
)  # fmt: skip
CLASSES = ("still", *MOVEMENTS)
_LEFT_REST_M = 0.13  # a joint this far from its rest has begun to move; Kinect jitter stays below
_REST_FRAMES = 6


_FILE = re.compile(r"POSE-p(\d+)_(\d+)-(.+)-\d+")


@dataclass(frozen=True)
class _Clip:
    subject: int
    order: int
    movement: int
    t_ms: NDArray[np.floating]
    joints: NDArray[np.float32]


def read(folder: Path) -> Iterator[Recording]:
    """The clips of each person in the order in which they were recorded, of kinder_gator.npz or the original files."""
    for clip in _prepared(folder) if (folder / "kinder_gator.npz").is_file() else _original(folder):
        times_s, first = np.unique(clip.t_ms.astype(np.float64) / 1000, return_index=True)
        moving = _moving(clip.joints[first])
        recording = single_person(
            name=f"kinder_gator/{clip.subject}_{clip.order:02d}", subject=f"kinder_gator/{clip.subject}", trimmed=True,
            times_s=times_s, joints=clip.joints[first], layout=KINECT20,
            labels=np.where(moving, clip.movement + 1, 0).astype(np.int16),
        )  # fmt: skip
        if recording is not None:
            yield recording


def _prepared(folder: Path) -> Iterator[_Clip]:
    names = ("x_q", "x_scale", "offsets", "t_ms", "label", "subject", "order_in_session", "class_names")
    data = load(folder, "kinder_gator", *names)
    if tuple(data["class_names"]) != MOVEMENTS:
        raise ValueError("kinder_gator.npz has other classes than this reader knows; fetch the release again")
    spans = dict(clips(data["offsets"]))
    for i in np.lexsort((data["order_in_session"], data["subject"])):
        joints = (data["x_q"][spans[i]] * data["x_scale"]).astype(np.float32)
        person, order, movement = (int(data[name][i]) for name in ("subject", "order_in_session", "label"))
        yield _Clip(person, order, movement, data["t_ms"][spans[i]], joints)


def _original(folder: Path) -> Iterator[_Clip]:
    files = []
    for path in find(folder, "POSE-p*.csv", "kinder_gator"):
        match = _FILE.fullmatch(path.stem)
        if match is None or match[3] not in MOVEMENTS:
            raise ValueError(f"{path} does not name a person, an order and a movement; keep the release's names")
        files.append((int(match[1]), int(match[2]), MOVEMENTS.index(match[3]), path))
    for person, order, movement, path in sorted(files):
        table = numbers(path, 1 + 3 * len(KINECT20), delimiter=",", skip_lines=1)
        joints = table[:, 1:].reshape(-1, len(KINECT20), 3).astype(np.float32)
        yield _Clip(person, order, movement, table[:, 0] - table[0, 0], joints)


def _moving(joints: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the T frames (T, V, 3) lie between the first and the last with a joint away from its rest."""
    rest = np.median(joints[:_REST_FRAMES], axis=0)
    away = np.linalg.norm(joints - rest, axis=-1)
    # The second largest, averaged over a few frames: a single joint's jump is the sensor's, not the child's.
    away = np.convolve(np.sort(away, axis=1)[:, -2], np.ones(5) / 5, mode="same")
    moved = np.flatnonzero(away > _LEFT_REST_M)
    moving = np.zeros(len(joints), bool)
    if len(moved):
        moving[moved[0] : moved[-1] + 1] = True
    return moving
