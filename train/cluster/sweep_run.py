"""Trials on a Ray cluster, to their end: Ray Tune places them, stops the poor ones early and brings back the killed.

Tune keeps its state where the trials are kept, and goes on from it; that state is pickled, so nobody may write there
whom one would not let run programs.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.logger import JsonLoggerCallback
from ray.tune.schedulers import TrialScheduler

from .connect import nodes
from .sweep_report import Outcome
from .sweep_space import Parameters

Say = Callable[[str], None]

_RETRIES = 2
_LONGEST = 300  # characters of a reason
_ENDED = (Trial.TERMINATED, Trial.ERROR)
_TUNE = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # one log a trial is enough
    # Tune deletes a trial's older checkpoints as new ones come: its own state must not lag behind by two of them.
    "TUNE_GLOBAL_CHECKPOINT_S": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a trial that failed has none
    "RAY_AIR_NEW_OUTPUT": "0",  # of the two, the one that `verbose=0` silences wholly
}


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What is run: `trainable` with {"trial": {"number", "parameters"}} for each of `parameters`.

    It reports `metric`, "loss" and "step", up to `total`, or why it "failed". `kept` is the folder or URL that Tune
    writes to.
    """

    trainable: Callable[..., None]
    parameters: Sequence[Parameters]
    metric: str
    total: int
    scheduler: TrialScheduler | None
    kept: str
    gpus: float


def run_trials(trials: Trials, say: Say) -> list[Outcome]:
    """Run them, or what is left of them. KeyboardInterrupt if they were stopped before their end."""
    folder, _, name = trials.kept.rpartition("/")
    numbered = [{"number": number, "parameters": own} for number, own in enumerate(trials.parameters)]
    callbacks: list[tune.Callback] = [_Told(trials, say), JsonLoggerCallback()]  # type: ignore[no-untyped-call]
    if trials.scheduler is not None:
        callbacks.append(_Memory(trials.scheduler))
    with _quiet():
        found = tune.run(
            trials.trainable,
            name=name,
            storage_path=folder,
            config={"trial": tune.grid_search(numbered)},
            resources_per_trial={"cpu": 1, **({"gpu": trials.gpus} if trials.gpus else {})},
            scheduler=trials.scheduler,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            trial_dirname_creator=_folder,
            max_failures=_RETRIES,
            resume="AUTO+ERRORED",
            raise_on_failed_trial=False,
            reuse_actors=True,  # a new process imports torch for seconds
            callbacks=callbacks,
            verbose=0,
        )
        ended = [trial for trial in found.trials if _has_ended(trial, trials.total)]
        if len(ended) < len(numbered):
            say(f"stopped, {len(ended)} of {len(numbered)} trials have ended; the same command goes on from here")
            raise KeyboardInterrupt
        frames = found.trial_dataframes.items()
        reports = {name: [row.dropna().to_dict() for _, row in frame.iterrows()] for name, frame in frames}
        outcomes = [_outcome(trial, reports[trial.trial_id], trials) for trial in ended]
    return sorted(outcomes, key=lambda outcome: outcome.number)


def gpus_a_trial(wanted: float | None) -> float:
    """How many GPUs each trial gets: what is wanted, or else 1 if the cluster has any.

    Raises ValueError if no node can run a trial.
    """
    most, cpus = (max((getattr(node, kind) for node in nodes()), default=0) for kind in ("gpus", "cpus"))
    gpus = float(min(1, most)) if wanted is None else wanted
    if not 0 <= gpus <= most:
        raise ValueError(f"{gpus:g} GPUs a trial, but no node has more than {most}; give fewer --gpus-per-trial")
    if cpus < 1:
        raise ValueError("no node of the cluster has a CPU for a trial; start one with `ray start --num-cpus`")
    return gpus


class _Told(tune.Callback):
    """One line for what happens to a trial."""

    def __init__(self, trials: Trials, say: Say) -> None:
        self._trials, self._say = trials, say

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """It has reported, maybe for the last time."""
        if "failed" in result:
            self._tell(trial, f"failed{self._ended(trials, trial)}: {result['failed']}")
            return
        step, total, metric = result["step"], self._trials.total, self._trials.metric
        told = f"step {step}/{total}  {metric} {result[metric]:.3f}  loss {result['loss']:.3f}"
        if step >= total:
            told += f", finished{self._ended(trials, trial)}"
        elif result.get("done"):
            told += f", stopped early{self._ended(trials, trial)}"
        self._tell(trial, told)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It failed, and is tried again."""
        self._tell(trial, f"goes on from its last checkpoint, after: {_reason(trial)}")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """It failed for good."""
        self._tell(trial, f"failed{self._ended(trials, trial)}: {_reason(trial)}")

    def _ended(self, trials: list[Trial], newest: Trial) -> str:
        ended = {trial.trial_id for trial in trials if trial.status in _ENDED} | {newest.trial_id}
        return f" ({len(ended)} of {len(self._trials.parameters)})"

    def _tell(self, trial: Trial, what: str) -> None:
        self._say(f"trial {trial.config['trial']['number']}: {what}")


class _Memory(tune.Callback):
    """What the scheduler has seen of the trials, kept with Tune's state, which would forget it when it goes on."""

    def __init__(self, scheduler: TrialScheduler) -> None:
        self._scheduler = scheduler

    def get_state(self) -> dict[str, Any]:
        """For Tune to keep."""
        return dict(vars(self._scheduler))

    def set_state(self, state: dict[str, Any]) -> None:
        """What Tune has kept."""
        vars(self._scheduler).update(state)


def _has_ended(trial: Trial, total: int) -> bool:
    # Not by its status: of an interrupted sweep Tune gives all trials out as terminated.
    reached = trial.last_result.get("step", 0)
    stopped = trial.last_result.get("done") or "failed" in trial.last_result
    return bool(trial.status == Trial.ERROR or reached >= total or (reached and stopped))


def _outcome(trial: Trial, reports: Sequence[Mapping[Any, Any]], trials: Trials) -> Outcome:
    # A trial that went on from a checkpoint may have reported a step twice; the later report stands.
    curve = {int(report["step"]): float(report[trials.metric]) for report in reports if trials.metric in report}
    reason = _reason(trial) if trial.status == Trial.ERROR else trial.last_result.get("failed", "")
    return Outcome(
        **trial.config["trial"],
        end="failed" if reason else "finished" if max(curve, default=0) >= trials.total else "stopped early",
        curve=tuple(sorted(curve.items())),
        reason=reason,
    )


def _reason(trial: Trial) -> str:
    """A trial's last error, in one line: the exception that ended it, or what Ray says of its process."""
    newest = Path(trial.error_file) if trial.error_file else None  # the kept one may be a moment older
    told = newest.read_text() if newest and newest.is_file() else str(trial.get_error() or "")
    lines = told[told.rfind("\nFailure #") + 1 :].splitlines()[1:]
    exceptions = [line for line in lines if re.match(r"[\w.]+: ", line)]
    return (exceptions[-1] if exceptions else lines[0] if lines else "no reason was given")[:_LONGEST]


def _folder(trial: Trial) -> str:
    return f"{trial.config['trial']['number']:03}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Tune's settings in the environment, and nothing in its log but what ends a run."""
    log = logging.getLogger("ray.tune")
    before, level = {name: os.environ.get(name) for name in _TUNE}, log.level
    os.environ.update(_TUNE)
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
