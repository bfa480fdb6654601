"""Training on a cluster: what is learnt is what one process learns, whoever is killed on the way.

Real processes are killed: a worker, a node, the driver. Each time the log must be that of a run that nothing happened
to.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

ray = pytest.importorskip("ray")

from skelstream.encoder.config import DSTEConfig  # noqa: E402
from skelstream.train.clips import Clips  # noqa: E402
from skelstream.train.cluster.connect import connected  # noqa: E402
from skelstream.train.cluster.jobs import PretrainingJob  # noqa: E402
from skelstream.train.cluster.on_ray import OnRay  # noqa: E402
from skelstream.train.cluster.training import train_on_ray  # noqa: E402
from skelstream.train.pretrain import Pretraining, PretrainingRun, pretrain  # noqa: E402
from skelstream.train.pretrained import load_pretrained  # noqa: E402
from skelstream.train.recording import Recording  # noqa: E402
from skelstream.train.store import Store, write_store  # noqa: E402
from skelstream.train.workers import Workers  # noqa: E402

if TYPE_CHECKING:
    from skelstream.train.cluster.simulated import Machines

# A low rate: with a higher one so small a model is chaotic, and with other workers the order of sums leads elsewhere.
CONFIG = Pretraining(encoder=DSTEConfig(hidden=8, layers=1), batch=12, epochs=12, lr=1e-5, precision="float32")
STEPS = 60  # 12 epochs of 5
TWO = OnRay(ray="local", workers=2, checkpoint_steps=10, keep=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)

    def recording(i: int) -> Recording:
        body = rng.normal(size=(25, 3)) * 0.3 + (0, 0, 3)
        swing = np.sin(np.arange(40) / 5)[:, None, None] * rng.normal(size=(25, 3)) * 0.2
        return Recording(
            name=str(i), subject="a", view="", trimmed=True, times_s=np.arange(40) / 30, labels=np.zeros(40, np.int16),
            joints=(body + swing).astype(np.float32)[:, None],
        )  # fmt: skip

    path = tmp_path_factory.mktemp("stores") / "set"
    write_store(path, (recording(i) for i in range(60)), dataset="set", classes=("a",), licence="", source="recorded")
    return path


@pytest.fixture(scope="module")
def undisturbed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same run by two workers to whom nothing happens."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    train_on_ray(PretrainingJob(stores=(store,), config=CONFIG), out, TWO, lambda line: None)
    assert not (out / "marks.jsonl").exists()
    return out


def log(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def assert_same_curve(out: Path, other: Path, *, rel: float = 0.0) -> None:
    """Both runs logged the same, bit for bit, or but for the order of sums where there were other workers."""
    mine, theirs = log(out), log(other)
    assert [entry["step"] for entry in mine] == [entry["step"] for entry in theirs] == list(range(10, STEPS + 1, 10))
    for a, b in zip(mine, theirs, strict=True):
        assert a == pytest.approx(b, rel=rel, abs=0)
    if not rel:
        weights, expected = (load_pretrained(str(run)).encoder.state_dict() for run in (out, other))
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert json.loads((out / "results.json").read_text())["steps"] == STEPS
    assert (out / "curves.png").read_bytes()[:4] == b"\x89PNG"


def marks(out: Path) -> list[tuple[int, str]]:
    return [(m["step"], m["text"]) for m in map(json.loads, (out / "marks.jsonl").read_text().splitlines())]


class Mortal(PretrainingRun):
    """A run in which, once, the process of one worker is killed as the kernel kills, after 25 steps."""

    once: Path

    def learn(self) -> Iterator[Mapping[str, Tensor]]:
        for report in super().learn():
            if self.step == 25 and self.workers.rank == 1 and not self.once.exists():
                self.once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield report


@dataclass(frozen=True, kw_only=True)
class MortalJob(PretrainingJob):
    once: Path

    def run(self, workers: Workers) -> PretrainingRun:
        run = Mortal(self._clips(), self.config, workers=workers)
        run.once = self.once
        return run


def test_a_killed_worker_costs_the_steps_since_the_last_checkpoint(
    store: Path, undisturbed: Path, tmp_path: Path
) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
    said: list[str] = []
    job = MortalJob(stores=(store,), config=CONFIG, once=tmp_path / "killed")
    train_on_ray(job, tmp_path / "run", TWO, said.append)
    assert (tmp_path / "killed").exists()
    assert [line.split(",")[0] for line in said if "from step" in line] == ["from step 0", "going on from step 20"]
    assert (20, "lost") in marks(tmp_path / "run")
    assert_same_curve(tmp_path / "run", undisturbed)
    kept = sorted(path.name for path in (tmp_path / "run" / "cluster" / "checkpoints").glob("step-*"))
    assert kept == ["step-00000050.pt", "step-00000060.pt"]
    train_on_ray(job, tmp_path / "run", TWO, said.append)  # there is nothing left to do
    assert_same_curve(tmp_path / "run", undisturbed)


@pytest.mark.slow  # two sessions
def test_a_killed_driver_goes_on_when_it_is_called_again(store: Path, undisturbed: Path, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from skelstream.encoder.config import DSTEConfig
        from skelstream.train.cluster.jobs import PretrainingJob
        from skelstream.train.cluster.on_ray import OnRay
        from skelstream.train.cluster.training import train_on_ray
        from skelstream.train.pretrain import Pretraining
        from skelstream.train.views import Views

        config = {CONFIG!r}
        job = PretrainingJob(stores=(Path({str(store)!r}),), config=config)
        where = {TWO!r}
        train_on_ray(job, Path({str(tmp_path / "run")!r}), where, lambda line: print(line, flush=True))
    """).replace("config = Pretraining(", "from skelstream.train.objectives.mgfd import Weights\nconfig = Pretraining(")
    first = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    for line in first.stdout:
        if "checkpoint at step 20" in line:
            break
    first.kill()
    first.wait()
    steps = [entry["step"] for entry in log(tmp_path / "run")]
    assert steps and steps[-1] < STEPS  # it was in the middle
    again = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    begun = next(line for line in again.stdout.splitlines() if "from step" in line)
    assert int(begun.split("from step ")[1].split(",")[0]) >= 20
    assert_same_curve(tmp_path / "run", undisturbed)


@pytest.mark.slow  # two nodes start, and the end of one must be noticed
def test_a_lost_node_is_survived_with_the_workers_that_are_left(
    store: Path, undisturbed: Path, tmp_path: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", machines.token)
    machines.head()
    other = machines.node()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "checkpoint at step 20" in line and other.poll() is None:
            machines.kill(other)

    # So slow that the node is lost in the middle: a tenth of a second a step.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    job = SlowJob(stores=(store,), config=CONFIG)
    train_on_ray(job, tmp_path / "run", replace(TWO, ray=machines.address, retries=5), say)
    groups = [line for line in said if "from step" in line]
    assert "2 workers" in groups[0] and "1 workers" in groups[-1]
    assert any(text == "lost" for _, text in marks(tmp_path / "run"))
    assert_same_curve(tmp_path / "run", undisturbed, rel=1e-4)


class Slow(PretrainingRun):
    def learn(self) -> Iterator[Mapping[str, Tensor]]:
        for report in super().learn():
            time.sleep(0.1)
            yield report


class SlowJob(PretrainingJob):
    def run(self, workers: Workers) -> PretrainingRun:
        return Slow(self._clips(), self.config, workers=workers)


@pytest.mark.slow  # a session more
def test_what_was_begun_without_a_cluster_goes_on_with_one_and_wrong_requests_are_refused(
    store: Path, undisturbed: Path, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("step 40/"):
            raise Stopped

    often = replace(CONFIG, checkpoint_every_s=0.0)
    with pytest.raises(Stopped):
        pretrain(Clips([Store(store)]), tmp_path / "run", often, stop)
    said: list[str] = []
    job = PretrainingJob(stores=(store,), config=often)
    with connected(""):
        train_on_ray(job, tmp_path / "run", TWO, said.append)
        assert any(line.startswith("going on from step 39") for line in said)
        assert_same_curve(tmp_path / "run", undisturbed, rel=1e-4)
        for where, what in (
            (replace(TWO, workers=100), "the cluster has"),
            (replace(TWO, storage="nowhere://bucket"), "nowhere://bucket"),
        ):
            with pytest.raises(ValueError, match=what) as refused:
                train_on_ray(replace(job, config=CONFIG), tmp_path / "other", where, said.append)
            assert "\n" not in str(refused.value)
        with pytest.raises(ValueError, match="other settings"):
            train_on_ray(replace(job, config=replace(often, lr=1.0)), tmp_path / "run", TWO, said.append)
