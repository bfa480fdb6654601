"""The stages as processes: each takes from the link before it, does its work, and hands on to the link after it.

    camera -> frames -> pose -> people -> track -> tracks -> window -> windows -> decode <-> work <-> detect
    everybody -> bus-in -> (the bus, in the decode process) -> bus-out -> view, record, terminal, your program

`lossless` (a file): a stage waits for the next one, and no frame is lost. Otherwise (a webcam) the newest frame wins,
and whatever is passed over is counted where it happens.

Each stage is a process that the supervisor starts (`launch/supervisor.py`); what it needs to know comes on stdin, in
two lines: the settings to get ready with, and, when its turn comes, its name and, if others, the settings to work with.

    python -m skelstream.stream.processes camera now /tmp/x 0 <<< '{"folder": "/tmp/x", "camera": "actor"}
    camera'
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .deciding import run_decode
from .keys import default_store
from .retry import StuckCamera
from .settings import Settings
from .stage import Stage
from .wire import (
    SHOWN,
    AnyMessage,
    End,
    Feeder,
    Frame,
    Inbox,
    Lost,
    Named,
    Outbox,
    People,
    Preview,
    Subscriber,
    Tracks,
    Tuned,
    Window,
    Worker,
)  # fmt: skip

if TYPE_CHECKING:
    from .detect import TaughtEngine
    from .pose import PoseEstimator
    from .pose_model import Say

_ROUND_S = 0.1  # the longest that a stage waits before it looks whether it should report or stop
_PREVIEW_EVERY_S = 1 / 15
_END_AGAIN_S = 2.0
_LOOK_S = 0.5  # between two looks whether anything new has been taught
_FRAMES = 1  # messages that wait in a link of pictures: they are large and go stale


def run_camera(stage: Stage, settings: Settings) -> None:
    """Pictures from the source, at its own pace (live) or at that of the slowest stage (lossless)."""
    from .camera import open_source
    from .retry import Camera

    opens = partial(
        open_source, settings.camera, width=settings.width, height=settings.height, mirror=settings.mirror,
        duration_s=math.inf if settings.duration_s is None else settings.duration_s,
    )  # fmt: skip
    camera = Camera(opens, stage, name=settings.name, live=not settings.lossless)
    if stage.goes_on:  # whether there are pictures again or not: it is at work
        stage.ready(settings.fresh_for)
    with Outbox(stage.place.link("frames"), queue=_FRAMES, count=stage.sent) as frames:
        while not stage.stopping and not camera.over:
            message = camera.next(_ROUND_S)
            if isinstance(message, Frame):
                if not stage.vitals.ready_at:
                    stage.ready(settings.fresh_for)
                stage.count("captured")
                _pass(stage, frames, message, lossless=settings.lossless)
                stage.vitals.t = message.t
            elif message is not None:
                stage.bus.publish(message)
                _hand_on(stage, frames, message, 1.0)  # whoever does not hear of it sees the time go by
            frames.flush()
            stage.report()
        camera.close()
        _end(stage, frames, camera.name)


def load_pose(settings: Settings, say: Say) -> PoseEstimator:
    """What takes `run_pose` seconds."""
    from .pose import PoseEstimator

    return PoseEstimator(PoseEstimator.Config(variant=settings.pose, people=settings.people))


def run_pose(stage: Stage, settings: Settings, estimator: PoseEstimator) -> None:
    """People in pictures."""
    from .preview import encode_preview

    previewed = 0.0
    with (
        estimator,
        Inbox(stage.place.link("frames"), queue=_FRAMES) as frames,
        Outbox(stage.place.link("people"), queue=settings.queue, count=stage.sent) as people,
    ):
        stage.ready(settings.fresh_for)
        while not stage.stopping:
            if settings.lossless:
                message, skipped = frames.receive(_ROUND_S), 0
            else:
                message, skipped = frames.receive_newest(_ROUND_S)
            stage.count("received", skipped + isinstance(message, Frame))
            stage.count("dropped: newer came", skipped)
            if isinstance(message, Frame):
                began = time.perf_counter()
                found = estimator.estimate(message)
                took_s = time.perf_counter() - began
                stage.measure("pose_ms", 1000 * took_s)
                stage.observe("took_s", took_s)
                stage.count("frames")
                stage.count("frames_with_people", int(len(found.image) > 0))
                _pass(stage, people, found, lossless=settings.lossless)
                if time.monotonic() - previewed >= _PREVIEW_EVERY_S and stage.bus.wanted(Preview):
                    previewed = time.monotonic()
                    stage.bus.publish(encode_preview(message))
            elif message is not None:
                _hand_on(stage, people, message)
            people.flush()
            stage.report()


def run_track(stage: Stage, settings: Settings) -> None:
    """Identities. Every camera's people have a tracker of their own."""
    from .track import Tracker

    trackers: dict[str, Tracker] = {}
    with (
        Inbox(stage.place.link("people"), queue=settings.queue) as people,
        Outbox(stage.place.link("tracks"), queue=settings.queue, count=stage.sent) as tracks,
    ):
        stage.ready(settings.fresh_for)
        while not stage.stopping:
            message = people.receive(_ROUND_S)
            if isinstance(message, People):
                stage.count("received")
                # A number that was given is never given to somebody else, whatever happens to this process.
                tracker = trackers.setdefault(message.camera, Tracker(first_id=stage.counters["named"] + 1))
                tracked = tracker.push(message)
                stage.counters["named"] = max(stage.counters["named"], tracker.named)
                stage.count("people", len(tracked.ids))
                _pass(stage, tracks, tracked, lossless=settings.lossless)
                stage.bus.publish(tracked)
            elif message is not None:
                if isinstance(message, Lost) and message.camera in trackers:
                    trackers[message.camera].lose_everybody()
                elif isinstance(message, End):
                    trackers.pop(message.camera, None)
                _hand_on(stage, tracks, message)
            tracks.flush()
            stage.report()


def run_replay(stage: Stage, settings: Settings) -> None:
    """In the place of camera, pose and track: the tracks of a recording, every one."""
    from .record import played

    camera = ""
    with Outbox(stage.place.link("tracks"), queue=settings.queue, count=stage.sent) as tracks:
        stage.ready()
        for message in played(Path(settings.replay)):
            camera = message.camera
            if isinstance(message, Tracks):
                stage.count("captured")
                stage.count("frames_with_people", int(len(message.ids) > 0))
            if not isinstance(message, Named):
                _hand_on(stage, tracks, message)
            if not isinstance(message, End):  # whoever decides says when it is over
                stage.bus.publish(message)
            stage.report()
            if stage.stopping:
                break
        _end(stage, tracks, camera)


def run_window(stage: Stage, settings: Settings) -> None:
    """Windows of every person, to whoever decodes."""
    from .window import WindowCutter

    config = WindowCutter.Config(hop=settings.hop)
    cutters: dict[str, WindowCutter] = {}
    with (
        Inbox(stage.place.link("tracks"), queue=settings.queue) as tracks,
        Feeder(stage.place.link("windows"), queue=settings.queue, count=stage.sent) as windows,
    ):

        def hand_on(made: Iterable[Window]) -> None:
            for window in made:
                stage.count("windows")
                # A person's last window ends their events: it is worth waiting for.
                _pass(stage, windows, window, lossless=settings.lossless or window.last)

        stage.ready(settings.fresh_for)
        while not stage.stopping:
            message = tracks.receive(_ROUND_S)
            if isinstance(message, Tracks):
                stage.count("received")
                stage.vitals.fresh = time.monotonic()
                hand_on(cutters.setdefault(message.camera, WindowCutter(config)).push(message))
            elif isinstance(message, Lost | End):
                if (cutter := cutters.pop(message.camera, None)) is not None:
                    hand_on(cutter.finish())
                if isinstance(message, End):
                    _hand_on(stage, windows, message)
            windows.flush()
            stage.report()


def load_detect(settings: Settings, say: Say) -> TaughtEngine:
    """What takes `run_detect` seconds."""
    from ..encoder.bundle import Bundle
    from ..encoder.engine.compile import fallbacks, first_engine
    from .detect import TaughtEngine, frames_to_score
    from .taught_store import TaughtStore

    bundle = Bundle.load_live(settings.model)
    delay = bundle.config.decode.delay if settings.delay is None else settings.delay
    opens = partial(
        first_engine, bundle, fallbacks(settings.engine), threads=settings.threads, say=say,
        frames=frames_to_score(delay, settings.hop),
    )  # fmt: skip
    engine = TaughtEngine(bundle, opens(), partial(opens, features=True), TaughtStore(settings.taught_folder))
    if trouble := engine.look(patient=True):
        say(trouble)
    return engine


def run_detect(stage: Stage, settings: Settings, engine: TaughtEngine) -> None:
    """One detector: windows in, logits out. There may be several."""
    from .detect import score

    with Worker(stage.place.link("work")) as work:
        stage.ready()
        work.free()
        spoke = looked = time.monotonic()
        while not stage.stopping:
            if time.monotonic() - looked > _LOOK_S:
                looked = time.monotonic()
                if trouble := engine.look():
                    stage.warn(trouble)
            windows = work.take(_ROUND_S)
            if windows:
                stage.count("received", len(windows))
                began = time.perf_counter()
                work.give(score(engine, windows, engine.taught))
                took_s = time.perf_counter() - began
                stage.measure("engine_ms", 1000 * took_s / len(windows))
                stage.measure("batch", len(windows))
                stage.observe("took_s", took_s)
                stage.observe("batch", len(windows))
                stage.count("scored", len(windows))
                stage.passed(windows[0].captured_at)
                spoke = time.monotonic()
            elif time.monotonic() - spoke > 1.0:  # whoever hands out the work may be new
                work.free()
                spoke = time.monotonic()
            stage.report()
    engine.close()


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


def _pass(stage: Stage, link: Outbox | Feeder, message: Frame | People | Tracks | Window, *, lossless: bool) -> None:
    """Hand on what frames become, and count what came of it. Lossless: wait for room; else the oldest makes room."""
    if lossless:
        stage.count("dropped: stopped", int(not _hand_on(stage, link, message)))
    else:
        stage.count("dropped: queue full", int(link.offer(message) is not None))
    stage.passed(message.captured_at)


def _hand_on(stage: Stage, link: Outbox | Feeder, message: AnyMessage, patience_s: float = math.inf) -> bool:
    """Send to the next stage, behind what waits, as soon as there is room; False if there is none in time.

    A stage that is told to stop has little patience left.
    """
    until = time.monotonic() + patience_s
    while (now := time.monotonic()) < until:
        link.flush()
        if link.waits():
            link.room(_ROUND_S)
        elif link.send(message, _ROUND_S):
            return True
        stage.report()
        if stage.stopping:
            until = min(until, now + 2 * _ROUND_S)
    return False


def _end(stage: Stage, link: Outbox, camera: str) -> None:
    """A source that is through says so, and stays until it is told to stop: its last messages are still in its socket.

    It says so again and again: whoever heard it may have died before they could hand it on.
    """
    _hand_on(stage, link, End(camera=camera))
    stage.vitals.fresh_for = 0.0
    stage.report(force=True)
    said = time.monotonic()
    while not stage.stop.wait(_ROUND_S):
        if time.monotonic() - said >= _END_AGAIN_S:
            said = time.monotonic()
            _hand_on(stage, link, End(camera=camera), _ROUND_S)
        stage.report()
    time.sleep(2 * _ROUND_S)


STAGES: dict[str, Callable[..., None]] = {
    "camera": run_camera, "pose": run_pose, "track": run_track, "replay": run_replay, "window": run_window,
    "detect": run_detect, "decode": run_decode, "teach": run_teach_stage, "view": run_view, "record": run_record,
    "gate": run_gate_stage, "robot": run_robot_stage, "ros": run_ros_stage,
}  # fmt: skip

# What some of them must load first, for seconds, and can have loaded before their turn comes.
LOADS: dict[str, Callable[[Settings, Say], Any]] = {"pose": load_pose, "detect": load_detect}

# The socket files that stages make where others meet: whoever ends a stage that cannot clean up removes these.
SOCKETS: dict[str, tuple[str, ...]] = {"decode": ("windows", "work")}


def main(kind: str, when: str, settings: Settings, turn: Callable[[], tuple[str, Settings]]) -> int:
    """Run a stage until it is told to stop. `when` is "now", or "spare": it gets ready and waits for its turn.

    `turn` returns the stage's name, "" if its turn will never come, and the settings to work with, which ask for the
    same models. Returns 0 when the stage ended well, 2 when its settings were wrong, 75 when only a new process can go
    on.
    """
    load = LOADS.get(kind)
    try:
        loaded = [load(settings, lambda line: None)] if load is not None and when == "spare" else []
        name, settings = turn()
        if not name:
            return 0
        with Stage(name, settings.place) as stage:
            stage.stop_on_signals()
            if load is not None and not loaded:
                loaded = [load(settings, stage.warn)]
            STAGES[kind](stage, settings, *loaded)
    except StuckCamera:
        return 75
    except ValueError as error:
        print(f"skelstream {kind} failed: {error}", file=sys.stderr)
        return 2
    return 0


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to end this process when the one that started it is gone, however it went (Linux)."""
    pr_set_pdeathsig = 1
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
        # It may have gone while we were starting, before the kernel was asked.
        if parent is not None and os.getppid() != parent:
            sys.exit(1)


if __name__ == "__main__":
    kind, when, _, parent = sys.argv[1:]
    die_with_parent(int(parent) or None)
    if not (asked := sys.stdin.readline()):
        sys.exit(1)
    first = Settings(**json.loads(asked))

    def turn() -> tuple[str, Settings]:
        name, _, others = sys.stdin.readline().strip().partition(" ")
        return name, Settings(**json.loads(others)) if others else first

    code = main(kind, when, first, turn)
    sys.stdout.flush()
    os._exit(code)  # a thread that hangs in a camera's driver keeps nobody here
