"""What every stage process has in common: its place among the sockets, its counters, its reports, and how it stops."""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Literal, Self

from .elsewhere import Elsewhere
from .wire import LONGEST_TEXT, Link, Publisher, Report

REPORT_EVERY_S = 0.5
State = Literal["starting", "ready", "ended", "failed"]

# The door of another machine's gate that a link there leads through (`gate.py`).
_DOORS = {"windows": "windows", "bus-in": "reports", "bus-out": "events", "work": "work", "ends": "ends"}


@dataclass(frozen=True)
class Place:
    """The folder in which the stages of one pipeline meet: one socket file a link. `elsewhere`: the rest of them meet
    on another machine.
    """

    folder: Path
    elsewhere: Elsewhere | None = None

    def link(self, name: str) -> str | Link:
        """The endpoint of a link: frames, people, tracks, windows, work, bus-in, bus-out or ends."""
        if self.elsewhere is not None and name in _DOORS:
            return self.elsewhere.door(_DOORS[name])
        # Here the whole bus can be heard.
        return self.here("bus-out" if name == "ends" else name)

    def here(self, name: str) -> str:
        """The endpoint of a link on this machine."""
        endpoint = f"ipc://{self.folder}/{name}"
        if len(endpoint) > 105:  # the kernel's limit on a socket's path
            raise ValueError(f"the path {self.folder} is too long for sockets; choose a shorter folder")
        return endpoint


class Stage:
    """The side of a stage process that talks about itself. A context manager: a failure is reported, then raised."""

    def __init__(self, name: str, place: Place) -> None:
        self.name, self.place = name, place
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, float] = {}
        self.bus = Publisher(place.link("bus-in"))
        self.stop = threading.Event()
        self._state: State = "starting"
        self._reported = 0.0
        self._warning = ""

    @property
    def stopping(self) -> bool:
        return self.stop.is_set()

    def stop_on_signals(self) -> None:
        """SIGTERM and Ctrl-C let the stage's loop finish its round."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.stop.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    def count(self, what: str, n: int = 1) -> None:
        """Add to a counter of this stage."""
        self.counters[what] += n

    def measure(self, what: str, value: float) -> None:
        """A gauge, smoothed over about the last twenty values."""
        self.gauges[what] = value if what not in self.gauges else 0.95 * self.gauges[what] + 0.05 * value

    def ready(self) -> None:
        """From now on the stage takes its input."""
        self._state = "ready"
        self.report(force=True)

    def report(self, *, force: bool = False, message: str = "") -> None:
        """Publish how the stage is, if it is time to."""
        now = time.time()
        if not force and now - self._reported < REPORT_EVERY_S:
            return
        self._reported = now
        # What the stage measured comes first: it is what a view with little room shows.
        measured = {name: value for name, value in self.gauges.items() if math.isfinite(value)}
        gauges = {**measured, "memory_mb": resident_mb(), "cpu_s": time.process_time()}
        self.bus.publish(
            Report(stage=self.name, pid=os.getpid(), at=now, state=self._state, counters=dict(self.counters),
                   gauges=gauges, message=(message or self._warning)[:LONGEST_TEXT])
        )  # fmt: skip

    def warn(self, line: str) -> None:
        """Tell whoever started this, and whoever watches, of something that is not as it was asked for.

        From now on it is in every report: the first ones leave before anybody listens.
        """
        print(f"skelstream {self.name}: {line}", file=sys.stderr, flush=True)
        self._warning = line
        self.report(force=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state = "ended" if error is None else "failed"
        self.report(force=True, message="" if error is None else str(error))
        time.sleep(0.05)  # the last report must leave before the socket closes
        self.bus.close()


def resident_mb() -> float:
    """Memory of this process that is in RAM, in MB."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no /proc: the largest it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6
