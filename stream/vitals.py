"""Vitals: how a stage is, noted in a page of memory that outlives it.

Each stage process maps a small file in the folder of its pipeline and notes there, as it goes, that its loop turns,
when it last had a frame, and what it has counted. The kernel keeps the page when the process is killed, however it is
killed. So whoever watches sees a stage that hangs without having to ask it, no count is ever lost, and the process that
takes the dead one's place goes on where it stood: with the numbers of frames, the camera's clock, people's identities.

Times are seconds of the monotonic clock, which all processes of a machine share; 0 is never.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Self

_MAGIC = b"skelvit1"
_SLOTS, _LONGEST = 100, 55


class _Slot(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char * (_LONGEST + 1)), ("value", ctypes.c_int64))
    name: bytes
    value: int


class Vitals(ctypes.Structure):
    """The page of one stage.

    `ready_at`: since when it takes its input. `beat`: the last turn of its loop. `fresh`: its last frame; a stage that
    should have one every `fresh_for` seconds (0: it may be idle) and has none is alive, but not ready. `t` is the time
    of the newest frame on the camera's clock, which was 0 at `epoch`.
    """

    _fields_ = (
        ("magic", ctypes.c_char * 8), ("pid", ctypes.c_int64), ("ready_at", ctypes.c_double),
        ("beat", ctypes.c_double), ("fresh", ctypes.c_double), ("fresh_for", ctypes.c_double), ("t", ctypes.c_double),
        ("epoch", ctypes.c_double),
        ("slots", _Slot * _SLOTS),
    )  # fmt: skip
    magic: bytes
    pid: int
    ready_at: float
    beat: float
    fresh: float
    fresh_for: float
    t: float
    epoch: float
    slots: ctypes.Array[_Slot]

    @classmethod
    def at(cls, path: Path) -> Self:
        """The page in this file, made if there is none. ValueError if the disk has no room for it."""
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, ctypes.sizeof(cls))  # writing to a page without a block would kill us
                vitals = cls.from_buffer(mmap.mmap(file, ctypes.sizeof(cls)))
            finally:
                os.close(file)
        except OSError as error:
            raise ValueError(f"cannot write {path}: {error.strerror}; make room there") from error
        if vitals.magic != _MAGIC:
            vitals.magic = _MAGIC
        return vitals

    def begin(self) -> None:
        """A process takes the stage over: what was counted stays, how the last one was does not."""
        self.pid = os.getpid()
        self.ready_at = self.beat = self.fresh = self.fresh_for = 0.0

    def is_stale(self, now: float) -> bool:
        """Whether the newest frame is older than it should be."""
        return self.fresh_for > 0 and now - self.fresh > self.fresh_for


class Counters(MutableMapping[str, int]):
    """The counters of a page, by name; they only grow. At most 100, with names of at most 55 bytes."""

    def __init__(self, vitals: Vitals) -> None:
        self._slots = vitals.slots
        self._places = {slot.name.decode(): i for i, slot in enumerate(vitals.slots) if slot.name}

    def __getitem__(self, name: str) -> int:
        return self._slots[self._places[name]].value if name in self._places else 0

    def __setitem__(self, name: str, value: int) -> None:
        if name not in self._places:
            assert len(self._places) < _SLOTS and 0 < len(name.encode()) <= _LONGEST, name
            self._slots[len(self._places)].name = name.encode()
            self._places[name] = len(self._places)
        self._slots[self._places[name]].value = value

    def __delitem__(self, name: str) -> None:
        raise TypeError("counters stay")

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
