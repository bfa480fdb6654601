"""`skelstream bench encoder`: engines, precisions and batch sizes against the published network.

The reference (the published network in eager float32 PyTorch, `published.py`), all candidates and the machine's own
matrix products are timed turn by turn in one run, so that whatever else the machine does hits all of them. Each has a
process of its own, as in `live`: the threads of one that waits would get in the way of another.

A share of the peak is the work that an engine's own graph holds, a second, of what large square products of the same
precision reach here in the same run. Folding leaves less work to do, so a share says how well it is done, not how fast.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from ..encoder.bundle import F32, Bundle
from ..encoder.config import DSTEConfig
from ..encoder.dste import DSTE
from ..encoder.engine import Precision
from ..encoder.engine.compile import compile_engine
from ..encoder.engine.target import Target
from ..encoder.graph import engine_graph
from ..encoder.weights import load_detector
from ..train.whole_file import write_whole
from .engine_picture import draw_engines
from .export import targets_here
from .matrix_peak import Peak, graph_flop
from .processor import processor
from .published import PublishedDSTE
from .said import say

_WARM_UP, _CALLS = 1, 2  # calls before each measurement, and in it
_REST_S = 0.02  # until the threads of whoever was measured before have gone to sleep


@dataclass(frozen=True)
class Way:
    """What to time: the published network, a target, or (both empty) the matrix product of a precision."""

    published: bool = False
    target: Target | None = None
    frames: int | None = None
    peak: Precision | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a way turned out to be; `gflop` is a window's work."""

    engine: str
    precision: Precision
    frames: int
    gflop: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of one way at one batch size; `speed_up` is the middle of the rounds' ratios to the reference."""

    engine: str
    precision: str
    frames: int
    batch: int
    ms: float
    windows_per_s: float
    speed_up: float
    share_of_peak: float


def bench_encoder(
    model: str, engines: Sequence[str], batches: Sequence[int], rounds: int, threads: int, frames: int, out: Path
) -> int:
    """Time, print the table, and write encoder.json and encoder.png into `out`."""
    if min(*batches, rounds, threads) < 1:
        raise ValueError("--batches, --rounds and --threads must be at least 1")
    bundle = Bundle.load(model)
    _check_published(bundle)
    targets = [Target.parse(text) for text in engines] or targets_here(bundle)
    asked = [Way(target=target, frames=last) for target in targets for last in ((None, frames) if frames else (None,))]
    ways = [_Timed(bundle, way, threads) for way in (Way(published=True), *asked)]
    peaks = {p: _Timed(bundle, Way(peak=p), threads) for p in dict.fromkeys(way.facts.precision for way in ways)}
    try:
        for turn in range(rounds):
            say(f"step {turn + 1}/{rounds}  a round over all engines and batch sizes")
            for batch in batches:
                for way in (*ways, *peaks.values()):
                    way.measure(batch)
    finally:
        for way in (*ways, *peaks.values()):
            way.close()
    best = {p: way.facts.gflop / min(min(taken) for taken in way.seconds.values()) for p, way in peaks.items()}
    rows = [_row(way, ways[0], batch, best[way.facts.precision]) for way in ways for batch in batches]
    title = f"{bundle.name} (hidden {bundle.config.encoder.hidden}), {processor()}, {threads} threads, {rounds} rounds"
    _show(rows, best, title)
    out.mkdir(parents=True, exist_ok=True)
    content = {
        "model": bundle.name, "hidden": bundle.config.encoder.hidden, "machine": processor(), "threads": threads,
        "rounds": rounds, "peak_gflops": best, "ways": [asdict(way.facts) for way in ways],
        "rows": [asdict(row) for row in rows],
    }  # fmt: skip
    write_whole(out / "encoder.json", json.dumps(content, indent=1) + "\n")
    draw_engines(rows, out / "encoder.png", title)
    say(f"{out}/encoder.json and {out}/encoder.png")
    return 0


class _Timed:
    """A process that computes in one way, and what it took: seconds a call, by batch size."""

    def __init__(self, bundle: Bundle, way: Way, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, str(bundle.directory), way, threads), daemon=True)
        # Ctrl-C in a terminal reaches the children too: we end them, and they say nothing, not even while they load.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._process.start()
        finally:
            signal.signal(signal.SIGINT, previous)
        theirs.close()
        self.facts: Facts = self._answer()
        self.seconds: dict[int, list[float]] = {}
        if way.peak is None:
            say(f"{self.facts.engine} {self.facts.precision}, last {self.facts.frames}: {self.facts.gflop:.2f} GFLOP")

    def measure(self, batch: int) -> None:
        time.sleep(_REST_S)
        self._connection.send(batch)
        self.seconds.setdefault(batch, []).append(self._answer())

    def close(self) -> None:
        self._connection.close()
        self._process.join(1)
        self._process.kill()

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            raise ValueError("a process that was to be timed has died; is there too little memory?") from None
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer


def _serve(connection: Connection, bundle: str, way: Way, threads: int) -> None:
    """The process: makes what it is to run, tells of it, and times it whenever a batch size comes."""
    try:
        run, facts = _made(Bundle.load(bundle), way, threads)
    except ValueError as error:
        connection.send(str(error))
        return
    connection.send(facts)
    while True:
        try:
            windows = run.of(connection.recv())
        except EOFError:
            return
        for _ in range(_WARM_UP):
            run.call(windows)
        began = time.perf_counter()
        for _ in range(_CALLS):
            run.call(windows)
        connection.send((time.perf_counter() - began) / _CALLS)


@dataclass(frozen=True)
class _Run:
    """A computation, and what it is given for a batch size."""

    call: Callable[[F32], object]
    windows: F32

    def of(self, batch: int) -> F32:
        return np.resize(self.windows, (batch, *self.windows.shape[1:]))


def _made(bundle: Bundle, way: Way, threads: int) -> tuple[_Run, Facts]:
    torch.set_num_threads(threads)
    probes = bundle.reference().joints
    if way.peak is not None:
        peak = Peak.of(way.peak, threads)
        return _Run(lambda windows: peak.product(), probes[:1]), Facts(
            engine="matrix product", precision=way.peak, frames=0, gflop=peak.gflop
        )
    if way.published:
        call = _published(bundle)
        with FlopCounterMode(display=False) as counter:
            call(probes[:1])
        gflop = counter.get_total_flops() / 1e9
        facts = Facts(engine="published, eager PyTorch", precision="fp32", frames=bundle.config.frames, gflop=gflop)
        return _Run(call, probes), facts
    assert way.target is not None
    engine = compile_engine(
        bundle, way.target.backend, precision=way.target.precision, threads=threads, frames=way.frames
    )
    gflop = graph_flop(engine_graph(bundle, precision="fp32", frames=way.frames)) / 1e9
    facts = Facts(engine=engine.name, precision=engine.precision, frames=engine.frames, gflop=gflop)
    return _Run(engine.infer, probes), facts


def _check_published(bundle: Bundle) -> None:
    c = bundle.config
    if c.task != "detect" or not isinstance(c.encoder, DSTEConfig) or c.encoder.causal or c.encoder.multimodal:
        raise ValueError(f"{bundle.directory} is no plain DSTE that detects, the network that was published; give one")


def _published(bundle: Bundle) -> Callable[[F32], object]:
    """The reference: the same weights and the same normalisation, in the published network."""
    detector = load_detector(bundle)
    assert isinstance(detector.encoder, DSTE)
    encoder, head = PublishedDSTE.of(detector.encoder), detector.head

    def run(windows: F32) -> object:
        with torch.inference_mode():
            return head(encoder.dense(detector.prepared(torch.tensor(windows)))).numpy()

    return run


def _row(way: _Timed, reference: _Timed, batch: int, peak_gflops: float) -> Row:
    middle = float(np.median(way.seconds[batch]))
    ratios = [theirs / ours for theirs, ours in zip(reference.seconds[batch], way.seconds[batch], strict=True)]
    return Row(
        engine=way.facts.engine, precision=way.facts.precision, frames=way.facts.frames, batch=batch, ms=1000 * middle,
        windows_per_s=batch / middle, speed_up=float(np.median(ratios)),
        share_of_peak=way.facts.gflop * batch / middle / peak_gflops,
    )  # fmt: skip


def _show(rows: Sequence[Row], peaks: Mapping[Precision, float], title: str) -> None:
    reached = ", ".join(f"{name} {peak:.0f} GFLOP/s" for name, peak in peaks.items())
    table = Table(title=f"{title}\nmatrix products: {reached}")
    for column in ("engine", "precision", "frames", "batch", "ms", "windows/s", "times published", "% of peak"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    for row in rows:
        table.add_row(
            row.engine, row.precision, str(row.frames), str(row.batch), f"{row.ms:.2f}", f"{row.windows_per_s:.1f}",
            f"{row.speed_up:.2f}", f"{100 * row.share_of_peak:.0f}",
        )  # fmt: skip
    Console(width=120).print(table)
