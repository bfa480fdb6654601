"""`skelstream bench train`: what Ray costs, what a second worker gives, and what losing a node does.

The same steps of pretraining by a bare loop, by one worker of a cluster and by two, each worker pinned to a core of its
own, turn by turn; and by two bare loops at once that have nothing to do with one another, which is the most that two
cores can give. Rates are those of the steps themselves; what it takes to start the workers is told beside them.
Then three nodes of a simulated cluster train together, one of them is killed in mid-epoch, and the run goes on.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ..encoder.config import DSTEConfig
from ..train.cluster.connect import connected
from ..train.cluster.jobs import PretrainingJob
from ..train.cluster.on_ray import OnRay
from ..train.cluster.simulated import Machines
from ..train.cluster.training import train_on_ray
from ..train.pretrain import Pretraining, PretrainingRun
from ..train.workers import ALONE, Workers
from .said import say

_TOKEN = "RAY_AUTH_TOKEN"
_WARM_UP = 2  # steps that allocate, and are not counted


def bench_train(store: Path, hidden: int, batch: int, steps: int, rounds: int, lose_a_node: Path | None) -> int:
    """Print the table; with `lose_a_node`, a folder, also the run that loses a node, whose curves are drawn there."""
    config = Pretraining(encoder=DSTEConfig(hidden=hidden), batch=batch, epochs=10**6, precision="float32")
    cores = len(os.sched_getaffinity(0))
    if rounds and cores < 2:
        raise ValueError("two workers need two cores, and there is one; give --rounds 0 for the lost node alone")
    rates: dict[str, list[float]] = {name: [] for name in _WAYS}
    starts: dict[str, list[float]] = {name: [] for name in _WAYS}
    with tempfile.TemporaryDirectory() as scratch, connected():
        for number in range(rounds):
            for name, way in _WAYS.items():
                job = _TimedJob(
                    stores=(store.absolute(),), config=config, steps=steps + _WARM_UP,
                    told=Path(scratch) / f"{number} {name}",
                )  # fmt: skip
                began = time.time()
                loops = way(job)
                spans = [json.loads(told.read_text()) for told in job.told.glob("*.json")]
                rates[name].append(loops * steps * batch / statistics.mean(last - first for first, last in spans))
                starts[name].append(min(first for first, _ in spans) - began)
                say(f"round {number + 1}/{rounds}: {name} {rates[name][-1]:.2f} clips/s")
    if rounds:
        _show(
            rates, starts, f"pretraining, hidden {hidden}, batch {batch}, {steps} steps, one of {cores} cores a worker"
        )
    if lose_a_node is not None:
        _lose_a_node(store.absolute(), lose_a_node)
    return 0


class _Timed(PretrainingRun):
    """A run of a few steps, on a core of its own, that tells when they began and ended."""

    told: Path
    core: int

    def learn(self) -> Iterator[Mapping[str, Tensor]]:
        """As a run does; the clock runs from the end of the warm-up to the end."""
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[(self.workers.rank + self.core) % len(cores)]})
        first = 0.0
        for report in super().learn():
            float(report["loss"])  # a GPU has finished its work when the number is here
            if self.step == _WARM_UP:
                first = time.time()
            if self.step == self.total and self.workers.rank == 0:
                self.told.mkdir(exist_ok=True)
                (self.told / f"{os.getpid()}.json").write_text(json.dumps([first, time.time()]))
            yield report


@dataclass(frozen=True, kw_only=True)
class _TimedJob(PretrainingJob):
    """Pretraining for `steps` steps, from `core` on, that writes its times into the folder `told`."""

    steps: int
    told: Path
    core: int = 0

    def run(self, workers: Workers) -> PretrainingRun:
        """The run, as it begins."""
        run = _Timed(self._clips(), self.config, workers=workers)
        run.total, run.told, run.core = self.steps, self.told, self.core
        return run


def _on_ray(workers: int, job: _TimedJob) -> int:
    """One run by so many workers."""
    where = OnRay(ray="local", workers=workers, least=workers, checkpoint_steps=10**9)
    train_on_ray(job, job.told.with_name(f"{job.told.name} run"), where, lambda line: None)
    return 1


def _bare(loops: int, job: _TimedJob) -> int:
    """So many runs at once without Ray, each by a process of its own on a core of its own."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_bare_loop, args=(replace(job, core=core),)) for core in range(loops)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a bare loop ended with exit code {process.exitcode}")
    return loops


def _bare_loop(job: _TimedJob) -> None:
    torch.set_num_threads(1)
    for _ in job.run(ALONE).learn():
        pass


_WAYS: dict[str, Callable[[_TimedJob], int]] = {
    "bare loop": partial(_bare, 1), "Ray, 1 worker": partial(_on_ray, 1), "Ray, 2 workers": partial(_on_ray, 2),
    "two bare loops at once": partial(_bare, 2),
}  # fmt: skip


def _show(rates: dict[str, list[float]], starts: dict[str, list[float]], title: str) -> None:
    table = Table(title=title)
    for column in ("way", "clips/s", "against the bare loop", "started in s"):
        table.add_column(column, justify="right")
    bare = rates["bare loop"]
    for name, found in rates.items():
        if found:
            # Round by round, because a machine is now slower and now faster; the middle one.
            ratio = statistics.median(mine / theirs for mine, theirs in zip(found, bare, strict=True))
            start = statistics.median(starts[name])
            table.add_row(name, f"{statistics.median(found):.2f}", f"{ratio:.3f}", f"{start:.1f}")
    Console().print(table)


def _lose_a_node(store: Path, out: Path) -> None:
    """Three nodes of one CPU; one is killed after the first checkpoint that is not the last."""
    config = Pretraining(encoder=DSTEConfig(hidden=32), batch=48, epochs=10, lr=1e-3, precision="float32")
    job = PretrainingJob(stores=(store,), config=config)
    with Machines() as machines:
        machines.head()
        last = [machines.node() for _ in range(2)][-1]

        def watch(line: str) -> None:
            say(line)
            if line.startswith("  checkpoint at step") and last.poll() is None:
                say("== a node is killed")
                machines.kill(last)

        with _token(machines.token):
            train_on_ray(job, out, OnRay(ray=machines.address, workers=3, checkpoint_steps=25), watch)
    say(f"{out}/curves.png shows where")


@contextmanager
def _token(token: str) -> Iterator[None]:
    """What the simulated cluster demands, in this process's environment, where Ray looks for it."""
    before = os.environ.get(_TOKEN)
    os.environ[_TOKEN] = token
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TOKEN]
        else:
            os.environ[_TOKEN] = before
