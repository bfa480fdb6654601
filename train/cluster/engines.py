"""The engine factory: a bundle is compiled for each target by a task on a machine that has the device.

    with connected(address):
        made = compile_everywhere(Path("runs/mine/bundle"), [Target.parse("openvino"), Target.parse("tensorrt:fp16")])

A compiled engine is good for one kind of device, so a target is compiled once for every kind of CPU (or GPU) in the
cluster. The bundle travels as bytes and is verified where it arrives; each engine is compared with the reference there
and comes back as the files that `compile_engine` finds in the bundle's `engines/`. What is compiled nowhere is a row of
the answer too, with the reason.

A target is BACKEND or BACKEND:PRECISION; without a precision the engine takes what suits the device.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import ray
from onnx.reference import ReferenceEvaluator
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...encoder.bundle import CONFIG, GRAPH, REFERENCE, SHIPPED, WEIGHTS, Bundle
from ...encoder.engine.compile import TOLERANCE, ParityError, check_parity, compile_engine
from ...encoder.engine.target import Target
from ...encoder.full_disk import needing_room
from ..whole_file import write_whole
from .connect import Node, nodes, on_node

_ON_GPU = ("tensorrt",)

_MAX_BUNDLE_BYTES = 1 << 30  # four times `base`
_MAX_ENGINE_BYTES = 2 << 30
_DEVICES_S = 120.0  # a first task starts a process and loads OpenVINO, which takes long on a busy machine
_MAX_ATTEMPTS = 3  # machines that are tried for one kind of device

# What a machine may call a folder of `engines/` and a file in it: one plain name, so that no path leads out.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What became of a target on one kind of device; of a target that no machine has a device for, one with `reason`.

    `difference` is the largest in any logit from the reference, relative to the largest logit (or to 1, if that is
    smaller), as `check_parity` bounds it; `seconds` is loading, compiling and checking. `files` lie in `engines/`.
    """

    target: Target
    ok: bool
    host: str = ""
    device: str = ""
    precision: str = ""
    seconds: float | None = None
    difference: float | None = None
    files: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class _Devices:
    """What a machine has: its CPU as OpenVINO names it, which is what its engines are filed under, and its GPU."""

    cpu: str
    gpu: str


@dataclass(frozen=True)
class _Made:
    """An engine as it comes back: files by `FOLDER/FILE` in `engines/`."""

    precision: str
    seconds: float
    difference: float
    files: Mapping[str, bytes]


@dataclass
class _Job:
    """A target on one kind of device, and the machines that are left to try."""

    target: Target
    device: str
    waiting: list[Node]
    node: Node | None = None
    deadline: float = 0.0


def compile_everywhere(
    bundle: Path,
    targets: Sequence[Target],
    *,
    threads: int = 1,
    frames: int | None = None,
    timeout_s: float = 900.0,
    say: Callable[[str], None] = lambda line: None,
) -> list[Compiled]:
    """Check the bundle's graph, compile it for every target on every kind of device in the cluster, keep the engines.

    It runs within a `connected` session. An engine is found again by programs that ask for as many `frames` of a window
    (None: all), and OpenVINO's by those that use as many `threads` as well (one, as in `skelstream live`). A machine
    that does not answer in `timeout_s`, or dies, is given up for another of its kind. Raises ValueError if the bundle
    is none or too large, or if its graph is not sound (`check_graph`).
    """
    loaded = Bundle.load(bundle)
    parcel = _pack(loaded)
    say(f"{loaded.directory}: the graph agrees with the reference to {check_graph(loaded):.1g}")
    devices = _find_devices(say)
    jobs, compiled = [], []
    for target in dict.fromkeys(targets):
        kinds: dict[str, list[Node]] = {}
        on_gpu = target.backend in _ON_GPU
        for node, has in devices:
            if node.gpus if on_gpu else node.cpus:
                kinds.setdefault(has.gpu if on_gpu else has.cpu, []).append(node)
        jobs += [_Job(target, device, having[:_MAX_ATTEMPTS]) for device, having in kinds.items()]
        if not kinds:
            lacking = f"no node of the cluster has a {'GPU' if on_gpu else 'CPU to spare'}"
            compiled.append(Compiled(target=target, ok=False, reason=lacking if devices else "no node answers"))
    for job, made in _run(jobs, ray.put(parcel), threads, frames, timeout_s, say):
        compiled.append(_kept(loaded, job, made))
    order = {target: place for place, target in enumerate(targets)}
    return sorted(compiled, key=lambda row: (order[row.target], row.device))


def check_graph(bundle: Bundle) -> float:
    """Check model.onnx by ONNX's own rules and by computing it with ONNX's reference evaluator, which is no engine.

    Returns the largest difference in a logit from the bundle's reference, relative as in `Compiled`. Raises ValueError
    if the graph is not sound or computes something else. Its digest has been checked when the bundle was loaded.
    """
    reference = bundle.reference()
    try:
        graph = onnx.load(bundle.graph, load_external_data=False)
        onnx.checker.check_model(graph, full_check=True)
        (logits,) = ReferenceEvaluator(graph).run(None, {"joints": reference.joints})
        difference = _difference(np.asarray(logits), reference.logits)
    except Exception as error:  # onnx raises many kinds, and whichever it is, the graph is not to be compiled
        raise ValueError(f"{bundle.graph} is no sound graph: {_first_line(error)}; export the bundle anew") from error
    if not difference <= TOLERANCE["fp32"][0]:  # a NaN is no agreement
        raise ParityError(f"{bundle.graph} differs from the reference by {difference:.2g}; export the bundle anew")
    return difference


def write_report(bundle: Bundle, compiled: Sequence[Compiled]) -> Path:
    """Write engines.json, beside the bundle: what was asked for, and what became of it.

    A shipped bundle's neighbours are other bundles, and some folders cannot be written: then it lies with the engines.
    """
    beside = bundle.directory.resolve().parent
    folder = beside if beside != SHIPPED and os.access(beside, os.W_OK) else bundle.engine_cache()
    rows = [{**asdict(row), "target": str(row.target)} for row in compiled]
    write_whole(folder / "engines.json", json.dumps({"bundle": bundle.digest, "engines": rows}, indent=1) + "\n")
    return folder / "engines.json"


def install(cache: Path, files: Mapping[str, bytes]) -> None:
    """Write engines given as `FOLDER/FILE` into `cache`, each folder whole or not at all, in place of an older one.

    Raises ValueError if a name could lead anywhere else; then nothing is written.
    """
    folders: dict[str, dict[str, bytes]] = {}
    for name, content in files.items():
        folder, _, file = name.partition("/")
        if not (_PLAIN_NAME.fullmatch(folder) and _PLAIN_NAME.fullmatch(file)):
            raise ValueError(f"an engine came back with a file called {name!r}, which is not kept")
        folders.setdefault(folder, {})[file] = content
    cache.mkdir(parents=True, exist_ok=True)
    for folder, contents in folders.items():
        with tempfile.TemporaryDirectory(prefix=".compiling-", dir=cache) as scratch:
            new, old = Path(scratch) / "new", Path(scratch) / "old"
            _write_folder(new, contents)
            if (cache / folder).exists():
                (cache / folder).rename(old)
            new.rename(cache / folder)


def _pack(bundle: Bundle) -> dict[str, bytes]:
    """The bundle's files by name."""
    paths = [bundle.directory / name for name in (CONFIG, WEIGHTS, GRAPH, REFERENCE)]
    size = sum(path.stat().st_size for path in paths)
    if size > _MAX_BUNDLE_BYTES:
        raise ValueError(
            f"{bundle.directory} has {size} bytes, and at most {_MAX_BUNDLE_BYTES} are sent to other machines; "
            "compile it where it is to run"
        )
    return {path.name: path.read_bytes() for path in paths}


def _find_devices(say: Callable[[str], None]) -> list[tuple[Node, _Devices]]:
    """Every machine that takes work, with its devices; one that does not answer is named and left out."""
    asked = {on_node(node, _devices, node.gpus > 0): node for node in nodes() if node.cpus or node.gpus}
    if not asked:
        return []
    ray.wait(list(asked), num_returns=len(asked), timeout=_DEVICES_S)
    found = []
    for ref, node in asked.items():
        try:
            found.append((node, ray.get(ref, timeout=0.1)))
        except RayError as error:
            say(f"{node} is left out: {_failure(error, _DEVICES_S)}")
            ray.cancel(ref, force=True)
    return found


def _devices(gpus: bool) -> _Devices:
    """Runs on the machine that is asked."""
    try:
        import openvino as ov

        cpu = str(ov.Core().get_property("CPU", "FULL_DEVICE_NAME"))
    except ImportError:  # the compiling task will say that it is missing
        cpu = platform.processor() or platform.machine()
    if not gpus:
        return _Devices(cpu, "")
    # Not through torch: where it is set up so, Ray hides the GPUs from a task that reserves none.
    try:
        asked = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
        named = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        named = []
    return _Devices(cpu, named[0].strip() if named else "unnamed GPU")


def _run(
    jobs: Sequence[_Job],
    parcel: Any,
    threads: int,
    frames: int | None,
    timeout_s: float,
    say: Callable[[str], None],
) -> Iterator[tuple[_Job, _Made | str]]:
    """Run all jobs at once; each ends with an engine or with the reason why there is none."""
    running: dict[Any, _Job] = {}

    def start(job: _Job) -> None:
        job.node = job.waiting.pop(0)
        say(f"{job.target}: compiling for {job.device} on {job.node}")
        there = NodeAffinitySchedulingStrategy(job.node.id, soft=False)
        # A process that is killed is started once more by Ray itself; a machine that is lost is our concern.
        task = ray.remote(_compile).options(
            num_cpus=0, num_gpus=int(job.target.backend in _ON_GPU), max_retries=1, scheduling_strategy=there
        )
        running[task.remote(parcel, job.target, threads, frames)] = job
        job.deadline = time.monotonic() + timeout_s

    for job in jobs:
        start(job)
    try:
        while running:
            soonest = min(job.deadline for job in running.values())
            ray.wait(list(running), timeout=max(0.0, soonest - time.monotonic()))
            ready, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
            late = [ref for ref, job in running.items() if ref not in ready and job.deadline <= time.monotonic()]
            for ref in (*ready, *late):
                job = running.pop(ref)
                outcome, final = _outcome(ref, ref in ready, timeout_s)
                if isinstance(outcome, str) and not final and job.waiting:
                    say(f"{job.target}: {outcome}; another machine is tried")
                    start(job)
                else:
                    yield job, outcome
    finally:
        for ref in running:
            ray.cancel(ref, force=True)


def _outcome(ref: Any, ready: bool, timeout_s: float) -> tuple[_Made | str, bool]:
    """What came of a task, and whether it would come of it on every machine of this kind."""
    if not ready:
        ray.cancel(ref, force=True)
        return f"no answer within {timeout_s:g} s", False
    try:
        made: _Made = ray.get(ref)
        return made, True
    except RayError as error:
        differs = isinstance(error, RayTaskError) and isinstance(error.cause, ParityError)
        return _failure(error, timeout_s), differs


def _compile(parcel: Mapping[str, bytes], target: Target, threads: int, frames: int | None) -> _Made:
    """Runs on the machine with the device, in a folder that goes away with it."""
    with tempfile.TemporaryDirectory(prefix="skelstream-engine-") as scratch:
        directory = Path(scratch) / "bundle"
        _write_folder(directory, parcel)
        bundle = Bundle.load(directory)  # which verifies every digest
        begun = time.perf_counter()
        told: list[str] = []
        engine = compile_engine(
            bundle, target.backend, precision=target.precision, threads=threads, frames=frames, say=told.append
        )
        try:
            seconds = time.perf_counter() - begun
            difference = check_parity(engine, bundle.reference())["largest_difference"]
        finally:
            engine.close()
        files = _read_engines(bundle.engine_cache())
        if told and not files:
            raise ValueError(told[-1])
        return _Made(engine.precision, seconds, difference, files)


def _read_engines(cache: Path) -> dict[str, bytes]:
    paths = sorted(path for path in cache.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in paths)
    if size > _MAX_ENGINE_BYTES:
        raise ValueError(f"the engine has {size} bytes, and at most {_MAX_ENGINE_BYTES} are sent back")
    return {path.relative_to(cache).as_posix(): path.read_bytes() for path in paths}


def _kept(bundle: Bundle, job: _Job, made: _Made | str) -> Compiled:
    """Install what was made; the row that tells of it."""
    host = job.node.host if job.node else ""
    if not isinstance(made, str):
        try:
            with needing_room(bundle.engine_cache()):
                install(bundle.engine_cache(), made.files)
        except (OSError, ValueError) as error:
            made = _first_line(error)
    if isinstance(made, str):
        return Compiled(target=job.target, ok=False, host=host, device=job.device, reason=made)
    return Compiled(
        target=job.target, ok=True, host=host, device=job.device, precision=made.precision,
        seconds=round(made.seconds, 3), difference=made.difference, files=tuple(made.files),
    )  # fmt: skip


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, content in contents.items():
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _difference(logits: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """The largest difference in a logit, relative to the largest logit or to 1, as `check_parity` has it."""
    if logits.shape != expected.shape:
        raise ValueError(f"it computes an array of shape {logits.shape}, not {expected.shape}")
    return float(np.abs(logits - expected).max() / max(1.0, float(np.abs(expected).max())))


def _failure(error: RayError, timeout_s: float) -> str:
    """One line on why a task did not answer."""
    if isinstance(error, ray.exceptions.GetTimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, RayTaskError):
        cause = error.cause
        known = isinstance(cause, ValueError)
        return _first_line(cause) if known else f"{type(cause).__name__}: {_first_line(cause)}"
    return f"the task was lost ({type(error).__name__}): the machine or its process died"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
