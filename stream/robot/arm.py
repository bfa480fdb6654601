"""An arm of three hinges (two in the shoulder, one in the elbow): where its hand is, and how to get it somewhere.

Positions are relative to the shoulder, in the frame of the body that carries the arm; angles in radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_TURNS = 6  # of Gauss and Newton's: from where the arm was, one frame ago, two are enough
_DAMPING = 0.05  # keeps it calm where the arm is straight, and cannot go on
_ELBOW = 0.25  # how much a wish for the elbow weighs beside that for the hand
_NEAR_M = 0.03
_FARTHEST = 0.98  # of its length: beyond, nothing would tell the way
# Where to begin when the way from where it was leads nowhere: shares of each hinge's range.
_STARTS = ((0.5, 0.5, 0.2), (0.1, 0.8, 0.2), (0.9, 0.4, 0.2), (0.2, 0.3, 0.2), (0.5, 0.9, 0.6))


@dataclass(frozen=True)
class Arm:
    """`axes` (3, 3), one hinge a row; `upper` and `lower` (3,) metres at zero; `least` and `most` (3,) radians."""

    axes: F64
    upper: F64
    lower: F64
    least: F64
    most: F64

    @property
    def length(self) -> float:
        """Metres from shoulder to hand, stretched as far as if the elbow had no limit."""
        return float(np.linalg.norm(self.upper) + np.linalg.norm(self.lower))

    def places(self, angles: F64) -> tuple[F64, F64]:
        """Where elbow and hand are, (3,) each."""
        shoulder = _turn(self.axes[0], angles[0]) @ _turn(self.axes[1], angles[1])
        elbow = shoulder @ self.upper
        return elbow, elbow + shoulder @ _turn(self.axes[2], angles[2]) @ self.lower

    def reach(self, hand: F64, start: F64, elbow: F64 | None = None) -> F64:
        """Angles within the limits that bring the hand as near to `hand` as may be, beginning from `start`.

        `elbow`: where the elbow would rather be; it gives way to the hand. What is too far is pointed at.
        """
        hand = hand * min(1.0, _FARTHEST * self.length / max(float(np.linalg.norm(hand)), 1e-9))
        angles, miss = self._approach(hand, np.clip(start, self.least, self.most), elbow)
        for share in _STARTS if miss > _NEAR_M else ():
            other, its_miss = self._approach(hand, self.least + np.array(share) * (self.most - self.least), elbow)
            if its_miss < miss - _NEAR_M:  # worth leaving the way that it was on
                angles, miss = other, its_miss
        return angles

    def _approach(self, hand: F64, angles: F64, elbow: F64 | None) -> tuple[F64, float]:
        for _ in range(_TURNS):
            error, slopes = self._linear(angles, hand, elbow)
            normal = slopes.T @ slopes + _DAMPING**2 * np.eye(3)
            angles = np.clip(angles + np.linalg.solve(normal, slopes.T @ error), self.least, self.most)
        return angles, float(np.linalg.norm(hand - self.places(angles)[1]))

    def _linear(self, angles: F64, hand: F64, elbow: F64 | None) -> tuple[F64, F64]:
        """What is missing, and how it changes with each angle."""
        first, second = _turn(self.axes[0], angles[0]), _turn(self.axes[1], angles[1])
        shoulder = first @ second
        elbow_at = shoulder @ self.upper
        hand_at = elbow_at + shoulder @ _turn(self.axes[2], angles[2]) @ self.lower
        turned = np.stack([self.axes[0], first @ self.axes[1], shoulder @ self.axes[2]])  # the hinges as they stand
        of_hand = np.cross(turned, np.stack([hand_at, hand_at, hand_at - elbow_at])).T
        if elbow is None:
            return hand - hand_at, of_hand
        of_elbow = np.cross(turned, np.stack([elbow_at, elbow_at, np.zeros(3)])).T
        return (
            np.concatenate([hand - hand_at, _ELBOW * (elbow - elbow_at)]),
            np.concatenate([of_hand, _ELBOW * of_elbow]),
        )


def _turn(axis: F64, angle: float) -> F64:
    """The rotation by an angle about a unit axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turned: F64 = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned
