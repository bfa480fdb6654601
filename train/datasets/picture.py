"""Key points in a picture, made independent of its size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def in_picture(pixels: NDArray[Any], score: NDArray[Any], width: int, height: int) -> NDArray[np.float32]:
    """Key points (..., V, 2) in pixels with scores (..., V) -> (..., V, 3): x, y, score.

    x and y count from the middle of the picture in picture heights, x to the right and y up, so that a person keeps
    their proportions whatever the picture's. A joint that is not finite or scores nothing is zero; so then is a person
    of whom no joint was found. Raises ValueError for a picture without a size.
    """
    if width <= 0 or height <= 0:
        raise ValueError(f"a picture of {width} x {height} pixels has no key points; its size must be positive")
    wide = np.asarray(pixels, np.float64)
    certain = np.asarray(score, np.float64)
    joints = np.stack([(wide[..., 0] - width / 2) / height, (height / 2 - wide[..., 1]) / height, certain], axis=-1)
    found = np.isfinite(joints).all(axis=-1) & (certain > 0)
    return np.where(found[..., None], joints, 0).astype(np.float32)
