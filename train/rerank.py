"""Boundary re-ranking: detections whose start and end look like a start and an end come first.

    score = class^(1 - a) (start end)^a,  a = 0.1

`class` is a detection's mean class probability, `start` and `end` the probabilities that an action starts at its first
frame and ends with its last: two more frame-wise outputs beside the classes, each a sigmoid. This is what a public
causal rerun of USDRL's detection used (71.9 / 71.7 mAP on PKU-MMD I against 65.1 / 64.1 without). How far a start
reaches is not told there: here `REACH` frames to either side.
Shapes: T frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .average_precision import Detection
from .metrics import Labels, segments

REACH = 4  # frames at 30 Hz; annotators' boundaries differ by more


def boundary_targets(labels: Labels) -> NDArray[np.float32]:
    """For each frame (T, 2) whether an action of these labels (T,) starts, or ends, within `REACH` frames: 1 or 0."""
    targets = np.zeros((len(labels), 2), np.float32)
    for run in segments(labels):
        for column, frame in enumerate((int(run.start), int(run.end) - 1)):
            targets[max(frame - REACH, 0) : frame + REACH + 1, column] = 1
    return targets


def rerank(detections: Sequence[Detection], boundaries: NDArray[np.floating], a: float = 0.1) -> list[Detection]:
    """One video's detections with scores that take its boundary probabilities (T, 2: start, end) into account.

    ValueError for an `a` outside 0..1, probabilities outside 0..1, or a detection beyond the T frames.
    """
    if not 0 <= a <= 1:
        raise ValueError(f"a re-ranking exponent of {a} is outside 0..1; the published one is 0.1")
    if not ((boundaries >= 0) & (boundaries <= 1)).all():
        raise ValueError("boundary probabilities are not all within 0..1; apply a sigmoid to logits first")
    if beyond := [d for d in detections if not 0 <= d.start < d.end <= len(boundaries)]:
        raise ValueError(f"a detection ends at frame {beyond[0].end} of {len(boundaries)}; give its own video's frames")
    return [
        replace(d, score=d.score ** (1 - a) * float(boundaries[int(d.start), 0] * boundaries[int(d.end) - 1, 1]) ** a)
        for d in detections
    ]
