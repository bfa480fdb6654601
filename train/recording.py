"""One recording of a data set: joints in time, with what is known about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ, resample
from ..encoder.layout import Layout, to_ntu25

F32 = NDArray[np.float32]
I16 = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """T frames of up to two people.

    `times_s` (T,) strictly increasing; `joints` (T, M, 25, 3) metres in Kinect camera space, an absent person all zero;
    `labels` (T,) indices into the data set's own classes. `trimmed` means one action a recording, cut to it.
    """

    name: str
    subject: str
    view: str
    trimmed: bool
    times_s: NDArray[np.float64]
    joints: F32
    labels: I16

    def __post_init__(self) -> None:
        n = len(self.times_s)
        if self.joints.shape[:1] != (n,) or self.joints.ndim != 4 or len(self.labels) != n:
            raise ValueError(
                f"{self.name}: {n} times, joints {self.joints.shape} and {len(self.labels)} labels disagree"
            )

    def at_30_hz(self) -> tuple[F32, I16]:
        """Joints (N, M, 25, 3) and labels (N,) on the 30 Hz clock; a label is that of the nearest frame.

        A person whom one of the two neighbouring frames lacks is taken from the nearest frame alone: interpolation
        would pull the joints through the origin.
        """
        first, joints = resample(self.times_s, self.joints)
        at = (first + np.arange(len(joints))) / HZ
        nearest = _nearest(self.times_s, at)
        after = np.clip(np.searchsorted(self.times_s, at), 0, len(self.times_s) - 1)
        present = (self.joints != 0).any(axis=(2, 3))
        whole = present[after] & present[np.maximum(after - 1, 0)]
        return np.where(whole[:, :, None, None], joints, self.joints[nearest]), self.labels[nearest]


def single_person(
    *,
    name: str,
    subject: str,
    view: str = "",
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
        name=name, subject=subject, view=view, trimmed=trimmed, times_s=times_s[seen],
        joints=to_ntu25(joints[seen], layout)[:, None], labels=labels[seen].astype(np.int16),
    )  # fmt: skip


def _nearest(times_s: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each time the index of the nearest time stamp."""
    after = np.clip(np.searchsorted(times_s, at), 0, len(times_s) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(at - times_s[before]) <= np.abs(times_s[after] - at), before, after)
