"""What detection and segmentation share: a model of frame-wise classes, trained on windows, asked about whole streams.

Whole network or (`frozen`) the head alone; a pretrained encoder is fine-tuned, one from `random_encoder` is trained
from scratch.
Shapes: B window, C coordinate, T frame, V joint, M person, H feature, K class, S stream's frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..device import device_of
from ..fine_tune_frames import FrameModel, FrameTraining, fine_tune_frames
from ..frozen_windows import frozen_windows
from ..metrics import Labels
from ..native_streams import NativeStreams
from ..pretrained import Pretrained, weights_digest
from ..rerank import boundary_targets
from ..run_folder import RunFolder
from ..streams import Stream
from ..vocabulary import IGNORE
from ..windows import Windows, over_windows
from .task import Results, Say

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class DenseTask:
    """`train_hop` and `test_hop` are frames between windows; a `test_hop` below a window's length averages overlapping
    windows. `speed` is the range of time stretch in training.
    """

    training: FrameTraining = field(default_factory=FrameTraining)
    train_hop: int = 32
    test_hop: int = 64
    speed: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One stream's class probabilities (S, K), its boundaries' (S, 2) if the model has them, and its truth (S,)."""

    stream: Stream
    probabilities: NDArray[np.float64]
    boundaries: NDArray[np.float64] | None

    @property
    def truth(self) -> Labels:
        """The labels (S,) of the stream, -1 where nothing counts."""
        return np.asarray(self.stream.labels)


def dense_folder(
    task: str, pretrained: Pretrained, train: NativeStreams, test: NativeStreams, config: DenseTask, out: Path
) -> RunFolder:
    """The run's folder. Raises ValueError if the streams' classes differ, or it holds a run with other settings."""
    if train.classes != test.classes:
        raise ValueError("the training and test streams speak of other classes; give stores of the same data set")
    return RunFolder(out, {
        "task": task, "config": asdict(config), "modality": pretrained.modality,
        "encoder": asdict(pretrained.encoder.config), "weights": weights_digest(pretrained.encoder),
        "train": train.described(), "test": test.described(),
    })  # fmt: skip


def trained(
    pretrained: Pretrained, train: NativeStreams, config: DenseTask, folder: RunFolder, say: Say, *, boundaries: bool
) -> FrameModel:
    """The model after fine-tuning, in evaluation mode; `boundaries`: it learns starts and ends as well."""
    torch.manual_seed(config.training.seed)
    model = FrameModel(
        pretrained, len(train.classes), boundaries=boundaries, precision=config.training.precision
    )  # fmt: skip
    targets = [boundary_targets(np.asarray(stream.labels)) for stream in train.streams]
    windows = Windows(train.streams, targets, frames=model.shape[1], hop=config.train_hop, speed=config.speed)
    if config.training.frozen:
        with frozen_windows(model, windows, config.training, folder.path, say) as features:
            # What `vary` does was done to the joints, before there were features.
            settings = replace(config.training, vary=False)
            fine_tune_frames(model, features, partial(head_loss, model), settings, folder, say)
    else:
        fine_tune_frames(model, windows, partial(dense_loss, model), config.training, folder, say)
    return model


def dense_loss(model: FrameModel, joints_BCTVM: Tensor, labels_BT: Tensor, boundaries_BT2: Tensor) -> Tensor:
    """`head_loss` of the features of joints (B, 3, T, V, M), metres."""
    return head_loss(model, model(model.prepared(joints_BCTVM)), labels_BT, boundaries_BT2)


def head_loss(model: FrameModel, features_BTH: Tensor, labels_BT: Tensor, boundaries_BT2: Tensor) -> Tensor:
    """The classes' cross-entropy and, if the model has boundaries, theirs, each the mean over known frames."""
    value = frame_cross_entropy(model.head(features_BTH), labels_BT)
    if model.boundaries is not None:
        each = F.binary_cross_entropy_with_logits(model.boundaries(features_BTH), boundaries_BT2, reduction="none")
        known_BT = (labels_BT != IGNORE).float()
        value = value + (each.mean(-1) * known_BT).sum() / known_BT.sum().clamp(min=1)
    return value


def frame_cross_entropy(logits_BTK: Tensor, labels_BT: Tensor) -> Tensor:
    """The mean cross-entropy over the frames whose label is known; 0 where none is."""
    total = F.cross_entropy(logits_BTK.flatten(0, 1), labels_BT.flatten(), ignore_index=IGNORE, reduction="sum")
    mean: Tensor = total / (labels_BT != IGNORE).sum().clamp(min=1)
    return mean


def answered(model: FrameModel, stream: Stream, hop: int) -> Answers:
    """What the model says of a whole stream: windows every `hop` frames, and one that ends with it, averaged."""
    with torch.inference_mode():
        values = over_windows(partial(window_answers, model), stream.joints, model.shape[1], hop)
    k = model.head.out_features
    boundaries = None if model.boundaries is None else values[:, k:]
    return Answers(stream=stream, probabilities=values[:, :k], boundaries=boundaries)


def window_answers(model: FrameModel, joints_BCTVM: Tensor) -> Tensor:
    """The probabilities (B, T, K) of the classes and, if the model has them, of the boundaries, where the model is."""
    features_BTH = model(model.prepared(joints_BCTVM.to(device_of(model))))
    classes: Tensor = model.head(features_BTH).softmax(-1)
    if model.boundaries is None:
        return classes
    return torch.cat((classes, model.boundaries(features_BTH).sigmoid()), -1)


def leaving_one_out(
    streams: NativeStreams, out: Path, say: Say, fold: Callable[[NativeStreams, NativeStreams, Path], list[S]],
    measured: Callable[[Sequence[S]], Results],
) -> Results:  # fmt: skip
    """Each person is tested by a model that all others trained; measured once over everybody, not as a mean of folds.

    `fold` takes training and test streams and a folder in `out`, which spares a fold that is finished its training.
    `results["people"]` has each person's own.
    """
    people: Results = {}
    everybody: list[S] = []
    for person, train, test in streams.leaving_one_out():
        say(f"leaving out {person}")
        tested = fold(train, test, out / person.replace("/", "-"))
        people[person] = measured(tested)
        everybody += tested
    results: dict[str, Any] = {**measured(everybody), "people": people}
    with RunFolder(out, {"leaving one out": streams.described()}) as folder:
        folder.finish(results)
    return results
