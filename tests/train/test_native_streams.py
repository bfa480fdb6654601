"""Streams in a set's own classes: labels untouched, nothing copied that need not be, people kept apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skelstream.train.native_streams import native_streams
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store
from skelstream.train.vocabulary import IGNORE

CLASSES = ("background", "juggle", "yawn")


def store_of(path: Path, trimmed: bool, classes: tuple[str, ...] = CLASSES) -> Store:
    def recording(i: int) -> Recording:
        joints = np.ones((12, 1, 25, 3), np.float32) * (i + 1)
        labels = np.array([0] * 4 + [1 + i % 2] * 7 + [IGNORE], np.int16)
        return Recording(
            name=f"own/{i}", subject=f"own/{i // 2}", view="", trimmed=trimmed, times_s=np.arange(12) / 30,
            joints=joints, labels=labels,
        )  # fmt: skip

    return write_store(path, map(recording, range(6)), dataset="own", classes=classes, licence="ours", source="drawn")


def test_an_untrimmed_recording_is_a_stream_that_stays_on_disk(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", trimmed=False)
    ours = native_streams([store])
    assert ours.classes == CLASSES
    assert [stream.name for stream in ours.streams] == [f"own/{i}" for i in range(6)]
    for stream, entry in zip(ours.streams, store.entries, strict=True):
        assert np.array_equal(stream.labels, store.frame_labels(entry))
        assert np.shares_memory(stream.joints, store.frames)


def test_the_trimmed_clips_of_a_person_become_one_stream(tmp_path: Path) -> None:
    ours = native_streams([store_of(tmp_path / "s", trimmed=True)])
    assert ours.people() == ("own/0", "own/1", "own/2")
    (first, *_) = ours.streams
    assert first.labels[:12].tolist() == [0] * 4 + [1] * 7 + [IGNORE]
    assert first.labels[-12:].tolist() == [0] * 4 + [2] * 7 + [IGNORE]
    assert set(first.labels[12:-12].tolist()) == {IGNORE}  # the blend between two clips
    assert ours.described() == [f"own (drawn): 3 streams, {sum(len(s.labels) for s in ours.streams)} frames"]


def test_each_person_is_left_out_once(tmp_path: Path) -> None:
    ours = native_streams([store_of(tmp_path / "s", trimmed=False)])
    left_out = []
    for person, train, test in ours.leaving_one_out():
        left_out.append(person)
        assert {stream.subject for stream in test.streams} == {person}
        assert person not in {stream.subject for stream in train.streams}
        assert len(train.streams) + len(test.streams) == len(ours.streams)
    assert left_out == ["own/0", "own/1", "own/2"]
    alone = native_streams([Store(tmp_path / "s")], lambda _, entry: entry.subject == "own/1")
    assert alone.people() == ("own/1",)
    with pytest.raises(ValueError, match="two people"):
        list(alone.leaving_one_out())


def test_what_makes_no_streams_is_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path / "s", trimmed=False)
    other = store_of(tmp_path / "t", trimmed=False, classes=("background", "sneeze", "yawn"))
    actions_alone = store_of(tmp_path / "u", trimmed=False, classes=("sneeze", "juggle", "yawn"))
    with pytest.raises(ValueError, match="same data set"):
        native_streams([store, other])
    with pytest.raises(ValueError, match="same data set"):
        native_streams([])
    with pytest.raises(ValueError, match="no background: its class 0 is 'sneeze'"):
        native_streams([actions_alone])
    with pytest.raises(ValueError, match="no streams"):
        native_streams([store], lambda *_: False)
