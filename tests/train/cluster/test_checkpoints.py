"""Checkpoints: the newest few and the best, whole or not there, on folders and URLs."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")

from skelstream.train.cluster.checkpoints import Better, Checkpoints


def state(step: int) -> dict[str, object]:
    return {"step": step, "weight": torch.full((3,), float(step))}


@settings(deadline=None, max_examples=25)
@given(
    values=st.lists(st.floats(-10, 10), min_size=1, max_size=8), keep=st.integers(1, 4),
    better=st.sampled_from(("lower", "higher")),
)  # fmt: skip
def test_the_newest_few_and_the_best_are_kept(values: list[float], keep: int, better: Better) -> None:
    checkpoints = Checkpoints(f"memory://{uuid.uuid4().hex}/run", keep=keep, better=better)
    told = [checkpoints.save(state(10 * i), value) for i, value in enumerate(values)]
    expected = values.index(min(values) if better == "lower" else max(values))  # the first of equals
    assert [i for i, best in enumerate(told) if best][-1] == expected
    assert checkpoints.steps() == [10 * i for i in range(len(values))][-keep:]
    best, newest = checkpoints.best_state(), checkpoints.newest()
    assert best is not None and newest is not None
    assert best["step"] == 10 * expected and torch.equal(best["weight"], torch.full((3,), 10.0 * expected))
    assert newest["step"] == 10 * (len(values) - 1)


def test_nothing_is_nothing(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path / "run"), keep=2, better="lower")
    assert checkpoints.newest() is None and checkpoints.best() is None and checkpoints.best_state() is None


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path), keep=3, better="lower")
    for step in (10, 20, 30):
        checkpoints.save(state(step), float(step))
    whole = (tmp_path / "checkpoints" / "step-00000030.pt").read_bytes()
    (tmp_path / "checkpoints" / "step-00000030.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "checkpoints" / ".step-00000040.pt.abc").write_bytes(whole)  # of a writer that was killed
    newest = checkpoints.newest()
    assert newest is not None and newest["step"] == 20
    checkpoints.save(state(30), 1.0)  # the run comes by again
    newest = checkpoints.newest()
    assert newest is not None and newest["step"] == 30


def test_a_checkpoint_executes_nothing(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "exploded",))  # type: ignore[return-value]

    checkpoints = Checkpoints(str(tmp_path), keep=3, better="lower")
    torch.save({"step": 10, "bomb": Bomb()}, tmp_path / "checkpoints" / "step-00000010.pt")
    with pytest.raises(Exception, match=r"[Ww]eights"):
        checkpoints.newest()
    assert not (tmp_path / "exploded").exists()


def test_a_storage_that_is_none_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for storage in (str(tmp_path / "file"), "nowhere://bucket/run"):
        with pytest.raises(ValueError, match="storage") as refused:
            Checkpoints(storage, keep=1, better="lower")
        assert "\n" not in str(refused.value)
