"""`skelstream bench continual`: what a frame costs the continual detector, and what a window costs the windowed one.

Both in OpenVINO on one thread, in turns within one run, so that whatever else the machine does slows both alike; in
turns of ten calls, because a process that runs one of them finds its weights in the cache. The operations are those of
the matrix products of the networks as trained, counted while they run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from ..encoder.bundle import Bundle
from ..encoder.continual import Continual
from ..encoder.engine import Precision
from ..encoder.engine.compile import compile_engine
from ..encoder.engine.continual import ContinualEngine, step_to_onnx
from ..encoder.weights import load_detector
from ..train.continual_file import load_continual
from .processor import processor


def bench_continual(
    run: Path, model: str, streams: tuple[int, ...], hop: int, rounds: int, precision: Precision | None = None
) -> int:
    """Print the table. Raises ValueError if `run` holds no continual detector or `model` is no detector's bundle."""
    continual, bundle = load_continual(run).model, Bundle.load_live(model)
    console = Console(width=140)
    windows = compile_engine(bundle, "openvino", threads=1, precision=precision)
    table = Table(
        title=f"milliseconds a stream, one thread, medians of {rounds} turns of ten",
        caption=f"{processor()}; {bundle.name}: openvino {windows.precision}; continual: openvino, float32 weights",
    )
    for column in (
        "streams at once", f"{bundle.name}, a window", f"{bundle.name}, a frame at hop {hop}", "continual, a frame",
        "a window is", f"a frame at hop {hop} is",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    graph, rng = step_to_onnx(continual), np.random.default_rng(0)
    for count in streams:
        frames = ContinualEngine(continual, count, graph=graph)
        window = rng.normal(size=(count, *bundle.config.window_shape)).astype(np.float32)
        frame = np.ascontiguousarray(window[:, :, 0])
        a_window, a_frame = _interleaved(partial(windows.infer, window), partial(frames.step, frame), rounds)
        window_ms, frame_ms = 1000 * a_window / count, 1000 * a_frame / count
        table.add_row(
            str(count), f"{window_ms:.3f}", f"{window_ms / hop:.3f}", f"{frame_ms:.3f}",
            f"{window_ms / frame_ms:.1f} frames", f"{window_ms / hop / frame_ms:.1f} frames",
        )  # fmt: skip
    windows.close()
    console.print(table)
    window_flops, frame_flops = _window_flops(bundle), _frame_flops(continual)
    console.print(
        f"operations: a window {window_flops / 1e6:.1f} M, a frame {frame_flops / 1e6:.2f} M "
        f"({window_flops / frame_flops:.0f} to 1; {window_flops / hop / frame_flops:.0f} to 1 at hop {hop})"
    )
    return 0


def _interleaved(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The median seconds of each, called in turns of ten."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, taken in zip((first, second), times, strict=True):
            call()  # after the other's turn, whose weights are in the cache
            for _ in range(10):
                began = time.perf_counter()
                call()
                taken.append(time.perf_counter() - began)
    return statistics.median(times[0]), statistics.median(times[1])


def _window_flops(bundle: Bundle) -> int:
    detector = load_detector(bundle)
    return _flops(lambda: detector(torch.zeros(1, *bundle.config.window_shape)))


def _frame_flops(model: Continual) -> int:
    return _flops(lambda: model.see(torch.zeros(1, 3, 25, 2), model.start(1)))


def _flops(call: Callable[[], object]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())
