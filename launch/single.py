"""Commands that run part of a pipeline: one camera's stages, or the terminal view, beside stages started elsewhere."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

from rich.console import Console

from ..encoder.bundle import Bundle
from ..stream.camera import open_source
from ..stream.pose_model import ensure_pose_model
from ..stream.settings import Settings
from ..stream.view.terminal import run_terminal
from ..stream.wire import SHOWN, End, Subscriber
from .lifecycle import Phase
from .live import interruption
from .log import Log
from .supervisor import StageFailed, Supervisor

_WATCH_S = 0.1
_DRAIN_S = 0.5  # after Ctrl-C: the end of the stream finds its way to the detector


def run_pose_stages(settings: Settings, *, log_json: bool) -> int:
    """Camera, pose, track and window of one camera, until the last of it has been decided, or Ctrl-C."""
    source = open_source(settings.camera, width=settings.width, height=settings.height)
    source.close()
    ensure_pose_model(settings.pose, say=lambda line: print(line, file=sys.stderr))
    settings = replace(settings, lossless=not source.live, name=settings.name or source.name)
    log = Log(json=log_json)
    with (
        interruption() as interrupted,
        Supervisor(settings, spares=source.live, tell=log.tell) as supervisor,
        Subscriber(settings.place.link("ends"), (End,)) as bus,
    ):
        for stage in ("window", "track", "pose", "camera"):
            supervisor.start(stage)
        try:
            while not interrupted.is_set():
                supervisor.watch()
                # Whoever decides, here or elsewhere, says when the stream is over.
                message = bus.receive(_WATCH_S)
                if isinstance(message, End) and message.camera == settings.name:
                    return 0
        except StageFailed as failure:
            log.tell("", str(failure))
            return 2 if failure.wrong_request else 1
        supervisor.end("camera")
        time.sleep(_DRAIN_S)
    return 0


def run_stage(kind: str, settings: Settings, *, log_json: bool) -> int:
    """One stage beside others that were started elsewhere, until it ends or Ctrl-C."""
    log = Log(json=log_json)
    with interruption() as interrupted, Supervisor(settings, spares=True, tell=log.tell) as supervisor:
        try:
            # Several detectors may be at one place: each has a name of its own.
            instance = f"-{os.getpid()}" if kind == "detect" else ""
            supervisor.start(kind, instance)
            while not interrupted.wait(_WATCH_S):
                supervisor.watch()
                if supervisor.phase(kind + instance) is Phase.STOPPED:
                    return 0
        except StageFailed as failure:
            log.tell("", str(failure))
            return 2 if failure.wrong_request else 1
    return 0


def run_terminal_view(settings: Settings) -> int:
    """The terminal view of a running pipeline until Ctrl-C."""
    classes = Bundle.load_live(settings.model).config.classes
    with interruption() as interrupted, Subscriber(settings.place.link("bus-out"), SHOWN) as feed:
        run_terminal(feed, classes, Console(stderr=True), stop=interrupted)
    return 0
