"""Rotation matrices from angles about axes, for the skeletons of motion capture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def about(axis: str, radians: F64) -> F64:
    """Matrices (..., 3, 3) that turn column vectors by angles (...) about the axis "X", "Y" or "Z", right-handed."""
    i = "XYZ".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    turn = np.zeros((*radians.shape, 3, 3))
    turn[..., i, i] = 1
    turn[..., j, j] = turn[..., k, k] = np.cos(radians)
    turn[..., k, j] = np.sin(radians)
    turn[..., j, k] = -turn[..., k, j]
    return turn


def fixed_xyz(degrees: F64) -> F64:
    """Matrices (..., 3, 3) of angles (..., 3) about the fixed axes x, then y, then z."""
    x, y, z = np.moveaxis(np.radians(degrees), -1, 0)
    return about("Z", z) @ about("Y", y) @ about("X", x)
