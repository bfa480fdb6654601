"""Detect: windows of many cameras become per-frame logits of the classes.

Stateless: a window's scores depend on that window alone, so several detectors may share the load and one may die.
Of each window only the newest frames are scored that `decode` will read (`frames_to_score`): of the others it has heard
from the windows before, and that work is saved.

B window, F frame that is scored, K class.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ..encoder.bundle import LOOK
from ..encoder.engine import Infers
from .window import WindowCutter
from .wire import Scores, Window


def frames_to_score(delay: int, hop: int) -> int:
    """How many of a window's newest frames a decoder with this delay reads, if the windows come every `hop` ticks.

    It looks back over the newest `delay` and `LOOK` more, and decides what came since the window before: `delay + hop`,
    of a person's first window all that are known by then, and one hop more where a window was dropped.
    """
    decided = max(delay, WindowCutter.Config().min_valid - 1) + 2 * hop
    return min(max(delay + LOOK, decided), WindowCutter.Config().frames)


def score(engine: Infers, windows: Sequence[Window]) -> list[Scores]:
    """The logits (F, K) of each window's newest frames, in one pass through the engine."""
    logits_BFK = engine.infer(np.stack([window.joints for window in windows]))
    frames = logits_BFK.shape[1]
    now = time.time()
    return [
        Scores(
            camera=window.camera, t=window.t, captured_at=window.captured_at, track=window.track, index=window.index,
            first_tick=window.first_tick + window.joints.shape[1] - frames, valid=min(window.valid, frames),
            last=window.last, logits=logits, evidence=window.evidence, scored_at=now,
        )
        for window, logits in zip(windows, logits_BFK, strict=True)
    ]  # fmt: skip
