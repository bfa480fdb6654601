"""How steady a camera's joints are where no truth is known: on real videos, by what no body does.

    told = steadiness(times_s, joints)

Shapes: T frame, V joint (NTU25), 3 coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ, resample
from ..encoder.layout import NTU25
from .gap import split

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_REST = 0.1  # of the seconds: the calmest, in which what still moves is taken for jitter
_PAIRS = [(NTU25.index(f"{part}Left"), NTU25.index(f"{part}Right")) for part in ("Shoulder", "Wrist", "Knee", "Ankle")]
_APART_M = 0.15  # nearer than this, a left and a right joint cannot be told to have changed places
_BASE = NTU25.index("SpineBase")


@dataclass(frozen=True, kw_only=True)
class Steadiness:
    """`found` is the share of frames with the person, `missing` that of joints in those; `jitter_m` (25,) the rms of
    what is faster than 1 Hz about SpineBase in the calmest tenth of the seconds (NaN where none is complete);
    `swaps_a_minute` how often a left joint and its right one change places from one frame to the next."""

    frames: int
    found: float
    missing: float
    jitter_m: F64
    swaps_a_minute: float


def steadiness(times_s: NDArray[np.float64], joints: NDArray[np.floating]) -> Steadiness:
    """Of one person's joints (T, 25, 3) in metres at these times; zero where not seen.

    ValueError unless the times increase and there is one for each frame.
    """
    _, on_clock = resample(times_s, np.asarray(joints, np.float32))
    joints_TVC: F64 = np.asarray(on_clock, np.float64)
    known_TV: Bools = np.asarray((joints_TVC != 0).any(axis=2))
    there_T: Bools = np.asarray(known_TV.any(axis=1))
    second = round(HZ)
    about_TVC = joints_TVC - joints_TVC[:, [_BASE]]
    calm = [
        about_TVC[start : start + second]
        for start in range(0, len(about_TVC) - second + 1, second)
        if known_TV[start : start + second].all()
    ]
    jitter_m = np.full(len(NTU25), np.nan)
    if calm:
        speed = [float(np.square(np.diff(piece, axis=0)).sum(axis=-1).mean()) for piece in calm]
        rest = np.argsort(speed)[: max(round(_REST * len(calm)), 1)]
        fast = np.stack([split(calm[i])[1] for i in rest])
        jitter_m = np.sqrt(np.square(fast).sum(axis=-1).mean(axis=(0, 1)))
    return Steadiness(
        frames=len(there_T), found=float(there_T.mean()),
        missing=float(1 - known_TV[there_T].mean()) if there_T.any() else 1.0, jitter_m=jitter_m,
        swaps_a_minute=_swaps(joints_TVC, known_TV) / (len(there_T) / HZ / 60),
    )  # fmt: skip


def _swaps(joints_TVC: F64, known_TV: Bools) -> int:
    """How often the two joints of a pair lie nearer to where the other one was than to where they were themselves."""
    total = 0
    for left, right in _PAIRS:
        both_T = known_TV[:, left] & known_TV[:, right]
        a, b = joints_TVC[:, left], joints_TVC[:, right]
        stayed = np.linalg.norm(a[1:] - a[:-1], axis=1) + np.linalg.norm(b[1:] - b[:-1], axis=1)
        changed = np.linalg.norm(a[1:] - b[:-1], axis=1) + np.linalg.norm(b[1:] - a[:-1], axis=1)
        apart = np.minimum(np.linalg.norm(a - b, axis=1)[1:], np.linalg.norm(a - b, axis=1)[:-1]) > _APART_M
        total += int((both_T[1:] & both_T[:-1] & apart & (changed < stayed)).sum())
    return total
