"""A file appears whole or not at all."""

from pathlib import Path

import pytest

from skelstream.train.whole_file import whole_file, write_whole


def test_what_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "told.txt"
    write_whole(path, "first")
    with pytest.raises(RuntimeError, match="power"), whole_file(path) as unfinished:
        unfinished.write_text("sec")
        assert path.read_text() == "first"
        raise RuntimeError("power cut")
    assert path.read_text() == "first"
    write_whole(path, "second")
    assert path.read_text() == "second"
    assert [file.name for file in path.parent.iterdir()] == ["told.txt"]
