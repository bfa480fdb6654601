"""Windows of streams: what the dense tasks train on, and how a window's answers become a whole stream's.

Windows start every `hop` frames, and one more ends with the stream, so that together they show every frame. A stream
shorter than a window is filled up with its last frame; what is filled up teaches and counts nothing.
Shapes: B window, C coordinate, T frame, V joint, M person, K value, S stream's frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .gather import gather
from .streams import Stream
from .vocabulary import IGNORE

F64 = NDArray[np.float64]
_BATCH = 64


class Windows:
    """The training windows of streams: joints, labels and boundary targets.

    `boundaries`, one (S, 2) a stream, are targets beside the labels. `speed` is the range of time stretch that a drawn
    window may have. Raises ValueError for a hop below 1 or a range that is none.
    """

    def __init__(
        self, streams: Sequence[Stream], boundaries: Sequence[NDArray[np.float32]], *, frames: int, hop: int,
        speed: tuple[float, float],
    ) -> None:  # fmt: skip
        if not 0 < speed[0] <= speed[1]:
            raise ValueError(f"a speed from {speed[0]} to {speed[1]} is no range; 1 is the recorded speed")
        self.streams, self.boundaries, self.frames, self.hop, self.speed = streams, boundaries, frames, hop, speed
        self.places = [
            (number, start)
            for number, stream in enumerate(streams)
            for start in window_starts(len(stream.labels), frames, hop)
        ]

    def __len__(self) -> int:
        return len(self.places)

    def draw(self, indices: NDArray[np.integer], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Joints (B, 3, T, V, M) metres, labels (B, T) and boundaries (B, T, 2) of these windows.

        Each is moved by up to half a hop inside its stream, so that no cut between windows is ever the same.
        """
        shift = rng.uniform(-self.hop / 2, self.hop / 2, len(indices))
        slowest, fastest = (math.log(speed) for speed in self.speed)
        speed = np.exp(rng.uniform(slowest, fastest, len(indices)))
        chosen = [self.places[i] for i in indices]
        drawn = [self._at(n, start, s, v) for (n, start), s, v in zip(chosen, shift, speed, strict=True)]
        joints, labels, boundaries = (np.stack(each) for each in zip(*drawn, strict=True))
        joints_BCTVM = torch.from_numpy(joints).permute(0, 4, 1, 3, 2).contiguous()
        return joints_BCTVM, torch.from_numpy(labels), torch.from_numpy(boundaries)

    def _at(
        self, number: int, start: int, shift: float, speed: float
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        stream = self.streams[number]
        length = len(stream.labels)
        start = int(np.clip(start + round(shift), 0, max(length - self.frames, 0)))
        asked = start + np.arange(self.frames) * speed
        at = np.minimum(asked, length - 1)
        joints, nearest = gather(stream.joints, at[None], np.array([length]))
        labels = np.where(asked <= length - 1, stream.labels[nearest[0]], IGNORE).astype(np.int64)
        return joints[0], labels, self.boundaries[number][nearest[0]]


def window_starts(length: int, frames: int, hop: int) -> list[int]:
    """Where windows of `frames` start in a stream of `length` frames, so that together they show every frame.

    Raises ValueError for a hop below 1, or above a window's length: frames would be left out.
    """
    if not 1 <= hop <= frames:
        raise ValueError(f"windows of {frames} frames cannot start every {hop}; give a hop of 1 to {frames}")
    last = max(length - frames, 0)
    return sorted({*range(0, last + 1, hop), last})


def over_windows(
    answer: Callable[[Tensor], Tensor], joints_SMVC: NDArray[np.float32], frames: int, hop: int
) -> NDArray[np.float64]:
    """A whole stream's values (S, K): the mean over the windows that show a frame of `answer`'s (B, T, K) for it.

    `answer` takes joints (B, 3, T, V, M), metres, on the CPU, and may answer on any device. With `hop` = `frames`
    windows are laid end to end, as USDRL's detection does; only the last two overlap.
    """
    length = len(joints_SMVC)
    starts = window_starts(length, frames, hop)
    total: Any = 0.0
    count = np.zeros((length, 1))
    for i in range(0, len(starts), _BATCH):
        picks = [np.minimum(np.arange(start, start + frames), length - 1) for start in starts[i : i + _BATCH]]
        batch = torch.from_numpy(np.stack([joints_SMVC[pick] for pick in picks]).transpose(0, 4, 1, 3, 2).copy())
        answers = answer(batch).cpu().double().numpy()
        if i == 0:
            total = np.zeros((length, answers.shape[-1]))
        for start, values in zip(starts[i : i + _BATCH], answers, strict=True):
            shown = slice(start, min(start + frames, length))
            total[shown] += values[: shown.stop - start]
            count[shown] += 1
    return np.asarray(total / count)
