"""Preparing a set of many files: in parallel, going on where it was stopped, naming the files that cannot be read.

The files are taken in blocks of `BLOCK`. Each finished block is a small store of its own in `.NAME.unfinished/` beside
the store to be; when all are there they are put end to end in the order of the files, so the result does not depend on
who did the blocks or how often they were stopped: processes of this machine (`in_processes`), or a whole cluster
(`cluster.preparation.on_cluster`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from uuid import uuid4

from .recording import Recording
from .store import Store, StoreWriter
from .whole_file import write_whole

BLOCK = 64  # files: a second or two of work, which is what a kill can cost

Item = tuple[Path, ...]  # the files that belong to one recording; the first names it


@dataclass(frozen=True, kw_only=True)
class FilesReader:
    """How a set of many files is read.

    `items(folder)` lists what there is, in the order of the store, and raises ValueError if there is nothing;
    `read_item(item)` reads one, and raises ValueError or OSError if it cannot. Both are functions of a module, so that
    other processes find them. `licence` goes into every bundle that saw the set.
    """

    classes: tuple[str, ...]
    items: Callable[[Path], list[Item]]
    read_item: Callable[[Item], list[Recording]]
    licence: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """A store to be written at `place`, by `write(path)`; `files` says how many it deals with, `what` names them.

    It goes to other processes, so `write` is a function of a module or a `partial` of one.
    """

    what: str
    files: int
    place: Path
    write: Callable[[Path], object]


# Does jobs, in any order; yields how many files each has dealt with, as they end. Closing it gives up the others.
Runner = Callable[[Sequence[Job]], Generator[int, None, None]]


def do(job: Job, attempt: str) -> int:
    """Do one job; returns how many files it has dealt with. Two attempts at one job need different names.

    A cluster repeats what it believes to be lost, so two may be at it at once: each writes under its own name, and
    the first to end takes the place. The other's work, which is the same, is dropped.
    """
    if job.place.is_dir():
        return job.files
    mine = job.place.with_name(f".{job.place.name}.{attempt}")
    try:
        job.write(mine)
        try:
            mine.rename(job.place)
        except OSError:
            if not job.place.is_dir():
                raise
    finally:
        shutil.rmtree(mine, ignore_errors=True)
    return job.files


def prepare_files(
    path: Path,
    reader: FilesReader,
    raw: Path,
    *,
    dataset: str,
    run: Runner,
    progress: Callable[[int, int], None],
) -> Store:
    """Read all items under `raw` into a new store at `path`; `progress(done, total)` is told of every block.

    A file that cannot be read is left out and named in the store's `skipped`. Raises ValueError if `path` exists, if
    `raw` has nothing to read, if nothing of it can be read, or if another set's preparation was left unfinished there.
    """
    if path.exists():
        raise ValueError(f"{path} exists already; remove it to prepare {dataset} again")
    items = reader.items(raw)
    blocks = [items[i : i + BLOCK] for i in range(0, len(items), BLOCK)]
    unfinished = path.with_name(f".{path.name}.unfinished")
    _begin(unfinished, dataset, items)
    places = [unfinished / f"{number:06d}" for number in range(len(blocks))]
    # Listed, not asked for one by one: a network file system remembers for a while that a name did not exist.
    finished = set(unfinished.iterdir())
    jobs = [
        Job(
            what=f"{block[0][0].name} to {block[-1][0].name}", files=len(block), place=place,
            write=partial(_read_block, reader, dataset, raw, block),
        )
        for block, place in zip(blocks, places, strict=True) if place not in finished
    ]  # fmt: skip
    done = len(items) - sum(job.files for job in jobs)
    progress(done, len(items))
    with closing(run(jobs)) as counts:
        for count in counts:
            done += count
            progress(done, len(items))

    shards = [Store(place) for place in places]
    if not any(shard.entries for shard in shards):
        name, why = next((item for shard in shards for item in shard.skipped.items()), ("", "they hold no recording"))
        raise ValueError(f"none of the {len(items)} files of {dataset} could be read, for one {name}: {why}")
    with _writer(path, reader, dataset) as writer:
        for shard in shards:
            writer.add_store(shard)
    shutil.rmtree(unfinished, ignore_errors=True)  # an attempt that was given up may still be writing there
    return Store(path)


def _begin(unfinished: Path, dataset: str, items: Sequence[Item]) -> None:
    """Make the folder of finished blocks, or see that the one that is there is of the same files."""
    digest = hashlib.sha256(dataset.encode())
    for file in (file for item in items for file in item):
        about = file.stat()
        digest.update(f"{file.absolute()}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    told = unfinished / "files.json"
    mine = {"dataset": dataset, "block": BLOCK, "files": digest.hexdigest()}
    if told.is_file() and json.loads(told.read_text()) != mine:
        raise ValueError(f"{unfinished} holds the beginning of a preparation of other files; remove it")
    unfinished.mkdir(parents=True, exist_ok=True)
    write_whole(told, json.dumps(mine))


def in_processes(processes: int) -> Runner:
    """So many processes of this machine. A process that is killed ends the run; the same command goes on."""

    def run(jobs: Sequence[Job]) -> Generator[int, None, None]:
        names = [uuid4().hex for _ in jobs]
        if processes == 1 or len(jobs) < 2:
            yield from map(do, jobs, names)
            return
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
            futures = [pool.submit(do, job, name) for job, name in zip(jobs, names, strict=True)]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    return run


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _read_block(reader: FilesReader, dataset: str, raw: Path, items: Sequence[Item], path: Path) -> None:
    """Read the items of one block into a store of their own at `path`."""
    with _writer(path, reader, dataset) as writer:
        for item in items:
            try:
                recordings = reader.read_item(item)
            except (ValueError, OSError) as error:
                writer.skipped[str(item[0].relative_to(raw))] = str(error)
                continue
            for recording in recordings:
                writer.add(recording)


def _writer(path: Path, reader: FilesReader, dataset: str) -> StoreWriter:
    return StoreWriter(path, dataset=dataset, classes=reader.classes, licence=reader.licence, source="recorded")
