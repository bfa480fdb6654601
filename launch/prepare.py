"""`skelstream data prepare` and `skelstream data draw`: raw data to stores, stores to what a camera makes of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

from ..stream.pose_model import Variant
from ..train.datasets import FILES_READERS, READERS, Reader
from ..train.preparation import FilesReader, Job, Runner, in_processes, prepare_files
from ..train.splits import part_of
from ..train.store import Store, write_store
from .acted import ACTED


def prepare(dataset: str, raw: Path, store: Path, processes: int = 1, ray: str = "") -> int:
    """Write the store of a data set; a set of many files is read by so many `processes`, and goes on where it stopped.

    With `ray`, the address of a cluster ("auto", "host:port"; "local" for one that is started here and stopped at the
    end), its nodes read, and `processes` does not matter.
    Raises ValueError if there is no reader for the set, nothing to read, or no cluster that sees both folders.
    """
    if ray:
        raw, store = raw.absolute(), store.absolute()  # other nodes work in other folders
    if dataset in FILES_READERS:
        with _runner(dataset, raw, store, processes, ray) as run:
            written = _prepare_files(FILES_READERS[dataset], dataset, raw, store, run)
    elif ray:
        written = _prepare_elsewhere(dataset, raw, store, ray)
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


@contextmanager
def _runner(dataset: str, raw: Path, store: Path, processes: int, ray: str) -> Iterator[Runner]:
    """Who does the work: processes of this machine, or a cluster as long as this lasts."""
    if processes < 1:
        raise ValueError(f"{processes} processes read nothing; give 1 or more")
    if store.exists():
        raise ValueError(f"{store} exists already; remove it to prepare {dataset} again")
    if not ray:
        yield in_processes(processes)
        return
    try:
        from ..train.cluster.check import require_same_view
        from ..train.cluster.connect import connected
        from ..train.cluster.preparation import on_cluster
    except ModuleNotFoundError as missing:
        raise ValueError(
            f"a cluster needs {missing.name}; install the extra `train`: pip install 'skelstream[train]'"
        ) from missing
    with connected("" if ray == "local" else ray):
        require_same_view([] if dataset in ACTED else [raw], str(store.parent))
        yield on_cluster


def _prepare_files(reader: FilesReader, dataset: str, raw: Path, store: Path, run: Runner) -> Store:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
    task = bar.add_task(f"preparing {dataset}", total=None)

    def progress(done: int, total: int) -> None:
        bar.start()  # only now, so that a wrong request is answered with its one line
        bar.update(task, completed=done, total=total)

    try:
        return prepare_files(store, reader, raw, dataset=dataset, run=run, progress=progress)
    finally:
        if bar.live.is_started:
            bar.stop()


def _prepare_elsewhere(dataset: str, raw: Path, store: Path, ray: str) -> Store:
    """A set that one process reads from end to end: any node of the cluster does it."""
    _reader(dataset)  # before a cluster is asked for anything
    with _runner(dataset, raw, store, 1, ray) as run:
        store.parent.mkdir(parents=True, exist_ok=True)
        # The nodes may try more than once; whatever they leave behind goes with the folder.
        folder = TemporaryDirectory(prefix=f".{store.name}.", dir=store.parent, ignore_cleanup_errors=True)
        with folder, Console(stderr=True).status(f"preparing {dataset} on a node of the cluster"):
            place = Path(folder.name) / store.name
            for _ in run([Job(what=dataset, files=1, place=place, write=partial(_prepare_one_by_one, dataset, raw))]):
                place.rename(store)
    return Store(store)


def _reader(dataset: str) -> Reader:
    readers = READERS | ACTED
    if dataset not in readers:
        known = ", ".join((*READERS, *FILES_READERS))
        raise ValueError(f"no reader for data set {dataset!r}; there are {known} and {', '.join(ACTED)}")
    return readers[dataset]


def _prepare_one_by_one(dataset: str, raw: Path, store: Path) -> Store:
    reader = _reader(dataset)
    recordings = reader.read(raw)
    first = next(recordings, None)  # before the bar, so that a wrong request is answered with its one line
    if first is None:
        raise ValueError(f"{raw} holds no recording of {dataset} that shows somebody")
    return write_store(
        store, track(chain([first], recordings), description=f"preparing {dataset}", console=Console(stderr=True)),
        dataset=dataset, classes=reader.classes, licence=reader.licence, source="recorded",
    )  # fmt: skip


def draw(
    source: Path, out: Path, pose: Variant, part: Literal["train", "val", "test", "all"], every: int, stride: int,
    seed: int, people: int, processes: int,
) -> int:  # fmt: skip
    """Write the store of what MediaPipe sees of a store's drawn recordings."""
    from .extract import draw_and_extract

    store = Store(source)
    subjects = None
    if part != "all":
        subjects = frozenset(e.subject for e in store.entries if part_of(store.dataset, e.subject) == part)
    drawn = draw_and_extract(
        source,
        out,
        variant=pose,
        subjects=subjects,
        every=every,
        stride=stride,
        seed=seed,
        people=people,
        processes=processes,
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
