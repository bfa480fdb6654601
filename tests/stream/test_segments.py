"""Recordings with limits: never more than was allowed, never older, and what is left is the newest, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.stream.record import Recorder, read_recording
from skelstream.stream.segments import Limits
from skelstream.stream.wire import Decision, Tracks, encode

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # thousands of fsyncs
MINUTE = Limits(seconds=60)
MEGABYTE = Limits(bytes=1e6)


def said(number: int, frames: int = 1) -> Decision:
    """A message of about 800 bytes a frame."""
    return Decision(
        camera="c", t=number / 30, captured_at=0.0, track=1, first_tick=number, labels=(0,) * frames,
        probabilities=np.full((frames, 200), number, np.float32), decided_at=0.0,
    )  # fmt: skip


def numbers(folder: Path) -> list[int]:
    return [message.first_tick for message in read_recording(folder) if isinstance(message, Decision)]


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as path:
        yield Path(path) / "days"


# Seconds that pass and frames that are said; many at once, so that a megabyte is soon full.
moments = st.lists(
    st.tuples(st.sampled_from([0.0, 0.03, 0.4, 1.0, 3.0, 40.0, 4000.0]), st.integers(1, 120)), min_size=1, max_size=60
)


@given(moments, st.sampled_from([MINUTE, MEGABYTE, Limits(bytes=1e6, seconds=60)]), st.sets(st.integers(0, 59)))
@settings(max_examples=60, deadline=None)
def test_limits_are_never_exceeded_and_the_newest_is_kept(
    moments: list[tuple[float, int]], limits: Limits, crashes: set[int]
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as path:
        folder, clock = Path(path) / "days", Clock()
        recorder = Recorder(folder, limits, clock=clock)
        written, at = [], []
        for number, (seconds, frames) in enumerate(moments):
            clock.now += seconds
            if number in crashes:  # nobody closes it: what a killed process leaves
                recorder._segments.close()  # type: ignore[union-attr]  # the kernel gives its lock back
                recorder = Recorder(folder, limits, clock=clock)
            assert recorder.write(said(number, frames))
            written.append(encode(said(number, frames)))
            at.append(clock.now)
            assert sum(file.stat().st_size for file in folder.iterdir()) <= limits.bytes
            left = numbers(folder)
            assert left == list(range(left[0], number + 1))
            assert clock.now - at[left[0]] <= limits.seconds
        assert [encode(message) for message in read_recording(folder)] == written[left[0] :]
        recorder.close()


@pytest.mark.parametrize("limits", [MINUTE, MEGABYTE])
def test_nearly_all_is_kept_that_may_be(folder: Path, limits: Limits) -> None:
    clock = Clock()
    with Recorder(folder, limits, clock=clock) as recorder:
        for number in range(4000):
            clock.now += 1 / 30
            recorder.write(said(number))
    left = numbers(folder)
    if limits is MINUTE:
        assert 0.89 * 60 < len(left) / 30 <= 60
    else:
        assert 0.89e6 < sum(file.stat().st_size for file in folder.iterdir()) <= 1e6
    assert len(list(folder.iterdir())) in (10, 11)


def test_what_is_too_old_goes_also_while_nothing_is_said(folder: Path) -> None:
    clock = Clock()
    with Recorder(folder, MINUTE, clock=clock) as recorder:
        recorder.write(said(0))
        clock.now += 59
        recorder.tick()
        assert numbers(folder) == [0]
        clock.now += 2
        recorder.tick()
        assert list(folder.iterdir()) == []


def test_a_clock_that_is_put_back_does_not_unbind_it(folder: Path) -> None:
    clock = Clock()
    with Recorder(folder, MEGABYTE, clock=clock) as recorder:
        for number in range(400):
            clock.now -= 1000
            recorder.write(said(number, 10))
        assert sum(file.stat().st_size for file in folder.iterdir()) <= 1e6
        assert numbers(folder)[-1] == 399


def test_a_message_that_has_no_place_is_counted(folder: Path) -> None:
    with Recorder(folder, MEGABYTE) as recorder:
        assert not recorder.write(said(0, 400))
        assert recorder.write(said(1))
        assert recorder.dropped == 1
    assert numbers(folder) == [1]


@pytest.mark.parametrize("damage", ["cut", "zeros", "empty"])
def test_a_file_that_the_power_cut_ended_does_not_hide_the_next(folder: Path, damage: str) -> None:
    clock = Clock()
    for first in (0, 10):
        recorder = Recorder(folder, MEGABYTE, clock=clock)
        for number in range(first, first + 10):
            recorder.write(said(number))
        recorder._segments.close()  # type: ignore[union-attr]
        (part,) = folder.glob("*1-*.part")
        clock.now += 1
    content = part.read_bytes()
    part.write_bytes({"cut": content[:-1], "zeros": content + b"\0" * 999, "empty": b""}[damage])
    kept = {"cut": 9, "zeros": 10, "empty": 0}[damage]
    assert numbers(folder) == [*range(kept), *range(10, 20)]


def test_other_things_and_other_recorders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(ValueError, match="holds other things"):
        Recorder(tmp_path, MINUTE)
    with pytest.raises(ValueError, match="is a file"):
        Recorder(tmp_path / "letter", MINUTE)
    with Recorder(tmp_path / "days", MINUTE), pytest.raises(ValueError, match="is being recorded to"):
        Recorder(tmp_path / "days", MINUTE)
    with pytest.raises(ValueError, match="exists already"):
        Recorder(tmp_path / "days")
    for little in ({"most_mb": 0.5}, {"most_minutes": 0.0}, {"most_mb": float("nan")}):
        with pytest.raises(ValueError, match="at least 1 MB and 1 minute"):
            Limits.of(little.get("most_mb"), little.get("most_minutes"))


RECORDING = """
import os, sys, time
from pathlib import Path
import numpy as np
from skelstream.stream.record import Recorder
from skelstream.stream.segments import Limits
from skelstream.stream.wire import Decision
sync = os.fsync
def told(file):  # what is on the disk from now on
    size = os.fstat(file).st_size
    sync(file)
    print(os.readlink(f"/proc/self/fd/{file}"), size, flush=True)
os.fsync = told
recorder = Recorder(Path(sys.argv[1]), Limits.of(float(sys.argv[2]), None) if len(sys.argv) > 2 else None)
for number in range(10**6):
    recorder.write(Decision(camera="c", t=number / 300, captured_at=0.0, track=1, first_tick=number, labels=(0,) * 10,
                            probabilities=np.zeros((10, 200), np.float32), decided_at=time.time()))
    time.sleep(0.003)
"""


@pytest.mark.parametrize("most_mb", [(), ("1",)], ids=["file", "folder"])
def test_a_power_cut_takes_less_than_a_second(tmp_path: Path, most_mb: tuple[str, ...]) -> None:
    """What was not synced is gone, and so is the process, at once."""
    place = tmp_path / "walk.skel"
    program = [sys.executable, "-c", RECORDING, str(place), *most_mb]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first_line = process.stdout.readline()
    time.sleep(1.4)
    process.send_signal(signal.SIGKILL)
    cut_at = time.time()
    on_disk = dict.fromkeys(place.glob("*") if most_mb else [place.with_name("walk.skel.part")], 0)
    for line in (first_line, *process.stdout):
        name, synced = line.split()
        if Path(name) in on_disk:
            on_disk[Path(name)] = int(synced)
    process.stdout.close()
    process.wait()
    for path, size in on_disk.items():
        if path.suffix == ".part":  # the others were on the disk before they had their names
            os.truncate(path, size)
    left = list(read_recording(place if most_mb else place.with_name("walk.skel.part")))
    assert len(left) > 50
    newest = left[-1]
    assert isinstance(newest, Decision) and cut_at - newest.decided_at < 1.0
    first = left[0]
    assert isinstance(first, Decision)
    assert [m.first_tick for m in left if isinstance(m, Decision)] == list(
        range(first.first_tick, newest.first_tick + 1)
    )
    # Whoever starts again goes on there.
    limits = Limits.of(float(most_mb[0]), None) if most_mb else None
    with Recorder(place, limits) as recorder:
        recorder.write(said(newest.first_tick + 1))
    assert numbers(place)[-2:] == [newest.first_tick, newest.first_tick + 1]


def test_tracks_of_a_folder_are_what_was_seen(folder: Path) -> None:
    joints = np.random.default_rng(0).normal(size=(300, 1, 25, 3)).astype(np.float32)
    clock = Clock()
    with Recorder(folder, MINUTE, clock=clock) as recorder:
        for seq, seen in enumerate(joints):
            clock.now += 0.1
            recorder.write(
                Tracks(camera="c", t=seq / 30, captured_at=0.0, seq=seq, size=(640, 480), ids=(1,), joints=seen,
                       pixels=seen[..., :2], confidence=seen[..., 0] ** 2)
            )  # fmt: skip
    back = [message for message in read_recording(folder) if isinstance(message, Tracks)]
    assert len(list(folder.iterdir())) > 3
    assert np.array_equal(np.stack([message.joints for message in back]), joints)
