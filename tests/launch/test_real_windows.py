"""Windows out of stores: each frame keeps the class that it had, and what only fills a window up has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skelstream.launch.real_windows import labelled_windows, real_windows
from skelstream.stream.window import WindowCutter
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store
from skelstream.train.vocabulary import CLASSES, IGNORE

FRAMES = 90
NATIVE = ("background", "walk", "sitDown", "nothing of ours")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One person whose SpineBase tells the frame's number, in millimetres."""
    joints = np.ones((FRAMES, 1, 25, 3), np.float32)
    joints[:, 0, 0, 0] = np.arange(1, FRAMES + 1) / 1000
    labels = (np.arange(FRAMES) // 10 % 3).astype(np.int16)
    recording = Recording(
        name="utkinect/a", subject="utkinect/1", view="", trimmed=False, times_s=np.arange(FRAMES) / 30,
        joints=joints, labels=labels,
    )  # fmt: skip
    return write_store(
        tmp_path / "s", [recording], dataset="utkinect", classes=NATIVE, licence="", source="recorded"
    )  # fmt: skip


def test_each_frame_has_its_own_class_and_a_repeated_one_has_none(store: Store) -> None:
    joints, labels = labelled_windows([store], ("train",), 200)
    assert joints.shape == (200, 3, 64, 25, 2) and labels.shape == (200, 64)
    frame = np.rint(1000 * joints[:, 0, :, 0, 0]).astype(int) - 1
    ours = np.array([CLASSES.index(name) for name in ("background", "walk", "sit_down")])
    repeats = np.diff(frame, axis=1, append=FRAMES) == 0  # the frame that comes after is the same one
    assert repeats.any() and not repeats.all(axis=1).any()
    assert (labels[repeats] == IGNORE).all()
    assert np.array_equal(labels[~repeats], ours[frame[~repeats] // 10 % 3])
    assert frame[:, -1].min() == WindowCutter.Config().min_valid - 1 and frame[:, -1].max() == FRAMES - 1
    assert np.array_equal(joints, real_windows([store], ("train",), 200))


def test_stores_without_these_people_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="hold no test people"):
        labelled_windows([store], ("test",), 1)
