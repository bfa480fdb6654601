"""`skelstream data prepare` and `skelstream data draw`: raw data to stores, stores to what a camera makes of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

from ..stream.actor import Script
from ..stream.pose_model import Variant
from ..train.datasets import FILES_READERS, READERS
from ..train.preparation import FilesReader, prepare_files
from ..train.recording import Recording
from ..train.splits import part_of
from ..train.store import Store, write_store
from ..train.vocabulary import CLASSES

# The actor's scripts: seeds that the live actor (small numbers) does not play.
_ACTOR_SEEDS = {"train": range(1000, 1014), "val": range(2000, 2002), "test": range(3000, 3004)}
_ACTOR_S = 60.0
_ACTOR_HZ = 15.0  # his movements are smooth: interpolation to 30 Hz changes nothing


def prepare(dataset: str, raw: Path, store: Path, processes: int = 1) -> int:
    """Write the store of a data set; a set of many files is read by so many `processes`, and goes on where it stopped.

    Raises ValueError if there is no reader for it, or nothing to read.
    """
    if dataset in FILES_READERS:
        written = _prepare_files(FILES_READERS[dataset], dataset, raw, store, processes)
    else:
        written = _prepare_one_by_one(dataset, raw, store)
    for what, told in (("skipped", written.skipped), ("mended", written.mended)):
        for name, why in told.items():
            print(f"{what} {name}: {why}", file=sys.stderr)
        if told:
            print(f"{what}: {len(told)}", file=sys.stderr)
    people = len({entry.subject for entry in written.entries})
    print(
        f"{store}: {len(written.entries)} recordings of {people} people, {len(written.frames)} frames", file=sys.stderr
    )
    return 0


def _prepare_files(reader: FilesReader, dataset: str, raw: Path, store: Path, processes: int) -> Store:
    if processes < 1:
        raise ValueError(f"{processes} processes read nothing; give 1 or more")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
    task = bar.add_task(f"preparing {dataset}", total=None)

    def progress(done: int, total: int) -> None:
        bar.start()  # only now, so that a wrong request is answered with its one line
        bar.update(task, completed=done, total=total)

    try:
        return prepare_files(store, reader, raw, dataset=dataset, processes=processes, progress=progress)
    finally:
        if bar.live.is_started:
            bar.stop()


def _prepare_one_by_one(dataset: str, raw: Path, store: Path) -> Store:
    if dataset == "actor":
        recordings, classes, licence = _actor(), CLASSES, "Apache-2.0 (our own choreography)"
    elif dataset in READERS:
        reader = READERS[dataset]
        recordings, classes, licence = reader.read(raw), reader.classes, reader.licence
    else:
        known = ", ".join((*READERS, *FILES_READERS))
        raise ValueError(f"no reader for data set {dataset!r}; there are {known} and actor")
    first = next(recordings, None)  # before the bar, so that a wrong request is answered with its one line
    if first is None:
        raise ValueError(f"{raw} holds no recording of {dataset} that shows somebody")
    return write_store(
        store, track(chain([first], recordings), description=f"preparing {dataset}", console=Console(stderr=True)),
        dataset=dataset, classes=classes, licence=licence, source="recorded",
    )  # fmt: skip


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
