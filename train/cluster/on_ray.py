"""Where to train. Importing this needs no Ray."""

from __future__ import annotations

from dataclasses import dataclass


class TrainingLost(RuntimeError):
    """A run ended before its end, for a reason that no other request would mend: one line says which."""


@dataclass(frozen=True, kw_only=True)
class OnRay:
    """Where to train, and with how much of it.

    `ray`: nothing for this process alone, "local" for workers on this machine, "auto" or HOST:PORT for a cluster.
    `workers`: at most so many, 0 for all GPUs, or all CPUs where there are none; with fewer, because a node was lost,
    it goes on as long as there are `least`. `storage`: a folder or URL that all nodes see; default: the run's folder.
    Every `checkpoint_steps` steps a checkpoint is written there, of which the newest `keep` and the best are kept.
    `retries`: so many times workers may be lost.
    """

    ray: str = ""
    workers: int = 0
    least: int = 1
    cpus: int = 1
    storage: str = ""
    checkpoint_steps: int = 100
    keep: int = 3
    retries: int = 20

    def __post_init__(self) -> None:
        if self.workers < 0 or min(self.least, self.cpus, self.checkpoint_steps, self.keep) < 1 or self.retries < 0:
            raise ValueError(
                "least, cpus, checkpoint_steps and keep must be at least 1, workers and retries at least 0"
            )
        if self.workers and self.least > self.workers:
            raise ValueError(f"at least {self.least} of at most {self.workers} workers cannot be; lower --least")
