"""`skelstream bench streams`: how many live streams one detector process serves, and where it breaks.

The stages are those of `live`: `decode` and one `detect`, processes of their own on their real sockets, started anew
for each number of streams. This process is all the cameras at once: every stream has one person, whose windows come
due every `hop` ticks of the 30 Hz clock, and a phase of its own. Where there are two cores the detector has one of
them, decode and this process share the others; what else the machine runs may take them, and is told of as `robbed`.

A window's latency runs from the moment it was due, so that a late feeder cannot hide it, to the decision that rests on
it. A number of streams holds if no more than 1 % of the windows are lost and 95 % of the others take no longer than one
hop, the time until the stream's next one.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from ..encoder.bundle import F32, Bundle
from ..encoder.clock import HZ
from ..stream.settings import Settings
from ..stream.window import WindowCutter
from ..stream.wire import Decision, Feeder, Report, Subscriber, Window
from ..train.whole_file import write_whole
from .accounts import dropped_in
from .live import interruption
from .processor import processor
from .said import say
from .streams_picture import draw_streams
from .supervisor import StageFailed, Supervisor

MOST_LOST = 0.01  # of the windows
_MOST_LATE = 0.1  # of a hop: a feeder that is later with one window in a hundred is told of
_START_S = 600.0  # for an engine that is built for minutes before it first runs
_WARM_UP_S = 2.0
_TAIL_S = 0.5  # fed on after the last window that counts, which would have the detector to itself otherwise
_DRAIN_S = 2.0  # the longest wait for what is still on its way; the dispatcher's own patience
_SEED = 0


class Due(NamedTuple):
    """A window of a stream, and when it is due: seconds from the start of the feeding."""

    at_s: float
    stream: int
    number: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of one number of streams.

    `due` and `decided` count the windows of the measured seconds, and `lost` is the share of `due` that no decision
    rests on; the percentiles are of the latency of the others (None if there is none). `late_ms`: 99 % of the windows
    were sent no later than this. `refused` (by the full link to decode) and `dropped` (by decode) count windows of the
    whole run, the warm-up included. `batch` is the detector's mean, `cpu` in shares of one core, by process. `robbed`:
    for what share of the time a thread of the detector could have run and had no core (None where nobody can tell).
    """

    streams: int
    due: int
    decided: int
    lost: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    late_ms: float
    refused: int
    dropped: int
    batch: float | None
    cpu: dict[str, float]
    robbed: float | None

    def breaks(self, hop_ms: float) -> str:
        """Why this number of streams does not hold; empty if it does."""
        reasons = [f"{self.lost:.1%} lost"] if self.lost > MOST_LOST else []
        if self.p95_ms is None or self.p95_ms > hop_ms:
            reasons.append("p95 over a hop")
        return ", ".join(reasons)

    def feeder_late(self, hop_ms: float) -> bool:
        """Whether this process could not keep up, so that the row says little about the detector."""
        return self.late_ms > _MOST_LATE * hop_ms


@dataclass
class _Heard:
    """What one run has heard from its stages, and what it did itself. Times are Unix seconds."""

    span: tuple[float, float]  # of the due times that count
    waiting: set[tuple[str, float]] = field(default_factory=set)  # camera and due time of windows that count
    latencies_s: list[float] = field(default_factory=list)
    lateness_s: list[float] = field(default_factory=list)
    refused: int = 0
    reports: dict[str, list[Report]] = field(default_factory=dict)
    own_cpu: float = 0.0
    robbed: float | None = None

    def listen(self, bus: Subscriber, timeout_s: float) -> None:
        """Take what is there; wait for the first of it."""
        while (message := bus.receive(timeout_s)) is not None:
            timeout_s = 0
            if isinstance(message, Report) and message.stage in ("decode", "detect"):
                self.reports.setdefault(message.stage, []).append(message)
            elif isinstance(message, Decision) and (key := (message.camera, message.captured_at)) in self.waiting:
                self.waiting.remove(key)
                self.latencies_s.append(message.decided_at - message.captured_at)


def bench_streams(streams: Sequence[int], hop: int, seconds: float, model: str, threads: int, out: Path) -> int:
    """Measure, print the table, and write streams.json and streams.png into `out`. 130 if interrupted.

    Raises ValueError if the request cannot be met.
    """
    bundle = Bundle.load_live(model)
    if not streams or min(streams) < 1 or max(streams) > 1000:
        raise ValueError("--streams must be one or more numbers in 1..1000, such as --streams 8 16 32")
    if not 1 <= hop <= bundle.config.frames:
        raise ValueError(f"--hop must be in 1..{bundle.config.frames} frames, the length of a window")
    if not 1 <= seconds <= 3600:
        raise ValueError("--seconds must be in 1..3600; less than one tells nothing")
    if threads < 1:
        raise ValueError("--threads must be at least 1")
    hop_ms = 1000 * hop / HZ
    detector, others, cores = share_cores(threads)
    say(f"{bundle.name}, a window every {hop_ms:.0f} ms a stream; {cores}")
    rows: list[Row] = []
    with interruption() as interrupted, on_cores(others):
        for number in sorted(set(streams)):
            settings = Settings(folder="", model=model, hop=hop, threads=threads)
            try:
                row = _measure(settings, bundle, number, seconds, detector, interrupted)
            except StageFailed as failure:
                print(f"skelstream: {failure}", file=sys.stderr)
                return 2 if failure.wrong_request else 1
            if row is None:
                return 130
            rows.append(row)
            p95 = "nothing decided" if row.p95_ms is None else f"p95 {row.p95_ms:.0f} ms"
            say(f"step {len(rows)}/{len(set(streams))}  {number} streams: {p95}, {row.lost:.1%} lost")
    most, broken = largest_that_holds(rows, hop_ms), first_that_breaks(rows, hop_ms)
    title = f"{bundle.name}, one detector, {threads} thread{'s' * (threads > 1)}, hop {hop}; {processor()}"
    _show(rows, hop_ms, title, cores)
    say(verdict(most, broken))
    content = {
        "model": bundle.name, "machine": processor(), "cores": cores, "threads": threads, "hop": hop,
        "hop_ms": hop_ms, "seconds": seconds, "holds": most, "breaks": broken,
        "rows": [asdict(row) | {"why": row.breaks(hop_ms), "feeder_late": row.feeder_late(hop_ms)} for row in rows],
    }  # fmt: skip
    write_whole(out / "streams.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    draw_streams(rows, hop_ms, broken, out / "streams.png", title)
    say(f"{out}/streams.json and {out}/streams.png")
    return 0


def schedule(streams: int, hop: int, seconds: float, seed: int) -> list[Due]:
    """All windows that are due in [0, `seconds`), in order: each stream's every hop, at a phase of its own.

    The phases lie one in each of `streams` equal parts of a hop, anywhere in it: cameras are not in step.
    """
    period_s = hop / HZ
    phases_s = (np.arange(streams) + np.random.default_rng(seed).uniform(size=streams)) * period_s / streams
    return sorted(
        Due(float(phase + index * period_s), stream, index)
        for stream, phase in enumerate(phases_s)
        for index in range(int(seconds / period_s) + 1)
        if phase + index * period_s < seconds
    )


def window_of(due: Due, hop: int, start: float, probes_PCTVM: F32) -> Window:
    """The window that is due: joints from the probes in turn, ticks and index as `WindowCutter` gives them.

    `start` is the Unix time of the feeding's start. The person comes into view with the stream.
    """
    seen = (math.ceil(WindowCutter.Config().min_valid / hop) + due.number) * hop  # ticks
    frames = probes_PCTVM.shape[2]
    return Window(
        camera=f"bench-{due.stream}", t=(seen - 1) / HZ, captured_at=start + due.at_s, track=1, index=due.number,
        first_tick=seen - frames, valid=min(seen, frames), last=False,
        joints=probes_PCTVM[(due.stream + due.number) % len(probes_PCTVM)], evidence=1.0,
    )  # fmt: skip


def row_of(streams: int, heard: _Heard) -> Row:
    """The figures of one run."""
    due = len(heard.latencies_s) + len(heard.waiting)
    p50, p95, p99 = (float(1000 * p) for p in np.percentile(heard.latencies_s or [0.0], (50, 95, 99)))
    decided = len(heard.latencies_s)
    inside = {
        stage: [report for report in reports if heard.span[0] <= report.at <= heard.span[1]]
        for stage, reports in heard.reports.items()
    }
    cpu = {stage: _cpu(reports) for stage, reports in inside.items() if len(reports) > 1}
    batches = [report.gauges["batch"] for report in inside.get("detect", []) if "batch" in report.gauges]
    decode = heard.reports.get("decode", [])
    return Row(
        streams=streams, due=due, decided=decided, lost=1 - decided / due if due else 0.0,
        p50_ms=p50 if decided else None, p95_ms=p95 if decided else None, p99_ms=p99 if decided else None,
        late_ms=float(1000 * np.percentile(heard.lateness_s or [0.0], 99)), refused=heard.refused,
        dropped=dropped_in(decode[-1].counters) if decode else 0,
        batch=float(np.mean(batches)) if batches else None, cpu=cpu | {"feeder": heard.own_cpu}, robbed=heard.robbed,
    )  # fmt: skip


def largest_that_holds(rows: Sequence[Row], hop_ms: float) -> int | None:
    """The most streams that hold, as do all fewer that were measured; None if not even the fewest do."""
    most = None
    for row in rows:
        if row.breaks(hop_ms):
            break
        most = row.streams
    return most


def first_that_breaks(rows: Sequence[Row], hop_ms: float) -> int | None:
    """The fewest streams measured that do not hold; None if all do."""
    return next((row.streams for row in rows if row.breaks(hop_ms)), None)


def verdict(most: int | None, broken: int | None) -> str:
    """What was found, in one line."""
    if most is None:
        return f"not even {broken} streams hold; try fewer"
    return f"{most} streams hold" + (f"; {broken} do not" if broken is not None else "; more were not tried")


def share_cores(threads: int) -> tuple[frozenset[int], frozenset[int], str]:
    """The detector's cores, those of everybody else, and what to tell of it. Empty sets: wherever the system likes."""
    if sys.platform != "linux":
        return frozenset(), frozenset(), "this system pins no processes: detector, decode and feeder share its cores"
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) <= threads:
        return (
            frozenset(),
            frozenset(),
            f"{len(cores)} core(s) for {threads} thread(s): detector, decode and feeder share them, and it shows",
        )
    detector, others = frozenset(cores[-threads:]), frozenset(cores[:-threads])
    said = f"detector on core {_listed(detector)}, decode and feeder on {_listed(others)}"
    if siblings := {sibling for core in detector for sibling in _siblings(core)} & others:
        said += f" (core {_listed(siblings)} is a hyper-thread of the detector's)"
    return detector, others, said


@contextlib.contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """This thread, and all processes and threads that it starts, on these cores. The empty set changes nothing.

    So a child is pinned before its first instruction, and all threads of its own with it.
    """
    if sys.platform != "linux" or not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _measure(
    settings: Settings, bundle: Bundle, streams: int, seconds: float, detector: frozenset[int],
    interrupted: threading.Event,
) -> Row | None:  # fmt: skip
    """One number of streams, with processes of its own; None if interrupted. Raises StageFailed if one dies."""
    with Supervisor(settings, tell=lambda stage, line: say(f"{stage}: {line}")) as supervisor:
        place = supervisor.settings.place
        with (
            Subscriber(place.link("bus-out"), (Report, Decision), queue=100_000) as bus,
            Feeder(place.link("windows"), queue=settings.queue) as link,
        ):
            supervisor.start("decode")
            with on_cores(detector):
                supervisor.start("detect")
            if not _wait_until_ready(supervisor, interrupted):
                return None
            due = schedule(streams, settings.hop, _WARM_UP_S + seconds + _TAIL_S, _SEED)
            start = time.time() + 0.1
            heard = _Heard(span=(start + _WARM_UP_S, start + _WARM_UP_S + seconds))
            _feed(due, start, settings.hop, bundle.reference().joints, link, bus, heard, supervisor, interrupted)
            until = time.monotonic() + _DRAIN_S
            while heard.waiting and time.monotonic() < until and not interrupted.is_set():
                heard.listen(bus, 0.1)
            if interrupted.is_set():
                return None
            supervisor.stop()
            heard.listen(bus, 0.05)  # the stages' last reports
    return row_of(streams, heard)


def _wait_until_ready(supervisor: Supervisor, interrupted: threading.Event) -> bool:
    """Wait until both stages take their input; False if interrupted before."""
    deadline = time.monotonic() + _START_S
    while not supervisor.all_ready():
        supervisor.watch()
        if interrupted.wait(0.1):
            return False
        if time.monotonic() > deadline:
            raise StageFailed(f"the stages did not get ready in {_START_S:.0f} s", wrong_request=False)
    return True


def _feed(
    due: Sequence[Due], start: float, hop: int, probes_PCTVM: F32, link: Feeder, bus: Subscriber, heard: _Heard,
    supervisor: Supervisor, interrupted: threading.Event,
) -> None:  # fmt: skip
    """Send every window when it is due, and listen in between; until interrupted."""
    pids, watched = supervisor.pids(), 0.0
    began, cpu_began, robbed_began = time.monotonic(), time.process_time(), _waited_s(pids["detect"])
    clock = time.monotonic() - time.time()  # one reading: a step of the system's clock must not stop the feeding
    for window_due in due:
        window = window_of(window_due, hop, start, probes_PCTVM)
        while (left := window.captured_at + clock - time.monotonic()) > 0 and not interrupted.is_set():
            link.flush()
            time.sleep(min(left, 0.1))
        if interrupted.is_set():
            return
        late = time.monotonic() - (window.captured_at + clock)
        if heard.span[0] <= window.captured_at < heard.span[1]:
            heard.waiting.add((window.camera, window.captured_at))
            heard.lateness_s.append(late)
        heard.refused += link.offer(window) is not None
        heard.listen(bus, 0)
        if time.monotonic() - watched > 0.5:
            watched = time.monotonic()
            supervisor.watch()
            if supervisor.pids() != pids:  # the supervisor has started another, which is not pinned, nor warm
                raise StageFailed("the detector died under the load", wrong_request=False)
    took, robbed = time.monotonic() - began, _waited_s(pids["detect"])
    heard.own_cpu = (time.process_time() - cpu_began) / took
    heard.robbed = None if robbed is None or robbed_began is None else (robbed - robbed_began) / took


def _cpu(reports: Sequence[Report]) -> float:
    """The processor time of a process between its first and its last report, in shares of one core."""
    first, last = reports[0], reports[-1]
    return (last.gauges["cpu_s"] - first.gauges["cpu_s"]) / (last.at - first.at)


def _waited_s(pid: int) -> float | None:
    """How long the threads of a process were ready to run and had no core, in seconds so far; None if nobody knows."""
    try:
        return sum(int(path.read_text().split()[1]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _siblings(core: int) -> set[int]:
    """The hyper-threads of a core's physical core, as far as the system tells."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        spans = [span.partition("-") for span in path.read_text().strip().split(",")]
        return {n for first, _, last in spans for n in range(int(first), int(last or first) + 1)}
    except (OSError, ValueError):
        return set()


def _listed(cores: set[int] | frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


def _show(rows: Sequence[Row], hop_ms: float, title: str, cores: str) -> None:
    table = Table(title=title, caption=f"{cores}; from due to decided; one hop is {hop_ms:.0f} ms")
    for column in (
        "streams", "windows/s", "p50 ms", "p95 ms", "p99 ms", "lost", "batch", "CPU detect", "robbed", "decode",
        "feeder", "sent late", "verdict",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "verdict" else "right")
    for row in rows:
        latencies = ("-" if ms is None else f"{ms:.1f}" for ms in (row.p50_ms, row.p95_ms, row.p99_ms))
        shares = (row.cpu.get("detect"), row.robbed, row.cpu.get("decode"), row.cpu.get("feeder"))
        told = row.breaks(hop_ms) or "holds"
        if row.feeder_late(hop_ms):
            told += "; the feeder did not keep up"
        table.add_row(
            str(row.streams), f"{1000 * row.streams / hop_ms:.0f}", *latencies, f"{row.lost:.2%}",
            "-" if row.batch is None else f"{row.batch:.1f}",
            *("-" if share is None else f"{share:.0%}" for share in shares), f"{row.late_ms:.1f}", told,
        )  # fmt: skip
    Console(width=150).print(table)
