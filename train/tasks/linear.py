"""Recognition, linear protocol: a linear classifier on the clip representation of a frozen encoder.

Source: arXiv 2508.12586, table of linear evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..clips import Clips
from ..device import training_device
from ..pretrained import Pretrained
from ..probes import Exact, GradientDescent, fit_probe
from ..run_folder import RunFolder
from .features import view_features, whole_features
from .scores import measured, save_scores
from .task import Results, Say, finished, settings, shared_classes


@dataclass(frozen=True, kw_only=True)
class LinearProbe:
    """`crops`: random crops of each training clip beside the whole; tested on whole clips."""

    solver: GradientDescent | Exact = field(default_factory=GradientDescent)
    crops: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.crops < 0:
            raise ValueError(f"crops is {self.crops}; it must be 0 (whole clips alone) or more")


def linear_probe(
    pretrained: Pretrained, train: Clips, test: Clips, config: LinearProbe, out: Path, say: Say
) -> Results:
    """Top-1, top-5 and confusion of a linear probe; `out` keeps the scores and, as checkpoint, the probe."""
    classes = shared_classes(train, test)
    with RunFolder(out, settings("linear", pretrained, train, test, config)) as folder:
        if (before := finished(out)) is not None:
            return before
        say(f"linear: features of {len(train)} clips, {1 + config.crops} views each")
        views_RNF = view_features(pretrained, train, config.crops, config.seed).to(training_device())
        probe = fit_probe(views_RNF, torch.from_numpy(train.labels), len(classes), config.solver, config.seed)
        probability_NK = probe(whole_features(pretrained, test)).softmax(dim=1).numpy()
        results = measured(probability_NK, test.labels, classes)
        save_scores(out, probability_NK, test.labels)
        folder.save({"step": len(probe.losses), "weight": probe.weight_FK, "bias": probe.bias_K})
        for epoch, loss in enumerate(probe.losses, start=1):
            folder.log(epoch, loss=loss)
        folder.finish(results)
    say(f"linear: top-1 {results['top1']:.3f}")
    return results
