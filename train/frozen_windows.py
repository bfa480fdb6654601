"""What a head alone is trained on: a frozen encoder's features of windows, computed once.

A frozen encoder says the same of a window in every epoch. So each window goes through it `draws` times before the first
step, moved, stretched and varied anew each time, and what comes out lies in a memory-mapped file of float16 in the
run's folder until the head is trained: memory does not grow with the set.
Shapes: N window, B chosen window, T frame, H feature.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .device import device_of, training_device
from .fine_tune_frames import FrameModel, FrameTraining, Say, varied
from .windows import Windows

_BATCH = 64


class FrozenWindows:
    """Features (B, T, H) in place of joints, and the labels and boundaries that belong to them."""

    def __init__(self, features_DNTH: NDArray[np.float16], labels_DNT: Tensor, boundaries_DNT2: Tensor) -> None:
        self._features, self._labels, self._boundaries = features_DNTH, labels_DNT, boundaries_DNT2

    def __len__(self) -> int:
        return len(self._labels[0])

    def draw(self, indices: NDArray[np.integer], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, T, H), labels (B, T) and boundaries (B, T, 2) of one draw of each of these windows."""
        draws = rng.integers(len(self._features), size=len(indices))
        features_BTH = torch.from_numpy(self._features[draws, indices].astype(np.float32))
        return features_BTH, self._labels[draws, indices], self._boundaries[draws, indices]


@contextmanager
def frozen_windows(
    model: FrameModel, windows: Windows, config: FrameTraining, folder: Path, say: Say
) -> Iterator[FrozenWindows]:
    """The windows' features in a file in `folder`, which is gone afterwards.

    Raises ValueError if the disk has no room for them.
    """
    frames, width = model.shape[1], model.encoder.config.dense_width
    shape = (config.draws, len(windows), frames, width)
    needed, free = 2 * int(np.prod(shape)), shutil.disk_usage(folder).free
    if needed > 0.9 * free:
        raise ValueError(
            f"the features of {len(windows)} windows take {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB "
            "left; start windows further apart (--train-hop) or put --out on another disk"
        )
    with tempfile.TemporaryDirectory(dir=folder, prefix="features-") as scratch:
        features = np.lib.format.open_memmap(Path(scratch) / "features.npy", mode="w+", dtype=np.float16, shape=shape)
        say(f"features of {len(windows)} windows, {config.draws} of each")
        targets = [_draw(model, windows, config, number, features[number]) for number in range(config.draws)]
        labels, boundaries = (torch.stack(each) for each in zip(*targets, strict=True))
        yield FrozenWindows(features, labels, boundaries)


@torch.no_grad()
def _draw(
    model: FrameModel, windows: Windows, config: FrameTraining, number: int, features_NTH: NDArray[np.float16]
) -> tuple[Tensor, Tensor]:
    """One draw of every window: its features go where they belong; its labels and boundaries."""
    model.to(training_device()).eval()
    labels, boundaries = [], []
    for start in range(0, len(windows), _BATCH):
        some = np.arange(start, min(start + _BATCH, len(windows)))
        joints, *targets = windows.draw(some, np.random.default_rng((config.seed, number, start)))
        if config.vary:
            seed = (config.seed * 1_000_003 + number) * 1_000_003 + start
            joints = varied(joints, torch.Generator().manual_seed(seed))
        features_NTH[some] = model(model.prepared(joints.to(device_of(model)))).cpu().numpy()
        labels.append(targets[0])
        boundaries.append(targets[1])
    return torch.cat(labels), torch.cat(boundaries)
