"""Stores: what goes in comes out at 30 Hz, whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store


def recording(name: str, frames: int, hz: float, subject: str = "s/1") -> Recording:
    times = np.arange(frames) / hz
    joints = np.zeros((frames, 1, 25, 3), np.float32)
    joints[:, 0] = 1 + times[:, None, None]  # moves along a line, so that interpolation is exact
    labels = (times >= times[-1] / 2).astype(np.int16)
    return Recording(name=name, subject=subject, view="", trimmed=False, times_s=times, joints=joints, labels=labels)


def store(path: Path, recordings: Iterator[Recording] | list[Recording]) -> Store:
    return write_store(
        path, recordings, dataset="actor", classes=("background", "wave"), licence="ours", source="recorded"
    )


def test_recordings_of_any_rate_come_back_at_30_hz(tmp_path: Path) -> None:
    written = store(tmp_path / "s", [recording("a", 31, 15.0), recording("b", 50, 50.0)])
    opened = Store(tmp_path / "s")
    assert [entry.name for entry in opened.entries] == ["a", "b"] and opened.classes == written.classes
    first, second = (opened.joints(entry) for entry in opened.entries)
    assert first.shape == (61, 2, 25, 3) and len(second) == 30
    for joints in (first, second):
        np.testing.assert_allclose(joints[:, 0, 0, 0], 1 + np.arange(len(joints)) / 30, atol=1e-5)
        assert not joints[:, 1].any()
    labels = opened.frame_labels(opened.entries[0])
    assert labels[0] == 0 and labels[-1] == 1 and (np.diff(labels) >= 0).all()
    assert isinstance(opened.frames, np.memmap)


def test_somebody_who_appears_is_not_pulled_through_the_origin() -> None:
    times = np.arange(10) / 10
    joints = np.full((10, 2, 25, 3), 2.0, np.float32)
    joints[:5, 1] = 0
    seen = Recording(
        name="a", subject="s/1", view="", trimmed=False, times_s=times, joints=joints, labels=np.zeros(10, np.int16)
    )
    resampled, _ = seen.at_30_hz()
    assert set(np.unique(resampled)) == {0.0, 2.0}
    assert not resampled[0, 1].any() and resampled[-1, 1].all()


def test_a_store_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Recording]:
        yield recording("a", 20, 30.0)
        raise ValueError("a bad file")

    with pytest.raises(ValueError, match="a bad file"):
        store(tmp_path / "s", broken())
    assert not list(tmp_path.iterdir())


def test_what_is_no_store_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data prepare"):
        Store(tmp_path)
    store(tmp_path / "s", [recording("a", 20, 30.0)])
    with pytest.raises(ValueError, match="exists already"):
        store(tmp_path / "s", [])
    (tmp_path / "s" / "labels.npy").unlink()
    np.save(tmp_path / "s" / "labels.npy", np.zeros(3, np.int16))
    with pytest.raises(ValueError, match="prepare it again"):
        Store(tmp_path / "s")


def test_a_recording_whose_parts_disagree_is_refused() -> None:
    with pytest.raises(ValueError, match="disagree"):
        Recording(
            name="a", subject="s/1", view="", trimmed=False, times_s=np.arange(3.0),
            joints=np.zeros((4, 1, 25, 3), np.float32), labels=np.zeros(3, np.int16),
        )  # fmt: skip
