"""From raw data to an engine, on a cluster of two nodes; then live."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray")

from skelstream.launch.cli import main
from skelstream.train.cluster.simulated import Machines

SHORT = [
    "--pretraining.epochs", "1", "--pretraining.batch", "64", "--pretraining.warmup", "0", "--training.steps", "4",
    "--training.batch", "8", "--training.warmup", "0", "--checkpoint-steps", "2",
]  # fmt: skip


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "skelstream", *words], capture_output=True, text=True, timeout=900,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.slow  # every part of it, in small
def test_a_cluster_of_two_nodes_ends_with_an_engine_that_live_runs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Machines() as machines:
        machines.head()
        machines.node()
        words = ["train", "pipeline", "actor", "--raw", str(tmp_path), "--out", str(out), "--ray", machines.address]
        first = command(*words, *SHORT, RAY_AUTH_TOKEN=machines.token)
        assert first.returncode == 0, first.stderr
        assert "2 workers: 2 on" in first.stderr
        again = command(*words, *SHORT, RAY_AUTH_TOKEN=machines.token)  # finished parts are passed over
        assert again.returncode == 0 and "from step" not in again.stderr, again.stderr
    engines = json.loads((out / "engines.json").read_text())
    assert "openvino" in json.dumps(engines)
    assert list((out / "bundle" / "engines").rglob("*.blob"))
    assert json.loads((out / "evaluation" / "report.json").read_text())["rows"]
    live = command("live", "--camera", "actor", "--duration", "6", "--no-page", "--json", "--model", str(out))
    assert live.returncode == 0, live.stderr
    assert "scored" in live.stderr


def test_a_set_without_words_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "pipeline", "ntu60", "--raw", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "no words for data set" in said[0]
    assert not (tmp_path / "out").exists()
