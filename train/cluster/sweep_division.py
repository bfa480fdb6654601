"""Which recordings a sweep's trials learn from, and which they are judged by: a part held out of the training part.

The protocol's test part is never opened: what was chosen by it could not be tested on it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..clips import Clips
from ..protocols import Choice, protocol
from ..store import Entry, Store

HeldOut = Literal["people", "views"]

_ONE_IN = 5  # so many people is held out


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What to pretrain on, and the same by action to fit probes to; `validation` is of other people or views."""

    pretrain: Clips
    fit: Clips
    validation: Clips

    @property
    def classes(self) -> tuple[str, ...]:
        """The data set's."""
        return self.fit.stores[0].classes

    @property
    def joints(self) -> int:
        """How many joints a person has."""
        return int(self.fit.stores[0].frames.shape[2])


@dataclass(frozen=True, kw_only=True)
class Division:
    """Which recordings trials learn from and are judged by, in words that any node can open for itself.

    `stores` are folders that every node sees. Of the protocol's training part the last fifth of its people (at least
    one), or the last of its views, is held out for validation, in the order of their names.
    """

    stores: tuple[str, ...]
    protocol: str
    held_out: HeldOut = "people"

    def parts(self) -> Parts:
        """Open the stores. ValueError if they are not one data set's, or have nobody to hold out."""
        opened = [Store(Path(path)) for path in self.stores]
        datasets = sorted({store.dataset for store in opened})
        if len(datasets) != 1:
            raise ValueError(f"a sweep takes one data set; the stores hold {', '.join(datasets) or 'none'}")
        trains = protocol(datasets[0], self.protocol).train
        held = self._held(opened, trains)

        def fits(store: Store, entry: Entry) -> bool:
            return trains(store, entry) and self._name(entry) not in held

        def validates(store: Store, entry: Entry) -> bool:
            return trains(store, entry) and self._name(entry) in held

        return Parts(
            pretrain=Clips(opened, fits),
            fit=Clips(opened, fits, actions=True),
            validation=Clips(opened, validates, actions=True),
        )

    def _name(self, entry: Entry) -> str:
        return entry.subject if self.held_out == "people" else entry.view

    def _held(self, opened: Sequence[Store], trains: Choice) -> frozenset[str]:
        names = sorted({self._name(entry) for store in opened for entry in store.entries if trains(store, entry)})
        if len(names) < 2:
            other = "views" if self.held_out == "people" else "people"
            raise ValueError(
                f"the training part of {self.protocol} has {len(names) or 'none'} of {self.held_out} and at least 2 "
                f"are needed to hold some out; try --held-out {other} or another protocol"
            )
        count = max(1, len(names) // _ONE_IN) if self.held_out == "people" else 1
        return frozenset(names[-count:])
