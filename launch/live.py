"""`skelstream live`: the whole pipeline on this machine, and what it says while it runs.

Events go to stdout as they happen; progress, errors and the closing summary to stderr.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from rich.console import Console

from ..encoder.bundle import HUB, Bundle
from ..encoder.stopping import Stop
from ..stream.elsewhere import gate_at
from ..stream.pose_model import ensure_pose_model
from ..stream.record import check_place, played
from ..stream.robot.stage import policy_of
from ..stream.segments import Limits
from ..stream.settings import Settings
from ..stream.view.server import listen
from ..stream.view.token import page_url, token_for
from ..stream.wire import SHOWN, AnyMessage, Decision, End, Event, Recording, Report, Subscriber, Tracks
from .asked_recordings import AskedRecordings
from .cameras import Camera, Lines, find_cameras
from .lifecycle import Phase
from .log import Log
from .summary import Summary
from .supervisor import StageFailed, Supervisor

_START_S = 120.0  # for a machine that reads MediaPipe from a slow disk for the first time
_BUILD_S = 900.0  # once a stage has said what takes it so long
_DRAIN_S = 0.5  # after Ctrl-C: what is in the pipeline may still arrive
_WATCH_S = 0.1
_HEARD: tuple[type[AnyMessage], ...] = (Report, Tracks, Decision, Event, End, Recording)


@dataclass(frozen=True, kw_only=True)
class Live:
    """What to run and how to show it.

    `cameras`: NAME=ADDRESS or an address each; if there is none it is the settings' own, or none but other machines'
    where there is a `gate` (HOST or HOST:PORT) for them.
    """

    settings: Settings
    cameras: tuple[str, ...] = ()
    gate: str = ""
    detectors: int = 1
    json: bool = False
    log_json: bool = False
    page: bool = True
    terminal: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its summary, and the exit code."""

    summary: Summary
    code: int


def run_live(live: Live) -> Outcome:
    """Run until every camera has ended, or Ctrl-C; where other machines come in, until Ctrl-C.

    Raises ValueError, before anything is started, if the request cannot be met.
    """
    settings, cameras, classes = checked(live)
    console = Console(stderr=True, highlight=False)
    log = Log(json=live.log_json)
    summary = Summary(classes=classes, live=not settings.lossless, guests=bool(live.gate))
    stages = [f"detect{i}" for i in range(live.detectors)]
    stages += ["view"] if live.page else []
    stages += [] if settings.replay else ["teach"]
    stages += ["record"] if settings.record else []
    stages += ["robot"] if settings.robot else []
    stages += ["ros"] if settings.robot == "ros" else []
    with (
        interruption() as interrupted,
        Supervisor(settings, spares=not settings.lossless, tell=log.tell) as supervisor,
    ):
        place = supervisor.settings.place
        with Subscriber(place.link("bus-out"), _HEARD) as bus:
            try:
                for name in ["decode", *stages]:
                    supervisor.start(name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz"))
                if live.gate:
                    host, port = gate_at(live.gate)
                    supervisor.start("gate", settings=replace(supervisor.settings, host=host, port=port))
                lines = Lines(supervisor, cameras)
                lines.prepare()
                if not wait_until_ready(supervisor, log, interrupted):
                    return Outcome(summary, 130)
                if live.page:
                    url = page_url(settings.host, settings.port, settings.token)
                    console.print(f"{url} shows what is seen; Ctrl-C ends", soft_wrap=True, markup=False)
                lines.begin()
                with _terminal(live, place.here("bus-out"), classes, console):
                    _listen(live, supervisor, bus, summary, lines, interrupted)
            except StageFailed as failure:
                log.tell("", str(failure))
                return Outcome(summary, 2 if failure.wrong_request else 1)
            supervisor.stop()
            summary.counters = supervisor.counters()
            while (message := bus.receive(0.05)) is not None:  # the stages' last reports
                summary.add(message)
    for line in summary.lines({camera.name: camera.truth for camera in cameras if camera.truth is not None}):
        console.print(line, soft_wrap=True)  # a line is a line, also where the terminal is narrow
    return Outcome(summary, 1 if lines.given_up else 0)


def checked(live: Live) -> tuple[Settings, list[Camera], tuple[str, ...]]:
    """The settings made complete, the cameras, the classes; ValueError if anything is amiss.

    Of one camera, and of a recording of one, the settings know all.
    """
    settings = live.settings
    if live.detectors < 1:
        raise ValueError(f"{live.detectors} detectors detect nothing; give at least 1")
    bundle = Bundle.load_live(settings.model)
    if settings.model.startswith(HUB):  # fetched once, and not by every stage
        settings = replace(settings, model=str(bundle.directory))
    if settings.delay is not None:
        replace(bundle.config, decode=replace(bundle.config.decode, delay=settings.delay))
    if live.page:
        listen(settings.host, settings.port).close()
        settings = replace(settings, token=token_for(settings.host))
    if settings.robot:
        policy_of(settings)
    elif settings.policy:
        raise ValueError("--policy is what a robot does; give --robot too")
    limits = Limits.of(settings.record_most_mb, settings.record_most_minutes)
    if settings.record:
        check_place(Path(settings.record), limits)
    elif limits is not None:
        raise ValueError("--record-most-mb and --record-most-minutes limit a recording; give --record FOLDER too")
    if settings.replay:
        recorded = [message.camera for message in played(Path(settings.replay)) if isinstance(message, End)]
        cameras = [Camera(name, "", live=False) for name in recorded]
    else:
        cameras = find_cameras(settings, live.cameras or (() if live.gate else (settings.camera,)))
        ensure_pose_model(settings.pose, say=lambda line: print(line, file=sys.stderr))
    if live.gate:
        gate_at(live.gate)
        if any(not camera.live for camera in cameras):
            raise ValueError("a gate is for cameras that are live, and these files are not; leave either out")
    elif len(cameras) == 1:
        settings = replace(settings, camera=cameras[0].address, name=cameras[0].name)
    return replace(settings, lossless=any(not camera.live for camera in cameras)), cameras, bundle.config.classes


def wait_until_ready(supervisor: Supervisor, log: Log, interrupted: threading.Event) -> bool:
    """Wait until every stage takes its input; False if interrupted before."""
    began = time.monotonic()
    while not supervisor.all_ready():
        supervisor.watch()
        if interrupted.wait(_WATCH_S):
            return False
        # A stage that has told something says what takes it so long: an engine that is built for minutes.
        if time.monotonic() > began + (_BUILD_S if log.told else _START_S):
            waiting = ", ".join(name for name in supervisor.pids() if supervisor.phase(name) is not Phase.READY)
            raise StageFailed(f"{waiting} did not get ready in {_START_S:.0f} s", wrong_request=False)
    return True


def _listen(
    live: Live, supervisor: Supervisor, bus: Subscriber, summary: Summary, lines: Lines, interrupted: threading.Event
) -> None:
    """Say what is heard until every camera has ended, or, once interrupted, for a moment more."""
    until = float("inf")
    watched = 0.0
    recordings = AskedRecordings(supervisor)
    while time.monotonic() < until:
        message = bus.receive(_WATCH_S)
        if message is not None:
            summary.add(message)
        if isinstance(message, Event):
            _say(message, live, summary.live, named=lines.several or bool(live.gate))
        elif isinstance(message, Recording) and not interrupted.is_set():
            recordings.take(message)
        elif isinstance(message, End):
            lines.ended(message.camera)
        if lines.over and not live.gate:
            return
        if interrupted.is_set() and until == float("inf"):
            lines.stop()
            until = time.monotonic() + _DRAIN_S
        if until == float("inf") and time.monotonic() - watched > _WATCH_S:
            supervisor.watch()
            lines.look()
            watched = time.monotonic()


def _say(event: Event, live: Live, timed: bool, *, named: bool) -> None:
    """One event on stdout; `named`: with its camera's name.

    From a file no latency is told: there it only says how fast the file was read.
    """
    latency_ms = round(1000 * (event.decided_at - event.captured_at))
    if live.json:
        fields: dict[str, object] = {
            "event": event.kind, "camera": event.camera, "person": event.track, "action": event.action,
            "t_start": round(event.t_start, 3), "t_end": None if event.t_end is None else round(event.t_end, 3),
            "t": round(event.t, 3), "confidence": round(event.confidence, 3),
        }  # fmt: skip
        if timed:
            fields["latency_ms"] = latency_ms
        print(json.dumps(fields), flush=True)
    elif event.kind != "update" and not live.terminal:
        took = "" if event.t_end is None else f"  {event.t_end - event.t_start:5.1f} s"
        at = event.t_start if event.t_end is None else event.t_end
        late = f"  +{latency_ms} ms" if timed and event.kind == "start" else ""
        who = f"{event.camera}  " if named else ""
        who += f"person {event.track}"
        print(f"{at:8.2f}  {who}  {event.kind:5}  {event.action:<11}{event.confidence:5.0%}{took}{late}", flush=True)


@contextlib.contextmanager
def interruption() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set."""
    interrupted = Stop()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _terminal(live: Live, endpoint: str, classes: tuple[str, ...], console: Console) -> Iterator[None]:
    """The terminal view, in a thread, while the pipeline runs."""
    if not live.terminal:
        yield
        return
    from ..stream.view.terminal import run_terminal

    stop = threading.Event()
    with Subscriber(endpoint, SHOWN) as feed:
        thread = threading.Thread(
            target=run_terminal, args=(feed, classes, console), kwargs={"stop": stop}, name="terminal"
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
