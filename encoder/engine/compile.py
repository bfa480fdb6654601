"""Compile: a bundle becomes an engine, and the engine must agree with the reference before anybody gets it.

    engine = compile_engine(Bundle.load("small"), threads=1)
    logits_BFK = engine.infer(joints_BCTVM)

`openvino` for CPUs, `tensorrt` and `torch` for NVIDIA's GPUs. The live path asks `first_engine`, which goes on to the
next backend where one does not work.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from ..bundle import Bundle, Reference
from . import Engine, Precision

Backend = Literal["openvino", "tensorrt", "torch"]
EngineChoice = Literal["auto", "openvino", "tensorrt", "torch"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

_PACKAGES: dict[Backend, tuple[str, ...]] = {
    "openvino": ("openvino",), "tensorrt": ("tensorrt", "cuda"), "torch": ("torch",)
}  # fmt: skip
_EXTRAS: dict[Backend, str] = {
    "openvino": "skelstream", "tensorrt": "skelstream[tensorrt]", "torch": "skelstream[train]"
}  # fmt: skip

# How far an engine's output may be from the reference's, relative to the largest number of the reference (or to 1, if
# that is smaller): at its worst, and as the root of the mean square. float32 engines differ by the order of their sums
# alone, a hundredth of this; any one lost bias or wrong epsilon is more (tests/encoder/test_parity.py). The others have
# 10, 7 or 7 bits and outliers, and find what is broken only if it is broken badly: that is why an int8 graph is also
# held against real windows when it is made (`skelstream export --verify`).
TOLERANCE: dict[Precision, tuple[float, float]] = {
    "fp32": (5e-5, 5e-6), "fp16": (1e-2, 2e-3), "bf16": (3e-2, 5e-3), "int8": (5e-2, 6e-3)
}  # fmt: skip


def compile_engine(
    bundle: Bundle,
    backend: EngineChoice = "auto",
    *,
    precision: Precision | None = None,
    threads: int | None = None,
    frames: int | None = None,
    features: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Engine:
    """The bundle's engine: OpenVINO where it is installed (`auto`), else PyTorch.

    `precision`: None is the backend's best for this bundle and device, and float32 where bf16 differs too much.
    `threads` bounds its CPU threads. `frames`: of each window only the last so many come out (None: all). `features`:
    beside a detector's logits comes what its head reads of every frame, (B, F, K + W); it costs a little. `say` is told
    what takes long, and if nothing can be kept.
    Raises ValueError if the backend is unknown, not installed, or cannot be used here, and `ParityError` if the
    compiled engine differs from the bundle's reference; such an engine is closed and nothing of it stays cached.
    """
    if backend == "auto":
        backend = "openvino" if is_installed("openvino") else "torch"
    if backend not in BACKENDS:
        raise ValueError(f"no engine {backend!r}; there are {', '.join(BACKENDS)}")
    if not is_installed(backend):
        raise ValueError(f"the engine {backend} is not installed; pip install '{_EXTRAS[backend]}'")
    if precision is not None and precision not in TOLERANCE:
        raise ValueError(f"no precision {precision!r}; there are {', '.join(TOLERANCE)}")
    try:
        engine = _make(bundle, backend, precision, threads, frames, features, say)
    except (ImportError, OSError) as error:  # a package that is there and lacks a library, or its other half
        raise ValueError(f"the engine {backend} does not load here: {str(error).splitlines()[0][:200]}") from error
    except MemoryError as error:
        raise ValueError(f"the engine {backend} needs more memory than there is; end what else runs here") from error
    try:
        unkept = engine.keep(check_parity(engine, bundle.reference()))
    except ValueError as error:
        engine.discard()
        engine.close()
        if not isinstance(error, ParityError) or precision is not None or engine.precision != "bf16":
            raise
        # Nobody asked for it: it was the CPU's fastest, and too coarse for this model.
        say(f"{error}; it computes in float32 instead")
        return compile_engine(
            bundle, backend, precision="fp32", threads=threads, frames=frames, features=features, say=say
        )
    if unkept:
        say(f"the engine {engine.name} is compiled anew at every start, as it cannot be kept: {unkept}")
    return engine


def first_engine(
    bundle: Bundle,
    backends: Sequence[Backend],
    *,
    threads: int | None = None,
    frames: int | None = None,
    features: bool = False,
    say: Callable[[str], None],
) -> Engine:
    """The first of these backends that works here; `say` is told why each before it does not.

    Raises ValueError, with the last one's reason, if none does.
    """
    for backend, following in zip(backends, [*backends[1:], None], strict=True):
        try:
            return compile_engine(bundle, backend, threads=threads, frames=frames, features=features, say=say)
        except ValueError as error:
            if following is None:
                raise
            say(f"{error}; the engine {following} is tried instead")
    raise ValueError(f"no engine is asked for; there are {', '.join(BACKENDS)}")


def fallbacks(backend: EngineChoice) -> tuple[Backend, ...]:
    """The backend, and those that stand in for it where they are installed. "auto" is OpenVINO, which every machine
    has: who owns a GPU asks for it."""
    first: Backend = "openvino" if backend == "auto" else backend
    return (first, *(other for other in ("openvino", "torch") if other != first and is_installed(other)))


def is_installed(backend: Backend) -> bool:
    """Whether the backend's packages are here; nothing is imported."""
    return all(importlib.util.find_spec(package) is not None for package in _PACKAGES[backend])


def _make(
    bundle: Bundle,
    backend: Backend,
    precision: Precision | None,
    threads: int | None,
    frames: int | None,
    features: bool,
    say: Callable[[str], None],
) -> Engine:
    if backend == "torch":
        from .torch import TorchEngine

        return TorchEngine(bundle, precision=precision, threads=threads, frames=frames, features=features)
    if backend == "tensorrt":
        from ..graph import engine_graph
        from .tensorrt import TensorRtEngine

        precision = precision or "fp16"
        graph = engine_graph(bundle, precision=precision, frames=frames, features=features, products="fp16")
        return TensorRtEngine(bundle, graph, precision=precision, features=features, say=say)
    from .openvino import OpenVinoEngine

    return OpenVinoEngine(bundle, precision=precision, threads=threads, frames=frames, features=features)


class ParityError(ValueError):
    """A compiled engine does not compute what the reference computed."""


def check_parity(engine: Engine, reference: Reference) -> dict[str, float]:
    """Compare the engine with the reference on the probes, all at once and one alone: the differences as `TOLERANCE`
    has them. Raises `ParityError` if they are too large."""
    expected = reference.logits if reference.logits.ndim == 2 else reference.logits[:, -engine.frames :]
    scale = max(1.0, float(np.abs(expected).max()))
    allowed = TOLERANCE[engine.precision]
    largest = mean = 0.0
    for windows in (slice(None), slice(0, 1)):
        answers = engine.infer(reference.joints[windows])[..., : expected.shape[-1]]  # features may stand behind
        difference = (answers - expected[windows]).astype(np.float64) / scale
        largest = max(largest, float(np.abs(difference).max()))
        mean = max(mean, float(np.sqrt(np.square(difference).mean())))
        if not (largest <= allowed[0] and mean <= allowed[1]):  # a NaN is no agreement
            raise ParityError(
                f"the engine {engine.name} ({engine.precision}) differs from the reference by {largest:.2g} at most "
                f"and {mean:.2g} on average, more than {allowed[0]:g} and {allowed[1]:g}: export the bundle anew, or "
                "choose another engine"
            )
    return {"largest_difference": largest, "mean_difference": mean}
