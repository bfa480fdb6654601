"""Features of a frozen encoder, computed once and kept in memory: what linear, retrieval and few-shot look at.

The paper's linear protocol sends a new random crop of each clip through the frozen encoder in every epoch. Here each
clip is seen whole and in a few random crops, drawn once: the encoder runs a few times instead of 160.
Shapes: R view, N clip, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..clips import Clips
from ..device import device_of, encoded, training_device
from ..pretrained import Pretrained

_BATCH = 128
_Read = Callable[[NDArray[np.int64]], Tensor]


def whole_features(pretrained: Pretrained, clips: Clips, device: torch.device | None = None) -> Tensor:
    """The representation (N, 2H) of whole clips, on the CPU; computed on `device` (default: `training_device()`)."""
    frames = pretrained.encoder.config.frames
    return _features(pretrained.on(device or training_device()), len(clips), lambda some: clips.whole(some, frames))


def view_features(pretrained: Pretrained, clips: Clips, crops: int, seed: int) -> Tensor:
    """The representations (1 + crops, N, 2H) of each whole clip and of random crops of it (0.1 to 1, USDRL's)."""
    pretrained, frames = pretrained.on(training_device()), pretrained.encoder.config.frames

    def cropped(crop: int) -> _Read:
        return lambda some: clips.cropped(some, frames, np.random.default_rng((seed, crop, int(some[0]))))

    crop_features = [_features(pretrained, len(clips), cropped(crop)) for crop in range(crops)]
    return torch.stack([whole_features(pretrained, clips), *crop_features])


def _features(pretrained: Pretrained, clips: int, read: _Read) -> Tensor:
    # Not inference_mode: what comes of it could not be learnt from.
    device, parts = device_of(pretrained.encoder), []
    with torch.no_grad():
        for start in range(0, clips, _BATCH):
            joints_BCTVM = read(np.arange(start, min(start + _BATCH, clips))).to(device)
            parts.append(encoded(pretrained.encoder.clip, "auto", pretrained.prepared(joints_BCTVM)).cpu())
    return torch.cat(parts)
