"""A full disk while recording: one line, nothing corrupt, and it goes on when there is room."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skelstream.stream.record import Recorder, read_recording
from skelstream.stream.wire import Bus, Publisher, Report, Subscriber, Tracks


def tracks(seq: int) -> Tracks:
    joints = np.zeros((1, 25, 3), np.float32)
    return Tracks(camera="c", t=seq / 30, captured_at=0.0, seq=seq, size=(640, 480), ids=(1,), joints=joints,
                  pixels=joints[..., :2], confidence=joints[..., 0])  # fmt: skip


class Pipeline:
    """A bus on which somebody is seen all the time, and `skelstream record`."""

    def __init__(self, folder: str) -> None:
        self.seq, self.folder = 0, folder
        self.bus = Bus(f"ipc://{folder}/bus-in", f"ipc://{folder}/bus-out")
        self.mouth = Publisher(f"ipc://{folder}/bus-in")
        self.ear = Subscriber(f"ipc://{folder}/bus-out", (Report,))
        self.report: Report | None = None
        self.process: subprocess.Popen[str] | None = None

    def record(self, *arguments: str, **limits: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "skelstream", "record", *arguments, "--at", self.folder]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **limits)
        return self.process

    def talk_until(self, over: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not over():
            assert time.monotonic() < deadline, self.report
            self.mouth.publish(tracks(self.seq))
            self.seq += 1
            message = self.ear.receive(0.002)
            if isinstance(message, Report) and message.stage == "record":
                self.report = message

    def report_of(self, holds: Callable[[Report], bool]) -> Report:
        self.talk_until(lambda: self.report is not None and holds(self.report))
        assert self.report is not None
        return self.report

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.mouth.close()
        self.ear.close()
        self.bus.close()


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    with tempfile.TemporaryDirectory(prefix="skel-") as folder:
        pipeline = Pipeline(folder)
        yield pipeline
        pipeline.close()


def test_the_recording_goes_on_when_there_is_room(
    pipeline: Pipeline, small_disk: Callable[[int], tuple[Path, dict[str, Any], Callable[[int], object]]]
) -> None:
    folder, cramped, make_room = small_disk(128 << 10)
    place = folder / "walk.skel"
    process = pipeline.record(str(place), **cramped)
    full = pipeline.report_of(lambda report: report.counters.get("dropped: disk full", 0) > 100)
    assert full.state == "ready" and f"cannot write {place}: " in full.message and "make room" in full.message
    make_room(full.pid)
    recorded = full.counters["recorded"]
    pipeline.report_of(lambda report: report.counters["recorded"] > recorded + 100)
    fine = pipeline.report_of(lambda report: report.message == "writes walk.skel")
    assert fine.pid == full.pid  # nothing had to be started again
    process.send_signal(signal.SIGINT)
    pipeline.talk_until(lambda: process.poll() is not None)  # it ends though others go on
    assert process.returncode == 0 and process.stderr is not None
    (line,) = process.stderr.read().splitlines()
    assert line.startswith(f"skelstream record: cannot write {place}: ")
    left = [message.seq for message in read_recording(place) if isinstance(message, Tracks)]
    assert left == sorted(set(left)) and len(left) > recorded + 100
    gaps = [after - before - 1 for before, after in itertools.pairwise(left) if after != before + 1]
    assert len(gaps) <= 2 and sum(gaps) >= 100  # what was dropped, and nothing else


def test_a_disk_that_is_full_from_the_start(
    small_disk: Callable[[int], tuple[Path, dict[str, Any], Callable[[int], object]]], tmp_path: Path
) -> None:
    """In a process of its own: it takes no message, leaves no file, and says why."""
    folder, cramped, _ = small_disk(4096)
    (folder / "letter").write_bytes(b"x" * 4096)
    program = (
        "import sys; from pathlib import Path; from skelstream.stream.record import Recorder\n"
        "from skelstream.stream.wire import End\n"
        "if not sys.argv[2:]: import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))\n"
        "with Recorder(Path(sys.argv[1])) as recorder:\n"
        "    print(recorder.write(End(camera='c')), recorder.dropped)\n"
        "    print(recorder.trouble)\n"
    )
    arguments = [str(folder / "walk.skel"), *(["mounted"] if folder.is_mount() else [])]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, **cramped)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "False 1" and "walk.skel: " in second and "make room there" in second
    assert [path.name for path in folder.iterdir()] == ["letter"]


def test_a_place_that_cannot_be_written_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot write .*; choose another place"):
        Recorder(tmp_path / "nowhere" / "walk.skel")
