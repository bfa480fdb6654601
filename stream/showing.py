"""A showing: somebody's movement, as it is shown to be learnt, and what an encoder makes of it.

The windows are those that would be cut live while the movement goes on and just after; of each, frames of several ages
are learnt from, since a decision looks at a frame again while it gets older. A showing stands for a few more: turned a
little about the vertical, and somewhat slower or faster. It is not mirrored: who shows something with the left hand may
mean it.

T frame at 30 Hz, V joint, C coordinate, B window, K class, W feature.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.engine import Infers
from ..encoder.taught import Frames
from .window import cut_offline

F32 = NDArray[np.float32]

AGES = (1, 4, 8, 16)  # frames before a window's newest: what is learnt of each window
SCORED = max(AGES) + 1  # of a window's newest frames, those that an engine must give
LONGEST = 128  # frames of a movement: two windows
_EVERY = 3  # frames between two windows
_AFTER = 12  # frames for which windows still look back on it
_MARGIN = 8  # frames between the movement and what counts as rest
_BATCH = 8
_VARIED = ((1.0, 0.0), (0.85, 0.2), (1.18, -0.2))  # speed, and radians about the vertical


@dataclass(frozen=True, kw_only=True)
class Showing:
    """`joints_TVC` metres in camera space, unseen ones zero, with what came before and after; the movement is frames
    `first` to `last`, both inclusive."""

    joints_TVC: F32
    first: int
    last: int

    def __post_init__(self) -> None:
        frames = len(self.joints_TVC)
        if self.joints_TVC.shape != (frames, 25, 3) or not np.isfinite(self.joints_TVC).all():
            raise ValueError(f"a showing of joints {self.joints_TVC.shape} is none")
        if not 0 <= self.first <= self.last < frames:
            raise ValueError(f"a movement from {self.first} to {self.last} does not lie within {frames} frames")

    def varied(self) -> Iterator[Showing]:
        """It, and a few like it."""
        for speed, turn in _VARIED:
            yield self._again(speed, turn)

    def _again(self, speed: float, turn: float) -> Showing:
        frames = len(self.joints_TVC)
        count = max(round((frames - 1) / speed) + 1, 2) if frames > 1 else 1
        at_n = np.minimum(np.arange(count) * speed, frames - 1)
        before_n = np.floor(at_n).astype(int)
        after_n = np.minimum(before_n + 1, frames - 1)
        share_n = (at_n - before_n)[:, None, None]
        a, b = self.joints_TVC[before_n], self.joints_TVC[after_n]
        seen = (a != 0).any(axis=-1, keepdims=True) & (b != 0).any(axis=-1, keepdims=True)
        joints = np.where(seen, (1 - share_n) * a + share_n * b, a)
        if turn:
            joints = _turned(joints, turn)
        last = min(round(self.last / speed), count - 1)
        return Showing(joints_TVC=joints.astype(np.float32), first=min(round(self.first / speed), last), last=last)


def shown_frames(engine: Infers, showing: Showing, classes: int, temperature: float) -> tuple[Frames, Frames | None]:
    """What the encoder makes of the movement, varied, and of the rest around it (None where there is none).

    `engine` gives features, of at least `SCORED` frames.
    """
    moving, resting = [], []
    for number, varied in enumerate(showing.varied()):
        ends = np.arange(varied.first + 2, min(varied.last + _AFTER, len(varied.joints_TVC) - 1) + 1, _EVERY)
        if not len(ends):
            ends = np.array([varied.last])
        if number == 0 and varied.first > _MARGIN:  # rest is what it is: once
            ends = np.concatenate((np.arange(_MARGIN, varied.first, 2 * _EVERY), ends))
        for i in range(0, len(ends), _BATCH):
            some = ends[i : i + _BATCH]
            answers_BFO = engine.infer(np.stack([cut_offline(_alone(varied.joints_TVC), int(end)) for end in some]))
            for age in AGES:
                at_B = some - age
                inside_B = (at_B >= varied.first) & (at_B <= varied.last)
                outside_B = (at_B >= 0) & ((at_B < varied.first - _MARGIN) | (at_B > varied.last + _MARGIN))
                moving.append(Frames.of(answers_BFO[inside_B, -1 - age], classes, temperature))
                resting.append(Frames.of(answers_BFO[outside_B, -1 - age], classes, temperature))
    rest = Frames.joined(resting)
    return Frames.joined(moving), rest if len(rest) else None


def _alone(joints_TVC: F32) -> F32:
    """With an empty second slot (T, 2, V, 3)."""
    return np.stack((joints_TVC, np.zeros_like(joints_TVC)), axis=1)


def _turned(joints: NDArray[np.floating], radians: float) -> NDArray[np.floating]:
    """Turned about the vertical through where the person stands on average; what is not seen stays so."""
    seen = (joints != 0).any(axis=-1, keepdims=True)
    if not seen.any():
        return joints
    middle = joints[seen[..., 0]].mean(axis=0) * np.array([1, 0, 1])
    cos, sin = np.cos(radians), np.sin(radians)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return np.where(seen, (joints - middle) @ turn.T + middle, 0)
