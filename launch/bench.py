"""`skelstream bench live`: the live pipeline on the drawn actor, measured: latency, its growth, memory over time."""

from __future__ import annotations

import os
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from ..stream.settings import Settings
from .accounts import dropped_in
from .live import Live, run_live
from .processor import processor


def bench_live(seconds: float, width: int, height: int, detectors: int, hop: int, seed: int) -> int:
    """Run for `seconds` and print the figures. The actor is drawn on the same cores, which a camera would not need."""
    settings = Settings(folder="", camera=f"actor:{seed}", hop=hop, width=width, height=height, duration_s=seconds)
    began = time.monotonic()
    outcome = run_live(Live(settings=settings, detectors=detectors, json=True, page=False))
    if outcome.code:
        return outcome.code
    summary = outcome.summary
    console = Console()
    console.print(
        f"{os.cpu_count()} cores, {processor()}; {width}x{height}, {time.monotonic() - began:.0f} s with start and stop"
    )
    latencies = 1000 * np.array(summary.latencies_s)
    table = Table(title="capture to scored frame")
    for column in ("part of the run", "frames", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for name, part in (
        ("all", latencies),
        *((f"quarter {i + 1}", q) for i, q in enumerate(np.array_split(latencies, 4))),
    ):
        table.add_row(name, str(len(part)), *(f"{np.percentile(part, p):.1f}" for p in (50, 95, 99)))
    console.print(table)
    table = Table(title="stages")
    for column in ("stage", "CPU of one core", "memory MB, first", "last", "most", "dropped"):
        table.add_column(column, justify="right")
    for stage, report in sorted(summary.reports.items()):
        memory = summary.memory_mb[stage]
        settled = memory[min(len(memory) // 10 + 4, len(memory) - 1)]
        table.add_row(
            stage, f"{report.gauges.get('cpu_s', 0) / seconds:.0%}", f"{settled:.0f}", f"{memory[-1]:.0f}",
            f"{max(memory):.0f}", str(dropped_in(report.counters)),
        )  # fmt: skip
    console.print(table)
    return 0
