"""`skelstream anchors`: what a model's training people look like to its encoder, so that it can be taught.

    skelstream anchors small --stores STORES/utkinect STORES/kinder_gator ...

Of every class as many frames are drawn, of the background as many as of all actions together; blends between clips and
movements that mean nothing in the vocabulary are left out. The other people of a set (`train/splits.py`) stay unseen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from ..encoder.anchors import Anchors
from ..encoder.bundle import Bundle
from ..encoder.engine.compile import compile_engine
from ..stream.window import cut_offline
from ..train.store import Store
from ..train.streams import streams_of
from .said import say

_OF_EACH = 110  # frames of each action
_AGE = 4  # of the window's frames the one so many before the newest: that which a decision is about
_BATCH = 32


def make_anchors(model: str, stores: list[Path], of_each: int = _OF_EACH, seed: int = 0) -> int:
    """Write them into the bundle. Raises ValueError if the stores hold too few training people's frames."""
    bundle = Bundle.load_live(model)
    opened = [Store(path) for path in stores]
    streams = streams_of(opened, ("train",))
    places: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, stream in enumerate(streams):
        for end in range(20, len(stream.labels)):
            places[int(stream.labels[end - _AGE])].append((number, end))
    places.pop(-1, None)
    if not places or len(places[0]) < of_each:
        raise ValueError("the stores hold too few frames of training people; give those that the model was trained on")
    rng = np.random.default_rng(seed)
    chosen: list[tuple[int, int, int]] = []
    for label, of_label in sorted(places.items()):
        count = of_each * (len(bundle.config.classes) - 1) if label == 0 else of_each
        picks = rng.permutation(len(of_label))[:count]
        chosen += [(label, *of_label[pick]) for pick in picks]
    engine = compile_engine(bundle, "openvino", precision="fp32", frames=_AGE + 1, features=True)
    answers = [
        engine.infer(np.stack([cut_offline(streams[s].joints, end) for _, s, end in chosen[i : i + _BATCH]]))[:, 0]
        for i in range(0, len(chosen), _BATCH)
    ]
    engine.close()
    features_NW = np.concatenate(answers)[:, len(bundle.config.classes) :]
    labels_N = np.array([label for label, _, _ in chosen], np.int16)
    used = Counter((streams[s].dataset, streams[s].source) for _, s, _ in chosen)
    licences = {(store.dataset, store.source): store.licence for store in opened}
    sources = tuple(f"{name} ({source}), {n} frames: {licences[name, source]}" for (name, source), n in used.items())
    path = Anchors(features_NW=features_NW, labels_N=labels_N, sources=sources).save(bundle)
    say(f"{path}: {len(labels_N)} frames of {len(places)} classes, {path.stat().st_size / 1e6:.1f} MB")
    return 0
