"""`skelstream bench base`: a bundle of the paper's size to measure engines on, where none is shipped.

Its encoder is random: an engine computes the same products, whatever their numbers. Its head is trained on what this
encoder says of real people, because an engine is judged by class probabilities: were they all alike, no rounding could
move them, and the judgement would mean nothing.

Shapes: W window, C coordinate, T frame, V joint, M person, N frame that counts, F feature, K class.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..encoder.config import DSTEConfig
from ..encoder.detector import Detector
from ..encoder.export import save_bundle
from ..encoder.folded import Folded, fold
from ..encoder.representer import Representer
from ..train.pretrained import Pretrained, random_encoder
from ..train.probes import Exact, Probe, fit_probe
from ..train.vocabulary import CLASSES, IGNORE
from .real_windows import labelled_windows, real_windows
from .said import say

_BATCH = 32
_EVERY = 8  # frames: neighbours are nearly the same, and teach the head no more than one of them
_L2 = 1.0  # of the head: a random encoder tells little, and what is made of less is noise, int8's not least
_CALIBRATING = 192  # windows; a large model's calibration takes as long as they are many


def random_base(stores: Sequence[Path], out: Path, hidden: int, windows: int, seed: int) -> int:
    """See `skelstream bench base`. Raises ValueError if the stores lack training or test people."""
    if windows < 1:
        raise ValueError(f"--windows must be at least 1, not {windows}")
    train = labelled_windows(stores, ("train",), windows, seed)
    test = labelled_windows(stores, ("test",), max(1, windows // 4), seed)
    calibrating = real_windows(stores, ("train", "val"), _CALIBRATING, seed)
    drawn = random_encoder(DSTEConfig(hidden=hidden), seed)
    features = fold(_representer(drawn))
    features_NF, labels_N = _counted(features, *train)
    head = fit_probe(features_NF[None, ::_EVERY], labels_N[::_EVERY], len(CLASSES), Exact(l2=_L2))
    told = _told(head, *_counted(features, *test))
    say(f"the head on test people: {told['frame_accuracy']:.3f} of their frames right, {told['confidence']:.3f} sure")
    provenance = {
        "purpose": "to measure engines on, not to use: a random encoder, with a head trained on what it gives",
        "seed": seed, "stores": [store.name for store in stores], "windows": windows,
        "made": datetime.date.today().isoformat(),
    }  # fmt: skip
    bundle = save_bundle(
        _detector(drawn, head), out / "bundle", metrics={"test": told}, provenance=provenance,
        windows_WCTVM=calibrating, say=say,
    )  # fmt: skip
    say(f"{bundle.directory}")
    return 0


def _counted(
    features: Folded, joints_WCTVM: NDArray[np.float32], labels_WT: NDArray[np.int64]
) -> tuple[Tensor, Tensor]:
    """The features (N, F) and the classes (N,) of those frames of windows that count."""
    parts = []
    for start in range(0, len(joints_WCTVM), _BATCH):
        say(f"step {min(start + _BATCH, len(joints_WCTVM))}/{len(joints_WCTVM)}  windows through the encoder")
        with torch.no_grad():
            parts.append(features(torch.from_numpy(joints_WCTVM[start : start + _BATCH])))
    labels_N = torch.from_numpy(labels_WT).flatten()
    counts_N = labels_N != IGNORE
    return torch.cat(parts).flatten(0, 1)[counts_N], labels_N[counts_N]


def _told(head: Probe, features_NF: Tensor, labels_N: Tensor) -> dict[str, float]:
    """How many frames the head names as they are, and how sure it is of what it says."""
    likeliest = head(features_NF).softmax(dim=-1).max(dim=-1)
    right = likeliest.indices == labels_N
    return {"frame_accuracy": float(right.float().mean()), "confidence": float(likeliest.values.mean())}


def _representer(drawn: Pretrained) -> Representer:
    config = drawn.encoder.config
    assert isinstance(config, DSTEConfig)
    representer = Representer(
        Representer.Config(encoder=config, modality=drawn.modality, normalisation=drawn.normalisation)
    )
    representer.encoder.load_state_dict(drawn.encoder.state_dict())
    return representer.eval()


def _detector(drawn: Pretrained, head: Probe) -> Detector:
    config = drawn.encoder.config
    assert isinstance(config, DSTEConfig)
    detector = Detector(
        Detector.Config(encoder=config, classes=CLASSES, modality=drawn.modality, normalisation=drawn.normalisation)
    )
    detector.encoder.load_state_dict(drawn.encoder.state_dict())
    with torch.no_grad():
        detector.head.weight.copy_(head.weight_FK.T)
        detector.head.bias.copy_(head.bias_K)
    return detector.eval()
