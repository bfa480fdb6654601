"""One recording of a data set: joints in time, with what is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ, resample
from ..encoder.layout import LAYOUTS, NTU25, Layout, to_ntu25

F32 = NDArray[np.float32]
I16 = NDArray[np.int16]
Segment = tuple[int, int, int]  # class, first and last frame, both inclusive

BACKGROUND = 0  # the class of frames in which nothing named happens, in every untrimmed set


@dataclass(frozen=True, kw_only=True)
class Recording:
    """T frames of up to two people.

    `times_s` (T,) strictly increasing; `joints` (T, M, V, 3) metres in Kinect camera space, an absent person all zero;
    `labels` (T,) indices into the data set's own classes. `trimmed` means one action a recording, cut to it.
    `view` is the camera, `setup` whatever else the set's protocols divide by (NTU's setup, a fold). The V joints are
    those of `layout`: "ntu25", or "coco17" for key points in pictures (x, y, confidence).
    `segments` are the labels of an untrimmed set as it gives them: they may overlap, which `labels` cannot show.
    `mended` says what the reader had to put right, for the one who prepares the set.

    Raises ValueError if the parts disagree with one another.
    """

    name: str
    subject: str
    view: str
    trimmed: bool
    times_s: NDArray[np.float64]
    joints: F32
    labels: I16
    setup: str = ""
    layout: str = NTU25.name
    segments: tuple[Segment, ...] = ()
    mended: str = ""

    def __post_init__(self) -> None:
        n = len(self.times_s)
        if self.joints.shape[:1] != (n,) or self.joints.ndim != 4 or len(self.labels) != n:
            raise ValueError(
                f"{self.name}: {n} times, joints {self.joints.shape} and {len(self.labels)} labels disagree"
            )
        if n == 0 or not (np.diff(self.times_s) > 0).all():
            raise ValueError(f"{self.name}: its {n} time stamps must increase strictly, and there must be one")
        if self.layout not in LAYOUTS or self.joints.shape[2:] != (len(LAYOUTS[self.layout]), 3):
            raise ValueError(f"{self.name}: joints {self.joints.shape} are not those of layout {self.layout!r}")
        for kind, first, last in self.segments:
            if not 0 <= first <= last < n or kind < 0:
                raise ValueError(f"{self.name}: segment {kind, first, last} lies outside its {n} frames")

    def at_30_hz(self) -> tuple[F32, I16]:
        """Joints (N, M, V, 3) and labels (N,) on the 30 Hz clock; a label is that of the nearest frame."""
        first, joints = resample(self.times_s, self.joints)
        return joints, self.labels[_nearest(self.times_s, (first + np.arange(len(joints))) / HZ)]

    def segments_at_30_hz(self) -> tuple[Segment, ...]:
        """The segments with first and last as frames of what `at_30_hz` returns."""
        start, joints = resample(self.times_s, np.zeros((len(self.times_s), 0)))
        at = np.rint(self.times_s * HZ).astype(int) - start
        at = np.clip(at, 0, len(joints) - 1)
        return tuple((kind, int(at[first]), int(at[last])) for kind, first, last in self.segments)


def labels_of(segments: Sequence[Segment], frames: int) -> I16:
    """Frame labels (T,) of segments that may overlap: where two do, the one that starts later wins; else background.

    The action that has just begun is what a live detector must say, and the earlier one has had its frames.
    """
    labels = np.full(frames, BACKGROUND, np.int16)
    for kind, first, last in sorted(segments, key=lambda segment: segment[1]):
        labels[first : last + 1] = kind
    return labels


def single_person(
    *,
    name: str,
    subject: str,
    view: str = "",
    setup: str = "",
    trimmed: bool,
    times_s: NDArray[np.float64],
    joints: F32,
    layout: Layout,
    labels: I16,
) -> Recording | None:
    """A recording of one person, joints (T, V, 3) of `layout`; None if fewer than five frames show somebody.

    Frames without a skeleton (all zero, or not finite) are left out: the neighbours are interpolated.
    """
    seen = np.isfinite(joints).all(axis=(1, 2)) & (joints != 0).any(axis=(1, 2))
    if seen.sum() < 5:
        return None
    return Recording(
        name=name, subject=subject, view=view, setup=setup, trimmed=trimmed, times_s=times_s[seen],
        joints=to_ntu25(joints[seen], layout)[:, None], labels=labels[seen].astype(np.int16),
    )  # fmt: skip


def _nearest(times_s: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each time the index of the nearest time stamp."""
    after = np.clip(np.searchsorted(times_s, at), 0, len(times_s) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(at - times_s[before]) <= np.abs(times_s[after] - at), before, after)
