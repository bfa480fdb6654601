"""The stages as processes: each takes from the link before it, does its work, and hands on to the link after it.

    camera -> frames -> pose -> people -> track -> tracks -> window -> windows -> decode <-> work <-> detect
    everybody -> bus-in -> (the bus, in the decode process) -> bus-out -> view, record, terminal, your program

`lossless` (a file): a stage waits for the next one, and no frame is lost. Otherwise (a webcam) the newest frame wins,
and whatever is passed over is counted where it happens.

    python -m skelstream.stream.processes camera '{"folder": "/tmp/x", "camera": "actor", "lossless": false}'
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..encoder.engine.compile import EngineChoice
from .elsewhere import Elsewhere
from .keys import default_store
from .stage import Place, Stage
from .wire import (
    SHOWN,
    AnyMessage,
    Bus,
    End,
    Feeder,
    Frame,
    Inbox,
    Outbox,
    People,
    Preview,
    Subscriber,
    Tracks,
    Window,
    Worker,
    WorkServer,
    wait_any,
)  # fmt: skip

_ROUND_S = 0.1  # the longest that a stage waits before it looks whether it should report or stop
_PREVIEW_EVERY_S = 1 / 15
# Queues of a link, in messages. Frames are large and go stale: one. The rest are small, and smooth out a hiccup; where
# every stage waits for the next, a long queue would only let the picture run ahead of what is said about it.
_FRAMES, _SMALL, _LOSSLESS = 1, 16, 2


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the stages of one pipeline agree on."""

    folder: str
    lossless: bool = False
    camera: str = "actor"
    width: int = 1280
    height: int = 720
    duration_s: float | None = None
    mirror: bool = False
    pose: Literal["lite", "full", "heavy"] = "lite"
    people: int = 1
    hop: int = 1
    model: str = "small"
    engine: EngineChoice = "auto"
    threads: int = 1
    delay: int | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    record: str = ""
    replay: str = ""
    to: str = ""  # HOST or HOST:PORT of another machine's gate
    key: str = ""  # the file of the key for it
    keys: str = ""  # the gate's own key store

    def __post_init__(self) -> None:
        if self.hop < 1:
            raise ValueError(f"hop is {self.hop}; a window comes every 1 or more frames")

    @property
    def place(self) -> Place:
        """Where the stages meet. ValueError for a gate that is no address, or without a good key."""
        return Place(Path(self.folder), Elsewhere.named(self.to, self.key) if self.to else None)

    @property
    def queue(self) -> int:
        """Messages that wait in a link."""
        return _LOSSLESS if self.lossless else _SMALL


def run_camera(stage: Stage, settings: Settings) -> None:
    """Pictures from the source, at its own pace (live) or at that of the slowest stage (lossless)."""
    from .camera import open_source

    duration_s = float("inf") if settings.duration_s is None else settings.duration_s
    source = open_source(
        settings.camera, width=settings.width, height=settings.height, duration_s=duration_s, mirror=settings.mirror
    )
    with Outbox(stage.place.link("frames"), queue=_FRAMES) as frames:
        stage.ready()
        for frame in source.frames():
            stage.count("captured")
            if not _hand_on(stage, frames, frame, lossless=settings.lossless):
                stage.count("dropped")
            stage.report()
            if stage.stopping:
                break
        source.close()
        _hand_on(stage, frames, End(camera=source.name), lossless=True)
        _linger(stage)


def run_pose(stage: Stage, settings: Settings) -> None:
    """People in pictures."""
    from .pose import PoseEstimator
    from .preview import encode_preview

    estimator = PoseEstimator(PoseEstimator.Config(variant=settings.pose, people=settings.people))
    previewed = 0.0
    with (
        estimator,
        Inbox(stage.place.link("frames"), queue=_FRAMES) as frames,
        Outbox(stage.place.link("people"), queue=settings.queue) as people,
    ):
        stage.ready()
        while not stage.stopping:
            if settings.lossless:
                message, skipped = frames.receive(_ROUND_S), 0
            else:
                message, skipped = frames.receive_newest(_ROUND_S)
            stage.count("dropped", skipped)
            if isinstance(message, Frame):
                began = time.perf_counter()
                found = estimator.estimate(message)
                stage.measure("pose_ms", 1000 * (time.perf_counter() - began))
                stage.count("frames")
                stage.count("frames_with_people", int(len(found.image) > 0))
                if not _hand_on(stage, people, found, lossless=settings.lossless):
                    stage.count("dropped")
                if time.monotonic() - previewed >= _PREVIEW_EVERY_S and stage.bus.wanted(Preview):
                    previewed = time.monotonic()
                    stage.bus.publish(encode_preview(message))
            elif isinstance(message, End):
                _hand_on(stage, people, message, lossless=True)
            stage.report()


def run_track(stage: Stage, settings: Settings) -> None:
    """Identities. Every camera's people have a tracker of their own."""
    from .track import Tracker

    trackers: dict[str, Tracker] = {}
    with (
        Inbox(stage.place.link("people"), queue=settings.queue) as people,
        Outbox(stage.place.link("tracks"), queue=settings.queue) as tracks,
    ):
        stage.ready()
        while not stage.stopping:
            message = people.receive(_ROUND_S)
            if isinstance(message, People):
                tracked = trackers.setdefault(message.camera, Tracker()).push(message)
                stage.count("people", len(tracked.ids))
                _hand_on(stage, tracks, tracked, lossless=True)
                stage.bus.publish(tracked)
            elif isinstance(message, End):
                trackers.pop(message.camera, None)
                _hand_on(stage, tracks, message, lossless=True)
            stage.report()


def run_replay(stage: Stage, settings: Settings) -> None:
    """In the place of camera, pose and track: the tracks of a recording, every one."""
    from .record import read_recording

    with Outbox(stage.place.link("tracks"), queue=settings.queue) as tracks:
        stage.ready()
        for message in read_recording(Path(settings.replay)):
            if isinstance(message, Tracks | End):
                stage.count("captured", int(isinstance(message, Tracks)))
                stage.count("frames_with_people", int(isinstance(message, Tracks) and len(message.ids) > 0))
                _hand_on(stage, tracks, message, lossless=True)
            if isinstance(message, Tracks):
                stage.bus.publish(message)
            stage.report()
            if stage.stopping:
                break
        _linger(stage)


def run_window(stage: Stage, settings: Settings) -> None:
    """Windows of every person, to whoever decodes."""
    from .window import WindowCutter

    config = WindowCutter.Config(hop=settings.hop)
    cutters: dict[str, WindowCutter] = {}
    with (
        Inbox(stage.place.link("tracks"), queue=settings.queue) as tracks,
        Feeder(stage.place.link("windows"), queue=settings.queue) as windows,
    ):

        def hand_on(window: Window) -> None:
            stage.count("windows")
            # A person's last window ends their events: it is worth waiting for.
            if not _hand_on(stage, windows, window, lossless=settings.lossless or window.last):
                stage.count("dropped")

        stage.ready()
        while not stage.stopping:
            message = tracks.receive(_ROUND_S)
            if isinstance(message, Tracks):
                for window in cutters.setdefault(message.camera, WindowCutter(config)).push(message):
                    hand_on(window)
            elif isinstance(message, End):
                if (cutter := cutters.pop(message.camera, None)) is not None:
                    for window in cutter.finish():
                        hand_on(window)
                _hand_on(stage, windows, message, lossless=True)
            stage.report()


def run_detect(stage: Stage, settings: Settings) -> None:
    """One detector: windows in, logits out. There may be several."""
    from ..encoder.bundle import Bundle
    from ..encoder.engine.compile import fallbacks, first_engine
    from .detect import frames_to_score, score

    bundle = Bundle.load_live(settings.model)
    engine = first_engine(
        bundle, fallbacks(settings.engine), threads=settings.threads, say=stage.warn,
        frames=frames_to_score(bundle.config.decode.delay if settings.delay is None else settings.delay, settings.hop),
    )  # fmt: skip
    with Worker(stage.place.link("work")) as work:
        stage.ready()
        work.free()
        spoke = time.monotonic()
        while not stage.stopping:
            windows = work.take(_ROUND_S)
            if windows:
                began = time.perf_counter()
                work.give(score(engine, windows))
                stage.measure("engine_ms", 1000 * (time.perf_counter() - began) / len(windows))
                stage.measure("batch", len(windows))
                stage.count("scored", len(windows))
                spoke = time.monotonic()
            elif time.monotonic() - spoke > 1.0:  # whoever hands out the work may be new
                work.free()
                spoke = time.monotonic()
            stage.report()
    engine.close()


def run_decode(stage: Stage, settings: Settings) -> None:
    """Hands windows to the detectors, puts their scores in order, decides. The bus runs in this process."""
    from dataclasses import replace

    from ..encoder.bundle import Bundle
    from .decode import Decoder
    from .dispatch import Dispatcher

    config = Bundle.load_live(settings.model).config
    parameters = config.decode if settings.delay is None else replace(config.decode, delay=settings.delay)
    # One window at a time where every run must give the same events: a batch may round differently.
    dispatcher = Dispatcher(
        Dispatcher.Config(batch=1, capacity=2) if settings.lossless else Dispatcher.Config(batch=8, newest=True)
    )
    decoders: dict[tuple[str, int], Decoder] = {}
    free: dict[bytes, None] = {}  # in the order in which they became free
    ending: set[str] = set()
    unfit = 0  # windows and scores of another model's shape
    with (
        Inbox(stage.place.link("windows"), queue=settings.queue, bind=True) as windows,
        WorkServer(stage.place.link("work")) as work,
    ):
        stage.ready()
        while not stage.stopping:
            waiting_for = [work] if settings.lossless and dispatcher.full else [work, windows]
            wait_any(waiting_for, _ROUND_S)
            while not (settings.lossless and dispatcher.full) and (message := windows.receive(0)) is not None:
                if isinstance(message, Window) and message.joints.shape != config.window_shape:
                    unfit += 1  # no engine takes it
                elif isinstance(message, Window):
                    stage.count("windows")
                    dispatcher.put(message)
                elif isinstance(message, End):
                    ending.add(message.camera)
            while (answer := work.receive(0)) is not None:
                worker, scores = answer
                free[worker] = None
                for score in scores:
                    if score.logits.shape[1] == len(config.classes):
                        dispatcher.settle(score)
                    else:  # a detector of another model
                        unfit += 1
            now = time.monotonic()
            for gone in dispatcher.expire(now):
                free.pop(gone, None)
            for worker in list(free):
                if not (batch := dispatcher.take(worker, now)):
                    break
                del free[worker]
                if not work.send(worker, batch):
                    dispatcher.give_back(worker)
            for score in dispatcher.ordered():
                person = (score.camera, score.track)
                decoder = decoders.setdefault(person, Decoder(config.classes, parameters))
                for said in decoder.push(score, time.time()):
                    stage.bus.publish(said)
                stage.count("scored")
                stage.measure("latency_ms", 1000 * (time.time() - score.captured_at))
                if score.last:
                    del decoders[person]
            for camera in [name for name in ending if not dispatcher.outstanding(name)]:
                ending.remove(camera)
                stage.bus.publish(End(camera=camera))
            stage.counters["dropped"], stage.counters["resent"] = dispatcher.dropped, dispatcher.resent
            stage.counters["malformed"] = windows.malformed + work.malformed
            stage.counters["refused"] = unfit + dispatcher.refused
            stage.report()


def run_view(stage: Stage, settings: Settings) -> None:
    """The page."""
    from ..encoder.bundle import Bundle
    from .view.server import serve

    classes = Bundle.load_live(settings.model).config.classes
    stage.ready()
    # The server keeps this thread; the stage's reports get one of their own.
    reporter = threading.Thread(target=_report_until_stopped, args=(stage,), name="reports")
    with Subscriber(stage.place.link("bus-out"), SHOWN) as feed:
        reporter.start()
        try:
            serve(feed, host=settings.host, port=settings.port, classes=classes, stop=stage.stop)
        finally:
            stage.stop.set()
            reporter.join()


def run_record(stage: Stage, settings: Settings) -> None:
    """What was seen and said, to a file."""
    from .record import KINDS, Recorder

    with (
        Subscriber(stage.place.link("bus-out"), KINDS) as feed,
        Recorder(Path(settings.record)) as recorder,
    ):
        stage.ready()
        while not stage.stopping:
            if (message := feed.receive(_ROUND_S)) is not None:
                recorder.write(message)
                stage.count("recorded")
            stage.report()
        while (message := feed.receive(0.05)) is not None:  # what was said while we were told to stop
            recorder.write(message)


def run_gate_stage(stage: Stage, settings: Settings) -> None:
    """The gate: other machines come in here."""
    from .gate import run_gate

    keys = Path(settings.keys) if settings.keys else default_store()
    run_gate(stage, keys=keys, host=settings.host, port=settings.port)


def _report_until_stopped(stage: Stage) -> None:
    while not stage.stop.wait(_ROUND_S):
        stage.report()


def _hand_on(stage: Stage, link: Outbox | Feeder, message: AnyMessage, *, lossless: bool) -> bool:
    """Send to the next stage. Lossless: wait until there is room, unless told to stop. Else: now or not at all."""
    if not lossless:
        return link.send(message, 0)
    while not link.send(message, _ROUND_S):
        stage.report()
        if stage.stopping:
            return False
    return True


def _linger(stage: Stage) -> None:
    """A source that is through stays until it is told to stop: its last messages are still in its socket."""
    stage.report(force=True)
    while not stage.stop.wait(_ROUND_S):
        stage.report()
    time.sleep(2 * _ROUND_S)


STAGES: dict[str, Callable[[Stage, Settings], None]] = {
    "camera": run_camera, "pose": run_pose, "track": run_track, "replay": run_replay, "window": run_window,
    "detect": run_detect, "decode": run_decode, "view": run_view, "record": run_record,
    "gate": run_gate_stage,
}  # fmt: skip


# The socket files that each stage makes: whoever ends a stage that cannot clean up after itself removes these.
SOCKETS: dict[str, tuple[str, ...]] = {
    "camera": ("frames",), "pose": ("people",), "track": ("tracks",), "replay": ("tracks",),
    "decode": ("windows", "work", "bus-in", "bus-out"),
}  # fmt: skip


def main(name: str, settings: Settings) -> int:
    """Run a stage until it is told to stop. 0 when it ended well, 2 when its settings were wrong."""
    with ExitStack() as opened:
        try:
            place = settings.place
            if name == "decode":
                opened.callback(Bus(place.here("bus-in"), place.here("bus-out")).close)
            with Stage(name, place) as stage:
                stage.stop_on_signals()
                STAGES[name](stage, settings)
        except ValueError as error:
            print(f"skelstream {name}: {error}", file=sys.stderr)
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
    die_with_parent(int(sys.argv[3]) if len(sys.argv) > 3 else None)
    sys.exit(main(sys.argv[1], Settings(**json.loads(sys.argv[2]))))
