"""How well people are told apart over time: IDF1, identity switches, misses and false alarms.

IDF1 (Ristani, Solera, Zou, Cucchiara, Tomasi, ECCV 2016 workshops, arXiv 1609.01775, section 2.3) asks for how long
each true person bears the one name that suits them best over the whole scene; switches and MOTA (Bernardin and
Stiefelhagen, EURASIP J. Image and Video Processing 2008) ask how often a name changes. Both are computed from the same
moments.

Shapes: N true people, M found people, of one frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.assignment import assign


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One frame: who is there, and what the tracker says.

    `true` (N) and `found` (M) are names, each once; `distance` (N, M) in any unit says how far each found person is
    from each true one. Whoever is in `optional` is there but cannot fairly be asked for (hidden, hardly in the
    picture): to miss them costs nothing, and to find them gains nothing.

    ValueError if the parts disagree.
    """

    true: tuple[int, ...]
    found: tuple[int, ...]
    distance: NDArray[np.floating]
    optional: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.distance.shape != (len(self.true), len(self.found)) or np.isnan(self.distance).any():
            raise ValueError(f"distances {self.distance.shape} of {len(self.true)} true and {len(self.found)} found")
        if len(set(self.true)) < len(self.true) or len(set(self.found)) < len(self.found):
            raise ValueError(f"a name comes twice in one frame: {self.true} true, {self.found} found")

    def asked(self, gate: float) -> Moment:
        """The same without those who are optional, and without whoever was found where only they are."""
        rows = [n for n, name in enumerate(self.true) if name not in self.optional]
        needed = {m for _, m in _nearest_pairs(self.distance[rows], gate)}
        others = np.delete(self.distance, rows, axis=0)
        free = [m for m in range(len(self.found)) if m not in needed]
        excused = {free[m] for _, m in _nearest_pairs(others[:, free], gate)}
        columns = [m for m in range(len(self.found)) if m not in excused]
        return Moment(
            true=tuple(self.true[n] for n in rows),
            found=tuple(self.found[m] for m in columns),
            distance=self.distance[np.ix_(rows, columns)],
        )


@dataclass(frozen=True, kw_only=True)
class Identities:
    """Counts over a scene, which add up over scenes: frames of true people, of found ones, and of those who bear the
    name that the best one-to-one naming gives them (`idtp`); switches of name; misses; false alarms."""

    true: int = 0
    found: int = 0
    idtp: int = 0
    switches: int = 0
    misses: int = 0
    false: int = 0

    def __add__(self, other: Identities) -> Identities:
        return Identities(
            true=self.true + other.true, found=self.found + other.found, idtp=self.idtp + other.idtp,
            switches=self.switches + other.switches, misses=self.misses + other.misses, false=self.false + other.false,
        )  # fmt: skip

    @property
    def idf1(self) -> float:
        """2 IDTP / (true + found); 1 where there was nobody and nobody was found (Ristani et al. 2016, eq. 11)."""
        both = self.true + self.found
        return 2 * self.idtp / both if both else 1.0

    @property
    def mota(self) -> float:
        """1 - (misses + false alarms + switches) / true people; may be negative; 1 where there was nobody."""
        errors = self.misses + self.false + self.switches
        return 1 - errors / self.true if self.true else float(not errors)


def identities(moments: Iterable[Moment], gate: float) -> Identities:
    """Score the moments of one scene, in order; a true and a found person farther apart than `gate` never match."""
    asked = [moment.asked(gate) for moment in moments]
    true, found = Counter(n for m in asked for n in m.true), Counter(n for m in asked for n in m.found)
    switches = matched = 0
    bears: dict[int, int] = {}  # the name that each true person was last seen with
    for moment in asked:
        for name, as_whom in _matched(moment, bears, gate):
            switches += bears.get(name, as_whom) != as_whom
            bears[name] = as_whom
            matched += 1
    return Identities(
        true=true.total(), found=found.total(), idtp=_idtp(asked, gate, list(true), list(found)),
        switches=switches, misses=true.total() - matched, false=found.total() - matched,
    )  # fmt: skip


def _idtp(moments: list[Moment], gate: float, true: list[int], found: list[int]) -> int:
    """In how many frames people bear the right name, under the one-to-one naming that makes them most."""
    together = np.zeros((len(true), len(found)))
    row, column = {name: i for i, name in enumerate(true)}, {name: i for i, name in enumerate(found)}
    for moment in moments:
        for n, m in np.argwhere(moment.distance <= gate):
            together[row[moment.true[n]], column[moment.found[m]]] += 1
    return int(sum(together[pair] for pair in assign(-together)))


def _matched(moment: Moment, bears: dict[int, int], gate: float) -> list[tuple[int, int]]:
    """Who was found as whom: as in the frame before where that still holds (Bernardin and Stiefelhagen, 2.1.2)."""
    before = [
        (float(moment.distance[n, m]), n, m)
        for n, name in enumerate(moment.true)
        for m, as_whom in enumerate(moment.found)
        if bears.get(name) == as_whom and moment.distance[n, m] <= gate
    ]
    kept: dict[int, int] = {}  # by column: two people may have borne one name in turn, and the nearer keeps it
    for _, n, m in sorted(before):
        kept.setdefault(m, n)
    rows = [n for n in range(len(moment.true)) if n not in kept.values()]
    columns = [m for m in range(len(moment.found)) if m not in kept]
    rest = [(rows[n], columns[m]) for n, m in _nearest_pairs(moment.distance[np.ix_(rows, columns)], gate)]
    return [(moment.true[n], moment.found[m]) for n, m in [*((n, m) for m, n in kept.items()), *rest]]


def _nearest_pairs(distance: NDArray[np.floating], gate: float) -> list[tuple[int, int]]:
    """As many pairs within the gate as there can be, and of those the ones of the least total distance."""
    # A pair beyond the gate costs more than all pairs within it together, so it is only ever made in want of better.
    beyond = (min(distance.shape, default=0) + 1) * (gate + 1.0)
    pairs = assign(np.where(distance <= gate, distance, beyond))
    return [(n, m) for n, m in pairs if distance[n, m] <= gate]
