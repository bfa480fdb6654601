"""Opening a data set that was already read into one .npz file (see `skelstream data prepare --help`)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def load(folder: Path, name: str, *needed: str) -> Arrays:
    """The named arrays of `folder`/`name`.npz. Nothing in the file is executed.

    Raises ValueError if the file is not there, is no npz, or lacks an array.
    """
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give the folder that holds {name}.npz")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in needed if key not in archive.files]
            if missing:
                raise ValueError(f"{path} lacks the arrays {', '.join(missing)}; is it the file of {name}?")
            return {key: archive[key] for key in needed}
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as npz ({error}); copy it again") from error


def clips(offsets: NDArray[np.integer]) -> Iterator[tuple[int, slice]]:
    """(i, the frames of clip i) for clips laid end to end."""
    for i, (start, end) in enumerate(pairwise(offsets)):
        yield i, slice(int(start), int(end))
