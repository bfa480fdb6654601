"""A graph in half precision for a compiler that takes types as they are written (TensorRT's strongly typed networks).

The products, in which nearly all time is spent, read and write float16. Everything else stays float32: sums and the
residual stream, LayerNorm, softmax, GELU, and the joints' normalisation, whose metres and squares float16 would round.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from .model import Array, cast, constants, set_constant, set_nodes, with_inputs

_PRODUCTS = ("MatMul", "Gemm")


def in_half(model: onnx.ModelProto) -> None:
    """Write every product that is not in int8 already in float16. Raises ValueError for weights that it cannot hold."""
    values = constants(model)
    quantised = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    halves: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type not in _PRODUCTS or quantised.intersection(node.input):
            nodes.append(node)
            continue
        for name in node.input:
            if name in halves:
                continue
            halves[name] = f"{name}.fp16"
            if name in values:
                set_constant(model, halves[name], _half(name, values[name]))
            else:
                nodes.append(cast(name, halves[name], TensorProto.FLOAT16))
        product = with_inputs(node, halves)
        (output,) = node.output
        product.output[0] = f"{output}.product"
        nodes += [product, cast(product.output[0], output, TensorProto.FLOAT)]
    set_nodes(model, nodes)


def _half(name: str, value: Array) -> Array:
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(f"{name} holds numbers that float16 does not; use fp32 or bf16")
    return half
