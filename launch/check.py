"""`skelstream data check STORE`: what a store holds, what is wrong with it, and a picture of some of it.

    skelstream data check STORES/ntu60 --out ntu60.png

Counts go to stdout. A joint that is no number, a label without a class or a recording that shows nobody makes the
check fail; joints that jump (bones longer than any human's) are told with the recordings that have most of them.
Shapes: N frame, M person, V joint, C coordinate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ..encoder.layout import LAYOUTS, NTU25
from ..train.store import Entry, Store
from .contact_sheet import draw_contact_sheet

# A thigh is the longest bone of the 25, about 0.5 m in the tallest people.
LONGEST_BONE_M = 0.9
_AT_ONCE = 1 << 14  # frames looked at together: 20 MB, however large the store
_NAMED = 5


@dataclass(kw_only=True)
class Findings:
    """What `examine` found.

    `low` and `high` (C,) bound the joints of people who are there; `at_origin` counts those joints that are zero, as
    some sets write for unknown. `long_bones` counts the people with a bone beyond `LONGEST_BONE_M`, over the frames of
    each recording that has one (ntu25 only, whose joints are metres).
    """

    frames: int = 0
    not_finite: int = 0
    empty: int = 0
    second_person: int = 0
    at_origin: int = 0
    low: NDArray[np.float32] = field(default_factory=lambda: np.full(3, np.inf, np.float32))
    high: NDArray[np.float32] = field(default_factory=lambda: np.full(3, -np.inf, np.float32))
    class_frames: Counter[int] = field(default_factory=Counter)
    long_bones: Counter[str] = field(default_factory=Counter)
    nobody: tuple[str, ...] = ()
    foreign_labels: int = 0

    @property
    def failed(self) -> bool:
        """Is the store unfit for training?"""
        return bool(self.not_finite or self.nobody or self.foreign_labels)


def check(store: Path, out: Path | None, seed: int) -> int:
    """Tell what the store holds and whether it is sound; draw a contact sheet of random recordings to `out`.

    Returns 1 if something is wrong with it. Raises ValueError if there is no store.
    """
    opened = Store(store)
    found = examine(opened)
    console = Console()
    for table in _tables(opened, found):
        console.print(table)
    _tell(console, opened, found)
    if out is not None:
        draw_contact_sheet(opened, out, seed)
        console.print(f"contact sheet: {out}")
    return int(found.failed)


def examine(store: Store) -> Findings:
    """Go through all frames of a store, piece by piece; memory does not grow with its size."""
    found = Findings(frames=len(store.frames))
    nobody = []
    for entry in store.entries:
        shown = 0
        for joints_NMVC in _pieces(store, entry):
            shown += _examine_joints(joints_NMVC, store.layout, entry.name, found)
        if not shown:
            nobody.append(entry.name)
        labels, counts = np.unique(store.frame_labels(entry), return_counts=True)
        found.class_frames.update(dict(zip(labels.tolist(), counts.tolist(), strict=True)))
    found.nobody = tuple(nobody)
    found.foreign_labels = sum(n for label, n in found.class_frames.items() if not 0 <= label < len(store.classes))
    return found


def _pieces(store: Store, entry: Entry) -> Iterator[NDArray[np.float32]]:
    joints = store.joints(entry)
    for start in range(0, len(joints), _AT_ONCE):
        yield np.asarray(joints[start : start + _AT_ONCE])


def _examine_joints(joints_NMVC: NDArray[np.float32], layout: str, name: str, found: Findings) -> int:
    """Add what these frames show to `found`; returns how many of them show somebody."""
    finite_NM = np.asarray(np.isfinite(joints_NMVC).all(axis=(2, 3)))
    there_NM = np.asarray(joints_NMVC.any(axis=(2, 3)))
    found.not_finite += int((~finite_NM).any(axis=1).sum())
    found.empty += int((~there_NM.any(axis=1)).sum())
    found.second_person += int(there_NM[:, 1].sum())
    people_PVC = joints_NMVC[there_NM & finite_NM]
    if len(people_PVC):
        found.low = np.minimum(found.low, people_PVC.min(axis=(0, 1)))
        found.high = np.maximum(found.high, people_PVC.max(axis=(0, 1)))
    found.at_origin += int((~people_PVC.any(axis=2)).sum())
    if layout == NTU25.name and len(people_PVC):
        child, parent = np.array(NTU25.bones).T
        longest_P = np.linalg.norm(people_PVC[:, child] - people_PVC[:, parent], axis=-1).max(axis=1)
        if too_long := int((longest_P > LONGEST_BONE_M).sum()):
            found.long_bones[name] += too_long
    return int(there_NM.any(axis=1).sum())


def _tables(store: Store, found: Findings) -> Iterator[Table]:
    classes = Table("class", "frames", "recordings" if _trimmed(store) else "segments", title=f"{store.dataset}")
    times = _occurrences(store)
    for number, name in enumerate(store.classes):
        classes.add_row(name, str(found.class_frames[number]), str(times[number]))
    yield classes
    for title in ("subject", "view", "setup"):
        counts = Counter(getattr(entry, title) for entry in store.entries)
        if set(counts) != {""}:
            table = Table(title, "recordings")
            for name in sorted(counts, key=lambda name: (len(name), name)):
                table.add_row(name or "(none)", str(counts[name]))
            yield table


def _trimmed(store: Store) -> bool:
    return all(entry.trimmed for entry in store.entries)


def _occurrences(store: Store) -> Counter[int]:
    """How often each class occurs: segments as the set gives them, else runs of one label."""
    times: Counter[int] = Counter()
    for entry in store.entries:
        labels = store.frame_labels(entry)
        starts = np.flatnonzero(np.diff(labels, prepend=labels[:1] - 1))
        times.update(kind for kind, _, _ in entry.segments) if entry.segments else times.update(labels[starts].tolist())
    return times


def _tell(console: Console, store: Store, found: Findings) -> None:
    joints = len(LAYOUTS[store.layout])
    console.print(f"{len(store.entries)} recordings, {found.frames} frames at 30 Hz, {joints} joints ({store.layout})")
    console.print(f"frames with a joint that is no number: {found.not_finite}")
    console.print(f"frames that show nobody: {found.empty}; two people: {found.second_person}")
    console.print(f"joints at zero, hence unknown, of people who are there: {found.at_origin}")
    for axis, low, high in zip("xyz", found.low, found.high, strict=True):
        console.print(f"{axis}: {low:.2f} to {high:.2f}")
    if store.layout == NTU25.name:
        total, worst = found.long_bones.total(), found.long_bones.most_common(_NAMED)
        where = f"{total} frames of {len(found.long_bones)} recordings"
        console.print(f"people with a bone beyond {LONGEST_BONE_M} m: {where}")
        for name, count in worst:
            console.print(f"  {name}: {count}")
    for what, names in (("shows nobody", found.nobody), ("was mended", store.mended), ("was skipped", store.skipped)):
        if names:
            console.print(f"{what}: {len(names)}, such as {', '.join(list(names)[:_NAMED])}")
    if found.foreign_labels:
        console.print(f"frames whose label is no class: {found.foreign_labels}")
    console.print("not fit for training" if found.failed else "sound")
