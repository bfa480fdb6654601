"""What a cluster's workers say, brought to the machine that asked: log, terminal, and where workers were lost.

Workers tell an actor, `Watcher`, and do not wait for it; the driver asks it twice a second (`Watching`) and keeps the
run's folder as a run on one machine would: a step that was done twice, because a worker was lost in between, is in the
log once. A checkpoint holds the log that led to it, because workers outlive their driver by a few steps.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.train import Checkpoint, UserCallback

from ..loop import Say, progress
from ..run_folder import RunFolder

if TYPE_CHECKING:
    from ray.train.v2._internal.execution.context import TrainRunContext

_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Began:
    """A group of workers goes on after `step`; what was logged until then."""

    step: int
    hosts: tuple[str, ...]
    log: tuple[dict[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step that is told of: its scalars, samples a second and minutes left."""

    step: int
    total: int
    steps_an_epoch: int | None
    scalars: dict[str, float]
    rate: float
    left_min: float


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint is on the storage; the metric's value, and whether it is the best so far."""

    step: int
    value: float
    best: bool


@dataclass(frozen=True, kw_only=True)
class Lost:
    """Workers were lost; why, in a line."""

    why: str


Word = Began | Done | Saved | Lost


@ray.remote(num_cpus=0)
class Watcher:
    """Keeps what was said until it is taken."""

    def __init__(self) -> None:
        self._words: list[Word] = []

    def tell(self, word: Word) -> None:
        """Add a word."""
        self._words.append(word)

    def take(self) -> list[Word]:
        """All words since the last time."""
        words, self._words = self._words, []
        return words


class TellOfLosses(UserCallback):
    """Tells the watcher when workers are lost; lives in Ray's controller."""

    def __init__(self, watcher: Any) -> None:
        self._watcher = watcher

    def after_report(
        self, run_context: TrainRunContext, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None
    ) -> None:
        """Nothing is reported to Ray itself."""

    def after_exception(self, run_context: TrainRunContext, worker_exceptions: dict[int, Exception]) -> None:
        """Say which workers ended how."""
        said = {rank: _in_a_line(error) for rank, error in sorted(worker_exceptions.items())}
        # All but one of them usually are the others' complaint that the one is gone.
        why = ", ".join(f"worker {rank}: {line}" for rank, line in said.items())
        ray.get(self._watcher.tell.remote(Lost(why=why)))


class Watching:
    """A context manager in which the run's folder is kept and its progress said."""

    def __init__(self, watcher: Any, folder: RunFolder, metric: str, say: Say) -> None:
        self._watcher, self._folder, self._metric, self._say = watcher, folder, metric, say
        self._step, self._workers, self.losses = 0, 0, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        over = False
        while not over:
            over = self._over.wait(_EVERY_S)  # and once more after the end
            try:
                words: list[Word] = ray.get(self._watcher.take.remote(), timeout=30)
            except ray.exceptions.GetTimeoutError:
                continue  # the machine is busy; nothing is lost
            except ray.exceptions.RayError:
                return  # the session is gone, and what waits for the training says so
            for word in words:
                self._hear(word)

    def _hear(self, word: Word) -> None:
        if isinstance(word, Done):
            self._step = word.step
            self._folder.log(word.step, **word.scalars)
            self._say(progress(word, word.scalars, word.rate, word.left_min) + f"  {self._workers} workers")
        elif isinstance(word, Began):
            self._workers = len(word.hosts)
            self._folder.restore(word.log)
            where = ", ".join(f"{word.hosts.count(host)} on {host}" for host in dict.fromkeys(word.hosts))
            self._say(f"{'going on from' if word.step else 'from'} step {word.step}, {self._workers} workers: {where}")
            if word.step or self.losses:
                self._folder.mark(word.step, f"{self._workers} workers")
        elif isinstance(word, Saved):
            self._say(f"  checkpoint at step {word.step}: {self._metric} {word.value:.4f}{' (best)' * word.best}")
        else:
            self.losses += 1
            self._folder.mark(self._step, "lost")
            self._say(f"  lost after step {self._step}: {word.why}")


def _in_a_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:200]
