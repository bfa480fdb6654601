"""Who trains, who validates and who tests the shipped detector: the people of each set, disjoint.

The last people of each set test, so that nothing was chosen by how well it went; thresholds are fitted on the
validation people. A set without names for its people (Bandai) only trains.
"""

from __future__ import annotations

from typing import Literal

from .store import Entry, Store

Part = Literal["train", "val", "test"]

_TEST: dict[str, tuple[str, ...]] = {
    "utkinect": ("7", "8"),
    "precog2016": ("9", "10"),
    "kinder_gator": ("103", "595", "934", "976"),  # two children, two adults
    "nw_ucla": ("9", "10"),
    "msr_action3d": ("9", "10"),
    "cmu_mocap6": ("14",),
    "sbu": ("s02s06", "s03s06", "s04s06", "s06s02", "s06s03", "s06s04"),  # every pair with person 6
    "actor": ("test",),
    "daily": ("test",),
}
_VAL: dict[str, tuple[str, ...]] = {
    "utkinect": ("6",),
    "precog2016": ("8",),
    "kinder_gator": ("106", "970"),
    "nw_ucla": ("8",),
    "msr_action3d": ("8",),
    "sbu": ("s02s05", "s03s05", "s05s02", "s05s03"),
    "actor": ("val",),
    "daily": ("val",),
}

# Recordings in which rest and movement follow one another as in life. Decoders are fitted on these alone: clips that
# were cut to their action do not show what it costs to say it for too long.
CONTINUOUS = ("utkinect", "precog2016", "kinder_gator", "actor", "daily")


def part_of(dataset: str, subject: str) -> Part:
    """The part that a subject ("utkinect/7") of a data set belongs to."""
    person = subject.removeprefix(f"{dataset}/")
    if person in _TEST.get(dataset, ()):
        return "test"
    return "val" if person in _VAL.get(dataset, ()) else "train"


def subjects(dataset: str, part: Part) -> tuple[str, ...]:
    """The names ("utkinect/7") of a set's test or validation people; ValueError for `train`, which is all others."""
    if part == "train":
        raise ValueError("the training people are all others; ask part_of for one")
    return tuple(f"{dataset}/{person}" for person in (_TEST if part == "test" else _VAL).get(dataset, ()))


def may_pretrain(store: Store, entry: Entry) -> bool:
    """Whether pretraining may see a recording: none of anybody's that a detector is fitted or tested on, and none of
    the view that NW-UCLA's protocol tests.
    """
    tested_view = store.dataset == "nw_ucla" and entry.view == "3"
    return part_of(store.dataset, entry.subject) == "train" and not tested_view
