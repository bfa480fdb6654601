"""What the readers of published files share: finding them, and reading numbers from text."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def find(folder: Path, pattern: str, name: str) -> list[Path]:
    """The files under `folder` that match, sorted by path.

    Raises ValueError if there is none: neither the data set's own files, nor its .npz.
    """
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    if not files:
        raise ValueError(
            f"{folder / name}.npz does not exist, nor any {pattern} of the original files; give the folder with either"
        )
    return files


def numbers(path: Path, columns: int, *, delimiter: str | None = None, skip_lines: int = 0) -> F64:
    """A table (rows, columns) of numbers in text; columns beyond those are not looked at.

    Raises ValueError, naming the file and the line, for a line with too few numbers, something that is no number, or a
    file without any line. NaN is a number: sensors write it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # numpy warns of an empty file; it is refused below
            table = np.loadtxt(
                path, delimiter=delimiter, skiprows=skip_lines, usecols=range(columns), ndmin=2, comments=None
            )
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {error}; the file is damaged, fetch it again") from error
    if table.size == 0:
        raise ValueError(f"{path} holds no frame; fetch it again")
    return table
