"""Training windows: 64 frames from anywhere in the streams, balanced over the classes, at varying speed.

Shapes: B batch, C coordinate, T frame, V joint, M person.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .streams import Stream
from .vocabulary import CLASSES

FRAMES = 64


class WindowSampler:
    """Draws windows of all streams laid end to end.

    A draw first picks a class, then a frame of it, then where in the window that frame falls. Half of a class's share
    is how often it occurs, half the square root of that: rare ones are seen often but not worn out, and yet the
    detector learns how rare they are. (By the square root alone one gave the background 47 % of UTKinect's frames
    through pixels; the truth is 62 %.) `speed` is the range of time stretch. Frames before a stream's start repeat its
    first, as those of a person who has just come into view.
    """

    def __init__(self, streams: Sequence[Stream], *, speed: tuple[float, float] = (0.75, 1.35)) -> None:
        if not streams:
            raise ValueError("no streams to draw windows from; give stores that hold training subjects")
        self.joints = np.concatenate([stream.joints for stream in streams])
        self.labels = np.concatenate([stream.labels for stream in streams])
        lengths = np.array([len(stream.labels) for stream in streams])
        ends = np.cumsum(lengths)
        self.start = np.repeat(ends - lengths, lengths)  # of the stream that each frame belongs to
        self.end = np.repeat(ends, lengths)
        self.speed = speed
        self._frames_of = [np.flatnonzero(self.labels == k) for k in range(len(CLASSES))]
        counts = np.array([len(frames) for frames in self._frames_of], np.float64)
        self._class_share = (np.sqrt(counts) / np.sqrt(counts).sum() + counts / counts.sum()) / 2

    def draw(self, rng: np.random.Generator, batch: int) -> tuple[Tensor, Tensor]:
        """Joints (B, 3, 64, 25, 2) float32 and labels (B, 64) int64."""
        classes = rng.choice(len(CLASSES), batch, p=self._class_share)
        anchor = np.array([self._frames_of[k][rng.integers(len(self._frames_of[k]))] for k in classes])
        slowest, fastest = np.log(self.speed)
        speed = np.exp(rng.uniform(slowest, fastest, batch))
        # Where the anchor falls: anywhere, but more often late, where a live decision is made.
        place = rng.triangular(0, FRAMES - 1, FRAMES, batch)
        at = anchor[:, None] + (np.arange(FRAMES)[None, :] - place[:, None]) * speed[:, None]
        at += np.minimum(self.end[anchor] - 1 - at[:, -1], 0)[:, None]  # the window must not look past the stream's end
        at = np.maximum(at, self.start[anchor][:, None])
        joints_BTMVC, labels_BT = self._at(at)
        return torch.from_numpy(joints_BTMVC).permute(0, 4, 1, 3, 2).contiguous(), torch.from_numpy(labels_BT)

    def _at(self, at: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Joints and labels at fractional frame positions (B, T)."""
        before = np.floor(at).astype(np.int64)
        after = np.minimum(before + 1, self.end[before] - 1)
        share = (at - before).astype(np.float32)[:, :, None, None, None]
        a, b = self.joints[before], self.joints[after]
        whole = (a != 0).any(axis=4, keepdims=True) & (b != 0).any(axis=4, keepdims=True)  # never half a joint
        nearest = np.where(share[..., 0, 0, 0] < 0.5, before, after)
        joints = np.where(whole, (1 - share) * a + share * b, self.joints[nearest])
        return joints.astype(np.float32), self.labels[nearest].astype(np.int64)
