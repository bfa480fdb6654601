"""The deployed graph on its way to an engine: narrowed to the frames that are asked for, and written in a precision.

Everything here takes and gives ONNX, so that it runs where there is no torch, and so that every backend compiles the
same graph: what TensorRT computes in int8, OpenVINO does.

    graph = engine_graph(bundle, precision="int8", frames=20)      # bytes, for a compiler
"""

from __future__ import annotations

from typing import Literal

import onnx

from ..bundle import Bundle
from ..precision import Precision
from .features import with_features
from .half import in_half
from .int8 import in_int8
from .model import read_model
from .narrow import last_frames


def engine_graph(
    bundle: Bundle,
    *,
    precision: Precision,
    frames: int | None = None,
    features: bool = False,
    products: Literal["fp32", "fp16"] = "fp32",
) -> bytes:
    """The bundle's graph for an engine: joints (B, 3, T, V, M) float32 -> what the task gives, float32.

    `frames`: of each window only the last so many (None: all, and all of a graph that cannot be narrowed). `features`:
    a detector's come beside its logits, (B, F, K + W). Precision fp32 and bf16 leave the graph in float32: bfloat16 is
    the compiler's to choose. fp16 and int8 are written into it. `products`: what an int8 graph computes those products
    in that are not in int8.
    Raises ValueError if the graph is none, or for int8 where the bundle was not calibrated.
    """
    model = read_model(bundle.graph)
    last_frames(model, frames)
    if features:
        with_features(model, bundle)
    if precision == "int8":
        in_int8(model, bundle.directory)
    if precision == "fp16" or (precision == "int8" and products == "fp16"):
        in_half(model)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
