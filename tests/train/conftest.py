"""People for the tests of the gap between sensors: smooth random movements of a body."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.train.drawn_pairs import Pair

F64 = NDArray[np.float64]

# Somebody who faces a camera at the origin of x and z, metres.
STANDING = np.array([
    (0, 0.95, 0), (0, 1.2, 0), (0, 1.52, 0), (0, 1.68, 0), (-0.19, 1.42, 0), (-0.3, 1.17, 0), (-0.35, 0.95, -0.1),
    (-0.37, 0.87, -0.12), (0.19, 1.42, 0), (0.3, 1.17, 0), (0.35, 0.95, -0.1), (0.37, 0.87, -0.12), (-0.1, 0.93, 0),
    (-0.12, 0.5, 0), (-0.13, 0.1, 0.03), (-0.14, 0.05, -0.1), (0.1, 0.93, 0), (0.12, 0.5, 0), (0.13, 0.1, 0.03),
    (0.14, 0.05, -0.1), (0, 1.45, 0), (-0.38, 0.8, -0.13), (-0.33, 0.88, -0.15), (0.38, 0.8, -0.13),
    (0.33, 0.88, -0.15),
])  # fmt: skip


class Walkers:
    """Makes people who move, in a camera's space."""

    limbs = tuple(
        i for i, name in enumerate(NTU25.joints) if name.startswith(("Elbow", "Wrist", "Hand", "Knee", "Ankle"))
    )

    def still(self, frames: int) -> F64:
        """Somebody (T, 25, 3) who stands 3 m before the camera."""
        somebody: F64 = np.tile(STANDING, (frames, 1, 1)) + np.array([0, 0, 3.0])
        return somebody

    def moving(self, rng: np.random.Generator, frames: int) -> F64:
        """The same, their limbs and a little of their place in motion. Limbs move together, in six ways in all."""
        joints = self.still(frames)
        ways = np.random.default_rng(0).normal(size=(6, len(self.limbs), 3)) / np.sqrt(6)
        joints[:, list(self.limbs)] += 0.15 * np.einsum("tw,wvc->tvc", self.smooth(rng, frames, 6), ways)
        return np.asarray(joints + 0.05 * self.smooth(rng, frames, 1, 3))

    @staticmethod
    def smooth(rng: np.random.Generator, frames: int, *shape: int, cutoff_hz: float = 2.0) -> F64:
        """Noise (frames, ...) of size 1 that holds nothing faster."""
        spectrum = np.fft.rfft(rng.normal(size=(4 * frames, *shape)), axis=0)
        spectrum[np.fft.rfftfreq(4 * frames, 1 / 30) > cutoff_hz] = 0
        x = np.fft.irfft(spectrum, 4 * frames, axis=0)[:frames]
        return np.asarray(x / x.std())

    @staticmethod
    def pair(true_TVC: F64, seen_TVC: F64, name: str = "made/1", subject: str = "made/up") -> Pair:
        return Pair(
            name=name, dataset="made", subject=subject, stride=1, true_TVC=true_TVC, seen_TVC=seen_TVC,
            found=(seen_TVC != 0).any(axis=(1, 2)),
        )  # fmt: skip


@pytest.fixture(scope="session")
def walkers() -> Walkers:
    return Walkers()
