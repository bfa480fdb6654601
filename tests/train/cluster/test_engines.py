"""The engine factory on a simulated cluster: a head that takes no work and two nodes, all with this machine's CPU."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from skelstream.encoder.bundle import Bundle, Reference
from skelstream.encoder.detector import Detector
from skelstream.encoder.dste import DSTE
from skelstream.encoder.engine.compile import ParityError, compile_engine
from skelstream.encoder.engine.openvino import OpenVinoEngine
from skelstream.encoder.export import save_bundle
from skelstream.launch.cli_engines import engines

pytest.importorskip("ray", reason="the extra `train` is not installed")

import ray
from ray.cluster_utils import Cluster

from skelstream.encoder.engine.target import Target
from skelstream.train.cluster.connect import connected, nodes
from skelstream.train.cluster.engines import (
    check_graph,
    compile_everywhere,
    install,
    write_report,
)

NODE: dict[str, Any] = {"object_store_memory": 80 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    torch.manual_seed(11)
    encoder = DSTE.Config(hidden=16, layers=1)
    detector = Detector(Detector.Config(encoder=encoder, classes=("background", "wave", "fall")))
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return save_bundle(detector.eval(), tmp_path_factory.mktemp("exported") / "bundle")


@pytest.fixture
def bundle(exported: Bundle, tmp_path: Path) -> Bundle:
    shutil.copytree(exported.directory, tmp_path / "run" / "bundle", ignore=shutil.ignore_patterns("engines"))
    return Bundle.load(tmp_path / "run")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    before = os.environ.get("RAY_USAGE_STATS_ENABLED")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, **NODE)
        with connected(cluster.address):
            yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]  # ray leaves it untyped
        if before is None:
            del os.environ["RAY_USAGE_STATS_ENABLED"]
        else:
            os.environ["RAY_USAGE_STATS_ENABLED"] = before


def saved_again(bundle: Bundle, *, graph: bytes | None = None, reference: Reference | None = None) -> Bundle:
    return Bundle.save(
        bundle.directory,
        bundle.config,
        weights=bundle.weights.read_bytes(),
        graph=bundle.graph.read_bytes() if graph is None else graph,
        reference=reference or bundle.reference(),
    )


class TestTarget:
    @pytest.mark.parametrize(
        "text", ["openvino", "openvino:fp32", "openvino:bf16", "tensorrt", "tensorrt:fp16", "tensorrt:int8", "torch"]
    )
    def test_it_says_what_it_was_read_from(self, text: str) -> None:
        assert str(Target.parse(text)) == text

    @pytest.mark.parametrize("text", ["", "abacus", "openvino:", "openvino:fp16", "torch:int8", "OpenVINO", ":fp16"])
    def test_what_is_none_is_refused_in_one_line(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"no target .*; write ") as refused:
            Target.parse(text)
        assert "\n" not in str(refused.value)


class TestGraph:
    def test_a_sound_graph_computes_the_reference(self, exported: Bundle) -> None:
        assert 0 <= check_graph(exported) < 1e-5

    def test_a_graph_that_computes_something_else(self, bundle: Bundle) -> None:
        model = onnx.load(bundle.graph)
        head = next(t for t in model.graph.initializer if tuple(t.dims) == (64, 3))  # folded into a layer's last map
        head.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(head) * np.float32(1.1), head.name))
        with pytest.raises(ParityError, match=r"model\.onnx differs from the reference by"):
            check_graph(saved_again(bundle, graph=model.SerializeToString()))

    @pytest.mark.parametrize("graph", [b"no graph at all", b"\x08\x08"])
    def test_a_graph_that_is_none(self, bundle: Bundle, graph: bytes) -> None:
        with pytest.raises(ValueError, match=r"is no sound graph.*export the bundle anew") as refused:
            check_graph(saved_again(bundle, graph=graph))
        assert "\n" not in str(refused.value)


class TestInstall:
    def test_an_older_engine_is_replaced_whole(self, tmp_path: Path) -> None:
        install(tmp_path / "engines", {"a-1/one": b"old", "a-1/two": b"old"})
        install(tmp_path / "engines", {"a-1/one": b"new", "b-2/one": b"other"})
        found = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert found == {Path("engines/a-1/one"): b"new", Path("engines/b-2/one"): b"other"}
        assert sorted(path.name for path in (tmp_path / "engines").iterdir()) == ["a-1", "b-2"]

    @given(
        name=st.text(max_size=12)
        | st.sampled_from(
            ["../x", "/etc/x", "a/../../x", "a/..", "./x", "a//x", "a/.x", "x", "", "a/b/c", "..\\x", "a/b\\c", "C:/x"]
        )
    )
    def test_no_name_leads_out(self, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
        top = tmp_path_factory.mktemp("install")
        cache = top / "bundle" / "engines"
        try:
            install(cache, {"good-1/file": b"good", name: b"x"})
        except ValueError as refused:
            assert "which is not kept" in str(refused)
            assert not cache.exists()  # nor the good one: it is all or nothing
        else:
            assert (cache / name).parent.parent == cache and (cache / name).read_bytes() == b"x"
        assert [path.name for path in top.iterdir()] in ([], ["bundle"])


class TestOnACluster:
    @pytest.mark.slow  # the command below does the same with one target
    def test_each_target_is_compiled_or_told_of(self, cluster: Cluster, bundle: Bundle) -> None:
        targets = [Target.parse(text) for text in ("tensorrt:fp16", "openvino", "torch")]
        gpu, openvino, torch_row = compiled = compile_everywhere(bundle.directory, targets)
        assert (gpu.ok, gpu.reason) == (False, "no node of the cluster has a GPU")
        assert openvino.ok and torch_row.ok, compiled
        assert openvino.difference is not None and openvino.difference < 5e-2
        assert torch_row.difference is not None and torch_row.difference < 1e-5 and torch_row.files == ()

        report = json.loads(write_report(bundle, compiled).read_text())
        assert (bundle.directory.parent / "engines.json").is_file()
        assert report["bundle"] == bundle.digest
        assert [row["target"] for row in report["engines"]] == ["tensorrt:fp16", "openvino", "torch"]
        assert [row["ok"] for row in report["engines"]] == [False, True, True]

    def test_this_machine_loads_the_engine_instead_of_compiling(self, cluster: Cluster, bundle: Bundle) -> None:
        (made,) = compile_everywhere(bundle.directory, [Target.parse("openvino")], threads=1)
        cache = bundle.directory / "engines"
        before = {path.relative_to(cache).as_posix(): path.stat().st_mtime_ns for path in cache.rglob("*.*")}
        assert set(before) == set(made.files) and before
        engine = compile_engine(bundle, "openvino", threads=1)
        assert isinstance(engine, OpenVinoEngine) and engine.precision == made.precision
        assert engine._alone.from_cache
        assert {path.relative_to(cache).as_posix(): path.stat().st_mtime_ns for path in cache.rglob("*.*")} == before
        engine.close()

    @pytest.mark.slow  # on a cluster; alone: tests/encoder/test_parity.py
    def test_an_engine_that_differs_is_not_kept(self, cluster: Cluster, bundle: Bundle) -> None:
        """The weights say something else than graph and reference, and PyTorch's engine is made of the weights."""
        from skelstream.encoder.weights import pack, unpack

        state = unpack(bundle.weights.read_bytes())
        state["head.bias"] += 0.5
        other = Bundle.save(
            bundle.directory,
            bundle.config,
            weights=pack(state),
            graph=bundle.graph.read_bytes(),
            reference=bundle.reference(),
        )
        (row,) = compile_everywhere(other.directory, [Target.parse("torch")])
        assert not row.ok and "differs from the reference" in row.reason and "\n" not in row.reason

    @pytest.mark.slow  # waits for one
    def test_no_answer_in_time_is_one_line(self, cluster: Cluster, bundle: Bundle) -> None:
        said: list[str] = []
        (row,) = compile_everywhere(bundle.directory, [Target.parse("openvino")], timeout_s=1e-3, say=said.append)
        assert (row.ok, row.reason) == (False, "no answer within 0.001 s")
        assert sum("compiling for" in line for line in said) == 2  # both nodes were tried
        assert not list(bundle.directory.rglob("engines/*"))

    @pytest.mark.slow  # a node starts
    def test_a_node_with_a_gpu_tells_what_is_missing(self, cluster: Cluster, bundle: Bundle) -> None:
        """A node without the library, or without the GPU that it claims, is told of in a line."""
        node = cluster.add_node(num_cpus=0, num_gpus=1, **NODE)
        cluster.wait_for_nodes()
        try:
            (row,) = compile_everywhere(bundle.directory, [Target.parse("tensorrt:fp16")])
        finally:
            cluster.remove_node(node)
        assert not row.ok and row.device
        assert "TensorRT" in row.reason or "tensorrt" in row.reason
        assert "\n" not in row.reason

    def test_the_command(self, cluster: Cluster, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        run = str(bundle.directory.parent)
        assert engines(run, targets=("openvino",)) == 0
        assert engines(run, targets=("openvino", "tensorrt:fp16")) == 1
        assert "tensorrt:fp16 not compiled: no node of the cluster has a GPU\n" in capsys.readouterr().out
        assert len(json.loads((bundle.directory.parent / "engines.json").read_text())["engines"]) == 2
        assert list((bundle.directory / "engines").iterdir())

    @pytest.mark.slow  # a node starts, and its end must be noticed
    def test_a_node_that_is_killed_costs_only_time(self, cluster: Cluster, bundle: Bundle) -> None:
        """Last, for it takes one of the nodes away: at the moment that it is given the task."""
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            if "compiling for" in line and len(cluster.worker_nodes) == 2:
                (doomed,) = (node for node in cluster.worker_nodes if f"(node {node.node_id[:8]})" in line)
                cluster.remove_node(doomed, allow_graceful=False)

        (row,) = compile_everywhere(bundle.directory, [Target.parse("openvino")], timeout_s=60, say=say)
        assert row.ok, (row, said)
        assert sum("compiling for" in line for line in said) == 2 and any("another machine is tried" in s for s in said)
        assert len([node for node in nodes() if node.cpus]) == 1
