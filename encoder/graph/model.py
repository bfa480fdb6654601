"""An ONNX model as it is read and changed: its constants by name, in float32, and new nodes in the right order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]

_MAX_BYTES = 2 << 30  # protobuf's own limit, checked before a byte is read


def read_model(path: Path) -> onnx.ModelProto:
    """The model of this file, its constants in float32. Raises ValueError if it is none."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # protobuf and the checker raise many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ValueError(f"{path} is no ONNX model: {reason}; export the bundle anew") from error
    widen(model)
    return model


def widen(model: onnx.ModelProto) -> None:
    """Turn every constant that is stored in half precision behind a Cast into a float32 one (`export.py` halves)."""
    halves = {t.name: t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT16}
    casts = [n for n in model.graph.node if n.op_type == "Cast" and n.input[0] in halves]
    for node in casts:
        value = numpy_helper.to_array(halves[node.input[0]]).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        model.graph.node.remove(node)
    read = {name for node in model.graph.node for name in node.input}
    for name, tensor in halves.items():
        if name not in read:
            model.graph.initializer.remove(tensor)


def constants(model: onnx.ModelProto) -> dict[str, Array]:
    """The value of every constant."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def set_constant(model: onnx.ModelProto, name: str, value: Array) -> None:
    """Give a constant this value; it may be new."""
    tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
    for known in model.graph.initializer:
        if known.name == name:
            known.CopyFrom(tensor)
            return
    model.graph.initializer.append(tensor)


def set_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Replace all nodes by these, and forget the constants that nobody reads any more."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    read = {name for node in copies for name in node.input}
    kept = [onnx.TensorProto.FromString(t.SerializeToString()) for t in model.graph.initializer if t.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def with_inputs(node: onnx.NodeProto, renamed: Mapping[str, str]) -> onnx.NodeProto:
    """The same node with some of its inputs called otherwise."""
    copy = onnx.NodeProto.FromString(node.SerializeToString())
    for place, name in enumerate(copy.input):
        copy.input[place] = renamed.get(name, name)
    return copy


def cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    """A Cast to a type of TensorProto."""
    return helper.make_node("Cast", [source], [target], to=kind)
