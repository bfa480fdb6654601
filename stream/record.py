"""Record and replay: what was seen and said, as messages in a file (`recording_file.py`), or with limits in a folder of
files of which the oldest go (`segments.py`).

    skelstream live --record walk.skel
    skelstream live --record days --record-most-mb 500 --record-most-minutes 1440
    skelstream replay walk.skel

What is written is on the disk half a second later: a power cut takes no more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from ..encoder.full_disk import FULL
from .recording_file import MAGIC, RecordingFile, frame, read_file
from .segments import Limits, Segments, check_folder, finished, segments_in
from .wire import AnyMessage, Decision, End, Event, Lost, Named, Taught, Tracks

KINDS: tuple[type[AnyMessage], ...] = (Tracks, Decision, Event, Lost, End, Named, Taught)
_SYNC_EVERY_S = 0.5
_RETRY_S = 2.0  # after the disk refused something


class Recorder:
    """Writes messages to a recording; `limits`: to a folder of several files. A context manager.

    Call `tick` a few times a second. A disk that is full, or fails, is tried again every few seconds: meanwhile
    `dropped` counts, and `trouble` says in a line what is wrong and how to mend it.
    Raises ValueError if there is something else under that name, or it cannot be written at all. `clock`: Unix seconds.
    """

    def __init__(self, path: Path, limits: Limits | None = None, *, clock: Callable[[], float] = time.time) -> None:
        check_place(path, limits)
        self.trouble = ""
        self._path, self._clock = path, clock
        self._limits = limits or Limits()
        self._segments = Segments(path, limits) if limits else None
        self._file: RecordingFile | None = None
        self._begun = self._synced_at = clock()
        self._refused = self._lost = 0
        self._failed_at = -math.inf
        if self._segments is None:
            try:
                self._open(self._begun)
            except OSError as error:
                if error.errno not in FULL:
                    raise ValueError(f"cannot write {path}: {error.strerror}; choose another place") from error
                self._failed(error, self._begun)

    @property
    def dropped(self) -> int:
        """Messages that the disk would not take."""
        return self._refused + self._lost + (self._file.lost if self._file else 0)

    @property
    def size(self) -> int:
        """Bytes of the recording."""
        return (self._segments.size if self._segments else 0) + (self._file.size if self._file else 0)

    def write(self, message: AnyMessage) -> bool:
        """Append a message; False if it was dropped."""
        now, framed = self._clock(), frame(message)
        if 0 <= now - self._failed_at < _RETRY_S or len(framed) > self._limits.largest_message:
            self._refused += 1
            return False
        try:
            self._room_for(len(framed), now).append(framed)
        except OSError as error:
            self._refused += 1
            self._failed(error, now)
            return False
        if now - self._failed_at >= 2 * _RETRY_S:  # a disk that is all but full takes a short message now and then
            self.trouble = ""
        self.tick()
        return True

    def tick(self) -> None:
        """Put on the disk what has waited for long enough; let go of what is too old."""
        now = self._clock()
        try:
            if self._file is not None and not 0 <= now - self._synced_at < _SYNC_EVERY_S:
                self._synced_at = now
                self._file.sync()
            if self._segments is not None:
                self._turn(0, now)
        except OSError as error:
            self._failed(error, now)

    def close(self) -> None:
        """Finish the file and give it its name."""
        try:
            self._finish()
        except OSError as error:
            self._failed(error, self._clock())
        if self._segments is not None:
            self._segments.close()
            self._segments = None

    def _room_for(self, size: int, now: float) -> RecordingFile:
        """The file that takes so many bytes more."""
        if self._segments is not None:
            self._turn(size, now)
        return self._file or self._open(now)

    def _turn(self, more: int, now: float) -> None:
        """Begin the next file where it is time to, and let the oldest go."""
        assert self._segments is not None
        if self._file is not None and self._segments.is_full(self._file.size, more, self._begun, now):
            self._finish()
        self._segments.make_room((self._file.size if self._file else len(MAGIC)) + more, now)

    def _open(self, now: float) -> RecordingFile:
        self._file = RecordingFile(self._path if self._segments is None else self._segments.next(now))
        self._begun = self._synced_at = now
        return self._file

    def _finish(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.finish()
        finally:
            self._lost += file.lost
            if self._segments is not None:
                self._segments.add(file.path if file.path.exists() else file.part, file.size, self._begun)

    def _failed(self, error: OSError, now: float) -> None:
        self._failed_at = now
        mend = "make room there" if error.errno in FULL else "mend that"
        self.trouble = (
            f"cannot write {self._path}: {error.strerror}; {mend}, and the recording goes on (what comes until then is "
            "missing in it)"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_place(path: Path, limits: Limits | None) -> None:
    """Raise ValueError if there is something under this name that a recording cannot be written to."""
    if limits is not None:
        check_folder(path)
    elif path.exists():
        raise ValueError(f"{path} exists already; choose another name for the recording")


def read_recording(path: Path) -> Iterator[AnyMessage]:
    """The messages of a recording, a file or a folder, one at a time; of a file that was cut short, all that are whole.

    Raises ValueError if it is no recording, or a message in it was changed.
    """
    try:
        if not path.is_dir():
            yield from read_file(path)
            return
        if not (segments := segments_in(path)):
            raise ValueError(f"{path} is no recording; give one made by `skelstream record`")
        for segment in segments:
            yield from _read_segment(segment)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; give a file made by `skelstream record`") from error


def _read_segment(path: Path) -> Iterator[AnyMessage]:
    """The messages of one of a folder's files; none of one that had to go meanwhile, for somebody still records."""
    try:
        yield from read_file(path if path.exists() else finished(path))
    except FileNotFoundError:
        return


def played(path: Path) -> Iterator[Tracks | Named | Lost | End]:
    """What of a recording goes through the detector again, what people were called, and each camera's end at last.

    Where a camera begins anew (the recording went on after a crash, or on another day) everybody is lost in between.
    Raises ValueError as `read_recording` does, and if nobody was recorded.
    """
    newest: dict[str, float] = {}
    for message in read_recording(path):
        if isinstance(message, Tracks):
            if message.t <= newest.get(message.camera, -math.inf):
                yield Lost(camera=message.camera, at=message.captured_at, reason="another run was recorded from here")
            newest[message.camera] = message.t
            yield message
        elif isinstance(message, Lost | Named):
            yield message
        elif isinstance(message, End):
            newest[message.camera] = math.inf
    if not newest:
        raise ValueError(f"no camera was recorded in {path}; give another recording")
    for camera in newest:
        yield End(camera=camera)
