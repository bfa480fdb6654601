"""Recordings that are asked for while everything runs: real stages, a real bus, files in a folder of the test's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from skelstream.launch.asked_recordings import AskedRecordings
from skelstream.launch.supervisor import Supervisor
from skelstream.stream.record import read_recording
from skelstream.stream.settings import Settings
from skelstream.stream.wire import Named, Publisher, Recording, Report, Subscriber, Tracks

PATIENCE_S = 60.0
START, STOP = Recording(at=1.0, op="start"), Recording(at=2.0, op="stop")
ANN = Named(camera="hall", track=1, name="Ann", at=1e9)
SEEN = Tracks(
    camera="hall", t=1.0, captured_at=1e9, seq=0, size=(640, 480), ids=(1,), joints=np.zeros((1, 25, 3), np.float32),
    pixels=np.zeros((1, 25, 2), np.float32), confidence=np.ones((1, 25), np.float32),
)  # fmt: skip


class Running:
    """A supervisor with the bus, and an ear on what the asked recording says of itself."""

    def __init__(self) -> None:
        self.supervisor = Supervisor(Settings(folder=""))
        self.supervisor.start("decode")
        place = self.supervisor.settings.place
        self.bus, self.camera = Subscriber(place.link("bus-out"), (Report,)), Publisher(place.link("bus-in"))
        self.asked = AskedRecordings(self.supervisor)
        self.until(lambda report: True, "supervisor")  # somebody hears what is said once

    def until(self, true: Callable[[Report], bool], stage: str = "record@page") -> Report:
        """The first report of this stage of which this is true; meanwhile somebody is seen and named."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.supervisor.watch()
            self.camera.publish(SEEN)
            self.camera.publish(ANN)
            report = self.bus.receive(0.05)
            if isinstance(report, Report) and report.stage == stage and true(report):
                return report
        raise AssertionError("nothing of the kind was reported")

    def until_stopped(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.supervisor.runs("record@page"):
            assert time.monotonic() < deadline
            self.supervisor.watch()
            time.sleep(0.02)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.chdir(tmp_path)
    running = Running()
    yield running
    running.supervisor.stop()
    running.bus.close()
    running.camera.close()


def test_a_recording_is_begun_and_ended_and_the_next_is_another_file(running: Running, tmp_path: Path) -> None:
    names: list[str] = []
    for _ in range(2):
        running.asked.take(START)
        running.asked.take(START)  # by a second page: it runs already
        report = running.until(lambda report: report.counters.get("recorded", 0) > 20 * (len(names) + 1))
        (part,) = (tmp_path / "recordings").glob("*.part")
        names.append(part.name.removesuffix(".part"))
        assert report.message == f"writes {names[-1]}" and report.gauges["recorded_mb"] > 0
        running.asked.take(STOP)
        running.asked.take(STOP)
        running.until_stopped()
    assert sorted(path.name for path in (tmp_path / "recordings").iterdir()) == sorted(names) and len(set(names)) == 2
    messages = list(read_recording(tmp_path / "recordings" / names[0]))
    assert {type(message) for message in messages} == {Tracks, Named} and ANN in messages


def test_one_that_cannot_be_written_is_said_in_a_line_and_everything_else_goes_on(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "recordings").write_text("a file that is called so")
    running.asked.take(START)
    report = running.until(lambda report: report.state == "failed")
    assert report.message == "cannot write recordings: File exists; mend that, and try again"
    (tmp_path / "recordings").unlink()
    running.asked.take(START)
    running.until(lambda report: report.state == "ready")
    assert running.supervisor.runs("decode")


def test_one_whose_folder_goes_away_is_given_up_alone(running: Running, tmp_path: Path) -> None:
    running.asked.take(START)
    (tmp_path / "recordings").rmdir()  # before the stage has come to open its file
    report = running.until(lambda report: report.state == "failed")
    assert "cannot write recordings" in report.message and "\n" not in report.message
    running.until_stopped()
    running.asked.take(START)
    running.until(lambda report: report.state == "ready")
