"""The protocols by which the literature divides each set into what trains and what tests.

    chosen = protocol("ntu60", "xsub")
    Clips([store], chosen.train)

A protocol asks the sample's name (NTU and its 2D key points), or the entry's subject, view or setup. They are for
numbers that others have published; but for `people`, which tests the people whom `splits.py` keeps from the shipped
detector and from its pretraining, on the sets without a published division of untrimmed recordings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from .datasets.ntu_names import sample
from .datasets.uav_human import TRAIN_SUBJECTS_V1, TRAIN_SUBJECTS_V2
from .splits import part_of
from .store import Entry, Store

Choice = Callable[[Store, Entry], bool]
_Part = Literal["train", "test"]
_Rule = Callable[[Entry], _Part]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """`train` and `test` choose entries of the stores of `dataset`; entries of any other set belong to neither."""

    dataset: str
    name: str
    train: Choice
    test: Choice


def protocol(dataset: str, name: str) -> Protocol:
    """A set's protocol by name. ValueError lists the names if there is none like it."""
    if dataset not in _RULES:
        raise ValueError(f"no protocols for data set {dataset!r}; there are some for {', '.join(_RULES)}")
    if name not in _RULES[dataset]:
        raise ValueError(f"{dataset} has no protocol {name!r}; it has {', '.join(_RULES[dataset])}")
    rule = _RULES[dataset][name]

    def part(which: _Part) -> Choice:
        return lambda store, entry: store.dataset == dataset and rule(entry) == which

    return Protocol(dataset=dataset, name=name, train=part("train"), test=part("test"))


def protocol_of(stores: Sequence[Store], name: str) -> Protocol:
    """The protocol of the one set that the stores hold. Raises ValueError if they hold none or several."""
    datasets = {store.dataset for store in stores}
    if len(datasets) != 1:
        raise ValueError(f"a protocol divides one data set; the stores hold {', '.join(sorted(datasets)) or 'none'}")
    return protocol(datasets.pop(), name)


def names(dataset: str) -> tuple[str, ...]:
    """The names of a set's protocols; none for a set that has no published ones."""
    return tuple(_RULES.get(dataset, ()))


# The 20 people of NTU-60 who train, and the further 33 of NTU-120.
_NTU_60 = frozenset({1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38})
_NTU_120 = _NTU_60 | {
    45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94, 95,
    97, 98, 100, 103,
}  # fmt: skip


def _when(trains: Callable[[Entry], bool]) -> _Rule:
    return lambda entry: "train" if trains(entry) else "test"


def _person(entry: Entry) -> int:
    """The number that a subject's name ends in: 7 for "utkinect/7", 12 for "uav_human/P012"."""
    found = re.search(r"\d+$", entry.subject)
    if found is None:
        raise ValueError(f"{entry.name}: the subject {entry.subject!r} has no number, which its protocol divides by")
    return int(found[0])


def _leave_out(person: int) -> _Rule:
    return _when(lambda entry: _person(entry) != person)


def _fold(number: int) -> _Rule:
    return _when(lambda entry: entry.setup != str(number))


def _kept(dataset: str) -> _Rule:
    return _when(lambda entry: part_of(dataset, entry.subject) != "test")


def _listed(split: str, file: str) -> _Rule:
    """PKU-MMD's split files, as the reader has noted them in the setup."""

    def part(entry: Entry) -> _Part:
        for which in ("train", "test"):
            if f"{split}-{which}" in entry.setup.split():
                return which
        raise ValueError(f"{entry.name} is in no part of {split}; lay {file} beside the skeletons and prepare it again")

    return part


_NTU_60_RULES = {
    "xsub": _when(lambda entry: sample(entry.name).performer in _NTU_60),
    "xview": _when(lambda entry: sample(entry.name).camera != 1),
}
_NTU_120_RULES = {
    "xsub": _when(lambda entry: sample(entry.name).performer in _NTU_120),
    "xset": _when(lambda entry: sample(entry.name).setup % 2 == 0),
}
_PKU_RULES = {"xsub": _listed("xsub", "cross-subject.txt"), "xview": _listed("xview", "cross-view.txt")}
_ODD_PEOPLE = _when(lambda entry: _person(entry) % 2 == 1)

_RULES: dict[str, dict[str, _Rule]] = {
    "ntu60": _NTU_60_RULES,  # Shahroudy et al., CVPR 2016
    "ntu120": _NTU_120_RULES,  # Liu et al., TPAMI 2019
    "ntu60_2d": _NTU_60_RULES,
    "ntu120_2d": _NTU_120_RULES,
    "pku_mmd1": _PKU_RULES,  # Liu et al., 2017
    "pku_mmd2": _PKU_RULES,
    "uav_human": {  # Li et al., CVPR 2021
        "v1": _when(lambda entry: _person(entry) in TRAIN_SUBJECTS_V1),
        "v2": _when(lambda entry: _person(entry) in TRAIN_SUBJECTS_V2),
    },
    # Wang et al., CVPR 2014 train on views 1 and 2. They leave single people out; odd against even is a cheaper xsub.
    "nw_ucla": {"xview": _when(lambda entry: entry.view != "3"), "xsub": _ODD_PEOPLE},
    "msr_action3d": {"xsub": _ODD_PEOPLE},  # Li et al., CVPRW 2010
    "sbu": {f"fold-{number}": _fold(number) for number in range(5)},  # Yun et al., CVPRW 2012
    # Leave one subject out, as in Xia et al., CVPRW 2012.
    "utkinect": {f"loso-{person}": _leave_out(person) for person in range(1, 11)} | {"people": _kept("utkinect")},
    "precog2016": {"people": _kept("precog2016")},
    "kinder_gator": {"people": _kept("kinder_gator")},
}
