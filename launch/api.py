"""Detect on a video, in a few lines of Python:

    import skelstream

    result = skelstream.detect("clip.mp4")
    for event in result.events:
        print(event.action, event.t_start, event.t_end, event.confidence)
    result.plot("clip.png")

The stages are those of `skelstream live`, as processes of their own, with no frame dropped: the events are the same.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from os import PathLike

from rich.console import Console
from rich.status import Status

from ..encoder.anchors import digest_of_weights
from ..encoder.bundle import Bundle
from ..encoder.engine.compile import EngineChoice
from ..stream.pose_model import Variant
from ..stream.settings import Settings
from ..stream.taught_store import TaughtStore
from ..stream.teaching import learnt_rows
from ..stream.wire import AnyMessage, Decision, End, Event, Subscriber, Tracks
from .accounts import Accounts, told
from .detections import Detections, Gathering
from .live import Live, checked, wait_until_ready
from .log import Log
from .supervisor import StageFailed, Supervisor

_STAGES = ("decode", "detect", "pose", "track", "window")
_HEARD: tuple[type[AnyMessage], ...] = (Tracks, Decision, Event, End)
_WATCH_S = 0.1
_LAST_S = 0.05


def detect(
    video: str | PathLike[str],
    *,
    model: str | PathLike[str] = "small",
    people: int = 1,
    pose: Variant = "lite",
    mirror: bool = False,
    engine: EngineChoice = "auto",
    hop: int = 1,
    delay: int | None = None,
    progress: bool = False,
) -> Detections:
    """What people do in a video: a file, a folder of images, or `skeletons:FILE.npz:CLIP`.

    `model` is a shipped bundle's name, a bundle's folder, or hf://ORG/NAME; at most `people` are followed; `pose` is
    lite, full or heavy; `mirror`: the video shows a mirror's picture. `hop` and `delay` are as of `skelstream live`.
    `progress` shows on stderr how far it is. It may be called from a script, a notebook, or any thread.

    Raises ValueError, in a line that says what is wrong and how to mend it, where the request cannot be met, and
    RuntimeError where a stage fails on the way.
    """
    if people < 1:
        raise ValueError(f"{people} people are nobody; give 1 or more")
    asked = Settings(
        folder="", camera=str(video), model=str(model), people=people, pose=pose, mirror=mirror, engine=engine, hop=hop,
        delay=delay,
    )  # fmt: skip
    settings, _, classes = checked(Live(settings=asked, page=False))
    classes = (*classes, *_taught(settings, classes))
    if not settings.lossless:
        raise ValueError(f"{settings.name} is a live camera, which never ends; give a file, or use `skelstream live`")
    console = Console(stderr=True, quiet=not progress)
    try:
        with console.status(f"{settings.name}: starting") as status:
            return _run(settings, status).done(str(video), classes, mirror=mirror)
    except StageFailed as failure:
        if failure.wrong_request:
            raise ValueError(str(failure)) from None
        raise


def _taught(settings: Settings, classes: tuple[str, ...]) -> tuple[str, ...]:
    """What the model has been taught here: it is detected too, as by `skelstream live`."""
    store = TaughtStore(settings.taught_folder)
    if not store.actions:
        return ()
    return learnt_rows(store, digest_of_weights(Bundle.load_live(settings.model)), classes)[0]


def _run(settings: Settings, status: Status) -> Gathering:
    """Every message of the video; `StageFailed` where anything of it got lost."""
    gathering = Gathering()
    log = Log(json=False)
    with (
        Supervisor(settings, tell=log.tell) as supervisor,
        Subscriber(supervisor.settings.place.link("bus-out"), _HEARD) as bus,
    ):
        for stage in _STAGES:
            supervisor.start(stage)
        wait_until_ready(supervisor, log, threading.Event())
        supervisor.start("camera")
        watched, message = 0.0, None
        while not isinstance(message, End):
            message = bus.receive(_WATCH_S)
            gathering.add(message)
            if time.monotonic() - watched > _WATCH_S:
                watched = time.monotonic()
                supervisor.watch()
                status.update(f"{settings.name}: {gathering.newest_s:.1f} s detected")
        supervisor.stop()
        while (message := bus.receive(_LAST_S)) is not None:
            gathering.add(message)
        accounts = Accounts.of(supervisor.counters())
        missing = Counter({"tracks: not heard": accounts.captured - gathering.frames})
        lost = accounts.frames_dropped + accounts.windows_dropped + missing
        if bus.missed or lost.total():
            raise StageFailed(f"{settings.name}: not all of it was detected ({told(lost)})", wrong_request=False)
    return gathering
