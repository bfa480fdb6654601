"""Clips: what pretraining and recognition draw from, spans of stores in which one thing happens or anything does.

A trimmed recording is a clip. A long untrimmed one is cut into clips of at most `LONGEST` frames (10 s), as NTU's and
PKU-MMD's are long. Nothing is loaded until it is drawn.
Shapes: B batch, T frame, M person, V joint, C coordinate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .gather import gather, resized
from .store import Entry, Store

LONGEST = 300
_CROP = (0.1, 1.0)  # of the clip: USDRL's temporal crop


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames `start` to `start + length` of store number `store`; `label` is the set's own class of most of them."""

    store: int
    start: int
    length: int
    label: int
    subject: str
    view: str


class Clips:
    """The clips of some stores whose entry passes `choose`.

    `actions`: untrimmed recordings give a clip for each labelled action (what recognition on PKU-MMD is about) instead
    of being cut by time. Class 0 is their background.
    Raises ValueError if there are none, or the stores' joints differ.
    """

    def __init__(
        self, stores: Sequence[Store], choose: Callable[[Store, Entry], bool] | None = None, *, actions: bool = False
    ) -> None:
        self.stores = tuple(stores)
        if len(layouts := {store.layout for store in stores}) > 1:
            raise ValueError(f"stores of {' and '.join(sorted(layouts))} cannot be drawn from together; choose one")
        self.clips = tuple(
            clip
            for number, store in enumerate(stores)
            for entry in store.entries
            if choose is None or choose(store, entry)
            for clip in (_actions if actions and not entry.trimmed else _cut)(number, store, entry)
        )
        if not self.clips:
            raise ValueError("no clips to draw: the stores hold no recording of the people, views or setups asked for")
        self._store = np.array([clip.store for clip in self.clips])
        self._start = np.array([clip.start for clip in self.clips])
        self._length = np.array([clip.length for clip in self.clips])

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Each clip's class (N,)."""
        return np.array([clip.label for clip in self.clips], np.int64)

    def whole(self, indices: NDArray[np.integer], frames: int) -> Tensor:
        """The clips (B, 3, T, V, M) metres, each resized to `frames`."""
        return self.spans(indices, np.zeros(len(indices)), np.ones(len(indices)), frames)

    def cropped(
        self,
        indices: NDArray[np.integer],
        frames: int,
        rng: np.random.Generator,
        rows: NDArray[np.integer] | None = None,
    ) -> Tensor:
        """A random span of each clip (B, 3, T, V, M): 0.1 to 1 of it, at least `frames` frames, resized to `frames`.

        With `rows`, of those of the `indices` alone, and the same spans as if all had been asked for.
        """
        shortest = np.minimum(frames / self._length[indices], 1.0)
        share = np.maximum(rng.uniform(*_CROP, len(indices)), shortest)
        place = rng.uniform(0, 1, len(indices))
        chosen = np.arange(len(indices)) if rows is None else rows
        return self.spans(indices[chosen], place[chosen], share[chosen], frames)

    def spans(
        self, indices: NDArray[np.integer], place_B: NDArray[Any], share_B: NDArray[Any], frames: int
    ) -> Tensor:  # fmt: skip
        """`share_B` of each clip, `place_B` of the way from its start to its end, resized: (B, 3, T, V, M) metres."""
        start_B, length_B, store_B = self._start[indices], self._length[indices], self._store[indices]
        span_B = np.maximum(length_B * share_B, 1.0)
        at_BT = resized(start_B + place_B * (length_B - span_B), span_B, frames)
        out = np.empty((len(indices), frames, *self.stores[0].frames.shape[1:]), np.float32)
        for number in np.unique(store_B):
            mine = store_B == number
            out[mine] = gather(self.stores[number].frames, at_BT[mine], (start_B + length_B)[mine])[0]
        return torch.from_numpy(out).permute(0, 4, 1, 3, 2).contiguous()


def _cut(number: int, store: Store, entry: Entry) -> list[Clip]:
    labels = store.frame_labels(entry)
    pieces = 1 if entry.trimmed else -(-entry.length // LONGEST)
    edges = np.linspace(0, entry.length, pieces + 1).astype(int)
    return [
        Clip(
            store=number, start=entry.start + int(a), length=int(b - a), subject=entry.subject, view=entry.view,
            label=int(np.bincount(np.maximum(labels[a:b], 0)).argmax()),
        )
        for a, b in pairwise(edges)
    ]  # fmt: skip


def _actions(number: int, store: Store, entry: Entry) -> list[Clip]:
    """A clip a labelled action: those that the index holds, or else the runs of one label."""
    labels = store.frame_labels(entry)
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), entry.length]
    runs = [(int(labels[a]), a, b - 1) for a, b in pairwise(edges) if labels[a] > 0]
    return [
        Clip(
            store=number, start=entry.start + first, length=last - first + 1, label=label, subject=entry.subject,
            view=entry.view,
        )
        for label, first, last in (entry.segments or runs)
    ]  # fmt: skip
