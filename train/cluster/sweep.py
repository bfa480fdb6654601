"""A sweep with Ray Tune: many short trials, compared while they run, and the best settings as a command line.

    skelstream train sweep --stores stores/nw_ucla --protocol xview --out runs/sweep
    skelstream train sweep-probe --stores stores/nw_ucla --protocol xview --start runs/pretrained --out runs/probes

    OUT/run.json      the settings; the same command goes on where it was stopped, another is refused
    OUT/trials/       Tune's state, and each trial's reports and last checkpoints (or in --storage)
    OUT/sweep.*       the outcome (`sweep_report.py`)

A trial whose process or node dies is started again from its last checkpoint, twice, and once more when the command is
given again. One that diverges is not. Whatever failed is listed with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler

from ..pretrained import load_pretrained, weights_digest
from ..run_folder import RunFolder
from ..tasks.features import view_features, whole_features
from .check import require_same_view
from .connect import connected
from .sweep_command import pretraining_command, probe_command
from .sweep_config import Place, PretrainingSweep, ProbeSweep
from .sweep_division import Division, Parts
from .sweep_report import Outcome, best_of, write_report
from .sweep_run import Trials, gpus_a_trial, run_trials
from .sweep_space import Parameters
from .sweep_trial import pretraining_trial, probe_trial

Say = Callable[[str], None]


def sweep_pretraining(
    division: Division, config: PretrainingSweep, out: Path, say: Say, place: Place | None = None
) -> list[Outcome]:
    """Pretrain with different settings, probe on the way, and compare; goes on where it was stopped.

    Raises ValueError if the settings do not fit the data or the cluster, or `out` holds a sweep with others.
    """
    parts, place = division.parts(), place or Place()
    if len(parts.pretrain) < config.batch:
        raise ValueError(f"{len(parts.pretrain)} clips do not fill one batch of {config.batch}; give a smaller batch")
    total = config.epochs * (len(parts.pretrain) // config.batch)
    parameters = config.space.trials(config.trials, config.seed)
    for own in parameters:  # what no encoder takes is refused now, not by a trial
        config.pretraining(own, parts.joints)
    asha = AsyncHyperBandScheduler(
        time_attr="step", metric=config.metric, mode="max", max_t=total, grace_period=min(config.grace, total),
        reduction_factor=config.reduction,
    )  # fmt: skip
    with RunFolder(out, _settings("pretraining", config, division, parts, place)), connected(place.address):
        gpus = gpus_a_trial(place.gpus_per_trial)
        require_same_view([Path(store) for store in division.stores], place.storage or str(out))
        trainable = tune.with_parameters(pretraining_trial, division=division, sweep=config, on_gpu=gpus > 0)
        trials = Trials(
            trainable=trainable, parameters=parameters, metric=config.metric, total=total, scheduler=asha,
            kept=_kept(out, place), gpus=gpus,
        )  # fmt: skip
        outcomes = run_trials(trials, say)
    _report(outcomes, trials, config, division, parts, partial(pretraining_command, division, config), out, say)
    return outcomes


def sweep_probe(
    division: Division, start: str, config: ProbeSweep, out: Path, say: Say, place: Place | None = None
) -> list[Outcome]:
    """Fit probes with different settings to one frozen encoder's features; goes on where it was stopped.

    The features are computed once, here, and shared through Ray's object store.
    Raises ValueError as `sweep_pretraining` does, or if `start` is no encoder.
    """
    parts, place, pretrained = division.parts(), place or Place(), load_pretrained(start)
    settings = _settings("probe", config, division, parts, place) | {"weights": weights_digest(pretrained.encoder)}
    with RunFolder(out, settings), connected(place.address):
        gpus = gpus_a_trial(0.0)  # a probe is over sooner than it would be on a GPU
        require_same_view([], place.storage or str(out))
        say(f"features of {len(parts.fit)} clips, {1 + config.crops} views each, and of {len(parts.validation)}")
        trainable = tune.with_parameters(
            probe_trial,
            views_RNF=view_features(pretrained, parts.fit, config.crops, config.seed).numpy(),
            labels_N=parts.fit.labels,
            validation_NF=whole_features(pretrained, parts.validation).numpy(),
            validation_labels_N=parts.validation.labels,
            classes=parts.classes,
            seed=config.seed,
        )
        trials = Trials(
            trainable=trainable, parameters=config.space.trials(config.trials, config.seed), metric="linear", total=1,
            scheduler=None, kept=_kept(out, place), gpus=gpus,
        )  # fmt: skip
        outcomes = run_trials(trials, say)
    _report(outcomes, trials, config, division, parts, partial(probe_command, division, start, config.crops), out, say)
    return outcomes


def _settings(
    kind: str, config: PretrainingSweep | ProbeSweep, division: Division, parts: Parts, place: Place
) -> dict[str, Any]:
    """All that decides the outcome; where it is computed does not."""
    clips = {"pretrain": len(parts.pretrain), "fit": len(parts.fit), "validation": len(parts.validation)}
    return {
        "sweep": kind, "config": asdict(config), "division": asdict(division), "clips": clips,
        "storage": place.storage,
    }  # fmt: skip


def _kept(out: Path, place: Place) -> str:
    """The folder or URL that Tune writes to."""
    if not place.storage:
        return f"{out.resolve()}/trials"
    storage = place.storage.rstrip("/") if "://" in place.storage else str(Path(place.storage).resolve())
    return f"{storage}/{out.resolve().name}"


def _report(
    outcomes: list[Outcome], trials: Trials, config: PretrainingSweep | ProbeSweep, division: Division, parts: Parts,
    command: Callable[[Parameters], str], out: Path, say: Say,
) -> None:  # fmt: skip
    best = best_of(outcomes)
    line = command(best.parameters) if best else ""
    about = (
        f"{trials.metric}: top-1 in per cent on {len(parts.validation)} clips of {division.held_out} held out of the "
        f"training part of {division.protocol} ({len(parts.fit)} clips to learn from). The test part was not opened."
    )
    write_report(outcomes, trials.metric, trials.total, config.space.RANGES, about, line, out)
    say(f"{out}/sweep.md, sweep.json, sweep.png")
    if best is None or best.value is None:
        say("no trial went through; sweep.md gives the reasons")
    else:
        say(f"best is trial {best.number}, {trials.metric} {best.value:.3f}: {line}")
