"""The commands of the continual detector: `train continual`, and its evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..train.continual import ContinualTraining


def continual(
    *,
    stores: list[Path],
    out: Path,
    start: str = "",
    config: Annotated[ContinualTraining, tyro.conf.arg(name="")] = ContinualTraining(),  # noqa: B008  # frozen
) -> int:
    """Train a continual detector (a frame at a time, no windows; a prototype) into OUT. Goes on where it was stopped.

    Args:
        start: begin with what this windowed detector has learnt, a bundle or a run that holds one; without it, random.
    """
    from .continual import train_and_save

    return train_and_save(stores, out, config, start)


def continual_evaluate(
    run: tyro.conf.Positional[Path],
    *,
    stores: list[Path],
    model: str = "small",
    out: Path = Path("runs/evaluation-continual"),
    part: Literal["test", "val"] = "test",
    hop: int = 4,
) -> int:
    """A continual detector beside a windowed one, on people that neither saw: one table, OUT/report.json.

    Args:
        run: the folder of `train continual`.
        stores: prepared stores (`data prepare`, `data draw`).
        model: the bundle to compare with.
        hop: frames between two windows of it.
    """
    from .continual import evaluate_continual

    return evaluate_continual(run, model, stores, out, part, hop)
