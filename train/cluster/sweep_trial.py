"""One trial of a sweep, in a worker of its own: pretrain shortly and probe, or fit a probe to given features.

Shapes: R view of a clip, N clip, F feature, K class.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray import tune

from ..pretrain import PretrainingRun
from ..pretrained import Pretrained
from ..probes import Exact, GradientDescent, fit_probe
from ..tasks.features import whole_features
from ..tasks.retrieval import neighbour_votes
from ..tasks.scores import measured
from .sweep_config import PretrainingSweep
from .sweep_division import Division, Parts


def pretraining_trial(config: dict[str, Any], division: Division, sweep: PretrainingSweep, on_gpu: bool) -> None:
    """Pretrain with `config["trial"]["parameters"]`, reporting to Tune, with a checkpoint, whenever it was probed.

    A trial that was killed goes on from its last checkpoint. One whose loss diverges reports "failed", with the reason:
    it would diverge again.
    """
    parts = division.parts()
    pretraining = sweep.pretraining(config["trial"]["parameters"], parts.joints)
    run = PretrainingRun(parts.pretrain, pretraining, device=None if on_gpu else torch.device("cpu"))
    if (saved := tune.get_checkpoint()) is not None:
        with saved.as_directory() as folder:
            state = torch.load(Path(folder) / "checkpoint.pt", map_location=run.device, weights_only=True)
            run.load_state_dict(state)
    for terms in run.steps():
        if run.step % sweep.probe_every and run.step != run.total:
            continue
        loss = float(terms.loss)
        if not math.isfinite(loss):
            tune.report({"step": run.step, "failed": f"the loss is {loss} at step {run.step}: it diverged; lower lr"})
            return
        scores = _probed(Pretrained(run.encoder.eval(), pretraining.modality, pretraining.scheme), parts, run.device)
        run.encoder.train()
        with tempfile.TemporaryDirectory() as folder:
            torch.save(run.state_dict(), Path(folder) / "checkpoint.pt")
            tune.report(scores | {"step": run.step, "loss": loss}, checkpoint=tune.Checkpoint.from_directory(folder))


def probe_trial(
    config: dict[str, Any],
    views_RNF: NDArray[np.float32], labels_N: NDArray[np.int64],
    validation_NF: NDArray[np.float32], validation_labels_N: NDArray[np.int64], classes: Sequence[str], seed: int,
) -> None:  # fmt: skip
    """Fit a probe as `config["trial"]["parameters"]` say, and report the top-1 of the validation clips."""
    parameters: dict[str, Any] = config["trial"]["parameters"]
    exact = parameters["solver"] == "exact"
    solver = Exact(l2=parameters["l2"]) if exact else GradientDescent(lr=parameters["lr"])
    # They lie in memory that all trials of a node share and none may write to; probes only read.
    views, labels, validation = (torch.from_numpy(shared) for shared in (views_RNF, labels_N, validation_NF))
    probe = fit_probe(views, labels, len(classes), solver, seed)
    top1 = measured(probe(validation).numpy(), validation_labels_N, classes)["top1"]
    tune.report({"step": 1, "loss": probe.losses[-1], "linear": top1})


def _probed(pretrained: Pretrained, parts: Parts, device: torch.device) -> dict[str, float]:
    """Top-1 on the validation clips, by the exact linear probe and by the nearest neighbour."""
    fit_NF, labels_N = whole_features(pretrained, parts.fit, device), torch.from_numpy(parts.fit.labels)
    asked_NF, truth_N = whole_features(pretrained, parts.validation, device), parts.validation.labels
    probe = fit_probe(fit_NF[None], labels_N, len(parts.classes), Exact())
    votes_NK = neighbour_votes(fit_NF, labels_N, asked_NF, 1, len(parts.classes))
    return {
        "linear": measured(probe(asked_NF).numpy(), truth_N, parts.classes)["top1"],
        "neighbour": measured(votes_NK.numpy(), truth_N, parts.classes)["top1"],
    }
