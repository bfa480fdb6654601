"""The 30 Hz clock that the model's frames lie on: tick n is the time n / hz on a camera's own clock.

A camera gives frames when it likes (24, 29.97 or 60 a second, with gaps); the model wants one every 33 ms. Positions
in between are interpolated linearly, which for joints is indistinguishable from the truth at these rates.

A point that is exactly zero was not seen, and nothing lies between what was seen and what was not: where either
neighbour lacks a point, it is the nearer one's, as it stands there. Nor does anybody know what happened in a long gap:
its ticks lack every point (`GAP_S`), save those that a frame lies next to.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

HZ = 30.0
# Frames farther apart than this say nothing of the time between them. A pose estimator loses people for a few frames,
# within which nobody does much; a fast gesture is over in a third of a second.
GAP_S = 0.25
# A time stamp this little before a tick counts as on it: files round theirs to a millisecond.
_ON_TICK_S = 2e-3


def first_tick_at(t: float, hz: float = HZ) -> int:
    """The first tick that is not before time `t` in seconds."""
    return math.ceil((t - _ON_TICK_S) * hz)


def last_tick_at(t: float, hz: float = HZ) -> int:
    """The last tick that is not after time `t` in seconds."""
    return math.floor((t + _ON_TICK_S) * hz)


def resample(times_s: NDArray[np.float64], values: NDArray[np.floating], hz: float = HZ) -> tuple[int, F32]:
    """All of a recording at once: points (T, ..., C) at strictly increasing times -> (first tick, (N, ..., C)).

    Raises ValueError if the times do not increase strictly, or there is none.
    """
    if len(times_s) == 0 or len(times_s) != len(values):
        raise ValueError(
            f"{len(times_s)} time stamps for {len(values)} frames; there must be one for each, and at least one"
        )
    if not (np.diff(times_s) > 0).all():
        raise ValueError("time stamps must increase strictly; sort the frames and drop repeated ones")
    first = first_tick_at(times_s[0], hz)
    at = np.arange(first, max(last_tick_at(times_s[-1], hz), first) + 1) / hz
    # The frame that completes a tick is the first that is not before it, as `Resampler` sees it.
    after = np.clip(np.searchsorted(times_s + _ON_TICK_S, at), 0, len(times_s) - 1)
    before = np.maximum(after - 1, 0)
    return first, _between(times_s[before], values[before], times_s[after], values[after], at, hz)


def _between(
    before_N: NDArray[np.float64],
    a: NDArray[np.floating],
    after_N: NDArray[np.float64],
    b: NDArray[np.floating],
    at_N: NDArray[np.float64],
    hz: float,
) -> F32:
    """The points (N, ..., C) at N times between two frames each, whose points are `a` and `b` (N, ..., C)."""
    aside = (len(at_N), *[1] * (a.ndim - 1))
    span_N = after_N - before_N
    share = np.clip((at_N - before_N) / np.maximum(span_N, 1e-9), 0, 1)
    share = np.where(span_N > 0, share, 1.0)
    both_seen = (a != 0).any(axis=-1, keepdims=True) & (b != 0).any(axis=-1, keepdims=True)
    nearer = np.where((share <= 0.5).reshape(aside), a, b)
    share_of_b = share.reshape(aside)
    values = np.where(both_seen, (1 - share_of_b) * a + share_of_b * b, nearer)

    from_nearest_s = np.minimum(np.abs(at_N - before_N), np.abs(after_N - at_N))
    unknown_N = (span_N > GAP_S) & (from_nearest_s > 0.5 / hz)
    beside_a_gap = (span_N > GAP_S).reshape(aside)
    return np.where(unknown_N.reshape(aside), 0, np.where(beside_a_gap, nearer, values)).astype(np.float32)


class Resampler:
    """The same, one frame at a time: `push` returns the ticks that the new frame completes."""

    def __init__(self, hz: float = HZ) -> None:
        self.hz = hz
        self._t = 0.0
        self._value: F32 | None = None
        self._next = 0

    def push(self, t: float, value: F32) -> tuple[int, F32]:
        """Take the points (..., C) at time `t`; returns (first tick, (n, ..., C)), n being 0, 1 or more.

        Raises ValueError if `t` is not after the one before.
        """
        if self._value is None:
            self._next = first_tick_at(t, self.hz)
            self._t, self._value = t, value
        elif t <= self._t:
            raise ValueError(f"time stamps must increase: {t} s came after {self._t} s")
        first, count = self._next, max(last_tick_at(t, self.hz) + 1 - self._next, 0)
        at_n = (first + np.arange(count)) / self.hz
        a, b = (np.broadcast_to(v, (count, *value.shape)) for v in (self._value, value))
        ticks = _between(np.full(count, self._t), a, np.full(count, t), b, at_n, self.hz)
        self._next, self._t, self._value = first + count, t, value
        return first, ticks
