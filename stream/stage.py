"""What every stage process has in common: its place among the sockets, its counters, its reports, and how it stops."""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
import time
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Literal, Self

from ..encoder.stopping import Stop
from .elsewhere import Elsewhere
from .vitals import Counters, Vitals
from .wire import LONGEST_TEXT, Link, Publisher, Report

REPORT_EVERY_S = 0.5
FRESH_S = 2.0  # a stage that frames run through and that has had none for so long is not ready
State = Literal["starting", "ready", "ended", "failed"]

# What is measured as a histogram: the upper bounds of its classes, above which there is one more. `latency_s`: from the
# capture to the moment when the stage is done with it; `took_s`: what the stage's own work took; `batch`: windows.
_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
BOUNDS: dict[str, tuple[float, ...]] = {"latency_s": _SECONDS, "took_s": _SECONDS, "batch": (1, 2, 4, 8)}

# The door of another machine's gate that a link there leads through (`gate.py`).
_DOORS = {"windows": "windows", "bus-in": "reports", "bus-out": "events", "work": "work", "ends": "ends"}
_OWN = ("frames", "people", "tracks")


@dataclass(frozen=True)
class Place:
    """The folder in which the stages of several pipelines may meet: one socket file a link. `own`: the folder of this
    pipeline alone, for what runs between its camera and its windows, and for its vitals. `elsewhere`: the rest of them
    meet on another machine.
    """

    folder: Path
    elsewhere: Elsewhere | None = None
    own: Path | None = None

    def link(self, name: str) -> str | Link:
        """The endpoint of a link: frames, people, tracks, windows, work, bus-in, bus-out or ends."""
        if self.elsewhere is not None and name in _DOORS:
            return self.elsewhere.door(_DOORS[name])
        # Here the whole bus can be heard.
        return self.here("bus-out" if name == "ends" else name)

    def here(self, name: str) -> str:
        """The endpoint of a link on this machine."""
        folder = self.own if self.own is not None and name in _OWN else self.folder
        endpoint = f"ipc://{folder}/{name}"
        if len(endpoint) > 105:  # the kernel's limit on a socket's path
            raise ValueError(f"the path {folder} is too long for sockets; choose a shorter folder")
        return endpoint

    def beside(self, name: str) -> Path:
        """A file of this pipeline alone, for as long as it runs."""
        return (self.own or self.folder) / name

    def vitals(self, stage: str) -> Vitals:
        """The page on which a stage of this pipeline notes how it is. ValueError if there is no room for one."""
        return Vitals.at(self.beside(f"{stage}.vitals"))


class Stage:
    """The side of a stage process that talks about itself. A context manager: a failure is reported, then raised.

    `goes_on`: this process takes the place of one that counted before it.
    """

    def __init__(self, name: str, place: Place) -> None:
        self.name, self.place = name, place
        self.vitals = place.vitals(name)
        self.vitals.begin()
        self.counters = Counters(self.vitals)
        self.goes_on = bool(self.counters)
        self.gauges: dict[str, float] = {}
        self._histograms: dict[str, list[float]] = {}
        self.bus = Publisher(place.link("bus-in"))
        self.stop = Stop()
        self._state: State = "starting"
        self._reported = 0.0
        self._warning = ""
        self._noticed: set[str] = set()

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

    def sent(self, n: int) -> None:
        """So many messages of frames are handed on."""
        self.count("sent", n)

    def measure(self, what: str, value: float) -> None:
        """A gauge, smoothed over about the last twenty values."""
        self.gauges[what] = value if what not in self.gauges else 0.95 * self.gauges[what] + 0.05 * value

    def observe(self, what: str, value: float) -> None:
        """Add to a histogram of `BOUNDS`."""
        bounds = BOUNDS[what]
        counts = self._histograms.setdefault(what, [0.0] * (len(bounds) + 2))  # the last is the sum
        counts[bisect_left(bounds, value)] += 1
        counts[-1] += value

    def passed(self, captured_at: float) -> None:
        """A frame of this capture time has gone through here."""
        self.vitals.fresh = time.monotonic()
        self.observe("latency_s", max(time.time() - captured_at, 0.0))

    def ready(self, fresh_for: float = 0.0) -> None:
        """From now on the stage takes its input; one that should have a frame every `fresh_for` seconds says so."""
        self._state = "ready"
        self.vitals.fresh = self.vitals.ready_at = time.monotonic()
        self.vitals.fresh_for = fresh_for
        self.report(force=True)

    def report(self, *, force: bool = False, message: str = "") -> None:
        """Note that the stage's loop turns; publish how it is, if it is time to."""
        self.vitals.beat = time.monotonic()
        now = time.time()
        if not force and now - self._reported < REPORT_EVERY_S:
            return
        self._reported = now
        # What the stage measured comes first: it is what a view with little room shows.
        measured = {name: value for name, value in self.gauges.items() if math.isfinite(value)}
        gauges = {**measured, "memory_mb": resident_mb(), "cpu_s": time.process_time()}
        if self.vitals.fresh_for:
            gauges["age_s"] = time.monotonic() - self.vitals.fresh
        stale = self._state == "ready" and self.vitals.is_stale(time.monotonic())
        self.bus.publish(
            Report(stage=self.name, pid=os.getpid(), at=now, state="stale" if stale else self._state,
                   counters=dict(self.counters), gauges=gauges,
                   histograms={name: tuple(counts) for name, counts in self._histograms.items()},
                   message=(message or self._warning)[:LONGEST_TEXT])
        )  # fmt: skip

    def settle(self) -> None:
        """What was warned of is over."""
        self._warning = ""

    def tell(self, line: str) -> None:
        """Tell whoever started this; the supervisor passes it on."""
        print(f"skelstream {self.name}: {line}", file=sys.stderr, flush=True)

    def warn(self, line: str) -> None:
        """Tell whoever started this, and whoever watches, of something that is not as it was asked for.

        From now on, until `settle`, it is in every report: the first ones leave before anybody listens.
        """
        self.tell(line)
        self._warning = line
        self.report(force=True)

    def notice(self, line: str) -> None:
        """Warn of this once; "" is nothing."""
        if line and line not in self._noticed:
            self._noticed.add(line)
            self.warn(line)

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
