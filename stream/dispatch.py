"""Dispatch: windows of many cameras go to whichever detectors are there, and come back in order.

The detectors are stateless, so several may share the load, one may die, and one may come late. This is the ledger
that makes that safe: every window is waiting, or out with a detector, or scored, or dropped, and a person's scores
leave in the order in which the windows came. Pure: the sockets are in `deciding.py`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from .wire import Scores, Window

Key = tuple[str, int, int]  # camera, track, index


@dataclass
class _Entry:
    window: Window | None  # None once it is scored or dropped
    scores: Scores | None = None
    worker: bytes | None = None
    sent_at: float = 0.0


class Dispatcher:
    """The windows that are not decoded yet. Times are seconds on any clock that only grows.

    `tally` counts what became of windows that are not scored, "dropped: " and why, and what else is not as usual.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """`capacity` windows may wait: beyond it the oldest is dropped (live), or `full` says so (lossless).

        `newest`: a person's window that still waits when their next one comes is dropped, for the next one shows the
        same frames and one more; so under load windows lie further apart, and latency does not pile up.
        `batch` windows at most go out at once; a detector that has not answered after `patience_s` is given up.
        """

        capacity: int = 64
        newest: bool = False
        batch: int = 8
        patience_s: float = 2.0

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or self.Config()
        self._entries: dict[Key, _Entry] = {}
        self._waiting: deque[Key] = deque()
        self._orders: dict[tuple[str, int], deque[Key]] = {}
        self.tally: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        return len(self._waiting) >= self.config.capacity

    @property
    def idle(self) -> bool:
        """Whether no window is waiting for anything."""
        return not self._entries

    def outstanding(self, camera: str) -> int:
        """How many windows of this camera have not left yet."""
        return sum(len(order) for (name, _), order in self._orders.items() if name == camera)

    def put(self, window: Window) -> None:
        """Take a window in; the oldest that is waiting makes room, but never a person's last, which ends events."""
        key = (window.camera, window.track, window.index)
        if key in self._entries:
            self.tally["dropped: repeated"] += 1
            return
        if self.config.newest:
            for old in [old for old in self._waiting if old[:2] == key[:2]]:
                self._drop(old, "newer came")
        self._entries[key] = _Entry(window)
        self._orders.setdefault(key[:2], deque()).append(key)
        self._waiting.append(key)
        if len(self._waiting) > self.config.capacity:
            for old in self._waiting:
                waiting = self._entries[old].window
                if waiting is not None and not waiting.last:
                    self._drop(old, "too many wait")
                    break

    def _drop(self, key: Key, reason: str) -> None:
        self._waiting.remove(key)
        self._entries[key].window = None
        self.tally[f"dropped: {reason}"] += 1

    def take(self, worker: bytes, now: float) -> list[Window]:
        """The next windows for this detector, oldest first; they are out until `settle` or `expire`."""
        windows: list[Window] = []
        while self._waiting and len(windows) < self.config.batch:
            entry = self._entries[self._waiting.popleft()]
            if entry.window is not None:
                entry.worker, entry.sent_at = worker, now
                windows.append(entry.window)
        return windows

    def give_back(self, worker: bytes) -> None:
        """The detector is gone: what it had out waits again, ahead of the rest."""
        self._return([key for key, entry in self._entries.items() if entry.worker == worker])

    def expire(self, now: float) -> set[bytes]:
        """Take back what has been out for too long; returns the detectors that are given up."""
        late = {
            e.worker
            for e in self._entries.values()
            if e.worker is not None and now - e.sent_at > self.config.patience_s
        }
        for worker in late:
            self.give_back(worker)
        return late

    def _return(self, keys: list[Key]) -> None:
        for key in reversed(keys):
            self._entries[key].worker = None
            self._waiting.appendleft(key)
            self.tally["resent"] += 1

    def settle(self, scores: Scores) -> None:
        """A detector's answer. One that was given up may still answer; the first answer counts.

        One that is not of the window that was sent is not taken: a detector is not believed when it says when it was.
        """
        key = (scores.camera, scores.track, scores.index)
        entry = self._entries.get(key)
        if entry is None or entry.window is None:
            return
        if not _answers(scores, entry.window):
            self.tally["refused: scores of no such window"] += 1
            return
        if entry.worker is None:
            self._waiting.remove(key)
        entry.window, entry.worker, entry.scores = None, None, scores

    def ordered(self) -> Iterator[Scores]:
        """The scores that nothing before them is missing for, person by person; they leave the ledger."""
        for person, order in list(self._orders.items()):
            while order and self._entries[order[0]].window is None:
                entry = self._entries.pop(order.popleft())
                if entry.scores is not None:
                    yield entry.scores
            if not order:
                del self._orders[person]


def _answers(scores: Scores, window: Window) -> bool:
    """Whether scores are of this window's newest frames."""
    frames = len(scores.logits)
    return (
        frames <= window.joints.shape[1]
        and scores.first_tick == window.first_tick + window.joints.shape[1] - frames
        and scores.valid == min(window.valid, frames)
        and (scores.t, scores.captured_at, scores.last) == (window.t, window.captured_at, window.last)
    )
