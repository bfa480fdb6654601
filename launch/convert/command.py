"""`skelstream convert`: a recording in another format, chosen by the name of the file that is to be written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Protocol

from ...encoder.bundle import Bundle
from ...stream.record import read_recording
from ...stream.wire import AnyMessage, Taught
from ...train.whole_file import whole_file
from .story import Story
from .to_csv import EventsTable, FramesTable
from .to_elan import ElanDocument
from .to_mcap import McapFile
from .to_rerun import RerunFile

_SOON = 10_000  # messages


class Writer(Protocol):
    """A file that is being written."""

    def take(self, message: AnyMessage, when: float) -> None:
        """A message, after the story was told of it, and when that was (Unix seconds)."""

    def close(self) -> None:
        """That was all."""


def convert(recording: Path, out: Path, model: str, media: Path | None, frames: bool) -> int:
    """Write it, whole or not at all. ValueError if the recording or the request cannot be; `DiskFull`."""
    opens = _opens(out, media, frames)
    if out.exists():
        raise ValueError(f"{out} exists already; choose another name")
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent}; make it, or choose another")
    story = Story(Bundle.load_live(model).config.classes, _first_taught(recording))
    messages = 0
    with whole_file(out) as unfinished:
        writer = opens(unfinished, story)
        for message in read_recording(recording):
            writer.take(message, story.told(message))
            messages += 1
        if not messages:
            raise ValueError(f"nothing was recorded in {recording}; give another recording")
        writer.close()
    print(f"{out}: {messages} messages of {recording}, {out.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


def _first_taught(recording: Path) -> tuple[str, ...]:
    """What had been taught when the recording began: it is told once a second, and a frame may be decided before."""
    first = islice(read_recording(recording), _SOON)
    return next((message.actions for message in first if isinstance(message, Taught)), ())


def _opens(out: Path, media: Path | None, frames: bool) -> Callable[[Path, Story], Writer]:
    """What writes such a file. ValueError for a kind that there is not, or an option that is of another."""
    kinds: dict[str, Callable[[Path, Story], Writer]] = {
        ".mcap": McapFile, ".rrd": RerunFile, ".csv": FramesTable if frames else EventsTable,
        ".eaf": lambda path, story: ElanDocument(path, story, media),
    }  # fmt: skip
    if out.suffix.lower() not in kinds:
        raise ValueError(f"{out.name} is of no known kind; its name must end in {', '.join(kinds)}")
    if media is not None and out.suffix.lower() != ".eaf":
        raise ValueError("--media is the video that an .eaf belongs to; leave it out, or convert to .eaf")
    if media is not None and not media.is_file():
        raise ValueError(f"there is no video {media}; give the one that the recording is of")
    if frames and out.suffix.lower() != ".csv":
        raise ValueError("--frames makes a row of each frame of a .csv; leave it out, or convert to .csv")
    return kinds[out.suffix.lower()]
