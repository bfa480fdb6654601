"""`skelstream engines`: a bundle's engines, compiled on the machines of a cluster that have the devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tyro.conf import Positional

from ..encoder.bundle import Bundle
from ..stream.detect import frames_to_score
from .said import say

if TYPE_CHECKING:
    from ..encoder.engine.target import Target


def engines(
    bundle: Positional[str],
    *,
    targets: tuple[str, ...] = ("openvino",),
    ray: str = "",
    threads: int = 1,
    hop: int = 1,
    timeout: float = 900.0,
) -> int:
    """Compile a bundle for each target on every kind of device that the cluster has, and keep the engines in it.

    The exit code is 1 if a target was not compiled for a kind of device, after all that can be has been compiled and
    written. engines.json, beside the bundle, says what became of each.

    Args:
        bundle: a shipped bundle's name, a bundle's folder, or a run's that holds one.
        targets: BACKEND or BACKEND:PRECISION: openvino, openvino:bf16, tensorrt:fp16, tensorrt:int8, torch.
        ray: the cluster's address; the default is this machine alone.
        threads: CPU threads that the engine will run with, as in `live`: OpenVINO compiles for a number of threads.
        hop: frames between two windows, as in `live`: it decides how many frames of a window are computed.
        timeout: seconds after which a machine that does not answer is given up for another.
    """
    from ..encoder.engine.target import Target
    from ..train.cluster.connect import connected

    asked = [Target.parse(text) for text in targets]
    if not asked:
        raise ValueError("no --targets; give one or more, such as openvino")
    if threads < 1 or timeout <= 0:
        raise ValueError("--threads must be at least 1 and --timeout above 0 s")
    loaded = Bundle.load(bundle)
    with connected(ray):
        return compile_for(loaded, asked, threads=threads, hop=hop, timeout_s=timeout)


def compile_for(
    bundle: Bundle, targets: Sequence[Target], *, threads: int = 1, hop: int = 1, timeout_s: float = 900.0
) -> int:
    """Within a Ray session: compile, write engines.json, print the table. 1 if anything was not compiled, else 0."""
    from ..train.cluster.engines import compile_everywhere, write_report

    frames = frames_to_score(bundle.config.decode.delay, hop) if bundle.config.task == "detect" else None
    compiled = compile_everywhere(
        bundle.directory, targets, threads=threads, frames=frames, timeout_s=timeout_s, say=say
    )
    report = write_report(bundle, compiled)

    console = Console()
    table = Table(title=f"engines of {bundle.directory}")
    for column in ("target", "", "precision", "seconds", "difference", "device", "host"):
        table.add_column(column, no_wrap=column not in ("device", "host"))
    for row in compiled:
        table.add_row(
            str(row.target),
            "[green]ok[/green]" if row.ok else "[red]not compiled[/red]",
            row.precision,
            "" if row.seconds is None else f"{row.seconds:.1f}",
            "" if row.difference is None else f"{row.difference:.1g}",
            escape(row.device),
            escape(row.host),
        )
    console.print(table)
    for row in compiled:
        if not row.ok:
            where = f" for {row.device}" if row.device else ""
            console.print(f"{row.target}{where} not compiled: {row.reason}", markup=False, soft_wrap=True)
    say(f"{report}: {sum(row.ok for row in compiled)} of {len(compiled)} engines")
    return 0 if all(row.ok for row in compiled) else 1
