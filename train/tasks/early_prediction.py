"""Early prediction: what is somebody doing, when only the first 10, 20 ... 100 per cent of the clip were seen?

A clip is resized to the encoder's frames, as for recognition (so its length is taken as known: the literature's
protocol), and each frame is classified. At an observed ratio r no frame of the recording beyond r is read at all:
positions stop at the last one seen, normalisation's means run over what was seen, and for the encoder everybody stands
still from there on. So no encoder can look ahead, whatever it is; a causal one (`DSTE.Config(causal=True)`, the
paper's) besides gives a frame the same features however much is seen after it, which is what a live system needs.

The decision at r is the class of the highest mean probability over the seen frames. (Chosen on NW-UCLA, trained on its
first view and judged on the second: better than the mean of log-probabilities at every ratio, and than the last frame
alone from 70 per cent on.) Training shows each clip up to a ratio drawn from 10 to 100 per cent and asks all seen
frames for the clip's class. The paper's schedule is not known; the defaults are those of detection.
Shapes: B clip, C coordinate, T frame, V joint, M person, K class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..clips import Clips
from ..device import device_of
from ..fine_tune_frames import FrameModel, FrameTraining, fine_tune_frames
from ..gather import gather, resized
from ..pretrained import Pretrained
from ..run_folder import RunFolder
from ..whole_file import whole_file
from .task import Results, Say, settings, shared_classes

F64 = NDArray[np.float64]
RATIOS = tuple(tenths / 10 for tenths in range(1, 11))
_BATCH = 128


@dataclass(frozen=True, kw_only=True)
class EarlyPrediction:
    """How to train; `ratios` are the shares of a clip after which a decision is asked for."""

    training: FrameTraining = field(default_factory=FrameTraining)
    ratios: tuple[float, ...] = RATIOS

    def __post_init__(self) -> None:
        if not self.ratios or not all(0 < ratio <= 1 for ratio in self.ratios):
            raise ValueError(f"observed ratios {self.ratios} are not all in (0, 1]; half a clip is 0.5")


def predict_early(
    pretrained: Pretrained, train: Clips, test: Clips, config: EarlyPrediction, out: Path, say: Say
) -> Results:
    """Train on `train`; the accuracy (share of 1) on `test` at each observed ratio, and their mean.

    Checkpoint, log, results.json and the curve (accuracy.png) go to the folder `out`.
    Raises ValueError if the two speak of other classes, or `out` holds a run with other settings.
    """
    classes = shared_classes(train, test)
    with RunFolder(out, settings("early prediction", pretrained, train, test, config)) as folder:
        torch.manual_seed(config.training.seed)
        model = FrameModel(pretrained, len(classes), precision=config.training.precision)
        samples = _Seen(train, model.shape[1], min(config.ratios))
        fine_tune_frames(model, samples, partial(early_loss, model), config.training, folder, say)
        decided = decisions(model, test, config.ratios)
        accuracy = (decided == test.labels[:, None]).mean(axis=0)
        results: Results = {
            "clips": len(test), "mean": float(accuracy.mean()),
            "accuracy": {f"{100 * r:g} %": float(a) for r, a in zip(config.ratios, accuracy, strict=True)},
        }  # fmt: skip
        folder.finish(results)
        draw_accuracy(config.ratios, accuracy.tolist(), out / "accuracy.png")
    return results


def early_loss(model: FrameModel, joints_BCTVM: Tensor, labels_B: Tensor, seen_B: Tensor) -> Tensor:
    """The clip's class's cross-entropy, the mean over the seen frames of all clips."""
    log_probability_BTK = frame_log_probabilities(model, joints_BCTVM, seen_B)
    of_truth_BT = log_probability_BTK.gather(2, labels_B[:, None, None].expand(-1, model.shape[1], 1))[..., 0]
    shown_BT = shown(seen_B, model.shape[1])
    return -(of_truth_BT * shown_BT).sum() / shown_BT.sum()


def decisions(model: FrameModel, clips: Clips, ratios: Sequence[float]) -> NDArray[np.int64]:
    """The class decided on for each clip after each ratio of it (N, ratios)."""
    decided, device = np.empty((len(clips), len(ratios)), np.int64), device_of(model)
    with torch.inference_mode():
        for column, ratio in enumerate(ratios):
            for start in range(0, len(clips), _BATCH):
                some = np.arange(start, min(start + _BATCH, len(clips)))
                drawn = first_part(clips, some, model.shape[1], np.full(len(some), ratio))
                joints, seen_B = (each.to(device) for each in drawn)
                log_probability_BTK = frame_log_probabilities(model, joints, seen_B)
                shown_BT1 = shown(seen_B, model.shape[1])[..., None]
                decided_B = (log_probability_BTK.exp() * shown_BT1).sum(dim=1).argmax(dim=1)
                decided[some, column] = decided_B.cpu().numpy()
    return decided


def first_part(clips: Clips, indices: NDArray[np.integer], frames: int, ratio_B: F64) -> tuple[Tensor, Tensor]:
    """The first part of each clip: joints (B, 3, T, V, M) metres, resized, and how many frames (B,) of T it fills.

    No frame of the recording that ends after the ratio is read, save the very first. The frames after it are zero.
    """
    chosen = [clips.clips[i] for i in indices]
    start, length = (np.array([getattr(clip, name) for clip in chosen]) for name in ("start", "length"))
    end = start + _whole_frames(length, ratio_B)
    seen = _whole_frames(frames, ratio_B)
    at_BT = np.minimum(resized(start, length, frames), (end - 1)[:, None])
    shape = clips.stores[0].frames.shape[1:]
    joints = np.empty((len(chosen), frames, *shape), np.float32)
    store_B = np.array([clip.store for clip in chosen])
    for number in np.unique(store_B):
        mine = store_B == number
        joints[mine] = gather(clips.stores[number].frames, at_BT[mine], end[mine])[0]
    joints[np.arange(frames)[None] >= seen[:, None]] = 0
    return torch.from_numpy(joints).permute(0, 4, 1, 3, 2).contiguous(), torch.from_numpy(seen)


def frame_log_probabilities(model: FrameModel, joints_BCTVM: Tensor, seen_B: Tensor) -> Tensor:
    """Each frame's log-probabilities (B, T, K), everybody standing still from frame `seen_B` on; those mean nothing."""
    # Normalisation first: its means run over present frames, and a frame held is none. Then the last frame seen is
    # held, so that motion, the step to the next frame, is 0 from there on and not a step into absence.
    normal = model.normalised(joints_BCTVM)
    last = torch.minimum(torch.arange(model.shape[1], device=seen_B.device)[None], seen_B[:, None] - 1)
    held = normal.gather(2, last[:, None, :, None, None].expand_as(normal))
    log_probability: Tensor = model.head(model(model.of_modality(held))).log_softmax(-1)
    return log_probability


def shown(seen_B: Tensor, frames: int) -> Tensor:
    """Which frames (B, T) are seen: 1 or 0."""
    return (torch.arange(frames, device=seen_B.device)[None] < seen_B[:, None]).float()


def draw_accuracy(ratios: Sequence[float], accuracy: Sequence[float], path: Path) -> None:
    """The curve as a PNG at `path`, whole or not at all."""
    figure = Figure(figsize=(5.2, 3.6), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    percent = [100 * ratio for ratio in ratios]
    axes.plot(percent, [100 * value for value in accuracy], marker="o", linewidth=1.4)
    for x, value in zip(percent, accuracy, strict=True):
        axes.annotate(f"{100 * value:.1f}", (x, 100 * value), textcoords="offset points", xytext=(0, 6), ha="center",
                      fontsize=7)  # fmt: skip
    axes.set(xlabel="seen of the clip, %", ylabel="accuracy, %", title="Early prediction", ylim=(0, 105))
    axes.grid(alpha=0.3)
    with whole_file(path) as unfinished:
        canvas.print_figure(unfinished, format="png")


class _Seen:
    """Training clips, each up to a drawn ratio."""

    def __init__(self, clips: Clips, frames: int, least: float) -> None:
        self.clips, self.frames, self.least = clips, frames, least
        self.labels = clips.labels

    def __len__(self) -> int:
        return len(self.clips)

    def draw(self, indices: NDArray[np.integer], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Joints (B, 3, T, V, M), labels (B,), seen frames (B,)."""
        ratio_B = rng.uniform(self.least, 1, len(indices))
        joints, seen_B = first_part(self.clips, indices, self.frames, ratio_B)
        return joints, torch.from_numpy(self.labels[indices]), seen_B


def _whole_frames(length: NDArray[np.integer] | int, ratio_B: F64) -> NDArray[np.int64]:
    """How many whole frames a share of `length` holds, at least one. (30 % of 10 are 3, whatever floats make of it.)"""
    return np.maximum(np.floor(length * ratio_B + 1e-9), 1).astype(np.int64)
