"""Smooth: a person's joints over time become steady, and those that are not seen become zero instead of invented.

Whether a joint is seen has some inertia, so that one at the edge of the picture does not come and go with every frame.
Smoothing is the one-euro filter (Casiez, Roussel, Vogel, CHI 2012), once for the place in the room, which is noisy
because a single camera sees depth badly, and once for the posture about it.

V joint (25 of NTU RGB+D), ... any leading axes, 3 coordinates.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ
from ..encoder.layout import NTU25
from .lift import LiftedPerson

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Seen = NDArray[np.bool_]

# The sight from which a missing joint counts as seen, and below which a seen one counts as missing. Measured on drawn
# people whom the picture's edge cuts: with these 94 % of the joints outside are missing, 4 % of those inside, and
# none at all in ordinary views; a joint comes or goes nine times a minute. A single limit of 0.5 would hide 12 % of
# those inside, which are placed well, and change its mind twice as often.
FOUND, LOST = 0.3, 0.1

# The posture is told about the first of these that is seen: hips that stand below the picture must not shake the arms.
_ANCHORS = [NTU25.index(name) for name in ("SpineBase", "SpineShoulder", "Head")]
_ANCHORS += [joint for joint in range(len(NTU25)) if joint not in _ANCHORS]


class OneEuro:
    """The one-euro low-pass filter on points: slow movement is smoothed, fast movement passes with little lag.

    `min_cutoff_hz` is the cut-off at rest, `beta` how much it rises with each unit a second of speed. Of a steady
    movement the lag in seconds is the same at any frame rate.
    """

    def __init__(self, *, min_cutoff_hz: float, beta: float, speed_cutoff_hz: float = 1.0) -> None:
        self.min_cutoff_hz, self.beta, self.speed_cutoff_hz = min_cutoff_hz, beta, speed_cutoff_hz
        self._t = -math.inf
        self._state_S3: F64 | None = None  # the last points as they came, smoothed, and their speed, one after another
        self._seen: Seen | None = None

    def __call__(self, t: float, value: NDArray[np.floating], seen: Seen | None = None) -> F64:
        """The smoothed points (..., 3) at time `t` seconds, which must grow from call to call.

        What comes of points that are not `seen` (...) means nothing; one that is seen again begins anew.
        """
        new = value.astype(np.float64)
        seen = np.ones(new.shape[:-1], bool) if seen is None else seen
        begun = np.stack([new, new, np.zeros_like(new)])
        if self._state_S3 is None or self._seen is None:
            self._t, self._state_S3, self._seen = t, begun, seen
            return new
        raw, smooth, speed = self._state_S3
        dt = max(t - self._t, 1e-3)
        # The paper takes the speed from the last smoothed point, which adds the lag, once a frame. Here once in 1/30 s:
        # the same at 30 frames a second, and at 120 no four times as much.
        step = (new - raw) / dt + HZ * (raw - smooth)
        speed = speed + _share(np.float64(self.speed_cutoff_hz), dt) * (step - speed)
        # One cut-off a joint (the norm over its coordinates): otherwise a fast diagonal movement bends.
        cutoff = self.min_cutoff_hz + self.beta * np.linalg.norm(speed, axis=-1, keepdims=True)
        smooth = smooth + _share(cutoff, dt) * (new - smooth)
        self._state_S3 = np.where(self._seen[..., None], np.stack([new, smooth, speed]), begun)
        self._t, self._seen = t, seen
        return np.asarray(self._state_S3[1])

    def state_of(self, point: int) -> F64:
        """(3, 3): the last of this point as it came, smoothed, and its speed."""
        assert self._state_S3 is not None
        return np.asarray(self._state_S3[:, point])

    def move(self, by_S3: F64) -> None:
        """Go on as if all points so far had been moved by this (as they came, smoothed, and their speed)."""
        assert self._state_S3 is not None
        self._state_S3 = self._state_S3 + by_S3.reshape(3, *[1] * (self._state_S3.ndim - 2), 3)


class Smoother:
    """The joints of one person, frame after frame. Call it with every sight of that person, in order."""

    def __init__(self) -> None:
        self._seen: Seen = np.zeros(len(NTU25), bool)
        self._begin(0)

    def __call__(self, t: float, person: LiftedPerson) -> F32:
        """The smoothed joints (25, 3) in metres at time `t` seconds; exactly zero where a joint is not seen."""
        before = self._seen
        self._seen = person.sight >= np.where(before, LOST, FOUND)
        if not self._seen.any():
            return np.zeros_like(person.joints)
        held = before & self._seen
        anchor = next(joint for joint in _ANCHORS if (held if held.any() else self._seen)[joint])
        if not held.any():
            self._begin(anchor)
        elif anchor != self._anchor:
            self._tell_about(anchor)
        place = self._place(t, person.joints[anchor])
        posture = self._posture(t, person.joints - person.joints[anchor], self._seen)
        return np.where(self._seen[:, None], place + posture, 0).astype(np.float32)

    def _begin(self, anchor: int) -> None:
        self._anchor = anchor
        self._place = OneEuro(min_cutoff_hz=0.8, beta=1.5)
        self._posture = OneEuro(min_cutoff_hz=2.0, beta=4.0)

    def _tell_about(self, anchor: int) -> None:
        """Go on with another anchor without a jump: what the posture knows of it is from now on the place's."""
        offset = self._posture.state_of(anchor)
        self._place.move(offset)
        self._posture.move(-offset)
        self._anchor = anchor


def _share(cutoff_hz: F64 | np.float64, dt: float) -> F64:
    """The weight of the new sample in a first-order low-pass of this cut-off, for a step of `dt` seconds."""
    return np.asarray(1 / (1 + 1 / (2 * math.pi * cutoff_hz * dt)))
