"""Recordings: what was written is read; what was cut short is read as far as it goes; what was changed is refused."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from skelstream.stream.record import Recorder, played, read_recording
from skelstream.stream.wire import AnyMessage, End, Lost, Tracks, encode


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


def test_one_that_a_crash_left_is_read_and_gone_on_with(tmp_path: Path) -> None:
    part = tmp_path / "a.skel.part"
    part.write_bytes(recording(tmp_path / "b.skel").read_bytes()[:-3] + b"\0" * 100)  # the power went
    assert len(list(read_recording(part))) == 10
    with Recorder(tmp_path / "a.skel") as recorder:
        recorder.write(tracks(10))
    assert [m.seq for m in read_recording(tmp_path / "a.skel") if isinstance(m, Tracks)] == list(range(11))
    assert not part.exists()


def test_a_file_of_which_nothing_reached_the_disk_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "a.skel.part").write_bytes(b"\0" * 4096)
    with Recorder(tmp_path / "a.skel") as recorder:
        recorder.write(tracks(0))
    assert len(list(read_recording(tmp_path / "a.skel"))) == 1


def test_nothing_that_others_own_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "a.skel.part").write_text("a letter that is called so")
    with pytest.raises(ValueError, match="no recording"):
        Recorder(tmp_path / "a.skel")
    assert (tmp_path / "a.skel.part").read_text() == "a letter that is called so"
    with Recorder(tmp_path / "b.skel") as recorder, pytest.raises(ValueError, match="is being recorded to"):
        recorder.write(tracks(0))
        Recorder(tmp_path / "b.skel")
    assert len(list(read_recording(tmp_path / "b.skel"))) == 1


def test_what_is_played_ends_every_camera_once_and_tells_runs_apart(tmp_path: Path) -> None:
    with Recorder(tmp_path / "a.skel") as recorder:
        for message in (tracks(0), tracks(1), End(camera="c"), tracks(0), tracks(0), tracks(1)):
            recorder.write(message)
    kinds = [type(message) for message in played(tmp_path / "a.skel")]
    assert kinds == [Tracks, Tracks, Lost, Tracks, Lost, Tracks, Tracks, End]
    with Recorder(tmp_path / "b.skel") as recorder:
        recorder.write(Lost(camera="c", at=1.0, reason="unplugged"))
    with pytest.raises(ValueError, match="no camera was recorded"):
        list(played(tmp_path / "b.skel"))


def test_what_a_disk_fails_to_keep_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, sync = [1e9], os.fsync

    def failing(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    recorder = Recorder(tmp_path / "a.skel", clock=lambda: now[0])
    recorder.write(tracks(0))
    now[0] += 1
    recorder.tick()
    recorder.write(tracks(1))
    now[0] += 1
    monkeypatch.setattr(os, "fsync", failing)  # the disk's edge
    recorder.tick()
    assert recorder.dropped == 1 and "Input/output error; mend that" in recorder.trouble
    assert len(list(read_recording(tmp_path / "a.skel.part"))) == 1
    monkeypatch.setattr(os, "fsync", sync)
    assert not recorder.write(tracks(2))  # it is given time
    for seq in range(3, 6):
        now[0] += 2
        assert recorder.write(tracks(seq))
    recorder.close()
    assert recorder.dropped == 2 and not recorder.trouble
    assert [m.seq for m in read_recording(tmp_path / "a.skel") if isinstance(m, Tracks)] == [0, 3, 4, 5]
