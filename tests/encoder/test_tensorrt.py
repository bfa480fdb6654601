"""The TensorRT engine on a real GPU: it computes what PyTorch computes, and is found again only if it is good.

All of this needs TensorRT, cuda-bindings and an NVIDIA GPU, and is skipped elsewhere; what the engine is put together
from is tested everywhere, in test_sidecar.py, test_building.py, test_batches.py and test_tensorrt_names.py.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from skelstream.encoder.bundle import F32, Bundle
from skelstream.encoder.engine.compile import TOLERANCE, check_parity
from skelstream.encoder.weights import load_detector

if TYPE_CHECKING:
    from skelstream.encoder.engine.tensorrt import TensorRtEngine

pytest.importorskip("tensorrt", reason="TensorRT is not installed", exc_type=ImportError)
pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed", exc_type=ImportError)

room = importlib.import_module("skelstream.encoder.engine.tensorrt")
cuda = importlib.import_module("skelstream.encoder.engine.cuda")


def no_gpu() -> str:
    try:
        cuda.use_gpu()
    except ValueError as error:
        return str(error)
    return ""


NO_GPU = no_gpu()
on_gpu = pytest.mark.skipif(bool(NO_GPU), reason=NO_GPU or "there is a GPU")


def build(bundle: Bundle, *, graph: bytes | None = None, **settings: Any) -> TensorRtEngine:
    engine: TensorRtEngine = room.TensorRtEngine(
        bundle, bundle.graph.read_bytes() if graph is None else graph, precision="fp32", **settings
    )
    return engine


def windows(batch: int, seed: int = 0) -> F32:
    """People at random, some of them absent from some frames."""
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=0.5, size=(batch, 3, 64, 25, 2)) + rng.normal(size=(batch, 3, 1, 1, 1))
    x *= rng.random((batch, 1, 64, 1, 2)) > 0.3
    return x.astype(np.float32)


def test_batches_below_one_are_refused(exported: Bundle) -> None:
    with pytest.raises(ValueError, match="batches must be at least 1, not 0"):
        build(exported, batches=0)


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_no_gpu_is_one_line(exported: Bundle) -> None:
    with pytest.raises(ValueError, match="NVIDIA") as caught:
        build(exported)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def engine(exported: Bundle) -> Iterator[TensorRtEngine]:
    engine = build(exported)
    yield engine
    engine.close()


@on_gpu
class TestInference:
    # More sizes than graphs are kept, some of them again, and some larger than the profile.
    @pytest.mark.parametrize("batch", [1, 3, 64, 2, 5, 6, 7, 8, 9, 10, 1, 65, 130])
    def test_it_equals_pytorch(self, engine: TensorRtEngine, exported: Bundle, batch: int) -> None:
        joints = windows(batch, seed=batch)
        with torch.no_grad():
            expected = load_detector(exported)(torch.from_numpy(joints)).numpy()
        scale = float(np.abs(expected).max())
        assert scale > 0.5  # there is something to get wrong
        np.testing.assert_allclose(engine.infer(joints), expected, atol=TOLERANCE["fp32"][0] * max(1.0, scale), rtol=0)

    def test_it_agrees_with_the_bundles_reference(self, engine: TensorRtEngine, exported: Bundle) -> None:
        check_parity(engine, exported.reference())

    def test_results_stay_when_the_engine_goes_on(self, engine: TensorRtEngine) -> None:
        first = engine.infer(windows(2, seed=1))
        copy = first.copy()
        engine.infer(windows(2, seed=2))
        np.testing.assert_array_equal(first, copy)
        np.testing.assert_array_equal(engine.infer(windows(2, seed=1)), copy)  # by the captured graph

    def test_windows_that_do_not_lie_in_one_piece(self, engine: TensorRtEngine) -> None:
        joints = windows(6)
        np.testing.assert_array_equal(engine.infer(joints[::2]), engine.infer(joints[::2].copy()))

    @pytest.mark.parametrize(
        "bad",
        [
            np.zeros((1, 3, 64, 25, 1), np.float32),
            np.zeros((1, 3, 64, 25, 2)),
            np.zeros((0, 3, 64, 25, 2), np.float32),
        ],
    )
    def test_wrong_windows_are_refused(self, engine: TensorRtEngine, bad: F32) -> None:
        with pytest.raises(ValueError, match="the engine takes"):
            engine.infer(bad)

    def test_several_engines_at_once(self, exported: Bundle) -> None:
        """Each with its stream, from its thread; one of them made for small batches only."""
        engines = [build(exported, batches=batches) for batches in (64, 4, 8)]
        alone = [engine.infer(windows(5, seed=number)) for number, engine in enumerate(engines)]
        differing: list[int] = []

        def work(number: int) -> None:
            for _ in range(50):
                together = engines[number].infer(windows(5, seed=number))
                if not np.array_equal(together, alone[number]):
                    differing.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert differing == []
        for engine in engines:
            engine.close()
            engine.close()  # twice is once

    def test_too_much_memory_is_one_line(self) -> None:
        with pytest.raises(ValueError, match=r"not enough memory on the GPU: .* MiB are needed"):
            cuda.DeviceMemory(1 << 50)
        cuda.DeviceMemory(1 << 10).close()  # and the next call does not hear of it


@on_gpu
class TestCache:
    def test_a_good_engine_is_kept_and_found_again(self, bundle: Bundle) -> None:
        said: list[str] = []
        first = build(bundle, say=said.append)
        assert not first.cache.exists() and any("builds" in line for line in said)
        first.keep({"largest_difference": 1e-5})
        folders = sorted(path.name for path in bundle.engine_cache().iterdir())
        assert len(folders) == 2 and folders[0].startswith("tensorrt-fp32-") and folders[1].startswith("tensorrt-timi")
        text = json.loads((first.cache / "sidecar.json").read_text())
        assert text["parity"] == {"largest_difference": 1e-5}
        assert text["made_for"]["gpu"] == cuda.use_gpu().name
        files = {path: path.stat().st_mtime_ns for path in bundle.engine_cache().rglob("*")}
        said.clear()
        second = build(bundle, say=said.append)
        second.keep()
        assert said == []
        assert {path: path.stat().st_mtime_ns for path in bundle.engine_cache().rglob("*")} == files
        np.testing.assert_array_equal(first.infer(windows(3)), second.infer(windows(3)))
        first.close()
        second.close()

    @pytest.mark.parametrize("end", ["close", "discard"])
    def test_what_is_not_kept_leaves_nothing(self, bundle: Bundle, end: str) -> None:
        engine = build(bundle)
        getattr(engine, end)()
        assert list(bundle.engine_cache().iterdir()) == []
        engine.close()

    def test_what_was_kept_can_be_discarded(self, bundle: Bundle) -> None:
        engine = build(bundle)
        engine.keep()
        engine.discard()
        assert not engine.cache.exists()
        engine.close()

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda text: text["made_for"].update(gpu="NVIDIA Abacus"), "foreign: its gpu is NVIDIA Abacus"),
            (lambda text: text["made_for"].update(compute_capability="1.0"), "foreign: its compute capability is 1.0"),
            (lambda text: text["made_for"].update(tensorrt="9.0.0"), "foreign: its tensorrt is 9.0.0"),
            (lambda text: text["made_from"].update(graph_sha256="ab" * 32), "stale: its graph sha256"),
            (lambda text: text["made_from"].update(batches="1 2 3"), "stale: its batches is 1 2 3"),
            (lambda text: text["sealed"].update(sha256="ab" * 32), "altered: its digest is another"),
        ],
    )
    def test_one_that_is_not_for_here_is_built_anew(
        self, bundle: Bundle, change: Callable[[dict[str, Any]], object], told: str
    ) -> None:
        engine = build(bundle)
        engine.keep()
        engine.close()
        sidecar = engine.cache / "sidecar.json"
        good = json.loads(sidecar.read_text())
        text = json.loads(sidecar.read_text())
        change(text)
        sidecar.write_text(json.dumps(text))
        said: list[str] = []
        again = build(bundle, say=said.append)
        assert told in said[0] and "builds" in said[1]
        again.keep()
        check_parity(again, bundle.reference())
        again.close()
        assert json.loads(sidecar.read_text())["made_for"] == good["made_for"]

    @pytest.mark.parametrize("cut", [0, 100, -1])
    def test_a_truncated_one_is_built_anew(self, bundle: Bundle, cut: int) -> None:
        engine = build(bundle)
        engine.keep()
        engine.close()
        plan = engine.cache / "model.engine"
        plan.write_bytes(plan.read_bytes()[:cut])
        said: list[str] = []
        build(bundle, say=said.append).close()
        assert "altered" in said[0]

    def test_a_whole_file_that_is_no_engine_is_built_anew(self, bundle: Bundle) -> None:
        """It has the right digest: somebody wrote both."""
        engine = build(bundle)
        engine.keep()
        engine.close()
        (engine.cache / "model.engine").write_bytes(b"rubbish" * 100)
        text = json.loads((engine.cache / "sidecar.json").read_text())
        text["sealed"] = {"sha256": sha256(b"rubbish" * 100).hexdigest(), "bytes": 700}
        (engine.cache / "sidecar.json").write_text(json.dumps(text))
        said: list[str] = []
        build(bundle, say=said.append).close()
        assert "is no good" in said[0]

    def test_where_nothing_can_be_written_it_still_runs(self, bundle: Bundle) -> None:
        (bundle.directory / "engines").write_text("in the way")
        engine = build(bundle)
        engine.keep()
        check_parity(engine, bundle.reference())
        engine.close()


@on_gpu
class TestBuild:
    def test_a_graph_that_is_none_is_refused(self, bundle: Bundle) -> None:
        with pytest.raises(ValueError, match="TensorRT cannot read the graph: ") as caught:
            build(bundle, graph=b"no graph at all")
        assert "\n" not in str(caught.value)
        assert not bundle.engine_cache().exists() or list(bundle.engine_cache().iterdir()) == []

    def test_ctrl_c_stops_it(self, bundle: Bundle) -> None:
        before = signal.getsignal(signal.SIGINT)
        senders: list[threading.Timer] = []

        def interrupt_soon(line: str) -> None:
            if "builds" in line:
                senders.append(threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)))
                senders[-1].start()

        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            build(bundle, say=interrupt_soon)
        assert len(senders) == 1 and time.monotonic() - begun < 60
        assert signal.getsignal(signal.SIGINT) is before
        assert not bundle.engine_cache().exists() or list(bundle.engine_cache().iterdir()) == []
        engine = build(bundle)  # and the next build is none the worse for it
        check_parity(engine, bundle.reference())
        engine.close()
