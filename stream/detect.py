"""Detect: windows of many cameras become per-frame class probabilities.

Stateless: a window's scores depend on that window alone, so several detectors may share the load and one may die.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..encoder.engine import Engine
from .wire import Scores, Window


def score(engine: Engine, windows: Sequence[Window]) -> list[Scores]:
    """The probabilities (64, K) of each window, in one pass through the engine."""
    probabilities_BTK = softmax(engine.infer(np.stack([window.joints for window in windows])))
    now = time.time()
    return [
        Scores(
            camera=window.camera, t=window.t, captured_at=window.captured_at, track=window.track, index=window.index,
            first_tick=window.first_tick, valid=window.valid, last=window.last, probabilities=probabilities,
            scored_at=now,
        )
        for window, probabilities in zip(windows, probabilities_BTK, strict=True)
    ]  # fmt: skip


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = exponents / exponents.sum(axis=-1, keepdims=True)
    return shares
