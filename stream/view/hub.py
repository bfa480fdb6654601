"""Read the feed on a thread of its own and keep, ready to send, the newest of everything that the page shows.

What goes to the page: JSON text, each with its `type`, and pictures as binary messages: the length of a JSON header as
4 bytes little-endian, the header, the JPEG.
"""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from ...encoder.layout import NTU25
from ..wire import AnyMessage, Glimpse, Named, Preview, RobotState, Taught, Tracks, Tuned
from .past import PAST_S
from .snapshot import WINDOW_S, Picture
from .state import Feed, ViewState, Watched

STATE_HZ = 15.0
_STAGES_EVERY_S, _TRENDS_EVERY_S = 0.5, 1.0
_FEED_WAIT_S = 0.1  # how long a stop may have to wait for the feed
_MOST_TEXTS = 256
_LESSON = ("actions", "state", "action", "shown", "shots", "message")


class Ear(Feed, Protocol):
    """A feed of which one can ask for more, and for less."""

    def listen_to(self, kind: type[AnyMessage], listen: bool) -> None:
        """Listen to this kind from now on, or no longer."""


class Hub:
    """The view's state behind a lock: one thread feeds it, the server's event loop asks.

    `on_news` is called on the feeding thread when a picture or a robot's motion may have come. `failure` is what the
    feed raised: there is nothing to show any more. `marks`: what each class's probability must exceed, as it was
    fitted.

    Every text is the same object until it says something else.
    """

    def __init__(self, feed: Ear, classes: Sequence[str], marks: Sequence[float] = ()) -> None:
        self.on_news: Callable[[], object] = lambda: None
        self.failure: Exception | None = None
        self.wants_glimpses = False  # set by whoever sends; the feeding thread sees to it
        self._feed, self._marks = feed, list(marks)
        self._state = ViewState(classes)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="view-feed", daemon=True)
        # One encoding serves all clients.
        self._packets: dict[str, tuple[int, bytes]] = {}
        self._texts: dict[tuple[str, str | None], tuple[Any, str]] = {}
        self._states: dict[str | None, tuple[float, int, str]] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; returns when the thread has ended."""
        self._stop.set()
        self._thread.join()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of all classes by now, the background first."""
        with self._lock:
            return self._state.classes

    @property
    def taught(self) -> Taught | None:
        """What was taught, as it was told last."""
        with self._lock:
            return self._state.taught

    def apply(self, message: Named | Tuned) -> None:
        """Have what was set here at once."""
        with self._lock:
            self._state.apply(message, at=time.monotonic())

    def settings(self) -> tuple[list[Named], Tuned]:
        """What people have set."""
        with self._lock:
            return self._state.names.given(), self._state.tuned

    def people_of(self, camera: str) -> dict[int, str]:
        """Who is on a camera's timeline, by identity: a letter each."""
        with self._lock:
            return self._state.people_of(camera)

    def bearer(self, camera: str, name: str, among: Iterable[int]) -> int | None:
        """Who of these has this name already."""
        with self._lock:
            return self._state.names.bearer(camera, name, among)

    def news(self) -> dict[str, str]:
        """By kind, what every client must know: the classes (`hello`), thresholds, lessons, the stages' health."""
        now = time.monotonic()
        with self._lock:
            state = self._state
            texts = {
                "hello": self._text("hello", None, state.classes, lambda: {
                    "classes": state.classes, "taught": 0 if state.taught is None else len(state.taught.actions),
                    "marks": self._marks, "joints": NTU25.joints, "bones": NTU25.bones, "window_s": WINDOW_S,
                    "past_s": PAST_S,
                }),
                "tuned": self._text("tuned", None, state.tuned.at, lambda: {
                    "enter": state.tuned.enter, "belief": state.tuned.belief, "actions": state.tuned.actions,
                }),
                "stages": self._text("stages", None, int(now / _STAGES_EVERY_S), lambda: {
                    "stages": state.stages.shown(now),
                }),
            }  # fmt: skip
            if (taught := state.taught) is not None:
                told = {what: getattr(taught, what) for what in _LESSON}
                texts["taught"] = self._text("taught", None, told, lambda: told)
        return texts

    def state(self, camera: str | None) -> tuple[int, str]:
        """The revision of a camera's event log, and its state as JSON."""
        now = time.monotonic()
        with self._lock:
            made_at, revision, text = self._states.get(camera, (float("-inf"), 0, ""))
            if now - made_at >= 0.5 / STATE_HZ:
                snapshot = self._state.snapshot(camera, at=now)
                revision = snapshot["log_revision"]
                text = _json(type="state", **{name: part for name, part in snapshot.items() if name != "stages"})
                if len(self._states) > _MOST_TEXTS:  # names are the clients' own
                    self._states.clear()
                self._states[camera] = (now, revision, text)
        return revision, text

    def bars(self, camera: str | None) -> str:
        """The newest class probabilities of everybody before a camera."""
        with self._lock:
            found = self._state.past(camera)
            people = {} if found is None else found[1].bars(time.monotonic())
            return _json(type="bars", camera=None if found is None else found[0], people=people)

    def trends(self, camera: str | None) -> str:
        """The last minutes' latencies of a camera, and what the stages dropped, by second."""
        now = time.monotonic()
        with self._lock:
            found = self._state.past(camera)

            def made() -> dict[str, Any]:
                p50, p95 = ([], []) if found is None else found[1].trend.view(now)
                return {"camera": camera, "p50": p50, "p95": p95, "drops": self._state.drops.view(now)}

            return self._text("trends", camera, int(now / _TRENDS_EVERY_S), made)

    def past(self, camera: str | None) -> str:
        """What is kept of what was done before a camera, and of when there are skeletons."""
        with self._lock:
            found = self._state.past(camera)
            if found is None:
                return _json(type="past", camera=None, runs=[], names={}, runs_from=None, seen=None)
            name, of = found
            runs = [[*run.values()] for run in of.past.runs]
            names = {one.track: one.name for one in self._state.names.given() if one.camera == name and one.name}
            return _json(
                type="past", camera=name, runs=runs, names=names, runs_from=of.past.runs_from, seen=of.past.seen
            )

    def moment(self, camera: str | None, t: float) -> str:
        """Who was seen before a camera at a time on its clock."""
        with self._lock:
            found = self._state.past(camera)
            moment = None if found is None else found[1].past.moment(t)
            return _json(type="moment", camera=None if found is None else found[0], asked=t, moment=moment)

    def robots(self) -> dict[str, str]:
        """Every robot that is heard of, by name."""
        with self._lock:
            robots = self._state.robots.items()
            return {name: self._text("robot", name, robot.at, partial(self._robot, robot)) for name, robot in robots}

    def watched(self) -> Watched:
        """How the pipeline is."""
        with self._lock:
            return self._state.watched(at=time.monotonic())

    def log(self, camera: str | None) -> str:
        with self._lock:
            return _json(type="log", entries=self._state.log(camera))

    def picture(self, camera: str | None) -> bytes | None:
        """The newest picture of a camera; the same object until there is a newer one."""
        with self._lock:
            picture = self._state.picture(camera, at=time.monotonic())
            if picture is None:
                return None
            seq, packet = self._packets.get(picture.camera, (-1, b""))
            if seq != picture.seq:
                packet = _packet(picture)
                self._packets[picture.camera] = (picture.seq, packet)
            return packet

    def _text(self, kind: str, of: str | None, version: Any, made: Callable[[], dict[str, Any]]) -> str:
        """The text of this version: encoded anew only where it says something else."""
        known, text = self._texts.get((kind, of), (None, ""))
        if not text or known != version:
            if len(self._texts) > _MOST_TEXTS:
                self._texts.clear()
            newer = _json(type=kind, **made())
            text = text if newer == text else newer
            self._texts[kind, of] = (version, text)
        return text

    def _robot(self, robot: RobotState) -> dict[str, Any]:
        people = self._state.people_of(robot.camera)
        track = robot.track if robot.track is not None else -1
        return {
            "robot": robot.robot, "state": robot.state, "behaviour": robot.behaviour, "because": robot.because,
            "camera": robot.camera, "person": people.get(track, ""), "name": self._state.names.of(robot.camera, track),
            "reacted_ms": robot.reacted_ms, "points": [[round(float(x), 3) for x in point] for point in robot.points],
            "bones": robot.bones, "at": robot.at,
        }  # fmt: skip

    def _read(self) -> None:
        glimpses = False
        try:
            while not self._stop.is_set():
                if glimpses != self.wants_glimpses:
                    glimpses = not glimpses
                    self._feed.listen_to(Glimpse, glimpses)
                message = self._feed.receive(_FEED_WAIT_S)
                if message is None:
                    continue
                with self._lock:
                    self._state.apply(message, at=time.monotonic())
                if isinstance(message, Preview | Tracks | RobotState):
                    self.on_news()
        except Exception as error:
            self.failure = error


def _json(**message: Any) -> str:
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def _packet(picture: Picture) -> bytes:
    header = _json(camera=picture.camera, seq=picture.seq, t=picture.t, size=picture.size, people=picture.people)
    return struct.pack("<I", len(header.encode())) + header.encode() + picture.jpeg
