"""The watchdog: a robot that is asked nothing any more goes to its safe pose, whoever has fallen silent.

It is a thread of its own beside the loop that it watches. A robot that is driven from another computer needs one there
too: this one ends with its process.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from .robot import Command, Reading, Robot

SILENT_S = 0.5
_LOOKS_EVERY_S = 0.02


class Watchdog:
    """A robot that is watched: connected on entering, safe and closed on leaving. A context manager."""

    def __init__(self, robot: Robot, silent_s: float = SILENT_S) -> None:
        self._robot, self._silent_s = robot, silent_s
        self.name = robot.name
        self.barked = 0  # how often it had to
        self._fed_at = 0.0
        self._safe = True
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def perform(self, command: Command) -> None:
        """Hand the command on; until the next one `silent_s` may pass."""
        with self._lock:
            self._fed_at, self._safe = time.monotonic(), False
            self._robot.perform(command)

    def stop(self) -> None:
        """To the safe pose, until the next `perform`."""
        with self._lock:
            self._safe = True
            self._robot.stop()

    def state(self) -> Reading:
        return self._robot.state()

    def _watch(self) -> None:
        while not self._ended.wait(_LOOKS_EVERY_S):
            with self._lock:
                if not self._safe and time.monotonic() - self._fed_at > self._silent_s:
                    self._safe = True
                    self.barked += 1
                    self._robot.stop()

    def __enter__(self) -> Self:
        self._robot.connect()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._robot.stop()
        self._robot.close()
