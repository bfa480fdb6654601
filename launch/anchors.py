"""`skelstream anchors`: what a model's training people look like to its encoder, so that it can be taught.

    skelstream anchors small --stores STORES/utkinect STORES/kinder_gator ...

Of every class as many frames are drawn, of the background as many as of all actions together; blends between clips and
movements that mean nothing in the vocabulary are left out. The other people of a set (`train/splits.py`) stay unseen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..encoder.anchors import Anchors
from ..encoder.bundle import Bundle
from ..encoder.engine.compile import compile_engine
from ..stream.window import cut_offline
from ..train.store import Store
from ..train.streams import Stream, streams_of
from .said import say

_OF_EACH = 110  # frames of each action
_AGE = 4  # of the window's frames the one so many before the newest: that which a decision is about
_BATCH = 32


def make_anchors(model: str, stores: list[Path], of_each: int = _OF_EACH, seed: int = 0) -> int:
    """Write them into the bundle. Raises ValueError if the stores hold too few training people's frames."""
    bundle = Bundle.load_live(model)
    opened = [Store(path) for path in stores]
    streams = streams_of(opened, ("train",))
    chosen = anchor_windows(streams, len(bundle.config.classes), of_each, np.random.default_rng(seed))
    engine = compile_engine(bundle, "openvino", precision="fp32", frames=_AGE + 1, features=True)
    answers, labels = [], []
    for windows_BCTVM, labels_B in chosen():
        answers.append(engine.infer(windows_BCTVM)[:, 0])
        labels.append(labels_B)
    engine.close()
    features_NW = np.concatenate(answers)[:, len(bundle.config.classes) :]
    labels_N = np.concatenate(labels)
    sources = tuple(f"{store.dataset} ({store.source}): {store.licence}" for store in opened)
    path = Anchors(features_NW=features_NW, labels_N=labels_N, sources=sources).save(bundle)
    say(f"{path}: {len(labels_N)} frames of {len(set(labels_N.tolist()))} classes, {path.stat().st_size / 1e6:.1f} MB")
    return 0


def anchor_windows(
    streams: Sequence[Stream], classes: int, of_each: int, rng: np.random.Generator
) -> Callable[[], Iterator[tuple[NDArray[np.float32], NDArray[np.int16]]]]:
    """Batches of windows, and the class of the frame in each that is `_AGE` before its newest; the same at every call.

    Raises ValueError if there is too little in the streams.
    """
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, stream in enumerate(streams):
        for end in range(20, len(stream.labels)):
            places[int(stream.labels[end - _AGE])].append((number, end))
    places.pop(-1, None)
    if len(places.get(0, ())) < of_each:
        raise ValueError("the stores hold too few frames of training people; give those that the model was trained on")
    chosen: list[tuple[int, int, int]] = []
    for label, of_label in sorted(places.items()):
        count = of_each * (classes - 1) if label == 0 else of_each
        chosen += [(label, *of_label[pick]) for pick in rng.permutation(len(of_label))[:count]]

    def batches() -> Iterator[tuple[NDArray[np.float32], NDArray[np.int16]]]:
        for i in range(0, len(chosen), _BATCH):
            some = chosen[i : i + _BATCH]
            windows = [cut_offline(streams[number].joints, end) for _, number, end in some]
            yield np.stack(windows), np.array([label for label, _, _ in some], np.int16)

    return batches
