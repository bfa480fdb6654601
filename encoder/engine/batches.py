"""Batches of an engine that is made for some sizes: larger ones in pieces, and what belongs to a size kept if used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def pieces(count: int, largest: int) -> list[slice]:
    """Slices that cover 0..count in order, each of `largest` but the last, which may be shorter."""
    return [slice(start, min(start + largest, count)) for start in range(0, count, largest)]


def in_sizes(share: slice, sizes: Sequence[int]) -> list[slice]:
    """Slices that cover a share in order, each of one of the sizes, largest first. There must be a size of 1."""
    parts, start = [], share.start
    for size in sorted(sizes, reverse=True):
        while share.stop - start >= size:
            parts.append(slice(start, start + size))
            start += size
    assert start == share.stop, "some size must be 1"
    return parts


def shares(count: int, among: int) -> list[slice]:
    """Slices that cover 0..count in order, one for each of `among` or for each of `count`, as equal as can be."""
    ends = [count * part // among for part in range(among + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends) if stop > start]


class Recent(Generic[K, V]):
    """The values of the last few keys that were asked for. `make` makes one, `drop` gives one back."""

    def __init__(self, make: Callable[[K], V], drop: Callable[[V], None], *, keep: int) -> None:
        self._make, self._drop, self._keep = make, drop, keep
        self._values: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, key: K) -> V:
        if key not in self._values:
            while len(self._values) >= self._keep:  # before another is made, so that never more than `keep` are there
                self._drop(self._values.popitem(last=False)[1])
            self._values[key] = self._make(key)
        self._values.move_to_end(key)
        return self._values[key]

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        """Give all of them back."""
        while self._values:
            self._drop(self._values.popitem()[1])
