"""Seeing: the stages of one camera, each of which takes from the link before it and hands on to the link after it.

    camera -> frames -> pose -> people -> track -> tracks -> window -> windows

`lossless` (a file): a stage waits for the next one, and no frame is lost. Otherwise (a webcam) the newest frame wins,
and whatever is passed over is counted where it happens.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .settings import Settings
from .stage import Stage
from .wire import (
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
    Tracks,
    Window,
)

if TYPE_CHECKING:
    from .pose import PoseEstimator
    from .pose_model import Say

_ROUND_S = 0.1  # the longest that a stage waits before it looks whether it should report or stop
_PREVIEW_EVERY_S = 1 / 15
_END_AGAIN_S = 2.0
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
