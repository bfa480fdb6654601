"""Readers of data sets, one file each. Every reader has `CLASSES` and `read(folder) -> Iterator[Recording]`.

A new data set is a file here and a line in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..recording import Recording
from . import bandai, cmu_mocap6, kinder_gator, msr_action3d, nw_ucla, precog2016, utkinect


@dataclass(frozen=True)
class Reader:
    """`read(folder)` yields the recordings; `licence` goes into every bundle that saw them."""

    classes: tuple[str, ...]
    read: Callable[[Path], Iterator[Recording]]
    licence: str


READERS: dict[str, Reader] = {
    "utkinect": Reader(utkinect.CLASSES, utkinect.read, "research use (Xia et al., CVPRW 2012)"),
    "precog2016": Reader(precog2016.CLASSES, precog2016.read, "MIT (Jardim)"),
    "kinder_gator": Reader(kinder_gator.CLASSES, kinder_gator.read, "public release (Aloba et al., Eurographics 2018)"),
    "nw_ucla": Reader(nw_ucla.CLASSES, nw_ucla.read, "research, non-commercial (Wang et al., CVPR 2014)"),
    "msr_action3d": Reader(msr_action3d.CLASSES, msr_action3d.read, "research (Li et al., CVPRW 2010)"),
    "cmu_mocap6": Reader(cmu_mocap6.CLASSES, cmu_mocap6.read, "CMU mocap, free to use; labels BSD-2"),
    "bandai1": Reader(bandai.CLASSES_1, bandai.read_1, "CC BY-NC 4.0 (Kobayashi et al., 2023)"),
    "bandai2": Reader(bandai.CLASSES_2, bandai.read_2, "CC BY-NC 4.0 (Kobayashi et al., 2023)"),
}
