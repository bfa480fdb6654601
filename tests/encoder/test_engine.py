"""Engines: every one computes what PyTorch computes, for any batch; one that does not is not handed out, nor kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from skelstream.encoder.bundle import F32, Bundle, Reference
from skelstream.encoder.detector import Detector
from skelstream.encoder.engine import Engine
from skelstream.encoder.engine.compile import TOLERANCE, Backend, ParityError, compile_engine
from skelstream.encoder.weights import load_detector

ROOT = Path(__file__).parents[2]
Reseal = Callable[[Path], None]


@pytest.fixture(scope="module")
def engine(exported: Bundle) -> Iterator[Engine]:
    # Not the best that this CPU has: where that is bf16, it is near what PyTorch computes, and no more.
    engine = compile_engine(exported, "openvino", threads=1, precision="fp32")
    yield engine
    engine.close()


def windows(batch: int, seed: int = 0) -> F32:
    """People at random, some of them absent from some frames."""
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=0.5, size=(batch, 3, 64, 25, 2)) + rng.normal(size=(batch, 3, 1, 1, 1))
    x *= rng.random((batch, 1, 64, 1, 2)) > 0.3
    return x.astype(np.float32)


class TestGraph:
    def test_weights_are_stored_in_half_precision_and_equal_the_safetensors(self, exported: Bundle) -> None:
        model = onnx.load(exported.graph)
        onnx.checker.check_model(model, full_check=True)
        assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
        stored = [numpy_helper.to_array(t) for t in model.graph.initializer]
        weights = {n: w.numpy() for n, w in load_detector(exported).state_dict().items()}
        kept = ("t_embedding.0", "t_embedding.3", "t_layers.0.ca.convolution", "s_layers.0.dsa.mlp.0")  # not folded
        for name in kept:
            weight = weights[f"encoder.{name}.weight"]
            found = [t for t in stored if t.dtype == np.float16 and t.shape == weight.T.shape]
            assert any(np.array_equal(t.astype(np.float32), weight.T) for t in found), name

    def test_names_and_shapes(self, exported: Bundle) -> None:
        graph = onnx.load(exported.graph).graph
        ((joints,), (logits,)) = (graph.input, graph.output)
        assert (joints.name, logits.name) == ("joints", "logits")
        (batch, *rest), (batch_out, *rest_out) = (list(v.type.tensor_type.shape.dim) for v in (joints, logits))
        assert batch.dim_param and batch.dim_param == batch_out.dim_param
        assert [d.dim_value for d in rest] == [3, 64, 25, 2] and rest_out[1].dim_value == 3
        assert rest_out[0].dim_param == "frames"  # as many as `narrow` leaves: all of them, unless fewer are asked for

    def test_nothing_tells_of_this_machine(self, exported: Bundle) -> None:
        content = exported.graph.read_bytes()
        for trace in (str(ROOT), sys.prefix, "site-packages", ".py"):
            assert trace.encode() not in content


@pytest.mark.parametrize("batch", [1, 3, 64, 2])
def test_openvino_equals_pytorch(engine: Engine, exported: Bundle, batch: int) -> None:
    joints = windows(batch)
    with torch.no_grad():
        expected = load_detector(exported)(torch.from_numpy(joints)).numpy()
    assert np.abs(expected).max() > 0.5  # there is something to get wrong
    np.testing.assert_allclose(engine.infer(joints), expected, atol=1e-4)


def test_where_bfloat16_is_too_coarse_float32_takes_its_place(
    exported: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        compile_engine(exported, "openvino", precision="bf16").close()
    except ParityError:
        pass
    except ValueError:
        pytest.skip("this CPU has no bfloat16")
    monkeypatch.setitem(TOLERANCE, "bf16", (0.0, 0.0))
    told: list[str] = []
    engine = compile_engine(exported, "openvino", say=told.append)
    assert engine.precision == "fp32" and any("in float32 instead" in line for line in told)
    engine.close()
    with pytest.raises(ParityError):
        compile_engine(exported, "openvino", precision="bf16")  # who asks for it is told


def test_results_stay_when_the_engine_goes_on(engine: Engine) -> None:
    first = engine.infer(windows(2, seed=1))
    copy = first.copy()
    engine.infer(windows(2, seed=2))
    np.testing.assert_array_equal(first, copy)


def test_the_torch_engine_is_the_detector(exported: Bundle, tiny: Detector) -> None:
    engine = compile_engine(exported, "torch")
    with torch.no_grad():
        expected = tiny(torch.from_numpy(windows(2))).numpy()
    # The bundle's weights are rounded to 11 bits, so it is near the trained detector, not equal to it.
    np.testing.assert_allclose(engine.infer(windows(2)), expected, atol=0.05)
    engine.close()


@pytest.mark.parametrize(
    "bad",
    [np.zeros((1, 3, 64, 25, 1), np.float32), np.zeros((1, 3, 64, 25, 2)), np.zeros((0, 3, 64, 25, 2), np.float32)],
)
@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_wrong_windows_are_refused(exported: Bundle, backend: Backend, bad: F32) -> None:
    engine = compile_engine(exported, backend)
    with pytest.raises(ValueError, match="the engine takes"):
        engine.infer(bad)
    engine.close()


def test_unknown_backends_and_threads_are_refused(exported: Bundle) -> None:
    with pytest.raises(ValueError, match="no engine 'abacus'; there are openvino, tensorrt, torch"):
        compile_engine(exported, "abacus")  # type: ignore[arg-type]
    for backend in ("openvino", "torch"):
        with pytest.raises(ValueError, match="threads must be at least 1"):
            compile_engine(exported, backend, threads=0)


class TestParity:
    def test_a_good_engine_is_kept_and_found_again(self, bundle: Bundle) -> None:
        first = compile_engine(bundle, "openvino")
        (kept,) = (bundle.directory / "engines").iterdir()
        blobs = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
        assert first.precision in kept.name and "openvino" in kept.name and blobs
        second = compile_engine(bundle, "openvino")
        assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == blobs
        np.testing.assert_array_equal(first.infer(windows(2)), second.infer(windows(2)))
        assert list((bundle.directory / "engines").iterdir()) == [kept]

    def test_a_graph_that_differs_is_caught_and_not_kept(self, bundle: Bundle) -> None:
        model = onnx.load(bundle.graph)
        weight = next(t for t in model.graph.initializer if tuple(t.dims) == (64, 3))  # the head, folded
        changed = numpy_helper.to_array(weight) * np.float32(1.01)
        weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
        tampered = self.saved_again(bundle, graph=model.SerializeToString())
        with pytest.raises(ParityError, match="differs from the reference"):
            compile_engine(tampered, "openvino", precision="fp32")
        assert list((tampered.directory / "engines").iterdir()) == []
        compile_engine(tampered, "torch").close()  # the weights are what they were

    def test_weights_that_differ_are_caught(self, bundle: Bundle, reseal: Reseal) -> None:
        from skelstream.encoder.weights import pack, unpack

        state = unpack(bundle.weights.read_bytes())
        state["head.bias"] += 0.1
        bundle.weights.write_bytes(pack(state))
        reseal(bundle.directory)
        with pytest.raises(ParityError):
            compile_engine(Bundle.load(bundle.directory), "torch")

    def test_a_reference_that_differs_is_caught(self, bundle: Bundle) -> None:
        reference = bundle.reference()
        logits = reference.logits.copy()
        logits[2, 17, 1] += 0.1
        tampered = self.saved_again(bundle, reference=replace(reference, logits=logits))
        with pytest.raises(ParityError):
            compile_engine(tampered, "openvino")

    def test_a_graph_that_is_none_is_refused(self, bundle: Bundle) -> None:
        broken = self.saved_again(bundle, graph=b"no graph at all")
        with pytest.raises(ValueError, match=r"model\.onnx is no ONNX model: .*; export the bundle anew"):
            compile_engine(broken, "openvino")
        assert not list(broken.directory.rglob("engines/*"))

    def test_a_damaged_cache_does_no_harm(self, bundle: Bundle) -> None:
        engine = compile_engine(bundle, "openvino")
        expected = engine.infer(windows(1))
        engine.close()
        blobs = {path: path.read_bytes() for path in (bundle.directory / "engines").rglob("*.blob")}
        path, content = next(iter(blobs.items()))
        for damage in (b"rubbish", content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]):
            path.write_bytes(damage)
            again = compile_engine(bundle, "openvino")
            np.testing.assert_array_equal(again.infer(windows(1)), expected)
            again.close()
            assert path.read_bytes() != damage  # it was not used, but made anew

    def saved_again(self, bundle: Bundle, graph: bytes | None = None, reference: Reference | None = None) -> Bundle:
        return Bundle.save(
            bundle.directory,
            bundle.config,
            weights=bundle.weights.read_bytes(),
            graph=bundle.graph.read_bytes() if graph is None else graph,
            reference=reference or bundle.reference(),
        )


def test_a_package_that_does_not_load_is_one_line_and_the_next_engine_is_taken(bundle: Bundle, tmp_path: Path) -> None:
    """TensorRT's Python half without its library, as after a driver's upgrade."""
    for name in ("tensorrt", "cuda"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('libnvinfer.so.10: cannot open it')\n")
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from skelstream.encoder.bundle import Bundle\n"
        "from skelstream.encoder.engine.compile import fallbacks, first_engine\n"
        "engine = first_engine(Bundle.load(sys.argv[1]), fallbacks('tensorrt'), threads=1, say=print)\n"
        "print(engine.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(bundle.directory)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    warning, name = done.stdout.splitlines()
    assert warning.startswith("the engine tensorrt does not load here: libnvinfer.so.10") and name == "openvino-cpu"


def run_without_torch(program: str, *arguments: str) -> str:
    """Run a program in a process where torch, ray, safetensors and our own train room cannot be imported."""
    absent = ("torch", "ray", "safetensors", "skelstream.train")
    blocked = f"import sys\nfor name in {absent!r}: sys.modules[name] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", blocked + program, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_bundle_runs_without_torch(exported: Bundle, engine: Engine) -> None:
    out = run_without_torch(
        "import numpy as np\n"
        "from skelstream.encoder.bundle import Bundle, available_bundles\n"
        "from skelstream.encoder.engine.compile import compile_engine\n"
        "bundle = Bundle.load(sys.argv[1])\n"
        "engine = compile_engine(bundle, threads=1, precision='fp32')\n"
        "print(engine.name, float(np.abs(engine.infer(bundle.reference().joints)).sum()))\n"
        "try: compile_engine(bundle, 'torch')\n"
        "except ValueError as error: print(error)\n",
        str(exported.directory),
    )
    first, second = out.splitlines()
    total = float(np.abs(engine.infer(exported.reference().joints)).sum())
    assert first.split()[0] == "openvino-cpu" and float(first.split()[1]) == pytest.approx(total, rel=1e-4)
    assert second == "the engine torch is not installed; pip install 'skelstream[train]'"
