"""The wish to stop, which the handler of a signal may set."""

from __future__ import annotations

import math
import threading
import time

_LOOKS_EVERY_S = 0.02


class Stop(threading.Event):
    """An event that may be set by a handler, whatever that interrupts.

    `threading.Event` has a lock, which is held for a moment while it is set or waited for: a handler that comes just
    then, in the same thread, would wait for it for ever. So does the second of two signals in a row: Ctrl-C twice, or a
    supervisor's SIGTERM and the death of the parent.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    def set(self) -> None:
        self._asked = True

    def is_set(self) -> bool:
        return self._asked

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for so many seconds; whether it is."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self._asked and (left_s := until - time.monotonic()) > 0:
            time.sleep(min(left_s, _LOOKS_EVERY_S))
        return self._asked
