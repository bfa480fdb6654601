"""Streams labelled in a data set's own classes: what the paper's dense tasks (detection, segmentation) are about.

`streams.py` speaks the shipped detector's vocabulary; here a class means what its data set says. An untrimmed recording
is a stream; it stays where it is, memory-mapped, so that memory does not grow with the set. The trimmed clips of a
person are joined by short blends as there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from .store import Entry, Store
from .streams import Stream, one_stream
from .vocabulary import IGNORE

# What the sets call their class 0 when it is no action. CMU's recordings hold none of it.
BACKGROUNDS = ("background", "still", "(unused)")


@dataclass(frozen=True, kw_only=True)
class NativeStreams:
    """Streams whose `labels` are indices into `classes`; `classes[0]` is no action. -1 counts for nothing."""

    classes: tuple[str, ...]
    streams: tuple[Stream, ...]

    def people(self) -> tuple[str, ...]:
        """Who moves, in alphabetical order."""
        return tuple(sorted({stream.subject for stream in self.streams}))

    def leaving_one_out(self) -> Iterator[tuple[str, NativeStreams, NativeStreams]]:
        """Each person with the streams of all others and their own: leave-one-subject-out.

        Raises ValueError if there is one person only.
        """
        if len(people := self.people()) < 2:
            raise ValueError("leaving one person out needs the streams of two people at least")
        for person in people:
            others = tuple(stream for stream in self.streams if stream.subject != person)
            own = tuple(stream for stream in self.streams if stream.subject == person)
            yield person, replace(self, streams=others), replace(self, streams=own)

    def described(self) -> list[str]:
        """Set, way of recording, streams and frames: what a run's settings say of its data."""
        kinds = sorted({(stream.dataset, stream.source) for stream in self.streams})
        of = {kind: [s for s in self.streams if (s.dataset, s.source) == kind] for kind in kinds}
        return [
            f"{dataset} ({source}): {len(some)} streams, {sum(len(s.labels) for s in some)} frames"
            for (dataset, source), some in of.items()
        ]


def native_streams(stores: Sequence[Store], choose: Callable[[Store, Entry], bool] | None = None) -> NativeStreams:
    """The streams of all recordings, or of those that `choose` takes, of stores with the same classes.

    Raises ValueError for stores that disagree, for a set without a background class, and when nothing is left.
    """
    if len({store.classes for store in stores}) != 1:
        raise ValueError("dense tasks speak one set's own classes; give stores of the same data set, one at least")
    classes = stores[0].classes
    if classes[0] not in BACKGROUNDS:
        raise ValueError(
            f"{stores[0].dataset} has no background: its class 0 is {classes[0]!r}; take a set of untrimmed recordings"
        )
    streams = tuple(stream for store in stores for stream in _streams(store, choose))
    if not streams:
        raise ValueError("no streams: the stores hold no recording of the people, views or setups asked for")
    return NativeStreams(classes=classes, streams=streams)


def _streams(store: Store, choose: Callable[[Store, Entry], bool] | None) -> Iterator[Stream]:
    entries = [entry for entry in store.entries if choose is None or choose(store, entry)]
    for entry in entries:
        if not entry.trimmed:
            yield Stream(
                name=entry.name, dataset=store.dataset, subject=entry.subject, source=store.source,
                joints=store.joints(entry), labels=store.frame_labels(entry),
            )  # fmt: skip
    # A class is itself; -1, which picks the last, is `IGNORE`.
    itself = np.append(np.arange(len(store.classes)), IGNORE).astype(np.int16)
    trimmed = sorted((entry for entry in entries if entry.trimmed), key=lambda e: (e.subject, e.view, e.start))
    for (subject, view), group in groupby(trimmed, key=lambda e: (e.subject, e.view)):
        yield one_stream(store, f"{subject}{f'/view{view}' if view else ''}", list(group), itself)
