"""`skelstream export`: a model's graph written anew and calibrated, its engines compiled, and all of them compared.

    skelstream export runs/mine --calibrate stores/utkinect stores/kinder_gator     # the graph, and its int8 scales
    skelstream export small --engines openvino:fp32 openvino:int8                   # compile, compare with the probes
    skelstream export small --verify stores/utkinect stores/precog2016              # ... and on real windows

W window, F frame, K class.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from ..encoder.bundle import F32, Bundle, check_place
from ..encoder.engine import Engine
from ..encoder.engine.compile import check_parity, compile_engine, is_installed
from ..encoder.engine.target import Target
from ..encoder.graph.calibrate import agreement
from ..encoder.graph.int8 import is_calibrated
from .said import say

P999, ARGMAX = 0.02, 0.995  # what an engine may differ by on real windows: class probability, share of frames
_CALIBRATING, _BATCH = 384, 8


def export(
    model: str,
    *,
    out: Path | None,
    calibrate: Sequence[Path],
    engines: Sequence[str],
    verify: Sequence[Path],
    windows: int,
    threads: int | None,
) -> int:
    """See `skelstream export`. 1 if an engine could not be made, or differs too much on real windows; else 0."""
    bundle = Bundle.load(model)
    if out is not None or calibrate:
        bundle = write_again(bundle, bundle.directory if out is None else out, calibrate)
    targets = [Target.parse(text) for text in engines] or targets_here(bundle)
    real = _real(bundle, verify, windows) if verify else None
    table = _table(bundle, verify, windows)
    failed = False
    for target in targets:
        say(f"{target}: compiling")
        began = time.perf_counter()
        try:
            engine = compile_engine(bundle, target.backend, precision=target.precision, threads=threads, say=say)
        except ValueError as error:
            table.add_row(str(target), *[""] * (7 if real else 4), escape(str(error)))
            failed = True
            continue
        seconds = time.perf_counter() - began
        parity = check_parity(engine, bundle.reference())
        row = [engine.precision, f"{seconds:.1f}", *(f"{value:.1e}" for value in parity.values())]
        verdict = "as the reference"
        if real is not None:
            found = agreement(_logits(engine, real[0], str(target)), real[1])
            row += [f"{found.p999:.4f}", f"{found.largest:.4f}", f"{100 * found.argmax:.2f}"]
            if not found.within(P999, ARGMAX):
                verdict, failed = f"differs: more than {P999} or below {100 * ARGMAX:g} %", True
        engine.close()
        table.add_row(str(target), *row, verdict)
    Console(width=160).print(table)
    return int(failed)


def write_again(bundle: Bundle, out: Path, calibrate: Sequence[Path]) -> Bundle:
    """The bundle at `out` with its graph exported anew from its weights, calibrated on training and validation people
    of these stores (none: not calibrated). Needs torch. Raises ValueError if the weights or the stores do not do.
    """
    from ..encoder.export import save_bundle
    from ..encoder.weights import load_model
    from .real_windows import real_windows

    if calibrate:
        _check_real(bundle)
    check_place(out)  # before the minutes that it takes
    real = real_windows(calibrate, ("train", "val"), _CALIBRATING) if calibrate else None
    model, c = load_model(bundle), bundle.config
    probes = bundle.reference().joints
    written = save_bundle(
        model, out, hz=c.hz, decode=c.decode, metrics=c.metrics, provenance=c.provenance, probes_PCTVM=probes,
        windows_WCTVM=real, say=say,
    )  # fmt: skip
    int8 = "calibrated for int8" if is_calibrated(written.graph) else "not calibrated for int8"
    say(f"{written.directory}: the graph is written, {int8}")
    return written


def targets_here(bundle: Bundle) -> list[Target]:
    """What can be compiled here, as far as can be told without trying."""
    targets = [Target("openvino", "fp32")]
    if is_calibrated(bundle.graph):
        targets.append(Target("openvino", "int8"))
    if is_installed("tensorrt"):
        targets.append(Target("tensorrt", "fp16"))
    if is_installed("torch"):
        targets.append(Target("torch"))
    return targets


def _real(bundle: Bundle, stores: Sequence[Path], count: int) -> tuple[F32, F32]:
    """Windows (W, 3, T, V, M) of test people and the reference's logits for them."""
    from ..encoder.engine.torch import TorchEngine
    from .real_windows import real_windows

    _check_real(bundle)
    windows = real_windows(stores, ("test",), count)
    reference = TorchEngine(bundle, device="cpu")
    logits = _logits(reference, windows, "reference")
    reference.close()
    return windows, logits


def _check_real(bundle: Bundle) -> None:
    """Raise ValueError if stores' windows are not what this model takes, or class probabilities not what it gives."""
    c = bundle.config
    if c.task == "encode" or c.window_shape != (3, 64, 25, 2):
        raise ValueError(
            f"{bundle.directory} is for the task {c.task} on windows {c.window_shape}; real windows need a detector or "
            "a recogniser on (3, 64, 25, 2)"
        )


def _logits(engine: Engine, windows: F32, what: str) -> F32:
    starts = track(range(0, len(windows), _BATCH), description=what, console=Console(stderr=True))
    return np.concatenate([engine.infer(windows[start : start + _BATCH]) for start in starts])


def _table(bundle: Bundle, verify: Sequence[Path], windows: int) -> Table:
    title = f"engines of {bundle.directory}, on its probes"
    columns = ["engine", "precision", "seconds", "largest difference", "mean"]
    if verify:
        title += f" and on {windows} windows of test people"
        columns += ["99.9 % of probabilities within", "largest", "same class %"]
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column == "engine" else "right")
    table.add_column("verdict")
    return table
