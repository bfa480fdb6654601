"""`data prepare` on sets of many files: what could not be read and what was put right is named and counted."""

from pathlib import Path

import numpy as np
import pytest

from skelstream.launch.prepare import prepare
from skelstream.train.store import Store


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    (folder / "label").mkdir(parents=True)
    for n in range(3):
        np.savetxt(folder / f"{n:04d}-M.txt", np.ones((20, 150)), fmt="%g")
        (folder / "label" / f"{n:04d}-M.txt").write_text("3,9,2,2\n" if n == 1 else "3,2,9,2\n")
    (folder / "0002-M.txt").write_text("1 2 3\n")
    return folder


def test_what_was_skipped_and_mended_is_named(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare("pku_mmd1", raw, tmp_path / "s") == 0
    assert len(Store(tmp_path / "s").entries) == 2
    said = capsys.readouterr()
    assert not said.out  # stdout is for results; the bar and the counts go to stderr
    lines = said.err.splitlines()
    assert "skipped 0002-M.txt: 0002-M.txt has 3 numbers a line instead of 150; copy it again" in lines
    assert "mended pku_mmd1/0001-M: line 1: start and end exchanged" in lines
    assert "skipped: 1" in lines and "mended: 1" in lines
    assert lines[-1].endswith("2 recordings of 2 people, 40 frames")


def test_a_request_that_is_wrong_is_refused_and_shows_no_bar(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="give 1 or more"):
        prepare("pku_mmd1", raw, tmp_path / "s", 0)
    with pytest.raises(ValueError, match="no NTU samples"):
        prepare("ntu60", raw, tmp_path / "s")
    with pytest.raises(ValueError, match=r"no reader for data set 'ntu'; there are .*ntu60.* and actor"):
        prepare("ntu", raw, tmp_path / "s")
    assert not capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
