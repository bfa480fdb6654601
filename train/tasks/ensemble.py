"""The ensemble of streams: recognition runs in joint, motion and bone, whose class probabilities are added.

Source: arXiv 2508.12586 ("3s"). It reads what the runs left in their folders (`scores.npz`), so no model runs again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..whole_file import write_whole
from .scores import load_scores, measured
from .task import Results, Say


def ensemble(runs: Sequence[Path], out: Path, say: Say) -> Results:
    """Top-1, top-5 and confusion of the sum over finished runs (linear or fine-tuned) of one test set.

    Written to `out`/results.json, beside each run's own top-1 under "runs". Raises ValueError if there are no two
    runs, or they were not tested on the same clips.
    """
    if len(runs) < 2:
        raise ValueError("an ensemble needs the folders of at least two runs")
    scores = [load_scores(run) for run in runs]
    told = [json.loads((run / "run.json").read_text())["test"] for run in runs]
    classes = [json.loads((run / "results.json").read_text())["classes"] for run in runs]
    if any(t != told[0] for t in told) or any(c != classes[0] for c in classes):
        raise ValueError("the runs were tested on different clips; take those of one data set and protocol")
    labels_N = scores[0][1]
    total_NK = np.stack([probability_NK for probability_NK, _ in scores]).sum(axis=0)
    results = measured(total_NK, labels_N, classes[0])
    results["runs"] = {
        str(run): measured(own, labels_N, classes[0])["top1"] for run, (own, _) in zip(runs, scores, strict=True)
    }
    write_whole(out / "results.json", json.dumps(results, indent=1))
    say(f"ensemble of {len(runs)}: top-1 {results['top1']:.3f}")
    return results
