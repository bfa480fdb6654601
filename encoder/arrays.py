"""Arrays in an .npz of ours, written whole or not at all, and read without believing it: nothing is unpickled, and
nothing is larger in memory than it is on the disk.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .full_disk import needing_room


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write them in place of what is there. Raises `DiskFull` where there is no room."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with needing_room(path):
        try:
            with unfinished.open("wb") as file:
                np.savez(file, allow_pickle=False, **dict(arrays))
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def read_arrays(path: Path, *, largest: int) -> dict[str, NDArray[Any]]:
    """The arrays of a file of at most `largest` bytes. Raises ValueError, which says why, for anything else."""
    try:
        if not path.is_file():
            raise ValueError("it is no file")
        if path.stat().st_size > largest:
            raise ValueError(f"it is larger than {largest} bytes")
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is compressed")
            return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in archive.infolist()}
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(str(error) or "it is cut short") from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    content = archive.read(entry)
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{entry.filename} is of another version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    count = 1
    for size in shape:
        count *= size
    if fortran or dtype.hasobject or count * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{entry.filename} is no plain array, or cut short")
    return np.frombuffer(content[stream.tell() :], dtype).reshape(shape)
