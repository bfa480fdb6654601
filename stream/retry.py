"""Retry: a camera that is lost is said to be lost, and tried again for ever; when it is back, its clock has gone on.

A camera is lost when it cannot be read, when it owes a picture for too long (a driver may block for ever, so it is read
on a thread of its own), or when it repeats one picture. Only a camera that has worked once is tried again: one that
never did was asked for wrongly.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from .camera import Source, SourceLost
from .stage import Stage
from .wire import U8, Frame, Lost, replaced

SILENT_S = 2.0  # owing a picture for so long, a live camera is lost
_SLOW_S = 10.0  # the same of a recording, and of a camera that is being opened
REPEATS_S = 5.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 1.5


class StuckCamera(Exception):
    """The camera's driver does not return: only a new process can open it again."""


class Opens(Protocol):
    """Opens the source; live ones show `t` 0 at `epoch` of the monotonic clock (None: with the first frame)."""

    def __call__(self, *, epoch: float | None) -> Source: ...


class Camera:
    """The pictures of one source, whatever becomes of it. Frames are numbered and timed on over every loss.

    What has to survive this process is in the stage's vitals: how many frames there were, and when the clock began.
    Raises ValueError if the source cannot be opened the very first time.
    """

    def __init__(self, opens: Opens, stage: Stage, *, name: str, live: bool) -> None:
        self.name, self._opens, self._stage, self._live = name, opens, stage, live
        self.over = False
        self._lost: Lost | None = None
        self._lost_at = self._told = 0.0
        self._wait_s, self._due = _FIRST_WAIT_S, 0.0
        self._same: U8 | None = None  # the picture that it repeated
        self._reader: _Reader | None = self._read()

    def next(self, timeout_s: float) -> Frame | Lost | None:
        """The next frame, or None after `timeout_s`; while the camera is lost a `Lost` every `SILENT_S`.

        Raises ValueError if what is there is no picture, `StuckCamera` if this process cannot go on.
        """
        if self._lost is not None and time.monotonic() - self._told >= SILENT_S:
            return self._tell(self._lost)  # whoever has come since must know
        if self._reader is None:
            if time.monotonic() < self._due:
                time.sleep(min(timeout_s, max(self._due - time.monotonic(), 0)))
                return None
            self._reader = self._read()
        frame, skipped = self._reader.take(timeout_s)
        self._stage.count("captured", skipped)
        self._stage.count("dropped: newer came", skipped)
        if frame is not None:
            return self._found(frame)
        return self._missing(self._reader)

    def close(self) -> None:
        """Give the camera back, if its driver lets us."""
        if self._reader is not None:
            self._reader.stop()

    def _read(self) -> _Reader:
        epoch = self._stage.vitals.epoch or None
        return _Reader(lambda: self._opens(epoch=epoch), live=self._live, same=self._same)

    def _found(self, frame: Frame) -> Frame | None:
        vitals = self._stage.vitals
        if not vitals.epoch:
            vitals.epoch = time.monotonic() - frame.t
        elif frame.t <= vitals.t:  # of a recording that is read again
            return None
        if self._lost is not None:
            self._stage.tell(f"{self.name} is back after {time.monotonic() - self._lost_at:.0f} s")
        if self._stage.counters["lost"] > self._stage.counters["found"]:
            self._stage.counters["found"] = self._stage.counters["lost"]
            self._stage.settle()
        self._lost, self._wait_s, self._same = None, _FIRST_WAIT_S, None
        return replaced(frame, camera=self.name, seq=self._stage.counters["captured"])

    def _missing(self, reader: _Reader) -> Lost | None:
        if reader.over:
            self.over = True
            return None
        stuck_s = reader.asked_for_s()
        stuck = stuck_s > (SILENT_S if self._live and reader.opened else _SLOW_S)
        if not stuck and reader.failure is None:
            return None
        if reader.failure is not None and not self._stage.vitals.epoch:
            raise reader.failure
        if isinstance(reader.failure, ValueError) and reader.opened and not isinstance(reader.failure, SourceLost):
            raise reader.failure
        if stuck and self._lost is not None:
            raise StuckCamera
        self._same = reader.same if reader.repeats else self._same
        if not stuck:
            self._reader = None
            self._due = time.monotonic() + self._wait_s
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
        return self._lose(f"it has given no picture for {stuck_s:.0f} s" if stuck else str(reader.failure))

    def _lose(self, reason: str) -> Lost | None:
        if self._lost is not None:
            return None
        self._lost_at = time.monotonic()
        if self._stage.counters["lost"] == self._stage.counters["found"]:  # else the process before this one has told
            self._stage.count("lost")
            self._stage.warn(f"{self.name} is lost ({reason}); it is tried again until it is back")
        return self._tell(Lost(camera=self.name, at=time.time(), reason=reason))

    def _tell(self, lost: Lost) -> Lost:
        self._lost, self._told = lost, time.monotonic()
        return lost


class _Reader:
    """Reads a source on a thread of its own. Of a live one the newest frame is kept; a recorded one is waited with."""

    def __init__(self, opens: Callable[[], Source], *, live: bool, same: U8 | None) -> None:
        self.failure: Exception | None = None
        self.opened = self.over = self.repeats = False
        self.same = same  # the newest picture; at first the one that the camera hung at, which nobody is shown again
        self._hung = same is not None
        self._opens, self._live = opens, live
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._skipped = 0
        self._asked = time.monotonic()  # 0: it is not asked for anything
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> tuple[Frame | None, int]:
        """The frame that is there, and how many live ones it has replaced; (None, 0) after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self.over or self.failure, timeout_s)
            frame, skipped = self._frame, self._skipped
            self._frame, self._skipped = None, 0
            self._changed.notify_all()
        return frame, skipped

    def asked_for_s(self) -> float:
        """For how long the source has owed a picture."""
        asked = self._asked
        return time.monotonic() - asked if asked and self._thread.is_alive() else 0.0

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(0.2)

    def _run(self) -> None:
        try:
            with contextlib.closing(self._opens()) as source:
                self.opened = True
                since = time.monotonic()
                for frame in source.frames():
                    self._asked = 0.0
                    repeated = self._live and _equal(frame.image, self.same)
                    if not repeated:
                        since, self.same, self._hung = time.monotonic(), frame.image, False
                    elif time.monotonic() - since > REPEATS_S:
                        self.repeats = True
                        raise SourceLost(f"it has repeated one picture for {REPEATS_S:.0f} s")
                    if not self._hung and not self._give(frame):
                        return
                    self._asked = time.monotonic()
            self.over = True
        except Exception as error:  # whatever a camera's driver may raise is told by the other thread
            self.failure = error
        with self._changed:
            self._changed.notify_all()

    def _give(self, frame: Frame) -> bool:
        """Put a frame where `take` finds it; False once nobody will take any."""
        with self._changed:
            if not self._live:
                self._changed.wait_for(lambda: self._frame is None or self._stopped)
            self._skipped += int(self._frame is not None)
            self._frame = frame
            self._changed.notify_all()
            return not self._stopped


def _equal(image: U8, other: U8 | None) -> bool:
    """Whether two pictures are the same to the last bit, which a sensor's noise never leaves."""
    if other is None or image.shape != other.shape or not np.array_equal(image[::32, ::32], other[::32, ::32]):
        return False
    return np.array_equal(image, other)
