"""The deployed graph narrowed, in half precision and in int8: what is computed stays, and in which types is as said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from skelstream.encoder.bundle import F32, Bundle
from skelstream.encoder.config import DSTEConfig
from skelstream.encoder.detector import Detector
from skelstream.encoder.export import probe_windows, save_bundle
from skelstream.encoder.graph import engine_graph
from skelstream.encoder.graph.calibrate import agreement, calibrate
from skelstream.encoder.graph.half import in_half
from skelstream.encoder.graph.int8 import KEY, candidates, quantise, read_scales, write_scales
from skelstream.encoder.graph.model import read_model
from skelstream.encoder.graph.narrow import last_frames


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A detector whose products are large enough for int8, its numbers at random."""
    torch.manual_seed(11)
    encoder = DSTEConfig(hidden=64, layers=1)
    model = Detector(Detector.Config(encoder=encoder, classes=("background", "wave", "fall"), normalisation="facing"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return save_bundle(model.eval(), tmp_path_factory.mktemp("graph") / "bundle")


@pytest.fixture(scope="module")
def calibrated(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with scales for int8."""
    model = read_model(bundle.graph)
    found = calibrate(model, several(bundle, 64), p999=1.0, argmax=0.0)
    assert set(found.scales) == set(candidates(model)) and not found.kept
    original = onnx.load(bundle.graph)
    write_scales(original, found.scales)
    return Bundle.save(
        tmp_path_factory.mktemp("calibrated") / "bundle", bundle.config, weights=bundle.weights.read_bytes(),
        graph=original.SerializeToString(), reference=bundle.reference(),
    )  # fmt: skip


def several(bundle: Bundle, count: int) -> F32:
    """Windows that differ, out of the few that every bundle has."""
    rng = np.random.default_rng(1)
    probes = probe_windows(bundle.config)
    found = np.stack([probes[i % len(probes)] * rng.uniform(0.9, 1.1) for i in range(count)])
    return np.roll(found, rng.integers(64), axis=2).astype(np.float32)


def run(graph: bytes | onnx.ModelProto, joints: F32) -> F32:
    """By ONNX's own evaluator, which is no engine."""
    model = onnx.load_model_from_string(graph) if isinstance(graph, bytes) else graph
    (logits,) = ReferenceEvaluator(model).run(None, {"joints": joints})
    return np.asarray(logits)


@pytest.mark.parametrize("frames", [1, 7, 20, 63, 64, None])
def test_narrowed_to_the_last_frames_it_gives_the_end_of_the_whole(bundle: Bundle, frames: int | None) -> None:
    reference = bundle.reference()
    graph = engine_graph(bundle, precision="fp32", frames=frames)
    given = onnx.load_model_from_string(graph).graph.output[0].type.tensor_type.shape.dim[1].dim_value
    assert given == (frames or 64)
    np.testing.assert_allclose(run(graph, reference.joints), reference.logits[:, -given:], atol=2e-5)


def test_frames_that_there_are_not_are_refused(bundle: Bundle) -> None:
    for frames in (0, 65):
        with pytest.raises(ValueError, match=f"a window has 1 to 64 last frames, not {frames}"):
            engine_graph(bundle, precision="fp32", frames=frames)


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """The type of every value in a graph."""
    inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {t.name: t.data_type for t in inferred.initializer}


def test_in_half_precision_products_are_half_and_all_else_is_float(bundle: Bundle) -> None:
    model = onnx.load_model_from_string(engine_graph(bundle, precision="fp16", frames=20))
    types = types_of(model)
    seen = {"MatMul": 0, "LayerNormalization": 0, "Softmax": 0, "Add": 0, "Gelu": 0}
    for node in model.graph.node:
        if node.op_type in seen:
            seen[node.op_type] += 1
            wanted = TensorProto.FLOAT16 if node.op_type == "MatMul" else TensorProto.FLOAT
            assert {types[name] for name in (*node.input, *node.output) if name} == {wanted}, node.name
    assert all(seen.values())
    assert [types[v.name] for v in (*model.graph.input, *model.graph.output)] == [TensorProto.FLOAT] * 2
    reference = bundle.reference()
    difference = run(model, reference.joints) - reference.logits[:, -20:]
    assert 0 < np.abs(difference).max() < 5e-3 * np.abs(reference.logits).max()


def test_a_weight_that_half_precision_cannot_hold_is_refused(bundle: Bundle) -> None:
    model = read_model(bundle.graph)
    weight = next(t for t in model.graph.initializer if t.name in {n.input[1] for n in candidates(model).values()})
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + np.float32(1e5), weight.name))
    with pytest.raises(ValueError, match=r"holds numbers that float16 does not; use fp32 or bf16"):
        in_half(model)


@given(
    rows=st.integers(1, 4), seed=st.integers(0, 99), scale=st.floats(1e-3, 1.0),
    spread=st.sampled_from([1e-3, 1.0, 1e3]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_product_in_int8_is_that_of_rounded_numbers(rows: int, seed: int, scale: float, spread: float) -> None:
    """Against numpy: activations on one grid, each output channel's weights on its own, integers in between."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 64)).astype(np.float32)
    w = (rng.normal(size=(64, 80)) * spread * rng.uniform(0.1, 1, 80)).astype(np.float32)
    w[:, 3] = 0  # a dead channel
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["joints", "w"], ["y"], name="product")], "one",
        [helper.make_tensor_value_info("joints", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 80])], [numpy_helper.from_array(w, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    quantise(model, {"product": scale})
    onnx.checker.check_model(model, full_check=True)

    step = np.float32(scale)
    x8 = np.clip(np.rint(x / step), -128, 127).astype(np.int64)
    each = np.maximum(np.abs(w).max(axis=0) / 127, np.finfo(np.float32).tiny).astype(np.float32)
    w8 = np.rint(w / each).astype(np.int64)
    assert np.abs(w8).max() == 127 and np.abs(w8 * each - w).max() <= each.max() * 0.51
    np.testing.assert_allclose(run(model, x), (x8 @ w8) * (step * each), rtol=1e-4, atol=1e-4 * spread)


def test_an_int8_graph_is_near_and_says_what_is_in_int8(calibrated: Bundle) -> None:
    reference = calibrated.reference()
    choices: tuple[Literal["fp32", "fp16"], ...] = ("fp32", "fp16")
    for products in choices:
        graph = engine_graph(calibrated, precision="int8", frames=20, products=products)
        model = onnx.load_model_from_string(graph)
        types = types_of(model)
        stored = [t.data_type for t in model.graph.initializer if len(t.dims) == 2 and min(t.dims) >= 64]
        in_int8 = {node.input[1] for node in candidates(read_model(calibrated.graph)).values()}
        assert stored.count(TensorProto.INT8) == len(in_int8)
        others = {types[n.input[0]] for n in model.graph.node if n.op_type == "MatMul" and "rounded" not in n.input[0]}
        assert others == {TensorProto.FLOAT16 if products == "fp16" else TensorProto.FLOAT}
        result = agreement(run(graph, reference.joints), reference.logits[:, -20:])
        assert 0 < result.largest < 0.05 and result.argmax > 0.95


def test_accuracy_is_controlled(bundle: Bundle) -> None:
    """Products that break the bound go back to float32, until it holds."""
    model, windows = read_model(bundle.graph), several(bundle, 64)
    every = calibrate(model, windows, p999=1.0, argmax=0.0).agreement.p999
    some = calibrate(model, windows, p999=0.8 * every, argmax=0.0)
    assert some.scales and some.kept and some.agreement.p999 <= 0.8 * every
    assert set(some.kept) | set(some.scales) == set(candidates(model))


@pytest.mark.slow  # every product is tried twice
def test_a_bound_that_nothing_keeps_leaves_all_in_float32(bundle: Bundle) -> None:
    model, windows = read_model(bundle.graph), several(bundle, 64)
    said: list[str] = []
    nothing = calibrate(model, windows, p999=0.0, argmax=1.0, say=said.append)
    assert not nothing.scales and set(nothing.kept) == set(candidates(model)) and nothing.agreement.p999 == 0
    assert len(said) == 3 * len(candidates(model))  # alone, sent back, and (but the last) once more


def test_too_few_windows_are_refused(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="at least 64 real windows to calibrate, not 8"):
        calibrate(read_model(bundle.graph), several(bundle, 8))


def test_what_was_not_calibrated_is_not_compiled_to_int8(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match=r"was not calibrated for int8; do so with `skelstream export --calibrate"):
        engine_graph(bundle, precision="int8")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", '{"node": 1}', '{"NAME": 0}', '{"NAME": -1}', '{"NAME": NaN}', '{"NAME": true}', "[" * 10**5],
)
def test_scales_that_make_no_sense_are_refused(bundle: Bundle, text: str) -> None:
    model = read_model(bundle.graph)
    model.metadata_props.add(key=KEY, value=text.replace("NAME", next(iter(candidates(model)))))
    with pytest.raises(ValueError, match="its int8 scales"):
        read_scales(model)


def test_scales_are_kept_and_replaced(bundle: Bundle) -> None:
    model = read_model(bundle.graph)
    one, two = list(candidates(model))[:2]
    for scales in ({one: 0.5}, {two: 0.25}, {}):
        write_scales(model, scales)
        assert read_scales(model) == scales
    assert not model.metadata_props


@pytest.mark.parametrize("content", [b"", b"no graph", json.dumps({"a": 1}).encode()])
def test_a_file_that_is_no_graph_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is no ONNX model: .*; export the bundle anew") as error:
        read_model(path)
    assert "\n" not in str(error.value)


def test_a_graph_without_a_choice_of_frames_gives_all() -> None:
    """One from before there was one, or a recogniser's."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["joints"], ["y"])], "old",
        [helper.make_tensor_value_info("joints", TensorProto.FLOAT, ["b", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 2])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    before: Sequence[bytes] = [model.SerializeToString()]
    last_frames(model, 20)
    assert model.SerializeToString() == before[0]
