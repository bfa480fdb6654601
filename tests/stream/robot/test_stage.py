"""The robot as a process of its own, over a real bus: it answers, says so, and is safe when nothing is seen."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the extra `robot` is not installed")

from skelstream.encoder.bundle import Bundle
from skelstream.launch.supervisor import StageFailed, Supervisor
from skelstream.stream.actor import Script
from skelstream.stream.robot.robot import Command
from skelstream.stream.robot.simulated import SimulatedRobot
from skelstream.stream.robot.watchdog import SILENT_S, Watchdog
from skelstream.stream.settings import Settings
from skelstream.stream.wire import Bus, Glimpse, Publisher, RobotState, Subscriber, Tracks

CLASSES = Bundle.load_live("small").config.classes
STANDING = Script(seed=1, duration_s=1.0).pose(0.0)
PATIENCE_S = 30.0


class Scene:
    """A bus with somebody before a camera, and the robot's process."""

    def __init__(self, folder: Path, robot: str) -> None:
        self.supervisor = Supervisor(Settings(folder=str(folder), robot=robot))
        place = self.supervisor.settings.place
        self._bus = Bus(place.here("bus-in"), place.here("bus-out"))
        self.publisher = Publisher(place.link("bus-in"))
        self.heard = Subscriber(place.link("bus-out"), (RobotState,))
        self.supervisor.start("robot")
        self.seq = 0

    def frame(self, **shares: float) -> None:
        """One frame of somebody who seems to do this."""
        now = time.time()
        t = self.seq / 30
        self.publisher.publish(
            Tracks(camera="c", t=t, captured_at=now, seq=self.seq, size=(640, 480), ids=(1,),
                   joints=(STANDING - STANDING[0] + (0, 0, 2))[None].astype(np.float32),
                   pixels=np.zeros((1, 25, 2), np.float32), confidence=np.ones((1, 25), np.float32))
        )  # fmt: skip
        probabilities = np.array([shares.get(name, 0.0) for name in CLASSES], np.float32)
        probabilities[0] = 1 - probabilities[1:].sum()
        self.publisher.publish(
            Glimpse(camera="c", t=t, captured_at=now, track=1, tick=self.seq, probabilities=probabilities, evidence=1.0)
        )
        self.seq += 1

    def until(self, wanted: Callable[[RobotState], bool], *, frames: dict[str, float] | None = None) -> RobotState:
        """The first state that is wanted; meanwhile frames come, or nothing at all."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.supervisor.watch()
            if frames is not None:
                self.frame(**frames)
            message = self.heard.receive(1 / 30)
            if isinstance(message, RobotState) and wanted(message):
                return message
        raise AssertionError("it did not come to that")

    def close(self) -> None:
        self.supervisor.stop()
        self.publisher.close()
        self.heard.close()
        self._bus.close()


@contextlib.contextmanager
def scene(folder: Path, robot: str = "mujoco") -> Iterator[Scene]:
    scene = Scene(folder, robot)
    try:
        yield scene
    finally:
        scene.close()


def test_it_answers_a_wave_moves_says_why_and_is_safe_when_nothing_is_seen_any_more(tmp_path: Path) -> None:
    with scene(tmp_path / "at") as s:
        first = s.until(lambda state: True)
        assert first.state == "safe" and first.points.shape[0] > 10 and first.bones  # nothing has been seen yet
        s.until(lambda state: state.state == "ready", frames={})
        answer = s.until(lambda state: "wave" in state.behaviour, frames={"wave": 0.9})
        assert (answer.camera, answer.track) == ("c", 1) and "greet" in answer.because
        moved = s.until(lambda state: bool(state.moved_at), frames={"wave": 0.9})
        assert moved.moved_at is not None and moved.moved_at <= moved.at + 0.1
        raised = s.until(lambda state: state.points[:, 2].max() > 1.6, frames={"wave": 0.9})  # a hand over its head
        assert raised.state == "acting"
        silent_since = time.monotonic()
        safe = s.until(lambda state: state.state == "safe")
        assert time.monotonic() - silent_since >= SILENT_S - 0.1
        assert safe.behaviour == "" and safe.track is None
        down = s.until(lambda state: state.points[:, 2].max() < 1.56)  # its arms are down again
        assert down.state == "safe"
        s.until(lambda state: state.state == "ready", frames={})


def test_a_robot_of_somebody_elses_hears_what_to_do_from_the_bus(tmp_path: Path) -> None:
    with scene(tmp_path / "at", "zmq") as s:
        s.until(lambda state: state.state == "ready", frames={})
        answer = s.until(lambda state: state.behaviour == "wave, look", frames={"wave": 0.9})
        assert answer.robot == "zmq" and answer.points.shape == (0, 3) and answer.track == 1
        assert s.until(lambda state: state.state == "safe").behaviour == ""


def test_a_policy_that_asks_for_what_there_is_not_is_told_in_a_line(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\nwhen = "wave"\ndo = "moonwalk"')
    settings = Settings(folder=str(tmp_path / "at"), robot="mujoco", policy=str(policy))
    with Supervisor(settings) as supervisor:
        supervisor.start("robot")
        deadline = time.monotonic() + PATIENCE_S
        with pytest.raises(StageFailed, match="no behaviour 'moonwalk'") as caught:
            while time.monotonic() < deadline:
                supervisor.watch()
                time.sleep(0.05)
        assert caught.value.wrong_request


def test_the_watchdog_makes_a_robot_safe_that_is_asked_nothing_any_more() -> None:
    with Watchdog(SimulatedRobot()) as robot:
        assert robot.state().state == "safe"
        fed_at, until = time.monotonic(), time.monotonic() + 2 * SILENT_S
        hungry_s = 0.0  # the longest that this machine let it wait
        while fed_at < until:
            robot.perform(Command(1, ("stop",)))
            time.sleep(0.02)
            hungry_s, fed_at = max(hungry_s, time.monotonic() - fed_at), time.monotonic()
        if hungry_s < SILENT_S - 0.1:  # fed, it lets it be
            assert robot.state().state == "acting" and robot.barked == 0
        before, deadline = robot.barked, time.monotonic() + PATIENCE_S
        while robot.state().state != "safe":
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert time.monotonic() - fed_at >= SILENT_S - 0.1
        assert robot.barked == before + 1
        robot.perform(Command(2, ("wave",)))
        assert robot.state().state == "acting"


def test_a_behaviour_that_it_cannot_do_is_refused() -> None:
    with Watchdog(SimulatedRobot()) as robot, pytest.raises(ValueError, match="cannot 'fly'; it can wave, bow"):
        robot.perform(Command(1, ("fly",)))
