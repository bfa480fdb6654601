"""The protocols divide as the papers say, against numbers that the papers print."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from skelstream.train.datasets.ntu_names import MISSING_SKELETONS
from skelstream.train.protocols import names, protocol
from skelstream.train.recording import Recording
from skelstream.train.store import Entry, Store, write_store

SETS = (
    "ntu60", "ntu120", "ntu60_2d", "ntu120_2d", "pku_mmd1", "pku_mmd2", "uav_human", "nw_ucla", "msr_action3d", "sbu",
    "utkinect", "precog2016",
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of one recording; the protocols ask it for its name alone."""
    one = Recording(
        name="a", subject="s/1", view="", trimmed=True, times_s=np.zeros(1), joints=np.ones((1, 1, 25, 3), np.float32),
        labels=np.zeros(1, np.int16),
    )  # fmt: skip
    return write_store(tmp_path / "s", [one], dataset="ntu60", classes=("a",), licence="", source="recorded")


def entry(name: str = "a", subject: str = "s/1", view: str = "", setup: str = "") -> Entry:
    return Entry(name=name, subject=subject, view=view, setup=setup, trimmed=True, start=0, length=1)


def parts(store: Store, dataset: str, name: str, entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    store.dataset = dataset
    chosen = protocol(dataset, name)
    return [e for e in entries if chosen.train(store, e)], [e for e in entries if chosen.test(store, e)]


def ntu(setups: range, people: range) -> list[Entry]:
    return [
        entry(f"x/S{s:03d}C{c:03d}P{p:03d}R001A001") for s, c, p in product(setups, (1, 2, 3), people)
    ]  # fmt: skip


def test_ntu_divides_people_cameras_and_setups(store: Store) -> None:
    train, test = parts(store, "ntu60", "xsub", ntu(range(1, 2), range(1, 41)))
    assert (len(train), len(test)) == (20 * 3, 20 * 3)
    train, test = parts(store, "ntu120", "xsub", ntu(range(1, 2), range(1, 107)))
    assert (len(train), len(test)) == (53 * 3, 53 * 3)
    train, test = parts(store, "ntu60", "xview", ntu(range(1, 3), range(1, 3)))
    assert {e.name[6:10] for e in train} == {"C002", "C003"} and {e.name[6:10] for e in test} == {"C001"}
    train, test = parts(store, "ntu120", "xset", ntu(range(1, 33), range(1, 2)))
    assert {int(e.name[3:6]) % 2 for e in train} == {0} and {int(e.name[3:6]) % 2 for e in test} == {1}
    assert len(train) == len(test) == 16 * 3


def test_ntus_missing_skeletons_leave_the_published_numbers_of_samples(store: Store) -> None:
    """NTU-60 has 40,320 + 16,560 samples by subject and 37,920 + 18,960 by view, and 302 are missing; the usual
    pre-processing is left with 40,091 + 16,487 and 37,646 + 18,932."""
    missing = [entry(name) for name in MISSING_SKELETONS if int(name[1:4]) <= 17]
    train, test = parts(store, "ntu60", "xsub", missing)
    assert (40_320 - len(train), 16_560 - len(test)) == (40_091, 16_487)
    train, test = parts(store, "ntu60", "xview", missing)
    assert (37_920 - len(train), 18_960 - len(test)) == (37_646, 18_932)


def test_uav_human_divides_its_119_people(store: Store) -> None:
    entries = [entry(subject=f"uav_human/P{person:03d}") for person in range(119)]
    for name in ("v1", "v2"):
        train, test = parts(store, "uav_human", name, entries)
        assert (len(train), len(test)) == (89, 30)


def test_small_sets(store: Store) -> None:
    by_person = [
        entry(subject=f"x/{person}", view=str(1 + person % 3), setup=str(person % 5)) for person in range(1, 11)
    ]
    train, test = parts(store, "msr_action3d", "xsub", by_person)
    assert [e.subject for e in train] == [f"x/{p}" for p in (1, 3, 5, 7, 9)] and len(test) == 5
    train, test = parts(store, "nw_ucla", "xview", by_person)
    assert {e.view for e in train} == {"1", "2"} and {e.view for e in test} == {"3"}
    train, test = parts(store, "utkinect", "loso-7", by_person)
    assert [e.subject for e in test] == ["x/7"] and len(train) == 9
    tested = [e for fold in range(5) for e in parts(store, "sbu", f"fold-{fold}", by_person)[1]]
    assert sorted(e.subject for e in tested) == sorted(e.subject for e in by_person)  # each once over the folds


def test_people_whom_no_detector_was_trained_on_are_tested(store: Store) -> None:
    everybody = [entry(subject=f"utkinect/{person}") for person in range(1, 11)]
    train, test = parts(store, "utkinect", "people", everybody)
    assert [e.subject for e in test] == ["utkinect/7", "utkinect/8"] and len(train) == 8


def test_pku_mmd_asks_its_split_files(store: Store) -> None:
    train, test = parts(
        store, "pku_mmd2", "xview", [entry("a", setup="xsub-test xview-train"), entry("b", setup="xview-test")]
    )
    assert [e.name for e in train] == ["a"] and [e.name for e in test] == ["b"]
    with pytest.raises(ValueError, match=r"lay cross-subject\.txt beside"):
        parts(store, "pku_mmd1", "xsub", [entry("a", setup="xview-train")])


@pytest.mark.parametrize("dataset", SETS)
def test_no_recording_is_in_both_parts_and_other_sets_are_in_none(dataset: str, store: Store) -> None:
    entries = [
        entry(f"x/S{n % 32 + 1:03d}C{n % 3 + 1:03d}P{n + 1:03d}R001A001", f"{dataset}/{n}", str(n % 3 + 1), setup)
        for n, setup in product(range(100), ("xsub-train xview-test", "xsub-test xview-train", *"01234"))
        if dataset.startswith("pku") == setup.startswith("x")
    ]
    assert names(dataset)
    for name in names(dataset):
        train, test = parts(store, dataset, name, entries)
        assert train and test and len(train) + len(test) == len(entries)
        store.dataset = "another"
        chosen = protocol(dataset, name)
        assert not any(chosen.train(store, e) or chosen.test(store, e) for e in entries)


def test_what_is_unknown_is_answered_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no protocol 'xsup'; it has xsub, xview$"):
        protocol("ntu60", "xsup")
    with pytest.raises(ValueError, match="data set 'ntu'; there are some for ntu60, ntu120"):
        protocol("ntu", "xsub")
    assert names("bandai1") == ()
