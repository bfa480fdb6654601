"""The commands of `skelstream cluster`: what a Ray cluster has, and whether a run on it can work.

skelstream cluster check 10.0.0.5:6379 --data STORES/ntu60 --storage s3://bucket/runs
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from ..train.cluster.check import data_problems, security_problems, storage_problems, survey, version_problems
from ..train.cluster.connect import Node, connected, nodes, token_demanded
from ..train.cluster.sight import Facts


def cluster_check(address: Positional[str] = "", *, data: tuple[Path, ...] = (), storage: str = "") -> int:
    """What a Ray cluster has, and whether every node sees the data and shares the storage; 2 if something is wrong.

    Args:
        address: HOST:PORT of the head, or auto on a machine of the cluster; without it, what this machine alone offers.
        data: stores, raw folders or files that every node must see alike.
        storage: folder or URL that every node must share; a small file is written and taken away again.
    """
    with connected(address):
        among = nodes()
        told, problems = survey(among)
        _show(among, told)
        answering = list(told)
        problems += version_problems(told)
        problems += security_problems(among)
        problems += data_problems(data, answering)
        problems += storage_problems(storage, answering) if storage else []
    for problem in problems:
        print(f"skelstream: {problem}", file=sys.stderr)
    if not problems:
        print(_fine(data, storage))
    return 2 if problems else 0


def _show(among: list[Node], told: dict[Node, Facts]) -> None:
    table = Table(title=f"{len(among)} node(s), token authentication {'on' if token_demanded() else 'off'}")
    for column in ("node", "address", "CPUs", "GPUs", "memory", "Python", "Ray", "torch", "skelstream"):
        table.add_column(column)
    for node in among:
        gpus = f"{node.gpus} x {node.gpu_kind or 'GPU'}" if node.gpus else "none"
        fact = told.get(node)
        facts = (
            (f"{fact.memory_gb:.0f} GB", fact.python, fact.ray, fact.torch, fact.skelstream) if fact else ("no answer",)
        )
        table.add_row(f"{node.host} {node.id[:8]}", node.address, str(node.cpus), gpus, *facts)
    Console().print(table)


def _fine(data: tuple[Path, ...], storage: str) -> str:
    parts = ["every node answers"]
    if data:
        parts.append(f"sees {', '.join(map(str, data))}")
    if storage:
        parts.append(f"shares {storage}")
    return ", ".join(parts)


COMMANDS: dict[str, Callable[..., int]] = {"check": cluster_check}
