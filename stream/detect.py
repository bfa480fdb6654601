"""Detect: windows of many cameras become per-frame class probabilities.

Stateless: a window's scores depend on that window alone, so several detectors may share the load and one may die.
Of each window only the newest frames are scored that `decode` will read (`frames_to_score`): it has heard of the others
from the windows before, and a third of the work is saved.

B window, F frame that is scored, K class.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..encoder.engine import Infers
from .window import WindowCutter
from .wire import Scores, Window


def frames_to_score(delay: int, hop: int) -> int:
    """How many of a window's newest frames a decoder with this delay reads, if the windows come every `hop` ticks.

    From each it reads `delay + hop`, and from a person's first all that are known by then. One hop more, so that
    nothing is missing when a window was dropped, either.
    """
    return min(max(delay, WindowCutter.Config().min_valid - 1) + 2 * hop, WindowCutter.Config().frames)


def score(engine: Infers, windows: Sequence[Window]) -> list[Scores]:
    """The probabilities (F, K) of each window's newest frames, in one pass through the engine."""
    probabilities_BFK = softmax(engine.infer(np.stack([window.joints for window in windows])))
    frames = probabilities_BFK.shape[1]
    now = time.time()
    return [
        Scores(
            camera=window.camera, t=window.t, captured_at=window.captured_at, track=window.track, index=window.index,
            first_tick=window.first_tick + window.joints.shape[1] - frames, valid=min(window.valid, frames),
            last=window.last, probabilities=probabilities, scored_at=now,
        )
        for window, probabilities in zip(windows, probabilities_BFK, strict=True)
    ]  # fmt: skip


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[np.float32] = exponents / exponents.sum(axis=-1, keepdims=True)
    return shares
