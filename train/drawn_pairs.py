"""Pairs: a recording and what MediaPipe saw of it when it was drawn, frame by frame in the space of the drawn camera.

    for pair in drawn_pairs(Store(Path("stores/utkinect")), Store(Path("stores/utkinect-lite"))): ...

The recording is the truth: what was drawn is exactly what it says. Shapes: T frame, V joint (NTU25), C coordinate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import NTU25
from .drawn import read_cameras
from .store import Store

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SHORTEST = 5  # frames


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One person of one recording: true and seen joints (T, 25, 3) metres in the camera's space, at 30 Hz.

    `found` (T,) says in which frames MediaPipe saw the person at all; elsewhere `seen_TVC` is zero. A joint that it
    did not see is zero as well. `stride` frames of the clock lie between two drawn pictures.
    """

    name: str
    dataset: str
    subject: str
    stride: int
    true_TVC: F64
    seen_TVC: F64
    found: Bools


def drawn_pairs(recorded: Store, drawn: Store) -> Iterator[Pair]:
    """All pairs of two stores, one a person. Who was recorded in fewer than five frames, or never seen, is left out.

    Raises ValueError if `drawn` was not made of `recorded` by `skelstream data draw`, or the joints are not NTU25's.
    """
    if recorded.layout != NTU25.name or drawn.layout != NTU25.name:
        raise ValueError(f"{recorded.path} and {drawn.path} must hold {NTU25.name} joints; draw such a store")
    stride, cameras = read_cameras(drawn.path)
    by_name = {entry.name: entry for entry in recorded.entries}
    for entry in drawn.entries:
        if entry.name not in by_name or entry.name not in cameras or by_name[entry.name].length < entry.length:
            raise ValueError(
                f"{drawn.path} shows {entry.name} otherwise than {recorded.path} holds it; give the store that was "
                f"drawn, or draw it again"
            )
        seen_TMVC = np.asarray(drawn.joints(entry), np.float64)
        true_TMVC = np.asarray(recorded.joints(by_name[entry.name]), np.float64)[: len(seen_TMVC)]
        for slot in range(true_TMVC.shape[1]):
            finite = np.isfinite(true_TMVC[:, slot]).all(axis=(1, 2))
            there: Bools = np.asarray((true_TMVC[:, slot] != 0).any(axis=(1, 2)) & finite)
            found: Bools = np.asarray((seen_TMVC[:, slot] != 0).any(axis=(1, 2)))
            if there.sum() < _SHORTEST or not (found & there).any():
                continue
            yield Pair(
                name=entry.name, dataset=drawn.dataset, subject=entry.subject, stride=stride,
                true_TVC=cameras[entry.name].sees(true_TMVC[there, slot]), seen_TVC=seen_TMVC[there, slot],
                found=found[there],
            )  # fmt: skip
