"""Engines as a person meets them: `live` goes on with the next one, `export` and `bench encoder` tell of all."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skelstream.encoder.bundle import Bundle
from skelstream.launch.cli import main

no_tensorrt = pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here")


@pytest.fixture(scope="module")
def recording(record_actor: Callable[[int], Path]) -> Path:
    """Eight seconds of the actor."""
    return record_actor(8)


@pytest.fixture
def truncated(tmp_path: Path) -> Path:
    """The shipped model with half a graph, and digests that fit it."""
    directory = tmp_path / "truncated"
    shutil.copytree(Bundle.load("small").directory, directory, ignore=shutil.ignore_patterns("engines"))
    graph = (directory / "model.onnx").read_bytes()
    (directory / "model.onnx").write_bytes(half := graph[: len(graph) // 2])
    config = json.loads((directory / "config.json").read_text())
    config["files"]["model.onnx"] = {"sha256": hashlib.sha256(half).hexdigest(), "bytes": len(half)}
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def replay(recording: Path, *arguments: str) -> tuple[list[str], list[str]]:
    """What `replay` says of the actions, and its warnings."""
    command = [sys.executable, "-m", "skelstream", "replay", str(recording), "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = [f"{event['event']} {event['action']}" for event in events]
    return told, [line for line in done.stderr.splitlines() if "tried instead" in line]


@no_tensorrt
def test_live_goes_on_with_the_next_engine_and_says_so(recording: Path) -> None:
    expected, silent = replay(recording)
    told, warned = replay(recording, "--engine", "tensorrt")
    assert expected and told == expected and not silent
    assert warned == [
        "skelstream detect0: the engine tensorrt is not installed; pip install 'skelstream[tensorrt]'; "
        "the engine openvino is tried instead"
    ]


def test_a_graph_that_is_cut_short_costs_the_compiled_engine_alone(recording: Path, truncated: Path) -> None:
    told, warned = replay(recording, "--model", str(truncated))
    assert told
    (line,) = warned
    assert "model.onnx is no ONNX model" in line and line.endswith("the engine torch is tried instead")


def test_export_tells_of_every_engine_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "small", "--engines", "openvino:fp32", "openvino:int8", "--threads", "1"]) == 0
    table = capsys.readouterr().out
    assert table.count("as the reference") == 2 and "int8" in table


@no_tensorrt
def test_export_fails_for_one_that_cannot_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "small", "--engines", "tensorrt:fp16", "openvino:fp32", "--threads", "1"]) == 1
    table = capsys.readouterr().out
    assert "skelstream[tensorrt]" in table and "as the reference" in table


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["export", "nowhere"], "no model 'nowhere'"),
        (["export", "small", "--engines", "abacus"], "no target 'abacus'"),
        (["export", "small", "--engines", "torch:int8"], "no target 'torch:int8'; write torch, or :fp32"),
        (["export", "small", "--verify", "/nowhere"], "/nowhere"),
        (["export", "small", "--out", "/usr"], "/usr exists and is no model bundle; name another directory"),
        (["bench", "encoder", "--batches", "0"], "--batches, --rounds and --threads must be at least 1"),
        (["live", "--engine", "abacus"], ""),
    ],
)
def test_bad_requests_are_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(arguments)
    except SystemExit as left:  # the parser's own way
        code = int(left.code or 0)
    said = capsys.readouterr().err
    assert code == 2 and line in said and "Traceback" not in said


@pytest.mark.slow  # five processes import torch
def test_bench_encoder_leaves_figures_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--engines", "openvino:int8", "--batches", "1", "2", "--rounds", "1", "--threads", "1"]
    assert main(["bench", "encoder", *arguments, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "encoder.json").read_text())
    rows = found["rows"]
    assert [(r["precision"], r["frames"], r["batch"]) for r in rows] == [
        ("fp32", 64, 1), ("fp32", 64, 2), ("int8", 64, 1), ("int8", 64, 2), ("int8", 20, 1), ("int8", 20, 2)
    ]  # fmt: skip
    assert [r["speed_up"] for r in rows[:2]] == [1, 1] and all(0 < r["share_of_peak"] < 1.5 for r in rows)
    published, folded, narrow = (way["gflop"] for way in found["ways"])
    assert published > folded > narrow > 0
    assert (tmp_path / "encoder.png").read_bytes().startswith(b"\x89PNG")
    assert "times published" in capsys.readouterr().out
