"""Action detection: when does which action happen in an untrimmed recording? USDRL's protocol of PKU-MMD I, on any set.

Frame-wise classes with a background, windows of the encoder's frames laid end to end (`dense.py`). A detection is a run
of frames whose probability of a class is above 0.02, its score the run's mean probability; F1, AP, mAP over actions and
over videos and 2D-AP (`average_precision.py`). With `rerank` the model learns where actions start and end as well, and
the scores take it into account (`rerank.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..average_precision import Detection, Truth, detections_from_probabilities, protocol_scores
from ..metrics import frame_accuracy, segments
from ..native_streams import NativeStreams
from ..pretrained import Pretrained
from ..rerank import rerank
from ..vocabulary import IGNORE
from .dense import Answers, DenseTask, answered, dense_folder, leaving_one_out, trained
from .task import Results, Say


@dataclass(frozen=True, kw_only=True)
class DetectionTask(DenseTask):
    """`rerank` is the exponent a of the boundaries, 0.1 as published; None goes without. `ious` are the overlaps."""

    threshold: float = 0.02
    rerank: float | None = None
    ious: tuple[float, ...] = (0.1, 0.3, 0.5)


def detect_actions(
    pretrained: Pretrained, train: NativeStreams, test: NativeStreams, config: DetectionTask, out: Path, say: Say
) -> Results:
    """Train on `train`, measure on `test`; checkpoint, log and results.json go to the folder `out`. Shares of 1.

    Raises ValueError if the two speak of other classes, or `out` holds a run with other settings.
    """
    return measured(_fold(pretrained, train, test, config, out, say), config)


def detect_actions_leaving_one_out(
    pretrained: Pretrained, streams: NativeStreams, config: DetectionTask, out: Path, say: Say
) -> Results:
    """The same with each person tested by a model that all others trained (`leaving_one_out`)."""
    return leaving_one_out(
        streams, out, say,
        lambda train, test, folder: _fold(pretrained, train, test, config, folder, say),
        lambda answers: measured(answers, config),
    )  # fmt: skip


def measured(answers: Sequence[Answers], config: DetectionTask) -> Results:
    """PKU-MMD's protocol at each overlap, as its script computes it and, "exact", with the exact area; frame accuracy.

    With `rerank` both without and with it. Frames whose truth is not known make no detection.
    """
    truth = {a.stream.name: segments(a.truth) for a in answers}
    plain = {a.stream.name: _detections(a, config) for a in answers}
    results: Results = {
        "streams": len(answers),
        "segments": sum(map(len, truth.values())),
        "frame_accuracy": frame_accuracy([a.probabilities.argmax(axis=1) for a in answers], [a.truth for a in answers]),
        "plain": _protocol(plain, truth, config),
    }
    if config.rerank is not None:
        ranked = {
            a.stream.name: rerank(plain[a.stream.name], a.boundaries, config.rerank)
            for a in answers
            if a.boundaries is not None
        }
        results["reranked"] = _protocol(ranked, truth, config)
    return results


def _fold(
    pretrained: Pretrained, train: NativeStreams, test: NativeStreams, config: DetectionTask, out: Path, say: Say
) -> list[Answers]:
    with dense_folder("detection", pretrained, train, test, config, out) as folder:
        model = trained(pretrained, train, config, folder, say, boundaries=config.rerank is not None)
        answers = [answered(model, stream, config.test_hop) for stream in test.streams]
        folder.finish(measured(answers, config))
    return answers


def _detections(answers: Answers, config: DetectionTask) -> list[Detection]:
    known = np.where((answers.truth == IGNORE)[:, None], 0.0, answers.probabilities)
    return detections_from_probabilities(answers.stream.name, known, config.threshold)


def _protocol(detections: Mapping[str, Sequence[Detection]], truth: Truth, config: DetectionTask) -> Results:
    flat = [detection for some in detections.values() for detection in some]
    return {
        f"iou {iou:g}": {
            "script": asdict(protocol_scores(flat, truth, iou, "script")),
            "exact": asdict(protocol_scores(flat, truth, iou, "paper")),
        }
        for iou in config.ious
    }
