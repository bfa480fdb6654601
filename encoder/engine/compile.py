"""Compile: a bundle becomes an engine, and the engine must agree with the reference before anybody gets it.

engine = compile_engine(Bundle.load("small"), threads=1)
logits_BTK = engine.infer(joints_BCTVM)
"""

from __future__ import annotations

import importlib.util
from typing import Literal

import numpy as np

from ..bundle import Bundle, Reference
from . import Engine, Precision

Backend = Literal["auto", "openvino", "torch"]

# The largest difference in any logit, relative to the largest logit of the reference (or to 1, if that is smaller).
# float32 engines differ by the order of their sums alone, the others by 10 or 7 bits of mantissa, layer on layer.
TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "fp16": 1e-2, "bf16": 5e-2}


def compile_engine(bundle: Bundle, backend: Backend = "auto", *, threads: int | None = None) -> Engine:
    """The bundle's engine: OpenVINO where it is installed (`auto`), else PyTorch. `threads` bounds its CPU threads.

    Raises ValueError if the backend is unknown or not installed, and `ParityError` if the compiled engine differs from
    the bundle's reference; such an engine is closed and nothing of it stays cached.
    """
    if backend == "auto":
        backend = "openvino" if importlib.util.find_spec("openvino") else "torch"
    if backend not in ("openvino", "torch"):
        raise ValueError(f"no engine {backend!r}; there are openvino and torch")
    if importlib.util.find_spec(backend) is None:
        extra = "skelstream[train]" if backend == "torch" else "skelstream"
        raise ValueError(f"the engine {backend} is not installed; pip install '{extra}'")
    if backend == "torch":
        from .torch import TorchEngine

        reference_engine = TorchEngine(bundle, threads=threads)
        check_parity(reference_engine, bundle.reference())
        return reference_engine

    from .openvino import OpenVinoEngine

    engine = OpenVinoEngine(bundle, threads=threads)
    try:
        check_parity(engine, bundle.reference())
    except ValueError:
        engine.discard()
        engine.close()
        raise
    engine.keep()
    return engine


class ParityError(ValueError):
    """A compiled engine does not compute what the reference computed."""


def check_parity(engine: Engine, reference: Reference) -> None:
    """Compare the engine with the reference on the probes, all at once and one alone. Raises `ParityError`."""
    scale = max(1.0, float(np.abs(reference.logits).max()))
    tolerance = TOLERANCE[engine.precision] * scale
    for windows in (slice(None), slice(0, 1)):
        difference = float(np.abs(engine.infer(reference.joints[windows]) - reference.logits[windows]).max())
        if not difference <= tolerance:  # a NaN is no agreement
            raise ParityError(
                f"the engine {engine.name} ({engine.precision}) differs from the reference by {difference:.2g} in a "
                f"logit, more than {tolerance:.2g}: export the bundle anew, or choose another engine"
            )
