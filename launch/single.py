"""Commands that run part of a pipeline: one camera's stages, or the terminal view, beside stages started elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from rich.console import Console

from ..encoder.bundle import Bundle
from ..stream.camera import open_source
from ..stream.pose_model import ensure_pose_model
from ..stream.processes import Settings
from ..stream.view.terminal import run_terminal
from ..stream.wire import SHOWN, End, Subscriber
from .live import interruption
from .supervisor import StageFailed, Supervisor


def run_pose_stages(settings: Settings) -> int:
    """Camera, pose, track and window of one camera, until the last of it has been decided, or Ctrl-C."""
    source = open_source(settings.camera, width=settings.width, height=settings.height)
    source.close()
    ensure_pose_model(settings.pose, say=lambda line: print(line, file=sys.stderr))
    with (
        interruption() as interrupted,
        Supervisor(replace(settings, lossless=not source.live)) as supervisor,
        Subscriber(settings.place.link("ends"), (End,)) as bus,
    ):
        for stage in ("window", "track", "pose", "camera"):
            supervisor.start(stage)
        try:
            while not interrupted.is_set():
                supervisor.watch()
                # Whoever decides, here or elsewhere, says when the stream is over.
                message = bus.receive(0.5)
                if isinstance(message, End) and message.camera == source.name:
                    return 0
        except StageFailed as failure:
            print(f"skelstream: {failure}", file=sys.stderr)
            return 2 if failure.wrong_request else 1
        supervisor.end("camera")
        time.sleep(0.5)  # the end of the stream finds its way to the detector
    return 0


def run_terminal_view(settings: Settings) -> int:
    """The terminal view of a running pipeline until Ctrl-C."""
    classes = Bundle.load_live(settings.model).config.classes
    with interruption() as interrupted, Subscriber(settings.place.link("bus-out"), SHOWN) as feed:
        run_terminal(feed, classes, Console(stderr=True), stop=interrupted)
    return 0
