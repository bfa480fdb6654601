"""Readers of data sets, one file each. Every reader has `CLASSES` and `read(folder) -> Iterator[Recording]`.

A new data set is a file here and a line in `READERS`. A set of so many files that reading them takes hours has `items`
and `read_item` instead of `read` (see `FilesReader`), and its line in `FILES_READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..preparation import FilesReader
from ..recording import Recording
from . import (
    bandai,
    cmu_mocap6,
    kimore,
    kinder_gator,
    msr_action3d,
    ntu,
    ntu2d,
    ntu_names,
    nw_ucla,
    pku_mmd,
    precog2016,
    sbu,
    uav_human,
    utkinect,
)


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
    "sbu": Reader(sbu.CLASSES, sbu.read, "research (Yun et al., CVPRW 2012)"),
    "kimore": Reader(kimore.CLASSES, kimore.read, "research (Capecci et al., TNSRE 2019)"),
    "ntu60_2d": Reader(ntu_names.CLASSES_60, ntu2d.read_60, "academic use, not to be passed on (NTU; Duan et al.)"),
    "ntu120_2d": Reader(ntu_names.CLASSES_120, ntu2d.read_120, "academic use, not to be passed on (NTU; Duan et al.)"),
}

_NTU = "academic use, not to be passed on ({})"
_PKU = "research (Liu et al., 2017)"
FILES_READERS: dict[str, FilesReader] = {
    "ntu60": FilesReader(
        classes=ntu_names.CLASSES_60, items=ntu.items_60, read_item=ntu.read_60,
        licence=_NTU.format("Shahroudy et al., CVPR 2016"),
    ),
    "ntu120": FilesReader(
        classes=ntu_names.CLASSES_120, items=ntu.items_120, read_item=ntu.read_120,
        licence=_NTU.format("Liu et al., TPAMI 2019"),
    ),
    "pku_mmd1": FilesReader(
        classes=pku_mmd.CLASSES, items=pku_mmd.items_1, read_item=pku_mmd.read_1, licence=_PKU
    ),
    "pku_mmd2": FilesReader(
        classes=pku_mmd.CLASSES, items=pku_mmd.items_2, read_item=pku_mmd.read_2, licence=_PKU
    ),
    "uav_human": FilesReader(
        classes=uav_human.CLASSES, items=uav_human.items, read_item=uav_human.read_item,
        licence="academic use, not to be passed on (Li et al., CVPR 2021)",
    ),
}  # fmt: skip
