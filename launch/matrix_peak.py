"""What a machine can do at best: operations a second of large square matrix products, and how many a graph holds.

An operation is a multiplication or an addition: N x N times N x N are 2 N^3 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import openvino as ov
import torch
from onnx import TensorProto, helper, numpy_helper

from ..encoder.engine import Precision
from ..encoder.graph.int8 import quantise

_N = 2048


@dataclass(frozen=True)
class Peak:
    """A large square product and its size, in 10^9 operations."""

    product: Callable[[], object]
    gflop: float

    @classmethod
    def of(cls, precision: Precision, threads: int) -> Self:
        """In this precision: on a GPU, through PyTorch, if there is one; else on the CPU, through OpenVINO."""
        if torch.cuda.is_available() and precision != "int8":
            kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
            n = 4 * _N  # what is smaller does not fill a GPU
            matrix_GG = torch.randn(n, n, device="cuda", dtype=kind)

            def on_gpu() -> None:
                torch.mm(matrix_GG, matrix_GG)
                torch.cuda.synchronize()

            return cls(on_gpu, 2 * n**3 / 1e9)
        request = _square(precision, threads)
        matrix_NN = np.random.default_rng(0).standard_normal((_N, _N)).astype(np.float32)
        return cls(lambda: request.infer({0: matrix_NN}, share_inputs=True), 2 * _N**3 / 1e9)


def _square(precision: Precision, threads: int) -> ov.InferRequest:
    """A graph of one product with a constant matrix, compiled."""
    weights = np.random.default_rng(1).standard_normal((_N, _N)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")], "square",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [_N, _N])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [_N, _N])],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    if precision == "int8":
        quantise(model, {"product": 4 / 127})
    hint = {"fp32": "f32", "bf16": "bf16", "int8": "f32", "fp16": "f32"}[precision]
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": 1}
    core = ov.Core()
    return core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings).create_infer_request()


def graph_flop(graph: bytes) -> int:
    """Operations in a graph's products for one window."""
    core = ov.Core()
    model = core.read_model(graph)
    model.reshape([1, *(size.get_length() for size in list(model.input(0).get_partial_shape())[1:])])
    total = 0
    for op in model.get_ops():
        if op.get_type_name() == "MatMul":
            a, out = list(op.input(0).get_shape()), list(op.output(0).get_shape())
            inner = a[-2] if op.get_attributes()["transpose_a"] else a[-1]
            total += 2 * int(np.prod(out)) * inner
    return total
