"""The past of one camera: an hour of what was done, and a few skeletons a second, so that one can scroll back.

All of it is bounded; what was let go of is known by where the rest begins. Pictures are not kept.

Shapes: N people, V joint (25).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np

from ..wire import Tracks
from .people import relabelled
from .snapshot import PastSkeleton, RunView

PAST_S = 3600.0
_MOST_RUNS = 5000
_MOST_SKELETONS = 24_000  # of 130 bytes: 3 MB a camera
_EVERY_S = 0.2
_NEAR_S = 1.0  # a moment without a frame this close to it was not seen


class Moment(TypedDict):
    """What was seen at `t`; `size` is the picture's (width, height)."""

    t: float
    size: tuple[int, int]
    people: list[PastSkeleton]


class _Seen(NamedTuple):
    t: float
    size: tuple[int, int]
    who: tuple[tuple[int, str], ...]  # identity and letter
    pixels: bytes  # (N, 25, 2) int16
    confidence: bytes  # (N, 25) uint8, percent


class Past:
    """Runs that are over for good, and skeletons; `t` is the camera's clock."""

    def __init__(self) -> None:
        self._runs: deque[RunView] = deque()
        self._seen: deque[_Seen] = deque()
        self._skeletons = 0
        self._gone = False  # whether runs had to go before their time

    @property
    def runs(self) -> list[RunView]:
        """Every run that is kept, in the order in which they were over."""
        return list(self._runs)

    @property
    def runs_from(self) -> float | None:
        """From when on every run is known; None: from the start."""
        return self._runs[0]["start"] if self._gone and self._runs else None

    @property
    def seen(self) -> tuple[float, float] | None:
        """From when to when skeletons are known."""
        return (self._seen[0].t, self._seen[-1].t) if self._seen else None

    def add(self, run: RunView) -> None:
        """A run has left the timeline."""
        self._runs.append(run)
        while self._runs[0]["end"] < run["end"] - PAST_S or len(self._runs) > _MOST_RUNS:
            self._runs.popleft()
            self._gone = True

    def see(self, tracks: Tracks, letters: Sequence[str]) -> None:
        """Keep this frame's people, if it is time to."""
        if self._seen and tracks.t < self._seen[-1].t + _EVERY_S:
            return
        bound = np.iinfo(np.int16)
        self._seen.append(
            _Seen(tracks.t, tracks.size, tuple(zip(tracks.ids, letters, strict=True)),
                  np.clip(np.rint(tracks.pixels), bound.min, bound.max).astype(np.int16).tobytes(),
                  np.rint(100 * np.clip(tracks.confidence, 0, 1)).astype(np.uint8).tobytes())
        )  # fmt: skip
        self._skeletons += len(tracks.ids)
        while self._seen[0].t < tracks.t - PAST_S or self._skeletons > _MOST_SKELETONS:
            self._skeletons -= len(self._seen.popleft().who)

    def moment(self, t: float) -> Moment | None:
        """What was seen nearest to `t`; None if nothing near is known."""
        place = bisect_left(self._seen, t, key=lambda seen: seen.t)
        near = [self._seen[i] for i in (place - 1, place) if 0 <= i < len(self._seen)]
        nearest = min(near, key=lambda seen: abs(seen.t - t), default=None)
        if nearest is None or abs(nearest.t - t) > _NEAR_S:
            return None
        pixels_NV2 = np.frombuffer(nearest.pixels, np.int16).reshape(len(nearest.who), -1, 2)
        confidence_NV = np.frombuffer(nearest.confidence, np.uint8).reshape(len(nearest.who), -1)
        people = zip(nearest.who, pixels_NV2.astype(float).tolist(), (confidence_NV / 100).tolist(), strict=True)
        return Moment(
            t=round(nearest.t, 3), size=nearest.size,
            people=[
                PastSkeleton(track=track, person=letter, pixels=pixels, confidence=confidence)
                for (track, letter), pixels, confidence in people
            ],
        )  # fmt: skip

    def relabel(self, labels: Sequence[int]) -> None:
        """Class k is class `labels[k]` from now on."""
        for run in self._runs:
            run["action"] = relabelled(run["action"], labels)
