"""Commands that run part of a pipeline: one camera's stages, or the terminal view, beside stages started elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ..encoder.bundle import Bundle
from ..stream.keys import key_owner
from ..stream.pose_model import ensure_pose_model
from ..stream.settings import Settings
from ..stream.view.terminal import run_terminal
from ..stream.wire import SHOWN, End, Subscriber
from .cameras import Lines, find_cameras
from .lifecycle import Phase
from .live import interruption
from .log import Log
from .supervisor import StageFailed, Supervisor

_WATCH_S = 0.1
_DRAIN_S = 0.5  # after Ctrl-C: the end of the stream finds its way to the detector


def run_cameras(settings: Settings, asked: Sequence[str], *, log_json: bool) -> int:
    """Camera, pose, track and window of these cameras, until the last of each has been decided, or Ctrl-C.

    Elsewhere a camera's name belongs to the key that it came with first, so those without a name are called by that.
    """
    _ = settings.place  # an address or a key that is wrong is better said now
    cameras = find_cameras(settings, asked, whose=key_owner(Path(settings.key)) if settings.to else "")
    ensure_pose_model(settings.pose, say=lambda line: print(line, file=sys.stderr))
    recorded = any(not camera.live for camera in cameras)
    log = Log(json=log_json)
    with (
        interruption() as interrupted,
        Supervisor(replace(settings, lossless=recorded), spares=not recorded, tell=log.tell) as supervisor,
        Subscriber(settings.place.link("ends"), (End,)) as bus,
    ):
        lines = Lines(supervisor, cameras)
        lines.prepare()
        lines.begin()
        try:
            while not interrupted.is_set():
                supervisor.watch()
                lines.look()
                # Whoever decides, here or elsewhere, says when a stream is over.
                if isinstance(message := bus.receive(_WATCH_S), End):
                    lines.ended(message.camera)
                if lines.over:
                    return 1 if lines.given_up else 0
        except StageFailed as failure:
            log.tell("", str(failure))
            return 2 if failure.wrong_request else 1
        lines.stop()
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
