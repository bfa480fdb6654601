"""The stage that is the robot's: it hears the bus, asks the policy, moves the robot, and tells how it is.

skelstream live --robot mujoco --policy greet.toml
skelstream robot mujoco --at DIR
"""

from __future__ import annotations

import time
from pathlib import Path

from ...encoder.bundle import Bundle
from ..settings import Settings
from ..stage import Stage
from ..taught_store import TaughtStore
from ..wire import AnyMessage, End, Event, Glimpse, Lost, Named, RobotState, Subscriber, Taught, Tracks
from .interaction import Answer, Interaction
from .policy import DEFAULT, InteractionPolicy
from .robot import Reading, check_robot, open_robot
from .watchdog import SILENT_S, Watchdog

_ROUND_S = 0.02
_TELL_EVERY_S = 0.05
_HEARD: tuple[type[AnyMessage], ...] = (Tracks, Glimpse, Event, Lost, End, Named, Taught)


def policy_of(settings: Settings) -> InteractionPolicy:
    """The policy that is asked for. ValueError if the robot is not there, or the policy wants what there is not."""
    check_robot(settings.robot)
    classes = Bundle.load_live(settings.model).config.classes
    taught = [action.name for action in TaughtStore(settings.taught_folder).actions]
    path = Path(settings.policy) if settings.policy else DEFAULT
    return InteractionPolicy.load(path, [*classes[1:], *taught])


def run_robot(stage: Stage, settings: Settings) -> None:
    """Until told to stop."""
    interaction = Interaction(policy_of(settings), Bundle.load_live(settings.model).config.classes)
    with (
        Subscriber(stage.place.link("bus-out"), _HEARD) as bus,
        Watchdog(open_robot(settings.robot)) as robot,
    ):
        stage.ready()
        told = _Told(stage, robot.name)
        seen_at = -SILENT_S
        while not stage.stopping:
            due = time.monotonic() + _ROUND_S
            while (left_s := due - time.monotonic()) > 0:
                if (message := bus.receive(left_s)) is not None:
                    interaction.hear(message)
                    seen_at = time.monotonic() if isinstance(message, Tracks) else seen_at
            answer = interaction.turn(time.monotonic())
            if time.monotonic() - seen_at <= SILENT_S:
                robot.perform(answer.command)
            else:  # nothing is seen: whatever it was about to do, nobody knows whether somebody stands there
                robot.stop()
            told.tell(answer, robot.state())
            stage.notice(bus.foreign)
            stage.report()


class _Told:
    """What others hear of the robot."""

    def __init__(self, stage: Stage, robot: str) -> None:
        self._stage, self._robot = stage, robot
        self._told_at = 0.0
        self._number = 0
        self._reacted_ms: float | None = None
        self._moved_at: float | None = None

    def tell(self, answer: Answer, reading: Reading) -> None:
        """Twenty times a second, and at once when it is something new."""
        now = time.monotonic()
        new = answer.command.number != self._number
        if new:
            self._number = answer.command.number
            self._stage.count("behaviours")
            if answer.rule is not None and answer.rule.say:
                self._stage.tell(f"{answer.rule.say} ({answer.because})")
        if reading.number == self._number and reading.moved_at and reading.moved_at != self._moved_at:
            self._moved_at = reading.moved_at
            if answer.moved_first_at is not None:
                self._reacted_ms = max(1000 * (reading.moved_at - answer.moved_first_at), 0.0)
                self._stage.measure("reacted_ms", self._reacted_ms)
        if not new and now - self._told_at < _TELL_EVERY_S:
            return
        self._told_at = now
        acting = reading.state != "safe" and bool(answer.command.behaviours)
        self._stage.bus.publish(
            RobotState(
                robot=self._robot, at=time.time(), state=reading.state,
                behaviour=", ".join(answer.command.behaviours) if acting else "",
                because=answer.because if acting else "", camera=answer.camera if acting else "",
                track=answer.track if acting else None, reacted_ms=self._reacted_ms, moved_at=self._moved_at,
                points=reading.points, bones=reading.bones,
            )
        )  # fmt: skip
