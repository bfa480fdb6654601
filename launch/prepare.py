"""`skelstream data prepare` and `skelstream data draw`: raw data to stores, stores to what a camera makes of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from rich.progress import track as progress

from ..stream.actor import Script
from ..stream.pose_model import Variant
from ..train.datasets import READERS
from ..train.recording import Recording
from ..train.splits import part_of
from ..train.store import Store, write_store
from ..train.vocabulary import CLASSES

# The actor's scripts: seeds that the live actor (small numbers) does not play.
_ACTOR_SEEDS = {"train": range(1000, 1014), "val": range(2000, 2002), "test": range(3000, 3004)}
_ACTOR_S = 60.0
_ACTOR_HZ = 15.0  # his movements are smooth: interpolation to 30 Hz changes nothing


def prepare(dataset: str, raw: Path, store: Path) -> int:
    """Write the store of a data set. Raises ValueError if there is no reader for it, or nothing to read."""
    if dataset == "actor":
        recordings, classes, licence = _actor(), CLASSES, "Apache-2.0 (our own choreography)"
    elif dataset in READERS:
        reader = READERS[dataset]
        recordings, classes, licence = reader.read(raw), reader.classes, reader.licence
    else:
        raise ValueError(f"no reader for data set {dataset!r}; there are {', '.join(READERS)} and actor")
    written = write_store(
        store, progress(recordings, description=f"preparing {dataset}"), dataset=dataset, classes=classes,
        licence=licence, source="recorded",
    )  # fmt: skip
    people = len({entry.subject for entry in written.entries})
    print(
        f"{store}: {len(written.entries)} recordings of {people} people, {len(written.frames)} frames", file=sys.stderr
    )
    return 0


def draw(
    source: Path, out: Path, pose: Variant, part: Literal["train", "val", "test", "all"], every: int, stride: int,
    seed: int, processes: int,
) -> int:  # fmt: skip
    """Write the store of what MediaPipe sees of a store's drawn recordings."""
    from .extract import draw_and_extract

    store = Store(source)
    subjects = None
    if part != "all":
        subjects = frozenset(e.subject for e in store.entries if part_of(store.dataset, e.subject) == part)
    drawn = draw_and_extract(
        source, out, variant=pose, subjects=subjects, every=every, stride=stride, seed=seed, processes=processes
    )
    print(
        f"{out}: {drawn.seen} of {drawn.frames} drawn frames seen ({drawn.seen / max(drawn.frames, 1):.2%})",
        file=sys.stderr,
    )
    if drawn.left_out:
        print(
            f"left out, seen too little: {len(drawn.left_out)} ({', '.join(drawn.left_out[:5])} ...)", file=sys.stderr
        )
    return 0


def _actor() -> Iterator[Recording]:
    """The actor's scripts as recordings, each part with seeds of its own."""
    for part, seeds in _ACTOR_SEEDS.items():
        for seed in seeds:
            script = Script(seed=seed, duration_s=_ACTOR_S)
            times_s = np.arange(int(_ACTOR_S * _ACTOR_HZ)) / _ACTOR_HZ
            yield Recording(
                name=f"actor/{seed}", subject=f"actor/{part}", view="", trimmed=False, times_s=times_s,
                joints=np.stack([script.pose(t) for t in times_s])[:, None],
                labels=np.array([CLASSES.index(script.truth(t)) for t in times_s], np.int16),
            )  # fmt: skip
