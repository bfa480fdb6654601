"""Engines: the deployed model behind one protocol, one small file a backend. Nothing here imports torch by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..precision import Precision as Precision

F32 = NDArray[np.float32]


class Infers(Protocol):
    """What turns windows into scores."""

    def infer(self, joints_BCTVM: F32) -> F32:
        """The model's output for windows (B, 3, T, V, M), float32 in C order: frame logits (B, F, K) of a detector,
        clip logits (B, K) of a recogniser, the dense representation (B, F, W) of an encoder. Any B from 1.
        A detector that was compiled to give features, too, has these behind its logits, (B, F, K + W).

        Raises ValueError if shape or dtype is another.
        """


class Engine(Infers, Protocol):
    """A compiled model. One thread uses it at a time."""

    @property
    def name(self) -> str:
        """Backend and device, for people."""

    @property
    def precision(self) -> Precision:
        """What the arithmetic is done in."""

    @property
    def frames(self) -> int:
        """F: of each window, the last so many frames come out of a detector."""

    def keep(self, parity: Mapping[str, float] | None = None) -> str:
        """Let the next start find what was compiled, with the figures of its comparison with the reference.

        Returns why it will not, in a few words, or "".
        """

    def discard(self) -> None:
        """Forget what was compiled."""

    def close(self) -> None:
        """Give back memory and threads; the engine is not used again."""


def check_windows(joints_BCTVM: F32, window_shape: tuple[int, int, int, int]) -> None:
    """Raise ValueError unless the array is a batch of such windows, float32."""
    wanted = f"float32 windows of shape (B, {', '.join(map(str, window_shape))})"
    if joints_BCTVM.dtype != np.float32 or joints_BCTVM.ndim != 5 or joints_BCTVM.shape[1:] != window_shape:
        raise ValueError(f"the engine takes {wanted}, not {joints_BCTVM.dtype} {joints_BCTVM.shape}")
    if len(joints_BCTVM) == 0:
        raise ValueError("the engine takes at least one window")
