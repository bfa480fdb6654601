"""Listening: the stages that hear the bus and show it, keep it, answer it, or carry it to and from other machines."""

from __future__ import annotations

import time
from pathlib import Path

from .keys import default_store
from .settings import Settings
from .stage import Stage
from .wire import SHOWN, AnyMessage, Subscriber, Tuned

_ROUND_S = 0.1


def run_view(stage: Stage, settings: Settings) -> None:
    """The page."""
    from ..encoder.bundle import Bundle, of_class
    from .view.access import REFUSALS
    from .view.server import serve

    config = Bundle.load_live(settings.model).config
    for reason in REFUSALS:
        stage.count(f"refused: {reason}", 0)  # that there were none is worth knowing, too
    before = stage.counters["dropped: viewer too slow"], stage.counters["malformed"]
    with Subscriber(stage.place.link("bus-out"), (*SHOWN, Tuned)) as feed:

        def report() -> None:
            stage.counters["dropped: viewer too slow"] = before[0] + feed.missed
            stage.counters["malformed"] = before[1] + feed.malformed
            stage.notice(feed.foreign)
            stage.report()

        stage.ready()
        serve(
            feed, classes=config.classes, marks=[of_class(config.decode.enter, k) for k in range(len(config.classes))],
            publish=stage.bus.publish, kept=stage.place.beside("wishes.json"), host=settings.host, port=settings.port,
            token=settings.token, stop=stage.stop, refused=lambda reason: stage.count(f"refused: {reason}"),
            turned=report,
        )  # fmt: skip


def run_teach_stage(stage: Stage, settings: Settings) -> None:
    """Lessons: people teach new actions."""
    from .teach import run_teach

    run_teach(stage, settings)


def run_record(stage: Stage, settings: Settings) -> None:
    """What was seen and said, to a file, or with limits to a folder."""
    from .record import KINDS, Recorder
    from .segments import Limits

    limits = Limits.of(settings.record_most_mb, settings.record_most_minutes)
    missed, dropped, trouble, until = 0, 0, "", 0.0
    begun = time.monotonic()
    message: AnyMessage | None = None
    stopping = False
    with (
        Subscriber(stage.place.link("bus-out"), KINDS) as feed,
        Recorder(Path(settings.record), limits) as recorder,
    ):
        stage.ready()
        # What was said while we were told to stop belongs to it; but others may go on talking.
        while not stopping or (message is not None and time.monotonic() < until):
            stopping = stage.stopping
            if not stopping:
                until = time.monotonic() + 3 * _ROUND_S
            if (message := feed.receive(_ROUND_S)) is not None:
                stage.count("recorded", int(recorder.write(message)))
            recorder.tick()
            stage.count("dropped: recorder too slow", feed.missed - missed)
            stage.count("dropped: disk full", recorder.dropped - dropped)
            missed, dropped = feed.missed, recorder.dropped
            stage.notice(feed.foreign)
            if recorder.trouble != trouble:
                trouble = recorder.trouble
                stage.warn(trouble) if trouble else stage.settle()
            stage.gauges["recorded_mb"] = recorder.size / 1e6
            stage.gauges["recording_s"] = time.monotonic() - begun
            stage.report(message=trouble or f"writes {Path(settings.record).name}")
    if recorder.trouble != trouble:
        stage.warn(recorder.trouble)


def run_gate_stage(stage: Stage, settings: Settings) -> None:
    """The gate: other machines come in here."""
    from .gate import run_gate

    keys = Path(settings.keys) if settings.keys else default_store()
    run_gate(stage, keys=keys, host=settings.host, port=settings.port)


def run_robot_stage(stage: Stage, settings: Settings) -> None:
    """The robot that answers people."""
    from .robot.stage import run_robot

    run_robot(stage, settings)


def run_ros_stage(stage: Stage, settings: Settings) -> None:
    """What is seen and said, to ROS 2."""
    from .robot.ros import run_ros

    run_ros(stage, settings)
