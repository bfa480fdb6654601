"""A disk that is full: one line that says where, and how to mend it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskFull(OSError):
    """A file cannot be written, as there is no room for it. Its text is for whoever started the program."""


@contextmanager
def needing_room(path: Path) -> Iterator[None]:
    """Raise `DiskFull`, which names the path, where the disk is full, whatever a library has made of that."""
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not (isinstance(cause, OSError) and cause.errno in FULL):
            cause = cause.__context__
        if not isinstance(cause, OSError):
            raise
        raise DiskFull(f"cannot write {path}: {cause.strerror}; make room there, or choose another folder") from error
