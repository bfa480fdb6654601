"""The 30 Hz clock that the model's frames lie on: tick n is the time n / hz on a camera's own clock.

A camera gives frames when it likes (24, 29.97 or 60 a second, with gaps); the model wants one every 33 ms. Positions
in between are interpolated linearly, which for joints is indistinguishable from the truth at these rates.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

HZ = 30.0
# A time stamp this little before a tick counts as on it: files round theirs to a millisecond.
_ON_TICK_S = 2e-3


def first_tick_at(t: float, hz: float = HZ) -> int:
    """The first tick that is not before time `t` in seconds."""
    return math.ceil((t - _ON_TICK_S) * hz)


def last_tick_at(t: float, hz: float = HZ) -> int:
    """The last tick that is not after time `t` in seconds."""
    return math.floor((t + _ON_TICK_S) * hz)


def resample(times_s: NDArray[np.float64], values: NDArray[np.floating], hz: float = HZ) -> tuple[int, F32]:
    """All of a recording at once: values (T, ...) at strictly increasing times -> (first tick, values (N, ...)).

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
    span = np.maximum(times_s[after] - times_s[before], 1e-9)
    share = np.clip((at - times_s[before]) / span, 0, 1).reshape(-1, *[1] * (values.ndim - 1))
    return first, ((1 - share) * values[before] + share * values[after]).astype(np.float32)


class Resampler:
    """The same, one frame at a time: `push` returns the ticks that the new frame completes."""

    def __init__(self, hz: float = HZ) -> None:
        self.hz = hz
        self._t = -math.inf
        self._value: F32 | None = None
        self._next = 0

    def push(self, t: float, value: F32) -> tuple[int, F32]:
        """Take the value (...) at time `t`; returns (first tick, values (n, ...)), n being 0, 1 or more.

        Raises ValueError if `t` is not after the one before.
        """
        if self._value is None:
            self._next = first_tick_at(t, self.hz)
            self._t, self._value = t, value
        elif t <= self._t:
            raise ValueError(f"time stamps must increase: {t} s came after {self._t} s")
        ticks = range(self._next, last_tick_at(t, self.hz) + 1)
        span = max(t - self._t, 1e-9)
        shares = [min(max((n / self.hz - self._t) / span, 0.0), 1.0) if t > self._t else 1.0 for n in ticks]
        values = [((1 - share) * self._value + share * value).astype(np.float32) for share in shares]
        first, self._next = self._next, self._next + len(ticks)
        self._t, self._value = t, value
        return first, np.stack(values) if values else np.zeros((0, *value.shape), np.float32)
