"""Preparing a set on a cluster: its jobs are the rows of a Ray Data set, done on whatever node has a free CPU.

    skelstream data prepare ntu120 RAW STORE --ray auto

RAW and STORE are folders that all nodes see. Rows carry file names one way and counts the other, never frames: memory
does not grow with the set. A job whose process or node is lost is done again by Ray, which would go on for ever with
files that kill whoever reads them; so each attempt looks first at how many others of this run have left their
unfinished folders behind, as only the killed do.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import ray
import ray.data
from ray import cloudpickle

from ..preparation import Job, do
from .connect import nodes

ATTEMPTS = 3  # at one job: enough for nodes that come and go, and soon over where the files are to blame

_Row = dict[str, Any]


def on_cluster(jobs: Sequence[Job]) -> Generator[int, None, None]:
    """Do jobs on the nodes of the present Ray session (see `connected`); yields how many files each has dealt with.

    Raises ValueError if no node has a CPU, if a job fails, or if its process was killed `ATTEMPTS` times.
    """
    if not any(node.cpus for node in nodes()):
        raise ValueError(
            "no node of the cluster has a CPU to read with; start one with `ray start --num-cpus 1` or more"
        )
    if not jobs:
        return
    run = uuid4().hex[:12]
    with _quiet():
        waiting = ray.data.from_items([{"job": _packed(job)} for job in jobs], override_num_blocks=len(jobs))
        done = waiting.map(partial(_attempt, run), num_cpus=1)
        done.context.enable_progress_bars = False
        # Another job may hold the CPUs for hours, and one big file takes long.
        done.context.execution_no_progress_timeout_s = -1
        try:
            for row in done.iter_rows():
                if row["problem"]:
                    raise ValueError(row["problem"])
                yield row["files"]
        except ray.exceptions.RayError as error:
            why = str(error).strip().splitlines()[-1]
            raise ValueError(f"the cluster failed ({why}); the same command goes on where it was") from error


def _attempt(run: str, row: _Row) -> _Row:
    """One attempt at a job. What goes wrong is a result: raised, Ray would wrap it in pages of its own."""
    job: Job = cloudpickle.loads(row["job"])
    killed = sum(f"{job.place.name}.{run}." in path.name for path in job.place.parent.iterdir())
    if killed >= ATTEMPTS:
        problem = (
            f"the process that reads {job.what} was killed {killed} times; give the nodes more memory, "
            f"or move the file that does it out of the way"
        )
        return {"files": 0, "problem": problem}
    try:
        return {"files": do(job, f"{run}.{uuid4().hex[:12]}"), "problem": ""}
    except (ValueError, OSError) as error:
        return {"files": 0, "problem": str(error)}


def _packed(job: Job) -> bytes:
    """A job as a column can hold it; only processes of this very session ever read it."""
    packed: bytes = cloudpickle.dumps(job)  # type: ignore[no-untyped-call]
    return packed


@contextmanager
def _quiet() -> Iterator[None]:
    """The terminal belongs to our own bar: Ray Data logs to its file alone."""
    consoles = [handler for handler in logging.getLogger("ray.data").handlers if handler.name == "console"]
    levels = [handler.level for handler in consoles]
    for handler in consoles:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in zip(consoles, levels, strict=True):
            handler.setLevel(level)
