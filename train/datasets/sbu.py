"""SBU Kinect interaction (Yun et al., CVPRW 2012): two people, eight things that they do to one another, at 15 Hz.

A clip is `s01s02/03/001/skeleton_pos.txt` (the pair, the class, the take): one line a frame, the frame's number and 2
people x 15 joints x 3, divided by commas. x and y are shares of the picture from its upper left, z is scaled; the
authors' formula turns them into millimetres around the camera. Five folds of pairs are the standard protocol; a
recording's `setup` says its fold, "0" to "4".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import SBU15, to_ntu25
from ..recording import Recording
from .npz import clips, load
from .raw_text import find, numbers

CLASSES = (
    "approaching", "departing", "kicking", "pushing", "shaking hands", "hugging", "exchanging object", "punching",
)  # fmt: skip
FOLDS: tuple[tuple[str, ...], ...] = (
    ("s01s02", "s03s04", "s05s02", "s06s04"),
    ("s02s03", "s02s07", "s03s05", "s05s03"),
    ("s01s03", "s01s07", "s07s01", "s07s03"),
    ("s02s01", "s02s06", "s03s02", "s03s06"),
    ("s04s02", "s04s03", "s04s06", "s06s02", "s06s03"),
)
_HZ = 15.0
_PEOPLE = 2
_VALUES = _PEOPLE * len(SBU15) * 3
# Millimetres = these - those times the normalised value, by the authors' formula.
_AT_ZERO = np.array([1280.0, 960.0, 0.0])
_SCALE = np.array([-2560.0, -1920.0, 10000.0 / 7.8125])
_CLIP = re.compile(r"(s\d\ds\d\d)/(\d\d)/(\d+)/skeleton_pos\.txt$")


def read(folder: Path) -> Iterator[Recording]:
    """The 282 clips, of sbu.npz or of the original files."""
    for name, label, values in _prepared(folder) if (folder / "sbu.npz").is_file() else _original(folder):
        recording = _recording(name, label, values)
        if recording is not None:
            yield recording


def _prepared(folder: Path) -> Iterator[tuple[str, int, NDArray[np.floating]]]:
    data = load(folder, "sbu", "x", "offsets", "pair", "clip", "label")
    for i, frames in clips(data["offsets"]):
        label = int(data["label"][i])
        yield f"{data['pair'][i]}/{label + 1:02d}/{data['clip'][i]}", label, data["x"][frames]


def _original(folder: Path) -> Iterator[tuple[str, int, NDArray[np.floating]]]:
    for path in find(folder, "skeleton_pos.txt", "sbu"):
        match = _CLIP.search(path.as_posix())
        if match is None or not 1 <= int(match[2]) <= len(CLASSES):
            raise ValueError(f"{path} does not lie in PAIR/CLASS/TAKE, such as s01s02/03/001; keep the set's folders")
        values = numbers(path, 1 + _VALUES, delimiter=",")[:, 1:].reshape(-1, _PEOPLE, len(SBU15), 3)
        yield f"{match[1]}/{match[2]}/{match[3]}", int(match[2]) - 1, values


def _recording(name: str, label: int, values: NDArray[np.floating]) -> Recording | None:
    """Normalised joints (T, 2, 15, 3) as a recording; None if fewer than five frames show anybody."""
    pair = name[:6]
    fold = next((i for i, pairs in enumerate(FOLDS) if pair in pairs), None)
    if fold is None:
        raise ValueError(f"SBU has no pair {pair!r} (clip {name}); keep the set's folders as they are")
    present = np.isfinite(values).all(axis=(2, 3)) & values.any(axis=(2, 3))
    metres = (_AT_ZERO + _SCALE * values) / 1000
    joints = np.where(present[:, :, None, None], to_ntu25(metres, SBU15), np.float32(0))
    seen = present.any(axis=1)
    if seen.sum() < 5:
        return None
    return Recording(
        name=f"sbu/{name}", subject=f"sbu/{pair}", view="", setup=str(fold), trimmed=True,
        times_s=np.flatnonzero(seen) / _HZ, joints=joints[seen], labels=np.full(seen.sum(), label, np.int16),
    )  # fmt: skip
