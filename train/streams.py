"""Streams: what a detector meets, made of a store's recordings, with the vocabulary's labels.

An untrimmed recording is a stream. The trimmed ones of a person are joined, in order, by short blends, so that every
action comes with something before and after it; a blend between two movements teaches and counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from .pairs import acts, turned
from .splits import Part, part_of
from .store import Entry, Store
from .vocabulary import CLASSES, IGNORE, class_map

_BLEND_FRAMES = 12


@dataclass(frozen=True, kw_only=True)
class Stream:
    """`joints` (T, M, 25, 3) metres at 30 Hz; `labels` (T,) indices into the vocabulary, or -1 for no matter."""

    name: str
    dataset: str
    subject: str
    source: str
    joints: NDArray[np.float32]
    labels: NDArray[np.int16]


def streams_of(stores: Iterable[Store], parts: Sequence[Part]) -> list[Stream]:
    """The streams of the people of these parts."""
    streams: list[Stream] = []
    for store in stores:
        to_ours = class_map(store.dataset, store.classes)
        entries = [entry for entry in store.entries if part_of(store.dataset, entry.subject) in parts]
        for entry in entries:
            if not entry.trimmed:
                streams.append(one_stream(store, entry.name, [entry], to_ours))
        trimmed = sorted((entry for entry in entries if entry.trimmed), key=lambda e: (e.subject, e.view, e.start))
        for (subject, view), group in groupby(trimmed, key=lambda e: (e.subject, e.view)):
            name = f"{subject}{f'/view{view}' if view else ''}"
            if store.dataset == "sbu":
                streams += _two_streams(store, name, list(group), to_ours)
            else:
                streams.append(one_stream(store, name, list(group), to_ours))
    return streams


def _two_streams(store: Store, name: str, entries: list[Entry], to_ours: NDArray[np.int16]) -> list[Stream]:
    """Clips of two people, end to end: as the first of them is followed, and as the second is."""
    clips = [np.asarray(store.joints(entry)) for entry in entries]
    labels = [to_ours[store.frame_labels(entry)] for entry in entries]
    does = [acts(clip, CLASSES[label[0]]) for clip, label in zip(clips, labels, strict=True)]
    return [
        Stream(
            name=f"{name}/slot{slot}", dataset=store.dataset, subject=entries[0].subject, source=store.source,
            joints=_joined([turned(clip) if slot else clip for clip in clips]),
            labels=_joined_labels(
                [label if who[slot] else np.full_like(label, IGNORE) for label, who in zip(labels, does, strict=True)]
            ),
        )
        for slot in (0, 1)
    ]  # fmt: skip


def one_stream(store: Store, name: str, entries: list[Entry], to_ours: NDArray[np.int16]) -> Stream:
    """These recordings of a store, end to end, as one stream; `to_ours` (K,) maps the set's classes to labels."""
    joints = [np.asarray(store.joints(entry)) for entry in entries]
    labels = [to_ours[store.frame_labels(entry)] for entry in entries]
    return Stream(
        name=name, dataset=store.dataset, subject=entries[0].subject, source=store.source,
        joints=_joined(joints), labels=_joined_labels(labels),
    )  # fmt: skip


def _joined(clips: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Clips (T, M, 25, 3) end to end, each moved to where the one before ended, with blends between them."""
    pieces = [clips[0]]
    for clip in clips[1:]:
        last = pieces[-1][-1]
        moved = np.where(clip != 0, clip + (last[0, 0] - clip[0, 0, 0]), 0)
        share = ((np.arange(_BLEND_FRAMES) + 1) / (_BLEND_FRAMES + 1))[:, None, None, None]
        share = share * share * (3 - 2 * share)
        both = (last != 0).any(axis=(1, 2)) & (moved[0] != 0).any(axis=(1, 2))
        blend = np.where(both[:, None, None], (1 - share) * last + share * moved[0], 0)
        pieces += [blend.astype(np.float32), moved.astype(np.float32)]
    return np.concatenate(pieces)


def _joined_labels(clips: list[NDArray[np.int16]]) -> NDArray[np.int16]:
    pieces = [clips[0]]
    for clip in clips[1:]:
        still = pieces[-1][-1] == 0 and clip[0] == 0
        pieces += [np.full(_BLEND_FRAMES, 0 if still else IGNORE, np.int16), clip]
    return np.concatenate(pieces)
