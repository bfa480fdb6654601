"""Which of the bodies that a Kinect v2 saw in a sample of NTU RGB+D are people, and which two of them act.

The sensor takes chairs and tables for bodies and gives a person a new id after each loss. The rules are those that the
field's pre-processing shares, after the data set's authors: a body seen for a moment is noise; so is one that is wide
for its height; who moves most is the main actor; bodies that follow one another in time are one person.
Shapes: T frame, N frame of a body, M person, V joint, C coordinate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PEOPLE = 2
_SHORTEST = 11  # frames; a body seen for so few or fewer is noise
_WIDE = 0.8  # a frame in which a body spreads over x by more than this share of its spread over y is noise ...
_WIDE_SHARE = 0.69754  # ... and a body with such a share of noisy frames is no person


@dataclass(frozen=True, kw_only=True)
class Body:
    """What the sensor followed under one id: `frames` (N,) of the sample, rising; `joints` (N, V, C) metres."""

    frames: NDArray[np.intp]
    joints: NDArray[np.float32]


def people(bodies: Sequence[Body], frames: int) -> NDArray[np.float32]:
    """The joints (T, M, V, C) of the one or two people, the one who moves most first; an absent person is zero.

    The last body is never dropped as noise. A body that overlaps in time with both people is left out.
    Raises ValueError if there is no body.
    """
    if not bodies:
        raise ValueError("it shows nobody: no body has a frame with all its joints")
    kept = _without(bodies, [len(body.frames) <= _SHORTEST for body in bodies])
    kept = _without(kept, [bool(_wide(body).mean() >= _WIDE_SHARE) for body in kept])
    joints_TMVC = np.zeros((frames, PEOPLE, *bodies[0].joints.shape[1:]), np.float32)
    span: list[tuple[int, int]] = [(frames, -1)] * PEOPLE
    for body in sorted(kept, key=motion, reverse=True):
        first, last = int(body.frames[0]), int(body.frames[-1])
        for person, (start, end) in enumerate(span):
            if last < start or end < first:
                joints_TMVC[body.frames, person] = body.joints
                span[person] = min(start, first), max(end, last)
                break
    return joints_TMVC


def motion(body: Body) -> float:
    """How much a body moves: the sum of the variances of its x, y and z, m^2, with or without its noisy frames.

    The lesser counts, so that a chair that flickers does not outdo a person.
    """
    calm = body.joints[~_wide(body)]
    return min(_variance(part) for part in (body.joints, calm) if len(part))


def _variance(joints_NVC: NDArray[np.float32]) -> float:
    return float(joints_NVC.reshape(-1, 3).var(axis=0, dtype=np.float64).sum())


def _wide(body: Body) -> NDArray[np.bool_]:
    """Which frames (N,) show a body wider than a person stands, sits or kicks."""
    x, y = np.ptp(body.joints[..., 0], axis=1), np.ptp(body.joints[..., 1], axis=1)
    return np.asarray(x > _WIDE * y)


def _without(bodies: Sequence[Body], noise: Sequence[bool]) -> list[Body]:
    """The bodies that are not noise; if all are, the one seen longest."""
    return [body for body, bad in zip(bodies, noise, strict=True) if not bad] or [
        max(bodies, key=lambda body: len(body.frames))
    ]
