"""`skelstream teach`: lessons in a pipeline of real processes, and what the command refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelstream.encoder.clock import HZ
from skelstream.launch.cameras import Line
from skelstream.launch.supervisor import Supervisor
from skelstream.stream.record import Recorder
from skelstream.stream.settings import Settings
from skelstream.stream.wire import AnyMessage, End, Event, Publisher, Report, Subscriber, Taught, Teach, Tracks

from ..stream.shown import Shown, shown

_DEADLINE_S = 240.0


def recorded(scene: Shown, path: Path, camera: str) -> Path:
    with Recorder(path) as recorder:
        for i, joints in enumerate(scene.joints_TVC[:, None].astype(np.float32)):
            recorder.write(
                Tracks(camera=camera, t=i / HZ, captured_at=0.0, seq=i, size=(640, 480), ids=(1,), joints=joints,
                       pixels=joints[..., :2], confidence=np.ones((1, 25), np.float32))
            )  # fmt: skip
        recorder.write(End(camera=camera))
    return path


class School:
    """decode, detect and teach as processes; scenes are played to them one after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.supervisor = Supervisor(
            Settings(folder="", lossless=True, taught=str(folder / "taught")), tell=lambda who, line: print(who, line)
        )  # fmt: skip
        place = self.supervisor.settings.place
        for kind in ("decode", "detect", "teach"):
            self.supervisor.start(kind)
        self.asks = Publisher(place.link("bus-in"))
        self.hears = Subscriber(place.link("bus-out"), (Taught, Event, End, Report))
        self.taught: tuple[str, ...] = ()
        self.heeded = 0  # by the detector
        self.events: list[Event] = []
        self.ended: set[str] = set()
        self.told: list[Taught] = []
        self.until(lambda: self.supervisor.all_ready() and len(self.told) > 0)

    def until(self, holds: Callable[[], bool], turn: Callable[[], object] = lambda: None) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline, [one.message for one in self.told if one.message][-5:]
            self.supervisor.watch()
            turn()
            self.hear(self.hears.receive(0.1))

    def hear(self, message: AnyMessage | None) -> None:
        if isinstance(message, Taught):
            self.taught = message.actions
            self.told.append(message)
        elif isinstance(message, Report) and message.stage == "detect":
            self.heeded = round(message.gauges.get("taught", 0))
        elif isinstance(message, Event) and message.kind == "start":
            self.events.append(message)
        elif isinstance(message, End):
            self.ended.add(message.camera)

    def play(self, scene: Shown, camera: str) -> None:
        path = recorded(scene, self.folder / f"{camera}.skel", camera)
        settings = replace(self.supervisor.settings, replay=str(path), name=camera)
        line = Line(self.supervisor, settings, [camera], f"@{camera}")
        line.prepare()
        line.begin()

    def said_of(self, scene: Shown, camera: str) -> list[str]:
        """What is said while this is played, once the detector heeds what is taught."""
        self.until(lambda: self.heeded == len(self.taught))
        self.play(scene, camera)
        self.until(lambda: camera in self.ended)
        return [event.action for event in self.events if event.camera == camera]

    def ask(self, wish: Teach) -> None:
        self.asks.publish(wish)

    def close(self) -> None:
        self.asks.close()
        self.hears.close()
        self.supervisor.stop()


@pytest.fixture
def school() -> Iterator[School]:
    with tempfile.TemporaryDirectory(prefix="skel-") as folder:
        opened = School(Path(folder))
        try:
            yield opened
        finally:
            opened.close()


@pytest.mark.slow
def test_shown_five_times_it_is_detected_until_it_is_forgotten(school: School) -> None:
    asked = shown(["circle", "bow", "circle"], seed=9)
    assert "circle" not in school.said_of(asked, "before")

    school.ask(Teach(at=time.time(), op="begin", action="circle", shots=5))
    school.until(lambda: school.told[-1].state == "get ready")
    school.play(shown(["circle"] * 5), "lesson")
    school.until(lambda: school.taught == ("circle",) or school.told[-1].state == "failed")
    assert school.taught == ("circle",), school.told[-1].message
    states = [one.state for one in school.told]
    assert [max(one.shown for one in school.told if one.state == "show it"), "learning" in states] == [4, True]
    assert "was learnt" in school.told[-1].message

    said = school.said_of(asked, "after")
    assert said.count("circle") == 2 and "bow" in said
    spans = [(first / HZ, last / HZ) for name, first, last in asked.spans if name == "circle"]
    starts = [event.t_start for event in school.events if (event.camera, event.action) == ("after", "circle")]
    for start, (first_s, last_s) in zip(starts, spans, strict=True):
        assert first_s - 1.0 <= start <= last_s

    school.ask(Teach(at=time.time(), op="begin", action="circle"))
    school.until(lambda: school.told[-1].state == "failed")
    assert "taught already" in school.told[-1].message

    school.ask(Teach(at=time.time(), op="rename", action="circle", to="big circle"))
    school.until(lambda: school.taught == ("big circle",))
    assert school.said_of(asked, "renamed").count("big circle") == 2

    school.ask(Teach(at=time.time(), op="forget", action="big circle"))
    school.until(lambda: school.taught == ())
    assert set(school.said_of(asked, "forgotten")) <= {"bow", "wave", "unknown", "raise_hand", "stop", "beckon"}


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "skelstream", "teach", *arguments, "--taught", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name the action"),
        (("x", "--forget", "--rename", "y"), "name the action, and one of"),
        (("x", "--forget"), "no action called 'x' has been taught"),
        (("x", "--rename", "y"), "no action called 'x' has been taught"),
        (("wave", "--from", "clip.mp4"), "action called 'wave' of its own"),
        (("x", "--from", "nowhere.mp4"), "nowhere.mp4"),
        (("x", "--at", "/nowhere/at/all"), "no pipeline runs at /nowhere/at/all"),
        (("x", "--shots", "0"), "shots"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = run(*words, folder=tmp_path / "taught")
    assert done.returncode == 2
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "taught").exists()


def test_a_list_of_nothing(tmp_path: Path) -> None:
    done = run("--list", folder=tmp_path / "taught")
    assert done.returncode == 0 and "nothing has been taught" in done.stderr
    assert json.dumps([*tmp_path.iterdir()]) == "[]"
