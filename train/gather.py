"""Frames at fractional positions of a store's long array: how every clip, crop, speed and resize is read.

Only the two neighbours of each position are touched, so a memory-mapped store costs what is drawn from it.
Shapes: B batch, T frame, M person, V joint, C coordinate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Index = NDArray[np.integer]


def gather(frames: F32, at_BT: F64, end_B: Index) -> tuple[F32, NDArray[np.intp]]:
    """Joints (B, T, M, V, C) at positions (B, T) of `frames` (N, M, V, C), and each position's nearest frame (B, T).

    Positions lie in [0, end); the last frame of a clip is `end` - 1 and has no neighbour after it. A person whom one
    of the two neighbours lacks (all zero) is taken from the nearest alone: interpolation would pull the joints
    through the origin.
    """
    before = np.floor(at_BT).astype(np.intp)
    after = np.minimum(before + 1, end_B[:, None] - 1)
    share = (at_BT - before).astype(np.float32)[:, :, None, None, None]
    a, b = frames[before], frames[after]
    whole = a.any(axis=(3, 4), keepdims=True) & b.any(axis=(3, 4), keepdims=True)
    use_a = np.where(whole, 1 - share, share < 0.5)
    joints = a * use_a + b * (1 - use_a)
    return joints.astype(np.float32, copy=False), np.where(share[..., 0, 0, 0] < 0.5, before, after)


def resized(start_B: NDArray[Any], length_B: NDArray[Any], frames: int) -> F64:
    """Positions (B, T) that stretch or squeeze spans to `frames` frames: bilinear along time, align_corners false.

    `start_B` and `length_B` may be fractional. Positions stay inside their span.
    """
    length_B1 = np.asarray(length_B, np.float64)[:, None]
    inside = (np.arange(frames)[None, :] + 0.5) * (length_B1 / frames) - 0.5
    return np.asarray(start_B, np.float64)[:, None] + np.clip(inside, 0, np.maximum(length_B1 - 1, 0))
