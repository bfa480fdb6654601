"""Windows of real people out of prepared stores, cut as the live path cuts them: to calibrate on, to verify with.

W window.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..stream.window import WindowCutter, cut_offline
from ..train.splits import Part
from ..train.store import Store
from ..train.streams import streams_of
from ..train.vocabulary import IGNORE

_FRAMES = 64


def real_windows(
    stores: Sequence[Path | Store], parts: Sequence[Part], count: int, seed: int = 0
) -> NDArray[np.float32]:
    """`count` windows (W, 3, 64, 25, 2) that end at random frames of these people, each frame as likely as any other.

    Raises ValueError if the stores hold nobody of these parts who is in view for long enough.
    """
    return labelled_windows(stores, parts, count, seed)[0]


def labelled_windows(
    stores: Sequence[Path | Store], parts: Sequence[Part], count: int, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The windows of `real_windows`, and of each frame the vocabulary's class (W, 64).

    IGNORE for frames that count nothing, among them those that repeat somebody's first. Raises ValueError as it does.
    """
    first = WindowCutter.Config().min_valid - 1
    streams = [
        stream
        for stream in streams_of([store if isinstance(store, Store) else Store(store) for store in stores], parts)
        if len(stream.labels) > first
    ]
    if not streams:
        raise ValueError(f"the stores hold no {' or '.join(parts)} people; prepare the sets that train/splits.py names")
    rng = np.random.default_rng(seed)
    lengths = np.array([len(stream.labels) - first for stream in streams])
    chosen = [streams[i] for i in rng.choice(len(streams), count, p=lengths / lengths.sum())]
    lasts = [first + int(rng.integers(len(stream.labels) - first)) for stream in chosen]
    joints = np.stack([cut_offline(stream.joints, last, _FRAMES) for stream, last in zip(chosen, lasts, strict=True)])
    return joints, np.stack([_labels(stream.labels, last) for stream, last in zip(chosen, lasts, strict=True)])


def _labels(labels_S: NDArray[np.int16], last: int) -> NDArray[np.int64]:
    """The classes (64,) of the window that ends with frame `last` of a stream of S frames."""
    shown = labels_S[max(0, last - _FRAMES + 1) : last + 1].astype(np.int64)
    return np.pad(shown, (_FRAMES - len(shown), 0), constant_values=IGNORE)
