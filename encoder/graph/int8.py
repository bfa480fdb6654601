"""A graph in int8: explicit QuantizeLinear and DequantizeLinear around the large products.

    scales = ...                        # of each product's input, from real windows: `calibrate.py`
    write_scales(model, scales)         # kept in the model's own metadata, so that a bundle carries them
    in_int8(model, where)               # what OpenVINO and TensorRT both compile to int8 products

Symmetric throughout, which both backends demand or prefer: weights with a scale for each output channel, activations
with one for all. Only products with trained weights are in int8: attention's own two, of activations with one another,
lose more there than they gain. The output stays float32, and so do all sums between two products.
K input channel, O output channel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from .model import Array, constants, set_constant, set_nodes, with_inputs

KEY = "skelstream.int8"  # in the model's metadata: {"product's name": the scale of its input}
LEVELS = 127
_SMALLEST = 64  # products with fewer channels than this, such as a head's, cost little and lose much


def candidates(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The products that may be in int8, by name: those with a constant matrix of at least 64 x 64."""
    values = constants(model)
    return {
        node.name: node
        for node in model.graph.node
        if node.op_type == "MatMul" and (w := values.get(node.input[1])) is not None
        and w.ndim == 2 and min(w.shape) >= _SMALLEST
    }  # fmt: skip


def write_scales(model: onnx.ModelProto, scales: Mapping[str, float]) -> None:
    """Keep the scales in the model; none of them: forget those that it has."""
    kept = [p for p in model.metadata_props if p.key != KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    if scales:
        text = json.dumps({name: float(scale) for name, scale in scales.items()}, allow_nan=False)
        model.metadata_props.add(key=KEY, value=text)


def read_scales(model: onnx.ModelProto) -> dict[str, float]:
    """The scales that the model carries; none if it was never calibrated. Raises ValueError if they make no sense."""
    text = next((p.value for p in model.metadata_props if p.key == KEY), "{}")
    try:
        scales = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its int8 scales are no JSON: {error}") from error
    known = {node.name for node in model.graph.node}
    if not isinstance(scales, dict) or not all(
        name in known and type(scale) in (int, float) and math.isfinite(scale) and scale > 0
        for name, scale in scales.items()
    ):
        raise ValueError("its int8 scales are not those of its products")
    return scales


def is_calibrated(graph: Path) -> bool:
    """Whether the model in this file carries scales."""
    return KEY.encode() in graph.read_bytes()


def in_int8(model: onnx.ModelProto, where: Path) -> None:
    """Write the products for which the model carries scales in int8.

    Raises ValueError, which names `where`, if it carries none, or some that make no sense.
    """
    try:
        scales = read_scales(model)
    except ValueError as error:
        raise ValueError(f"corrupt bundle {where}: {error}; calibrate it again with `skelstream export`") from error
    if not scales:
        raise ValueError(f"{where} was not calibrated for int8; do so with `skelstream export --calibrate STORE ...`")
    quantise(model, scales)


def quantise(model: onnx.ModelProto, scales: Mapping[str, float]) -> None:
    """Write these products in int8, given the scale of each one's input."""
    values = constants(model)
    products = candidates(model)
    nodes: list[onnx.NodeProto] = []
    quantised: dict[tuple[str, float], str] = {}
    for node in model.graph.node:
        if node.name not in scales or node.name not in products:
            nodes.append(node)
            continue
        source, weights = node.input
        scale = scales[node.name]
        if (source, scale) not in quantised:
            quantised[source, scale] = _quantised_input(model, nodes, source, scale)
        renamed = {
            source: quantised[source, scale],
            weights: _quantised_weights(model, nodes, weights, values[weights]),
        }
        nodes.append(with_inputs(node, renamed))
    set_nodes(model, nodes)


def _quantised_input(model: onnx.ModelProto, nodes: list[onnx.NodeProto], source: str, scale: float) -> str:
    """Append the nodes that round an activation to int8; the name of what comes out."""
    at, zero, rounded = f"{source}.scale", f"{source}.zero", f"{source}.rounded"
    set_constant(model, at, np.array(scale, np.float32))
    set_constant(model, zero, np.array(0, np.int8))
    nodes.append(helper.make_node("QuantizeLinear", [source, at, zero], [f"{source}.int8"]))
    nodes.append(helper.make_node("DequantizeLinear", [f"{source}.int8", at, zero], [rounded]))
    return rounded


def _quantised_weights(model: onnx.ModelProto, nodes: list[onnx.NodeProto], name: str, weight_KO: Array) -> str:
    """Append the node that reads weights in int8; the name of what comes out."""
    scale_O = np.maximum(np.abs(weight_KO).max(axis=0) / LEVELS, np.finfo(np.float32).tiny).astype(np.float32)
    set_constant(model, f"{name}.int8", np.rint(weight_KO / scale_O).astype(np.int8))
    set_constant(model, f"{name}.scale", scale_O)
    set_constant(model, f"{name}.zero", np.zeros(len(scale_O), np.int8))
    inputs = [f"{name}.int8", f"{name}.scale", f"{name}.zero"]
    nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}.rounded"], axis=1))
    return f"{name}.rounded"
