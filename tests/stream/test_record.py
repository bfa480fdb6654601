"""Recordings: what was written is read; what was cut short is read as far as it goes; what was changed is refused."""

from pathlib import Path

import numpy as np
import pytest

from skelstream.stream.record import Recorder, read_recording
from skelstream.stream.wire import AnyMessage, End, Tracks, encode


def tracks(seq: int) -> Tracks:
    joints = np.random.default_rng(seq).normal(size=(1, 25, 3)).astype(np.float32)
    return Tracks(
        camera="c", t=seq / 30, captured_at=0.0, seq=seq, size=(640, 480), ids=(1,), joints=joints,
        pixels=joints[..., :2], confidence=joints[..., 0] ** 2,
    )  # fmt: skip


def recording(path: Path, frames: int = 10) -> Path:
    with Recorder(path) as recorder:
        for seq in range(frames):
            recorder.write(tracks(seq))
        recorder.write(End(camera="c"))
    return path


def test_what_was_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    messages = list(read_recording(recording(tmp_path / "a.skel")))
    written: list[AnyMessage] = [*(tracks(i) for i in range(10)), End(camera="c")]
    assert [encode(m) for m in messages] == [encode(m) for m in written]
    assert [path.name for path in tmp_path.iterdir()] == ["a.skel"]


def test_a_recording_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.skel")
    recorder.write(tracks(0))
    assert not (tmp_path / "a.skel").exists()
    recorder.close()
    assert (tmp_path / "a.skel").exists()


@pytest.mark.parametrize("cut", [1, 7, 500])
def test_one_that_was_cut_short_gives_every_whole_message(tmp_path: Path, cut: int) -> None:
    path = recording(tmp_path / "a.skel")
    path.write_bytes(path.read_bytes()[: -len(encode(End(camera="c"))) - 8 - cut])
    assert len(list(read_recording(path))) == 9


def test_one_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.skel")
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        list(read_recording(path))


def test_other_files_and_names_in_use_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("something else")
    with pytest.raises(ValueError, match="no recording"):
        list(read_recording(tmp_path / "b"))
    with pytest.raises(ValueError, match="cannot read"):
        list(read_recording(tmp_path / "none"))
    with pytest.raises(ValueError, match="exists already"):
        Recorder(tmp_path / "b")
