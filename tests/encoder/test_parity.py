"""The parity gate: the shipped model with something broken in its graph makes no engine.

Everything else of the bundle is in order: its digests are those of the broken graph.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from skelstream.encoder.bundle import Bundle
from skelstream.encoder.engine import Precision
from skelstream.encoder.engine.compile import ParityError, compile_engine

Break = Callable[[onnx.ModelProto], None]

SHIPPED = onnx.load(Bundle.load("small").graph)
NORMS = [node.name for node in SHIPPED.graph.node if node.op_type == "LayerNormalization"]
BIASES = [
    t.name for t in SHIPPED.graph.initializer
    if t.name.endswith(("query.bias", "out.bias", "of_hidden.bias"))
]  # fmt: skip


def wrong_epsilon(name: str, epsilon: float) -> Break:
    def breaking(model: onnx.ModelProto) -> None:
        (node,) = (n for n in model.graph.node if n.name == name)
        (attribute,) = (a for a in node.attribute if a.name == "epsilon")
        assert attribute.f == pytest.approx(1e-5)
        attribute.f = epsilon

    return breaking


def lost_bias(name: str) -> Break:
    def breaking(model: onnx.ModelProto) -> None:
        (bias,) = (t for t in model.graph.initializer if t.name == name)
        value = numpy_helper.to_array(bias)
        assert np.abs(value).max() > 0
        bias.CopyFrom(numpy_helper.from_array(np.zeros_like(value), bias.name))

    return breaking


def broken(folder: Path, *breaks: Break) -> Bundle:
    shipped = Bundle.load("small")
    model = onnx.ModelProto.FromString(SHIPPED.SerializeToString())
    for breaking in breaks:
        breaking(model)
    return Bundle.save(
        folder / "broken", shipped.config, weights=shipped.weights.read_bytes(), graph=model.SerializeToString(),
        reference=shipped.reference(),
    )  # fmt: skip


def test_there_is_something_to_break() -> None:
    assert len(NORMS) == 2 + 2 * 2 * 5 and len(BIASES) == 2 * 2 * 3


@pytest.mark.parametrize(
    "breaking",
    [*(wrong_epsilon(name, 1e-2) for name in NORMS[::13]), *(lost_bias(name) for name in BIASES[::7])],
    ids=[*NORMS[::13], *BIASES[::7]],
)
def test_one_wrong_number_is_refused(tmp_path: Path, breaking: Break) -> None:
    bundle = broken(tmp_path, breaking)
    with pytest.raises(ParityError, match="differs from the reference"):
        compile_engine(bundle, "openvino", precision="fp32", threads=1)
    assert not list(bundle.directory.rglob("engines/*"))


@pytest.mark.slow  # each of 34 graphs is compiled
@pytest.mark.parametrize(
    "breaking",
    [*(wrong_epsilon(name, 1e-2) for name in NORMS), *(lost_bias(name) for name in BIASES)],
    ids=[*NORMS, *BIASES],
)
def test_any_one_wrong_number_is_refused(tmp_path: Path, breaking: Break) -> None:
    with pytest.raises(ParityError):
        compile_engine(broken(tmp_path, breaking), "openvino", precision="fp32", threads=1)


@pytest.mark.parametrize(
    ("breaks", "precision"),
    [
        ([wrong_epsilon(name, 1e-6) for name in NORMS], "fp32"),
        ([wrong_epsilon(name, 1e-3) for name in NORMS], "int8"),
        ([lost_bias(name) for name in BIASES], "int8"),
    ],
    ids=["PyTorch's epsilon for another's", "epsilon, int8", "biases, int8"],
)
def test_what_a_wrong_exporter_does_is_refused(tmp_path: Path, breaks: list[Break], precision: Precision) -> None:
    bundle = broken(tmp_path, *breaks)
    with pytest.raises(ParityError):
        compile_engine(bundle, "openvino", precision=precision, threads=1)
    assert not list(bundle.directory.rglob("engines/*"))


def test_the_same_graph_unbroken_is_not_refused(tmp_path: Path) -> None:
    both: tuple[Precision, ...] = ("fp32", "int8")
    for precision in both:
        compile_engine(broken(tmp_path), "openvino", precision=precision, threads=1).close()
