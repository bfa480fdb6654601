"""What makes a message sound: the checks of its fields. Each raises ValueError that says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

DTYPES: dict[str, np.dtype[Any]] = {"f": np.dtype("<f4"), "d": np.dtype("<f8"), "B": np.dtype("|u1")}
# What no sound message exceeds, generously: by these a stage knows what it may have to hold.
MOST_PEOPLE, MOST_CLASSES, MOST_FRAMES, MOST_JOINTS = 64, 4096, 4096, 256
MOST_PIXELS, MOST_SIDE = 7680 * 4320, 16384
LONGEST_NAME, LONGEST_TEXT, MOST_COUNTERS, MOST_ENDED = 255, 2000, 100, 1024
LATEST_S, MOST_COUNTED = 1e11, 2**53


def require(sound: bool, otherwise: str) -> None:
    """ValueError with this text unless `sound`."""
    if not sound:
        raise ValueError(otherwise)


def within(name: str, value: float, least: float, most: float) -> None:
    """A number from `least` to `most`."""
    if not least <= value <= most:  # nor is what is no number
        raise ValueError(f"{name} is {value}, not in {least:g}..{most:g}")


def named(what: str, text: str) -> None:
    """A short name that can be shown."""
    if not (0 < len(text) <= LONGEST_NAME and text.isprintable()):
        raise ValueError(f"{what} is {text[:40]!r}, not 1 to {LONGEST_NAME} printable letters")


def placed(track: int, index: int, first_tick: int) -> None:
    """Where a window, or what is said of it, belongs."""
    within("track", track, 0, MOST_COUNTED)
    within("index", index, 0, MOST_COUNTED)
    within("first_tick", first_tick, -MOST_COUNTED, MOST_COUNTED)


def pictured(size: tuple[int, int]) -> None:
    """The (width, height) of a picture, 8K at most."""
    width, height = size
    fits = 1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE and width * height <= MOST_PIXELS
    require(fits, f"a picture of {width}x{height}")


def array_of(kind: str, axes: int, name: str, array: np.ndarray) -> None:
    """`kind` is the dtype's letter."""
    require(array.ndim == axes, f"{name} has {array.ndim} axes, not {axes}")
    require(array.dtype == DTYPES[kind], f"{name} is {array.dtype}, not {DTYPES[kind]}")


def shaped(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """float32 of exactly this shape."""
    array_of("f", len(shape), name, array)
    require(array.shape == shape, f"{name} {array.shape} where {shape} belongs")


def people_in(array: np.ndarray) -> int:
    """How many people an array (N, ...) is about."""
    people = len(array) if array.ndim else -1
    within("people", people, 0, MOST_PEOPLE)
    return people
