"""Record and replay: what was seen and said, as a file of messages.

    skelstream live --record walk.skel
    skelstream replay walk.skel

A recording is the line "skelstream 1" and then messages, each behind its length (4 bytes, little-endian) and its
CRC-32. It appears under its name when it is complete; until then, and after a crash, it is NAME.part, of which
everything up to the last whole message can be read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from .wire import MAX_MESSAGE_BYTES, AnyMessage, Decision, End, Event, MalformedMessage, Tracks, decode, encode

KINDS: tuple[type[AnyMessage], ...] = (Tracks, Decision, Event, End)
_MAGIC = b"skelstream 1\n"
_HEAD = struct.Struct("<II")


class Recorder:
    """Writes messages to a recording. A context manager: the file takes its name when it closes.

    Raises ValueError if the file exists or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise ValueError(f"{path} exists already; choose another name for the recording")
        self._path, self._part = path, path.with_name(path.name + ".part")
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise ValueError(f"cannot write {path}: {error.strerror}; choose another place") from error
        self._file.write(_MAGIC)

    def write(self, message: AnyMessage) -> None:
        """Append a message."""
        data = encode(message)
        self._file.write(_HEAD.pack(len(data), zlib.crc32(data)) + data)

    def close(self) -> None:
        """Finish the file and give it its name."""
        if not self._file.closed:
            self._file.close()
            self._part.rename(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_recording(path: Path) -> Iterator[AnyMessage]:
    """The messages of a recording, one at a time; of one that was cut short, all that are whole.

    Raises ValueError if it is no recording, or a message in it was changed.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}; give a file made by `skelstream record`") from error
    with file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError(f"{path} is no recording; give a file made by `skelstream record`")
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            size, checksum = _HEAD.unpack(head)
            if size > MAX_MESSAGE_BYTES:
                raise ValueError(f"{path} is damaged at byte {file.tell()}: a message of {size} bytes")
            data = file.read(size)
            if len(data) < size:
                return
            if zlib.crc32(data) != checksum:
                raise ValueError(f"{path} is damaged at byte {file.tell()}: a message's checksum is wrong")
            try:
                yield decode(data)
            except MalformedMessage as error:
                raise ValueError(f"{path} is damaged at byte {file.tell()}: {error}") from error
