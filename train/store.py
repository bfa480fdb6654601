"""The store: a prepared data set as one memory-mapped array of frames and an index, written once.

    frames.npy   (N, M, 25, 3) float32, metres, all recordings end to end on the 30 Hz clock; an absent person is zero
    labels.npy   (N,) int16, the data set's own classes
    index.json   data set, classes, licence, and for each recording: name, subject, view, trimmed, start, length

Opening a store reads the index alone; memory does not grow with its size.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .recording import Recording

PEOPLE = 2


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One recording in a store: frames `start` to `start + length`."""

    name: str
    subject: str
    view: str
    trimmed: bool
    start: int
    length: int


class Store:
    """A prepared data set, opened for reading.

    Raises ValueError if the folder is no store, or its arrays do not fit its index.
    """

    def __init__(self, path: Path) -> None:
        index_path = path / "index.json"
        if not index_path.is_file():
            raise ValueError(f"{path} is no store; make one with `skelstream data prepare NAME RAW {path}`")
        index: dict[str, Any] = json.loads(index_path.read_text())
        self.path = path
        self.dataset: str = index["dataset"]
        self.classes: tuple[str, ...] = tuple(index["classes"])
        self.licence: str = index["licence"]
        self.source: str = index["source"]
        self.entries = tuple(Entry(**entry) for entry in index["recordings"])
        self.frames: NDArray[np.float32] = np.load(path / "frames.npy", mmap_mode="r", allow_pickle=False)
        self.labels: NDArray[np.int16] = np.load(path / "labels.npy", mmap_mode="r", allow_pickle=False)
        total = sum(entry.length for entry in self.entries)
        if self.frames.shape != (total, PEOPLE, 25, 3) or self.labels.shape != (total,):
            raise ValueError(
                f"{path}: frames {self.frames.shape} do not fit the index ({total} frames); prepare it again"
            )

    def joints(self, entry: Entry) -> NDArray[np.float32]:
        """The joints (T, M, 25, 3) of one recording."""
        return self.frames[entry.start : entry.start + entry.length]

    def frame_labels(self, entry: Entry) -> NDArray[np.int16]:
        """The native labels (T,) of one recording."""
        return self.labels[entry.start : entry.start + entry.length]


def write_store(
    path: Path, recordings: Iterable[Recording], *, dataset: str, classes: tuple[str, ...], licence: str, source: str
) -> Store:
    """Write recordings, resampled to 30 Hz, to a new store; it appears whole or not at all.

    `source` says how the joints came about: "recorded", or the pose model that they were extracted with.
    Raises ValueError if `path` exists.
    """
    if path.exists():
        raise ValueError(f"{path} exists already; remove it to prepare {dataset} again")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.mkdir()
    try:
        entries, labels, start = [], [], 0
        # The .npy header needs the length, which is known last: frames go to a raw file first.
        with (unfinished / "frames.raw").open("wb") as raw:
            for recording in recordings:
                joints, native = recording.at_30_hz()
                people = np.zeros((len(joints), PEOPLE, 25, 3), np.float32)
                people[:, : joints.shape[1]] = joints[:, :PEOPLE]
                raw.write(people.tobytes())
                labels.append(native)
                entries.append(
                    Entry(name=recording.name, subject=recording.subject, view=recording.view,
                          trimmed=recording.trimmed, start=start, length=len(joints))
                )  # fmt: skip
                start += len(joints)
        frames = np.lib.format.open_memmap(
            unfinished / "frames.npy", mode="w+", dtype=np.float32, shape=(start, PEOPLE, 25, 3)
        )
        if start:
            frames[:] = np.memmap(unfinished / "frames.raw", np.float32, "r", shape=frames.shape)
        frames.flush()
        (unfinished / "frames.raw").unlink()
        np.save(unfinished / "labels.npy", np.concatenate(labels) if labels else np.zeros(0, np.int16))
        index = {
            "dataset": dataset, "classes": classes, "licence": licence, "source": source, "hz": 30,
            "recordings": [asdict(entry) for entry in entries],
        }  # fmt: skip
        (unfinished / "index.json").write_text(json.dumps(index, indent=1))
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Store(path)
