"""Action segmentation: which action is every frame of a whole sequence? Frame accuracy, edit score, F1@{10, 25, 50}.

USDRL's protocol of PKU-MMD II, on any set: the whole network is fine-tuned for frame-wise classes with a background.
The paper feeds a sequence into the network at one go; DSTE's token mixing and spatial tokens are as long as a window,
so here overlapping windows cover the sequence, one every `test_hop` frames and one that ends with it, and a frame's
probabilities are the mean over all windows that show it (64 / 8 = 8 of them at the default). A moving average over
`smoothing` frames follows, and each frame takes its likeliest class.
Shapes: T frame, K class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...encoder.clock import HZ
from ..detection_report import ScoredStream, evaluate_streams
from ..native_streams import NativeStreams
from ..pretrained import Pretrained
from .dense import DenseTask, answered, dense_folder, leaving_one_out, trained
from .task import Results, Say


@dataclass(frozen=True, kw_only=True)
class SegmentationTask(DenseTask):
    """`smoothing` is frames at 30 Hz; 1 is none."""

    test_hop: int = 8
    smoothing: int = 1

    def __post_init__(self) -> None:
        if self.smoothing < 1 or self.smoothing % 2 == 0:
            raise ValueError(f"smoothing over {self.smoothing} frames has no middle; give an odd number")


def segment_actions(
    pretrained: Pretrained, train: NativeStreams, test: NativeStreams, config: SegmentationTask, out: Path, say: Say
) -> Results:
    """Train on `train`, measure on `test`; checkpoint, log and results.json go to the folder `out`.

    Shares of 1, `edit` 0 to 100. Raises ValueError if the two speak of other classes, or `out` holds another run.
    """
    return _measured(_fold(pretrained, train, test, config, out, say), test.classes)


def segment_actions_leaving_one_out(
    pretrained: Pretrained, streams: NativeStreams, config: SegmentationTask, out: Path, say: Say
) -> Results:
    """The same with each person tested by a model that all others trained (`leaving_one_out`)."""
    return leaving_one_out(
        streams, out, say,
        lambda train, test, folder: _fold(pretrained, train, test, config, folder, say),
        lambda scored: _measured(scored, streams.classes),
    )  # fmt: skip


def smoothed(values_TK: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """The mean over `frames` frames about each, fewer at both ends of the stream."""
    total = np.cumsum(np.concatenate([np.zeros((1, values_TK.shape[1])), values_TK]), axis=0)
    at = np.arange(len(values_TK))
    first, end = np.maximum(at - frames // 2, 0), np.minimum(at + frames // 2 + 1, len(values_TK))
    mean: NDArray[np.float64] = (total[end] - total[first]) / (end - first)[:, None]
    return np.clip(mean, 0, 1)  # sums of probabilities may be off by 1e-16


def _fold(
    pretrained: Pretrained, train: NativeStreams, test: NativeStreams, config: SegmentationTask, out: Path, say: Say
) -> list[ScoredStream]:
    with dense_folder("segmentation", pretrained, train, test, config, out) as folder:
        model = trained(pretrained, train, config, folder, say, boundaries=False)
        scored = []
        for stream in test.streams:
            answers = answered(model, stream, config.test_hop)
            probabilities = smoothed(answers.probabilities, config.smoothing)
            scored.append(
                ScoredStream(name=stream.name, probabilities=probabilities, decided=probabilities.argmax(axis=1),
                             truth=answers.truth, hz=HZ, subject=stream.subject)
            )  # fmt: skip
        folder.finish(_measured(scored, test.classes))
    return scored


def _measured(scored: Sequence[ScoredStream], classes: Sequence[str]) -> Results:
    report = asdict(evaluate_streams(scored, classes))
    return {name: report[name] for name in ("streams", "frames", "frame_accuracy", "edit", "f1_10", "f1_25", "f1_50")}
