"""The loop of a training run on one machine: log, say, keep checkpoints, and go on where it was stopped.

What a run is, `TrainingRun`, knows nothing of folders and clocks, so that a cluster can drive the same runs
(`cluster/training.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor

from .run_folder import RunFolder

Say = Callable[[str], None]
LOG_EVERY = 10  # steps


class TrainingRun(Protocol):
    """Everything that changes while training: `step` of `total` steps are done, each of `batch` samples."""

    step: int
    total: int

    @property
    def batch(self) -> int: ...

    @property
    def steps_an_epoch(self) -> int | None: ...

    def learn(self) -> Iterator[Mapping[str, Tensor]]:
        """Train to the end; after each step its scalars, "loss" among them. Who does not read them does not wait."""
        ...

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: plain containers and tensors, `step` among them."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        ...

    def results(self) -> dict[str, Any]:
        """What is told of a run that has ended."""
        ...


class Pace:
    """Samples a second and minutes left of a run, from the moment that this is made."""

    def __init__(self, run: TrainingRun) -> None:
        self._began, self._first = time.monotonic(), run.step

    def of(self, run: TrainingRun) -> tuple[float, float]:
        """Samples a second since the beginning, and minutes left."""
        rate = (run.step - self._first) * run.batch / max(time.monotonic() - self._began, 1e-9)
        return rate, (run.total - run.step) * run.batch / rate / 60


def follow(
    run: TrainingRun, folder: RunFolder, say: Say, *, checkpoint_every_s: float,
    at_checkpoint: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Train to the end, or go on from the folder's checkpoint; `at_checkpoint` is called after each that is written."""
    if (state := folder.load()) is not None:
        run.load_state_dict(state)
        say(f"going on from step {run.step}")
    saved, pace = time.monotonic(), Pace(run)
    for report in run.learn():
        if due(run):
            scalars = told(run, report)
            folder.log(run.step, **scalars)
            say(progress(run, scalars, *pace.of(run)))
        if time.monotonic() - saved > checkpoint_every_s or run.step == run.total:
            folder.save(run.state_dict())
            saved = time.monotonic()
            at_checkpoint()


def due(run: TrainingRun) -> bool:
    """Whether something is said of the step just done."""
    return run.step % LOG_EVERY == 0 or run.step == run.total


def told(run: TrainingRun, report: Mapping[str, Tensor]) -> dict[str, float]:
    """A step's scalars as numbers, and its learning rate."""
    return {**{name: float(value) for name, value in report.items()}, "lr": run.rate(run.step - 1)}


class _Place(Protocol):
    """Where a run is."""

    @property
    def step(self) -> int: ...

    @property
    def total(self) -> int: ...

    @property
    def steps_an_epoch(self) -> int | None: ...


def progress(run: _Place, scalars: Mapping[str, float], rate: float, left_min: float) -> str:
    """A line for the terminal."""
    epoch = f"epoch {run.step / run.steps_an_epoch:.1f}  " if run.steps_an_epoch else ""
    parts = "  ".join(f"{name} {value:.3f}" for name, value in scalars.items() if name != "lr")
    return f"step {run.step}/{run.total}  {epoch}{parts}  {rate:.1f} samples/s  {left_min:.0f} min left"
