"""How good class scores of clips are, and the file that they are kept in for ensembles.

Shapes: N clip, K class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics import confusion_matrix
from ..whole_file import whole_file

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
_SCORES = "scores.npz"


def measured(score_NK: F32, labels_N: I64, classes: Sequence[str]) -> dict[str, Any]:
    """Top-1, top-5 (with more than five classes) in 0..1, and the confusion matrix (row = truth, column = decision).

    Of equal scores the class with the lower number wins. ValueError for scores that are not finite or do not fit.
    """
    if score_NK.shape != (len(labels_N), len(classes)) or not len(labels_N):
        raise ValueError(f"scores {score_NK.shape} do not fit {len(labels_N)} labels and {len(classes)} classes")
    if not np.isfinite(score_NK).all():
        raise ValueError("some scores are not finite: the weights have diverged; train with a lower lr")
    ranked_NK = np.argsort(-score_NK, axis=1, kind="stable")
    hit_NK = ranked_NK == labels_N[:, None]
    top5 = {"top5": float(hit_NK[:, :5].any(axis=1).mean())} if len(classes) > 5 else {}
    return {
        "clips": len(labels_N), "top1": float(hit_NK[:, 0].mean()), **top5, "classes": list(classes),
        "confusion": confusion_matrix(ranked_NK[:, 0], labels_N, len(classes)).tolist(),
    }  # fmt: skip


def save_scores(folder: Path, probability_NK: F32, labels_N: I64) -> None:
    """Keep a run's class probabilities and the truth in its folder."""
    with whole_file(folder / _SCORES) as unfinished, unfinished.open("wb") as file:
        np.savez(file, probability=probability_NK, labels=labels_N)


def load_scores(folder: Path) -> tuple[F32, I64]:
    """The class probabilities (N, K) and the truth (N,) of a run; ValueError if it has none."""
    path = folder / _SCORES
    if not path.is_file():
        raise ValueError(f"{folder} holds no {_SCORES}; give the folder of a finished recognition run")
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["probability"], arrays["labels"]
