"""What a sweep found, as the command line that uses it."""

from __future__ import annotations

import shlex

from .sweep_config import PretrainingSweep
from .sweep_division import Division
from .sweep_space import Parameters


def pretraining_command(division: Division, config: PretrainingSweep, best: Parameters) -> str:
    """Pretraining with the best parameters, on all of the protocol's training part.

    The encoder's size and the epochs are left as they are for full runs: the sweep's small ones were for comparing.
    """
    weights = ("similarity", "cross_correlation", "temporal", "spatial", "instance")
    words = [
        *_begun("pretrain", division), "--out", "runs/pretrained", "--gap", best["gap"], "--alpha", best["alpha"],
        "--lr", best["lr"], "--batch", config.batch, "--schedule", "cosine", "--warmup", config.warmup,
        "--views.yaw-deg", config.yaw_deg,
    ]  # fmt: skip
    for name in weights:
        words += [f"--weights.{name.replace('_', '-')}", best[name]]
    return shlex.join(str(word) for word in words)


def probe_command(division: Division, start: str, crops: int, best: Parameters) -> str:
    """The linear task with the best solver."""
    words = [*_begun("linear", division), "--start", start, "--out", "runs/linear", "--crops", crops]
    if best["solver"] == "exact":
        words += ["solver:exact", "--solver.l2", best["l2"]]
    else:
        words += ["solver:gradient-descent", "--solver.lr", best["lr"]]
    return shlex.join(str(word) for word in words)


def _begun(command: str, division: Division) -> list[str | float]:
    return ["skelstream", "train", command, "--stores", *division.stores, "--protocol", division.protocol]
