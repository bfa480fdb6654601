"""Train on a Ray cluster: workers that divide each batch, checkpoints on a storage, and going on when some are lost.

    skelstream train pretrain --ray 10.0.0.5:6379 --workers 8 --storage s3://bucket/runs ...

Ray Train starts the workers, joins them by torch.distributed, and starts them again, as many as there then are, when a
process or a node is lost. How many there are decides how fast it goes and nothing else (`workers.py`); so a run that
lost a node follows the curve of one that did not.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import distributed

from ..loop import Pace, Say, TrainingRun, due, told
from ..run_folder import RunFolder
from ..workers import ALONE, Workers
from .check import require_same_view
from .checkpoints import Checkpoints, filesystem
from .connect import connected, nodes
from .jobs import Job
from .on_ray import OnRay, TrainingLost
from .watching import Began, Done, Saved, TellOfLosses, Watcher, Watching


def train_on_ray(job: Job, out: Path, where: OnRay, say: Say) -> TrainingRun:
    """Train to the end; the run as it then is, on this machine, and its folder `out` as if it had been trained here.

    The newest checkpoint counts for pretraining, the best for what is fine-tuned.
    Raises ValueError, before anything starts, for a job that makes no run, a cluster that cannot be reached, is too
    small or does not see the data or the storage; `TrainingLost` when more workers were lost than may be.
    """
    run = job.run(ALONE)
    with connected("" if where.ray == "local" else where.ray):
        workers, gpus = _resources(where)
        storage = _storage(where, out, job)
        Workers(count=workers).share(run.batch)  # refuses more workers than a batch has rows
        require_same_view(job.stores, storage)
        with RunFolder(out, job.settings()) as folder:
            checkpoints = Checkpoints(storage, keep=where.keep, better=job.better)
            if not checkpoints.steps() and (begun := folder.load()) is not None:
                begun["log"] = folder.entries()
                checkpoints.save(begun, float("-inf") if job.better == "higher" else float("inf"))
            if (state := checkpoints.newest()) is None or state["step"] < run.total:
                _fit(job, where, workers, gpus, storage, folder, say)
            state = checkpoints.best_state() if job.better == "higher" else checkpoints.newest()
            if state is None:
                raise TrainingLost(
                    f"training ended, but {storage} holds no checkpoint; is it the same storage for all?"
                )
            run.load_state_dict(state)
            folder.save(run.state_dict())
            best = checkpoints.best()
            told_best = {"best": {"step": best.step, job.metric: best.value}} if best else {}
            folder.finish({**run.results(), **told_best})
    return run


def _storage(where: OnRay, out: Path, job: Job) -> str:
    """Where this run's checkpoints go; no two runs share a place, because the one would go on from the other's."""
    if not where.storage:
        return str(out.absolute() / "cluster")
    place = where.storage if "://" in where.storage else str(Path(where.storage).absolute())
    same = hashlib.sha256(json.dumps(job.settings(), sort_keys=True).encode()).hexdigest()[:12]
    return f"{place.rstrip('/')}/{out.name}-{same}"


def _resources(where: OnRay) -> tuple[int, bool]:
    """How many workers, and whether each takes a GPU."""
    found = nodes()
    gpus = sum(node.gpus for node in found)
    cpus = sum(node.cpus // where.cpus for node in found)
    most = min(gpus, cpus) if gpus else cpus
    kind = "GPUs" if gpus else f"groups of {where.cpus} CPUs on one node" if where.cpus > 1 else "CPUs"
    if max(where.workers, where.least) > most:
        raise ValueError(
            f"{max(where.workers, where.least)} workers need as many {kind}, and the cluster has {most}; "
            f"give fewer --workers, or add nodes"
        )
    return where.workers or most, gpus > 0


def _fit(job: Job, where: OnRay, workers: int, gpus: bool, storage: str, folder: RunFolder, say: Say) -> None:
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    watcher = Watcher.options(scheduling_strategy=here).remote()  # type: ignore[attr-defined]
    files, root = filesystem(storage)
    least = min(where.least, workers)
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job, "where": where, "storage": storage, "watcher": watcher},
        scaling_config=ScalingConfig(
            num_workers=workers if least == workers else (least, workers),  # type: ignore[arg-type]  # typed as V1's
            use_gpu=gpus,
            resources_per_worker={"CPU": where.cpus, **({"GPU": 1} if gpus else {})},
        ),
        run_config=RunConfig(
            name="ray", storage_path=root, storage_filesystem=files,
            failure_config=FailureConfig(max_failures=where.retries),
            callbacks=[TellOfLosses(watcher)],  # type: ignore[list-item]  # typed as V1's
        ),
    )  # fmt: skip
    with Watching(watcher, folder, job.metric, say) as watching:
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            why = str(error).strip().splitlines()
            raise TrainingLost(f"training failed, {watching.losses} times: {why[-1] if why else error}") from error


def _work(config: Mapping[str, Any]) -> None:
    """What each worker does."""
    job: Job = config["job"]
    where: OnRay = config["where"]
    watcher: Any = config["watcher"]
    torch.set_num_threads(where.cpus)
    workers = Workers.joined()
    run = job.run(workers)
    checkpoints = Checkpoints(config["storage"], keep=where.keep, better=job.better)
    entries: list[dict[str, float]] = []
    if (state := _agreed(checkpoints, workers)) is not None:
        run.load_state_dict(state)
        entries = list(state["log"])
    hosts = _everybodys(socket.gethostname(), workers)
    first = workers.rank == 0
    if first:
        watcher.tell.remote(Began(step=run.step, hosts=tuple(hosts), log=tuple(entries)))
    pace, losses = Pace(run), list[torch.Tensor]()
    for report in run.learn():
        losses.append(report["loss"].detach())
        if first and due(run):
            word = _done(run, pace, told(run, report))
            entries.append({"step": word.step, **word.scalars})
            watcher.tell.remote(word)
        if run.step % where.checkpoint_steps == 0 or run.step == run.total:
            if first:
                value = job.measure(run, [float(loss) for loss in losses])
                best = checkpoints.save({**run.state_dict(), "log": entries}, value)
                # Waited for: who hears of a checkpoint may rely on it.
                ray.get(watcher.tell.remote(Saved(step=run.step, value=value, best=best)))
            losses.clear()


def _done(run: TrainingRun, pace: Pace, scalars: dict[str, float]) -> Done:
    rate, left_min = pace.of(run)
    rounded = {name: round(value, 6) for name, value in scalars.items()}
    return Done(
        step=run.step, total=run.total, steps_an_epoch=run.steps_an_epoch, scalars=rounded, rate=rate,
        left_min=left_min,
    )  # fmt: skip


def _agreed(checkpoints: Checkpoints, workers: Workers) -> dict[str, Any] | None:
    """The newest state, the same for all workers: the first of them says which."""
    newest = checkpoints.newest() if workers.rank == 0 else None
    step = _everybodys(newest and newest["step"], workers)[0]
    return newest if step is None or workers.rank == 0 else checkpoints.at(step)


def _everybodys(mine: Any, workers: Workers) -> list[Any]:
    """What each worker has, in the order of their ranks."""
    if workers.count == 1:
        return [mine]
    gathered: list[Any] = [None] * workers.count
    distributed.all_gather_object(gathered, mine)
    return gathered
