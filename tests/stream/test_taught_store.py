"""What was taught, on the disk: whole or not at all, nobody else's to read, and never believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skelstream.encoder.taught import Row
from skelstream.stream.showing import Showing
from skelstream.stream.taught_store import Lesson, TaughtAction, TaughtStore, default_taught
from skelstream.stream.teaching import learnt_rows

CLASSES = ("background", "wave")
ONE, OTHER = "a" * 64, "b" * 64


def action(name: str, at: float = 1000.5, seed: int = 0) -> TaughtAction:
    rng = np.random.default_rng(seed)
    showings = tuple(
        Showing(joints_TVC=rng.normal(size=(n, 25, 3)).astype(np.float32), first=3, last=n - 2) for n in (20, 31)
    )
    lesson = Lesson(
        row=Row(weights_W=rng.normal(size=8).astype(np.float32), bias=0.25),
        features_NW=rng.normal(size=(5, 8)).astype(np.float16).astype(np.float32),
    )
    return TaughtAction(name=name, at=at, showings=showings).with_lesson(ONE, lesson)


def test_what_is_kept_comes_back_and_others_see_it(tmp_path: Path) -> None:
    ours, theirs = TaughtStore(tmp_path / "taught"), TaughtStore(tmp_path / "taught")
    assert not theirs.look()
    kept = action("draw a circle")
    ours.keep(kept)
    assert theirs.look() and not theirs.look()
    (found,) = theirs.actions
    assert (found.name, found.at, len(found.showings)) == (kept.name, kept.at, 2)
    for before, after in zip(kept.showings, found.showings, strict=True):
        np.testing.assert_array_equal(before.joints_TVC, after.joints_TVC)
        assert (before.first, before.last) == (after.first, after.last)
    lesson = found.learnt_by(ONE)
    assert lesson is not None and found.learnt_by(OTHER) is None
    np.testing.assert_array_equal(lesson.row.weights_W, kept.lessons[ONE[:16]].row.weights_W)
    assert oct((tmp_path / "taught").stat().st_mode)[-3:] == "700"  # it shows people
    assert len([*(tmp_path / "taught").iterdir()]) == 1


def test_forgetting_and_renaming_are_seen_by_others_and_keep_the_order(tmp_path: Path) -> None:
    ours, theirs = TaughtStore(tmp_path), TaughtStore(tmp_path)
    for i, name in enumerate("abc"):
        ours.keep(action(name, at=1000.0 + i))
    ours.rename("b", "bee", CLASSES)
    assert theirs.look()
    assert learnt_rows(theirs, ONE, CLASSES)[0] == ("a", "bee", "c")
    ours.forget("a")
    assert theirs.look()
    assert learnt_rows(theirs, ONE, CLASSES)[0] == ("bee", "c")
    assert learnt_rows(theirs, OTHER, CLASSES) == ((), ())  # a model that has not learnt them
    assert learnt_rows(theirs, ONE, (*CLASSES, "c"))[0] == ("bee",)  # nor two classes of one name


@pytest.mark.parametrize("name", ["wave", "background", "unknown", "taken", "", " x", "x" * 41, "a\nb"])
def test_names_that_cannot_be_are_refused_in_a_line(name: str, tmp_path: Path) -> None:
    store = TaughtStore(tmp_path)
    store.keep(action("taken"))
    store.keep(action("other", at=1001.0))
    refusals: list[Callable[[], None]] = [
        lambda: store.check_new(name, CLASSES),
        lambda: store.rename("other", name, CLASSES),
    ]
    for refused in refusals:
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            refused()
    unknown: list[Callable[[], None]] = [lambda: store.forget("none"), lambda: store.rename("none", "x", CLASSES)]
    for missing in unknown:
        with pytest.raises(ValueError, match=r"^no action called 'none' has been taught; there are: taken, other$"):
            missing()


def test_a_file_that_is_broken_costs_a_line_and_nothing_else(tmp_path: Path) -> None:
    store = TaughtStore(tmp_path)
    store.keep(action("good"))
    content = next(tmp_path.iterdir()).read_bytes()
    flips = [content[:n] + bytes([content[n] ^ 0xFF]) + content[n + 1 :] for n in range(60, len(content), 997)]
    for i, damaged in enumerate([b"", b"no", content[: len(content) // 2], *flips]):
        (tmp_path / f"{2000 + i}.npz").write_bytes(damaged)
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    fresh = TaughtStore(tmp_path)
    assert fresh.named("good") is not None
    assert len(fresh.troubles) >= 5  # a flipped bit of a joint may go unnoticed where no checksum covers it
    assert all("\n" not in line and "teach it again" in line for line in fresh.troubles)


def test_numbers_that_are_not_finite_teach_nothing(tmp_path: Path) -> None:
    store = TaughtStore(tmp_path)
    bad = Lesson(row=Row(weights_W=np.full(8, np.nan, np.float32), bias=0.0), features_NW=np.zeros((2, 8), np.float32))
    store.keep(action("x").with_lesson(ONE, bad))
    assert not store.actions and "not finite" in store.troubles[0]


def test_models_of_long_ago_forget() -> None:
    kept = action("x")
    lesson = kept.lessons[ONE[:16]]
    for i in range(9):
        kept = kept.with_lesson(f"{i:064d}"[::-1], lesson)
    assert len(kept.lessons) == 4 and kept.learnt_by(f"{8:064d}"[::-1]) is not None


def test_the_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_taught() == tmp_path / "skelstream" / "taught"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_taught() == tmp_path / "home" / ".local" / "share" / "skelstream" / "taught"
