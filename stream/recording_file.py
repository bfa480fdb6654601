"""One file of a recording: the line "skelstream 1" and then messages, each behind its length (4 bytes, little-endian)
and its CRC-32.

It is NAME.part while it is written, and after a crash or a power cut: then everything up to the last whole message can
be read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .wire import MAX_MESSAGE_BYTES, AnyMessage, MalformedMessage, UnknownKind, decode, encode

PART = ".part"
MAGIC = b"skelstream 1\n"
_HEAD = struct.Struct("<II")


class RecordingFile:
    """NAME.part, which messages are appended to, and which becomes NAME when it is finished. One that is there already
    is gone on with.

    `size` is in bytes, up to the last whole message; `synced` of them are on the disk whatever happens. After an
    OSError the file ends with a whole message again: what could not be written is taken back, and with a failed `sync`
    all that came since the last one (`lost` counts these messages).
    Raises ValueError if NAME.part is no recording or another process writes to it, OSError if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(path.name + PART)
        self.size = self.synced = self.lost = self._waiting = 0
        self._file = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            lock(self._file, self.path)
            self.size = self.synced = whole_bytes(self.part)
        except (OSError, ValueError):
            os.close(self._file)
            raise
        try:
            if self.size:
                self._cut()
            else:
                self._write(MAGIC)
            self.sync()
        except OSError:
            os.close(self._file)
            if not self.size:
                with contextlib.suppress(OSError):
                    self.part.unlink()
            raise
        _sync_folder(self.part.parent)

    def append(self, framed: bytes) -> None:
        """Append a message as `frame` gives it."""
        self._write(framed)
        self._waiting += 1

    def sync(self) -> None:
        """See to it that everything is on the disk."""
        try:
            os.fsync(self._file)
        except OSError:  # what the kernel could not write it forgets: what the file holds now is anybody's guess
            self.size = self.synced
            self.lost += self._waiting
            self._cut()
            raise
        finally:
            self._waiting = 0
        self.synced = self.size

    def finish(self) -> None:
        """Give the file its name."""
        try:
            self.sync()
        finally:
            self._cut()
            os.close(self._file)
            self.part.rename(self.path)
            _sync_folder(self.path.parent)

    def _write(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._file, data[written:], self.size + written)
        except OSError:
            self._cut()
            raise
        self.size += len(data)

    def _cut(self) -> None:
        """Leave nothing behind the last whole message."""
        with contextlib.suppress(OSError):  # whoever reads it stops there anyhow
            os.ftruncate(self._file, self.size)


def frame(message: AnyMessage) -> bytes:
    """A message's bytes in a file."""
    data = encode(message)
    return _HEAD.pack(len(data), zlib.crc32(data)) + data


def read_file(path: Path) -> Iterator[AnyMessage]:
    """The messages of a file, one at a time; of one that was cut short, all that are whole.

    Raises ValueError if it is no recording, or a message in it was changed; in a NAME.part the first such message is
    where the power went. Raises OSError if it cannot be read.
    """
    with path.open("rb") as file:
        if not _begins(file, path):
            return
        try:
            for data in _framed(file):
                with contextlib.suppress(UnknownKind):  # a newer skelstream wrote it
                    yield decode(data)
        except MalformedMessage as error:
            if path.suffix != PART:
                raise ValueError(f"{path} is damaged at byte {file.tell()}: {error}") from error


def whole_bytes(path: Path) -> int:
    """How many bytes of a NAME.part are whole. ValueError if it is no recording."""
    with path.open("rb") as file:
        if not _begins(file, path):
            return 0
        end = file.tell()
        with contextlib.suppress(MalformedMessage):
            for _ in _framed(file):
                end = file.tell()
        return end


def lock(file: int, path: Path) -> None:
    """Keep other processes from recording to the same place. ValueError if one does."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(f"{path} is being recorded to; choose another name for the recording") from error
    except OSError:  # a file system without locks
        pass


def _begins(file: BinaryIO, path: Path) -> bool:
    """Whether messages follow; not in a NAME.part of which not even the first line got to the disk."""
    magic = file.read(len(MAGIC))
    if magic == MAGIC:
        return True
    if path.suffix == PART and MAGIC.startswith(magic.rstrip(b"\0")):
        return False
    raise ValueError(f"{path} is no recording; give one made by `skelstream record`")


def _framed(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of each whole message. `MalformedMessage` if there is one of a wrong size or checksum."""
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        size, checksum = _HEAD.unpack(head)
        if not 0 < size <= MAX_MESSAGE_BYTES:
            raise MalformedMessage(f"a message of {size} bytes")
        data = file.read(size)
        if len(data) < size:
            return
        if zlib.crc32(data) != checksum:
            raise MalformedMessage("a message's checksum is wrong")
        yield data


def _sync_folder(folder: Path) -> None:
    """See to it that the names in a folder are on the disk."""
    with contextlib.suppress(OSError):  # not every file system does that
        file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)
