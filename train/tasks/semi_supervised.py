"""Semi-supervised recognition: fine-tune with a few labels, drawn by a seed.

Source: arXiv 2508.12586: 1 % and 10 % of the labels. A per cent of a small set is a handful of clips and the figure
depends on which: hence several draws, with mean and spread.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..clips import Clips
from ..pretrained import Pretrained
from .fine_tune import FineTuning, fine_tune
from .task import Results, Say


@dataclass(frozen=True, kw_only=True)
class SemiSupervised:
    """`draws` of labels for each fraction; draw d uses `seed` + d, for the labels and for the fine-tuning."""

    fractions: tuple[float, ...] = (0.01, 0.1)
    draws: int = 3
    fine_tuning: FineTuning = field(default_factory=lambda: FineTuning(steps=300))
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.fractions or not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ValueError(f"fractions are {self.fractions}; each must lie above 0 and up to 1: 1 % is 0.01")
        if self.draws < 1:
            raise ValueError("draws must be at least 1")


def semi_supervised(
    pretrained: Pretrained, train: Clips, test: Clips, config: SemiSupervised, out: Path, say: Say
) -> Results:
    """For each fraction, under "1 %" and so on: the number of labels, each draw's top-1, their mean and deviation.

    Each draw is a fine-tuning run in a folder of its own under `out`.
    """
    results: Results = {}
    for fraction in config.fractions:
        top1, labels = [], 0
        for draw in range(config.draws):
            seed = config.seed + draw
            labelled = few_labels(train.labels, fraction, seed)
            tuning = replace(config.fine_tuning, seed=seed)
            run = out / f"{100 * fraction:g}-percent-draw-{draw}"
            top1.append(fine_tune(pretrained, train, test, tuning, run, say, labelled)["top1"])
            labels = len(labelled)
        name = f"{100 * fraction:g} %"
        results[name] = {
            "labels": labels, "draws": top1, "top1": float(np.mean(top1)), "deviation": float(np.std(top1)),
        }  # fmt: skip
        say(f"semi-supervised, {name}: top-1 {results[name]['top1']:.3f} +- {results[name]['deviation']:.3f}")
    return results


def few_labels(labels_N: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    """The indices, in order, of a fraction of the clips, as equally from each class as there are clips.

    Their number is the fraction of N, rounded, but at least one a class. With one seed the smaller fraction's clips
    are among the larger's.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels_N))
    turn_N = np.empty(len(labels_N), np.int64)  # how many of its class come before a clip
    classes = np.unique(labels_N)
    for label in classes:
        members = shuffled[labels_N[shuffled] == label]
        turn_N[members] = np.arange(len(members))
    total = max(round(fraction * len(labels_N)), len(classes))
    first = shuffled[np.argsort(turn_N[shuffled], kind="stable")][:total]
    return np.sort(first)
