"""Trends: how late decisions were, and what was dropped where, second by second.

`at` is the receiver's clock in seconds, monotonic.
"""

from __future__ import annotations

from collections import deque

import numpy as np

TRENDS_S = 300


class LatencyTrend:
    """The median and the 95th percentile of every second of the last five minutes."""

    def __init__(self) -> None:
        self._now: tuple[int, list[float]] = (0, [])
        self._past: deque[tuple[int, int, int]] = deque(maxlen=TRENDS_S)  # second, p50, p95 in ms

    def add(self, at: float, latency_s: float) -> None:
        """A decision came so late."""
        if int(at) != self._now[0]:
            self._close()
            self._now = (int(at), [])
        self._now[1].append(1000 * latency_s)

    def view(self, at: float) -> tuple[list[int | None], list[int | None]]:
        """Both in ms for each second, oldest first, up to the one before now; None where nothing was decided."""
        if int(at) != self._now[0]:
            self._close()
        known = {second: (p50, p95) for second, p50, p95 in self._past}
        seconds = range(int(at) - TRENDS_S, int(at))
        none: tuple[None, None] = (None, None)
        return [known.get(s, none)[0] for s in seconds], [known.get(s, none)[1] for s in seconds]

    def _close(self) -> None:
        second, latencies = self._now
        if latencies:
            p50, p95 = np.percentile(latencies, (50, 95))
            self._past.append((second, round(p50), round(p95)))
        self._now = (second, [])


class DropTrend:
    """What each stage dropped in every second of the last five minutes."""

    def __init__(self) -> None:
        self._dropped: dict[str, deque[tuple[int, int]]] = {}

    def add(self, at: float, stage: str, dropped: int) -> None:
        """So many more were dropped."""
        kept = self._dropped.setdefault(stage, deque(maxlen=2 * TRENDS_S))  # two reports a second
        kept.append((int(at), dropped))

    def view(self, at: float) -> dict[str, list[int]]:
        """For each stage that dropped anything: how much, for each second, oldest first, up to the one before now."""
        first = int(at) - TRENDS_S
        view: dict[str, list[int]] = {}
        for stage, kept in list(self._dropped.items()):
            while kept and kept[0][0] < first:
                kept.popleft()
            if not kept:
                del self._dropped[stage]
                continue
            counts = [0] * TRENDS_S
            for second, dropped in kept:
                if second - first < TRENDS_S:
                    counts[second - first] += dropped
            view[stage] = counts
        return view
