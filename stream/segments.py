"""The folder of a recording with limits: files that follow one another, of which the oldest go first.

cameras/00000041-20260714T081502Z.skel         number, and when it was begun (UTC)
cameras/00000042-20260714T082108Z.skel.part    the one being written, or one that a power cut ended
"""

from __future__ import annotations

import calendar
import math
import os
import re
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from .recording_file import PART, lock

_NAME = re.compile(r"(\d{8})-(\d{8}T\d{6}Z)\.skel(\.part)?")
_BEGUN = "%Y%m%dT%H%M%SZ"
_SHARE = 10  # a file is so small a part of what may be kept
_LEAST_S = 2.0  # and yet so long, unless it is half of it


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be kept: so many bytes, and nothing that is older than so many seconds.

    Raises ValueError for less than 1 MB or 1 minute.
    """

    bytes: float = math.inf
    seconds: float = math.inf

    def __post_init__(self) -> None:
        if not self.bytes >= 1e6 or not self.seconds >= 60:
            raise ValueError("a recording's limits are at least 1 MB and 1 minute")

    @classmethod
    def of(cls, most_mb: float | None, most_minutes: float | None) -> Limits | None:
        """From the command line; None where neither is given."""
        if most_mb is None and most_minutes is None:
            return None
        return cls(
            bytes=math.inf if most_mb is None else 1e6 * most_mb,
            seconds=math.inf if most_minutes is None else 60 * most_minutes,
        )

    @property
    def largest_message(self) -> float:
        """Bytes; what is larger has no place."""
        return self.bytes / 4


@dataclass(frozen=True)
class _Segment:
    path: Path
    size: int
    begun: float


class Segments:
    """The files of a folder that are finished, and the name of the next. Times are Unix seconds.

    Raises ValueError if the folder cannot be one of a recording, or another process records to it.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        check_folder(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ValueError(f"cannot write {folder}: {error.strerror}; choose another place") from error
        try:
            lock(self._lock, folder)
            if not os.access(folder, os.W_OK):
                raise ValueError(f"cannot write {folder}: it is read-only; choose another place")
        except ValueError:
            os.close(self._lock)
            raise
        self._folder, self._limits = folder, limits
        self._kept = deque(_Segment(path, path.stat().st_size, _begun(path)) for path in segments_in(folder))
        self._number = 1 + (int(self._kept[-1].path.name[:8]) if self._kept else 0)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(segment.size for segment in self._kept)

    def next(self, now: float) -> Path:
        """What the file that is begun now is to be called."""
        return self._folder / f"{self._number:08d}-{time.strftime(_BEGUN, time.gmtime(now))}.skel"

    def is_full(self, size: int, more: int, begun: float, now: float) -> bool:
        """Whether a file of this size should take no more."""
        age = now - begun
        if not 0 <= age < self._limits.seconds / _SHARE:  # below 0: the clock was put back
            return True
        most = self._limits.bytes
        return size + more > most / 2 or (size >= most / _SHARE and age >= _LEAST_S)

    def add(self, path: Path, size: int, begun: float) -> None:
        """A file is finished."""
        self._kept.append(_Segment(path, size, begun))
        self._number += 1

    def make_room(self, size: int, now: float) -> None:
        """Delete the oldest files, as many as must go beside one of this size. Raises OSError if that fails."""
        total = size + sum(segment.size for segment in self._kept)
        while self._kept and (total > self._limits.bytes or now - self._kept[0].begun > self._limits.seconds):
            self._kept[0].path.unlink(missing_ok=True)
            total -= self._kept.popleft().size

    def close(self) -> None:
        """Let others record here."""
        os.close(self._lock)


def check_folder(folder: Path) -> None:
    """Raise ValueError unless the folder is a recording's, empty, or not there."""
    if folder.is_file():
        raise ValueError(f"{folder} is a file, and a recording with limits is a folder; choose another name for it")
    if folder.is_dir() and not segments_in(folder) and any(folder.iterdir()):
        raise ValueError(f"{folder} holds other things than a recording; choose another folder for it")


def segments_in(folder: Path) -> list[Path]:
    """The files of a recording's folder, oldest first."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def finished(path: Path) -> Path:
    """The name of a file of the folder after it was finished."""
    return path.with_name(path.name.removesuffix(PART))


def _begun(path: Path) -> float:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    try:
        return calendar.timegm(time.strptime(match[2], _BEGUN))
    except ValueError:  # no such day
        return path.stat().st_mtime
