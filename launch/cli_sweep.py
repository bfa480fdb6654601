"""The commands of `skelstream train` that search for good settings on a Ray cluster. Ray is imported when one runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import tyro

from ..train.cluster.sweep_config import Place, PretrainingSweep, ProbeSweep
from ..train.cluster.sweep_division import Division, HeldOut
from .said import say


def sweep(
    *,
    stores: list[Path],
    protocol: str,
    out: Path,
    held_out: HeldOut = "people",
    config: Annotated[PretrainingSweep, tyro.conf.arg(name="")] = PretrainingSweep(),  # noqa: B008  # frozen
    place: Annotated[Place, tyro.conf.arg(name="")] = Place(),  # noqa: B008
) -> int:
    """Search pretraining's settings by short runs and probes: OUT/sweep.md, sweep.png. Goes on where it was stopped.

    Args:
        protocol: of the one data set in the stores: its training part alone is used.
        held_out: of the training part, what trials are judged by: the last fifth of its people, or its last view.
    """
    from ..train.cluster.sweep import sweep_pretraining

    outcomes = sweep_pretraining(_division(stores, protocol, held_out), config, out, say, place)
    return 0 if any(outcome.end == "finished" for outcome in outcomes) else 1


def sweep_probe(
    *,
    stores: list[Path],
    protocol: str,
    start: str,
    out: Path,
    held_out: HeldOut = "people",
    config: Annotated[ProbeSweep, tyro.conf.arg(name="")] = ProbeSweep(),  # noqa: B008
    place: Annotated[Place, tyro.conf.arg(name="")] = Place(),  # noqa: B008
) -> int:
    """Search a linear probe's settings on one frozen encoder: OUT/sweep.md, sweep.png. Goes on where it was stopped.

    Args:
        protocol: of the one data set in the stores: its training part alone is used.
        start: a folder of `train pretrain`, or a bundle.
        held_out: of the training part, what trials are judged by: the last fifth of its people, or its last view.
    """
    from ..train.cluster.sweep import sweep_probe as run

    outcomes = run(_division(stores, protocol, held_out), start, config, out, say, place)
    return 0 if any(outcome.end == "finished" for outcome in outcomes) else 1


COMMANDS: dict[str, Callable[..., int]] = {"sweep": sweep, "sweep-probe": sweep_probe}


def _division(stores: list[Path], protocol: str, held_out: HeldOut) -> Division:
    return Division(stores=tuple(str(path.resolve()) for path in stores), protocol=protocol, held_out=held_out)
