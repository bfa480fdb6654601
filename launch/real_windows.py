"""Windows of real people out of prepared stores, cut as the live path cuts them: to calibrate on, to verify with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..stream.window import WindowCutter, cut_offline
from ..train.splits import Part
from ..train.store import Store
from ..train.streams import streams_of


def real_windows(
    stores: Sequence[Path | Store], parts: Sequence[Part], count: int, seed: int = 0
) -> NDArray[np.float32]:
    """`count` windows (W, 3, 64, 25, 2) that end at random frames of these people, each frame as likely as any other.

    Raises ValueError if the stores hold nobody of these parts who is in view for long enough.
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
    chosen = rng.choice(len(streams), count, p=lengths / lengths.sum())
    return np.stack([cut_offline(streams[i].joints, first + int(rng.integers(lengths[i]))) for i in chosen])
