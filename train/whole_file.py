"""A file that appears whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..encoder.full_disk import needing_room


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it takes the place of `path` if nothing was raised.

    Raises `DiskFull`. What is there afterwards is on the disk, should the power go.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with needing_room(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write text to a file, whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text)


def append_whole(path: Path, text: str) -> None:
    """Add text to the end of a file, whole or not at all. Raises `DiskFull`."""
    with needing_room(path), path.open("ab", buffering=0) as file:
        size, rest = file.tell(), text.encode()
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(size)
            raise
