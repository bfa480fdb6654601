"""The store: a prepared data set as one memory-mapped array of frames and an index, written once.

    frames.npy   (N, M, V, 3) float32, metres, all recordings end to end on the 30 Hz clock; an absent person is zero
    labels.npy   (N,) int16, the data set's own classes
    index.json   data set, classes, licence, layout of the V joints, which files could not be read, and for each
                 recording: name, subject, view, setup, trimmed, start, length, segments

Opening a store reads the index alone; memory does not grow with the frames, neither in reading nor in writing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import LAYOUTS, NTU25
from .recording import Recording, Segment

PEOPLE = 2


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One recording in a store: frames `start` to `start + length`.

    `view` is the camera, `setup` whatever else the protocols divide by; `segments` (class, first, last) count frames
    from the recording's start, both inclusive, and may overlap.
    """

    name: str
    subject: str
    view: str
    trimmed: bool
    start: int
    length: int
    setup: str = ""
    segments: tuple[Segment, ...] = ()


class Store:
    """A prepared data set, opened for reading.

    `layout` names the V joints ("ntu25" or "coco17"); `skipped` names the files that could not be read and why,
    `mended` the recordings in which the reader put something right and what.
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
        self.layout: str = index.get("layout", NTU25.name)
        self.skipped: dict[str, str] = index.get("skipped", {})
        self.mended: dict[str, str] = index.get("mended", {})
        self.entries = tuple(_entry(entry) for entry in index["recordings"])
        self.frames: NDArray[np.float32] = np.load(path / "frames.npy", mmap_mode="r", allow_pickle=False)
        self.labels: NDArray[np.int16] = np.load(path / "labels.npy", mmap_mode="r", allow_pickle=False)
        total = sum(entry.length for entry in self.entries)
        if self.frames.shape != _shape(total, self.layout) or self.labels.shape != (total,):
            raise ValueError(
                f"{path}: frames {self.frames.shape} do not fit the index ({total} frames of {self.layout}); "
                f"prepare it again"
            )

    def joints(self, entry: Entry) -> NDArray[np.float32]:
        """The joints (T, M, V, 3) of one recording."""
        return self.frames[entry.start : entry.start + entry.length]

    def frame_labels(self, entry: Entry) -> NDArray[np.int16]:
        """The native labels (T,) of one recording; where segments overlap, that of the later start."""
        return self.labels[entry.start : entry.start + entry.length]


def write_store(
    path: Path, recordings: Iterable[Recording], *, dataset: str, classes: tuple[str, ...], licence: str, source: str
) -> Store:
    """Write recordings, resampled to 30 Hz, to a new store; it appears whole or not at all.

    `source` says how the joints came about: "recorded", or the pose model that they were extracted with.
    Raises ValueError if `path` exists, or the recordings differ in layout.
    """
    with StoreWriter(path, dataset=dataset, classes=classes, licence=licence, source=source) as writer:
        for recording in recordings:
            writer.add(recording)
    return Store(path)


class StoreWriter:
    """Writes a store frame by frame. A context manager: the store appears when it is left, if nothing was raised.

    Raises ValueError if `path` exists. `skipped` may be filled in with file names and why they could not be read.
    """

    def __init__(self, path: Path, *, dataset: str, classes: Sequence[str], licence: str, source: str) -> None:
        if path.exists():
            raise ValueError(f"{path} exists already; remove it to prepare {dataset} again")
        self.path = path
        self.skipped: dict[str, str] = {}
        self._about = {"dataset": dataset, "classes": tuple(classes), "licence": licence, "source": source, "hz": 30}
        self._layout = ""
        self._entries: list[Entry] = []
        self._mended: dict[str, str] = {}
        self._total = 0
        self._unfinished = path.with_name(f".{path.name}.{os.getpid()}")

    def add(self, recording: Recording) -> None:
        """Append one recording, resampled to 30 Hz. ValueError if its layout is not that of the others."""
        joints, labels = recording.at_30_hz()
        people = np.zeros(_shape(len(joints), recording.layout), np.float32)
        people[:, : joints.shape[1]] = joints[:, :PEOPLE]
        entry = Entry(
            name=recording.name, subject=recording.subject, view=recording.view, setup=recording.setup,
            trimmed=recording.trimmed, start=self._total, length=len(people), segments=recording.segments_at_30_hz(),
        )  # fmt: skip
        self._append(entry, recording.layout, people, labels)
        if recording.mended:
            self._mended[recording.name] = recording.mended

    def add_store(self, store: Store) -> None:
        """Append everything that another store holds, as it is."""
        for entry in store.entries:
            moved = Entry(**{**vars(entry), "start": self._total})
            self._append(moved, store.layout, store.joints(entry), store.frame_labels(entry))
        self.skipped |= store.skipped
        self._mended |= store.mended

    def _append(self, entry: Entry, layout: str, joints: NDArray[np.float32], labels: NDArray[np.int16]) -> None:
        if self._layout and layout != self._layout:
            raise ValueError(f"{entry.name} has {layout} joints, the recordings before it {self._layout}")
        self._layout = layout
        self._frames.write(joints.tobytes())
        self._labels.write(labels.astype(np.int16).tobytes())
        self._entries.append(entry)
        self._total += entry.length

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._unfinished, ignore_errors=True)  # of a killed process that had the same number
        self._unfinished.mkdir()
        self._frames = (self._unfinished / "frames.npy").open("wb")
        self._labels = (self._unfinished / "labels.npy").open("wb")
        # The headers need the length and the layout, which are known last: leave room for them.
        self._frames.write(bytes(_HEADER))
        self._labels.write(bytes(_HEADER))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._frames.close()
            self._labels.close()
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def _finish(self) -> None:
        layout = self._layout or NTU25.name
        _write_header(self._frames, "<f4", _shape(self._total, layout))
        _write_header(self._labels, "<i2", (self._total,))
        self._frames.close()
        self._labels.close()
        about = {**self._about, "layout": layout, "skipped": self.skipped, "mended": self._mended}
        with (self._unfinished / "index.json").open("w") as file:
            file.write(json.dumps(about, indent=1).removesuffix("\n}") + ',\n "recordings": [')
            for i, entry in enumerate(self._entries):  # one a line: readable, and never all in memory as text
                file.write(",\n  " if i else "\n  ")
                file.write(json.dumps(asdict(entry)))
            file.write("\n ]\n}\n")
        self._unfinished.rename(self.path)


_HEADER = 128  # bytes; numpy pads its own headers to a multiple of 64, and any of ours fits into 128


def _write_header(file: BinaryIO, kind: str, shape: tuple[int, ...]) -> None:
    """Write the .npy header (format 1.0) into the room left for it at the file's start."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    room = _HEADER - 10  # after the magic string, the version and the header's length
    assert len(text) < room
    file.seek(0)
    file.write(np.lib.format.magic(1, 0) + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n")


def _shape(frames: int, layout: str) -> tuple[int, ...]:
    if layout not in LAYOUTS:
        raise ValueError(f"there is no layout {layout!r}; there are {', '.join(LAYOUTS)}")
    return frames, PEOPLE, len(LAYOUTS[layout]), 3


def _entry(told: dict[str, Any]) -> Entry:
    """An entry as index.json has it; older stores have neither setup nor segments."""
    segments = tuple((int(kind), int(first), int(last)) for kind, first, last in told.get("segments", ()))
    return Entry(**{**told, "segments": segments})
