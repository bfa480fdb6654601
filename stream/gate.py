"""The gate: the one place where other machines come in, each with a key, and only through the doors of its role.

    skelstream keys new kitchen --role camera
    skelstream gate --host 0.0.0.0                                   # beside `decode`, or `live --at`
    skelstream pose --camera 0 --to robot.local --key kitchen.key    # on the other machine

Inside, all sockets stay on ipc. The gate is a process of its own, so that whoever floods it floods nothing else: what
comes in is decoded, checked, held against its sender's role and past, and only then handed on; what is refused is
counted by reason. Doors, by their port above the first:

    +0 windows   a camera machine's windows             +3 work   windows to a detector, its scores back
    +1 reports   tracks, pictures, how a stage or a      +4 ends   which camera's stream is over, to cameras
                 robot is
    +2 events    everything that viewers and robots may read
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from .elsewhere import PORTS
from .keys import KeyStore, Peer
from .stage import Stage
from .wire import (
    SHOWN,
    AnyMessage,
    Doorkeeper,
    End,
    Feeder,
    Glimpse,
    Inbox,
    Link,
    Lost,
    Preview,
    Publisher,
    Report,
    RobotState,
    ServerKey,
    Subscriber,
    Tracks,
    Window,
    Worker,
    WorkServer,
    replaced,
    wait_any,
)

_TOLD: tuple[type[AnyMessage], ...] = (Tracks, Preview, Lost, Report, RobotState)  # by peers, through "reports"
_LARGEST = {"windows": 1 << 18, "reports": 4 << 20, "events": 1 << 10, "work": 1 << 20, "ends": 1 << 10}
_ROUND_S, _LOOK_S, _LOG_S = 0.05, 1.0, 60.0
_AT_ONCE = 64  # messages of a door in a round: whoever floods one delays no other
_GONE_S = 10.0  # a detector says every second that it is free
_MOST_DETECTORS, _MOST_CAMERAS, _MOST_PEOPLE = 64, 64, 256
_AHEAD_S, _BEHIND_S = 5.0, 60.0  # how far a sender's clock, and the way here, may put a capture from now


class Admission:
    """Whether a message may go on: by its sender's role, its camera, its age and its place in the order. Pure.

    A camera's name belongs to the key that used it first. Nothing that came before comes again: tracks of a camera
    grow in capture time, and so do a person's windows, or else in index. `refuses` gives the reason, or None.
    """

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._newest: dict[str, tuple[float, float]] = {}
        self._windows: dict[tuple[str, int], tuple[float, int]] = {}

    def refuses(self, message: AnyMessage, peer: Peer | None, now: float) -> str | None:
        """The reason, in a word or two, at Unix time `now`."""
        if peer is None or peer.revoked:
            return "unknown key"
        if isinstance(message, Report):
            return None if abs(now - message.at) < _BEHIND_S else "stale or future"
        if isinstance(message, RobotState):
            if "robot" not in peer.roles:
                return "wrong role"
            return None if abs(now - message.at) < _BEHIND_S else "stale or future"
        if not isinstance(message, Window | Tracks | Preview | Lost | End) or "camera" not in peer.roles:
            return "wrong role"
        if self._owners.setdefault(message.camera, peer.name) != peer.name:
            return "another's camera"
        if len(self._owners) > _MOST_CAMERAS:
            del self._owners[message.camera]
            return "too many cameras"
        if isinstance(message, End):
            self._forget(message.camera)
            return None
        at = message.at if isinstance(message, Lost) else message.captured_at
        if not -_AHEAD_S < now - at < _BEHIND_S:
            return "stale or future"
        return None if isinstance(message, Lost) else self._disorder(message, now)

    def _disorder(self, message: Window | Tracks | Preview, now: float) -> str | None:
        if isinstance(message, Preview):
            return None
        if isinstance(message, Tracks):
            at = (message.captured_at, message.t)
            if message.camera in self._newest and at <= self._newest[message.camera]:
                return "repeated"
            self._newest[message.camera] = at
            return None
        person = (message.camera, message.track)
        place = (message.captured_at, message.index)
        if person in self._windows and place <= self._windows[person]:
            return "repeated"
        if person not in self._windows and len(self._windows) >= _MOST_PEOPLE:
            self._forget_the_stale(now)
            if len(self._windows) >= _MOST_PEOPLE:
                return "too many people"
        self._windows[person] = place
        if message.last:
            del self._windows[person]
        return None

    def _forget(self, camera: str) -> None:
        self._newest.pop(camera, None)
        for person in [person for person in self._windows if person[0] == camera]:
            del self._windows[person]

    def _forget_the_stale(self, now: float) -> None:
        """Those whose camera went without a word; what came of them would be refused for its age."""
        for person, (captured_at, _) in list(self._windows.items()):
            if now - captured_at >= _BEHIND_S:
                del self._windows[person]


class Gate:
    """The doors, and what goes through them: `round` after `round`, `look` once a second, `close` at the end.

    ValueError if a port is taken.
    """

    def __init__(self, stage: Stage, store: KeyStore, host: str, port: int) -> None:
        self._stage, self._store, self._host, self._port = stage, store, host, port
        self._admission = Admission()
        self._refused: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()
        self._opened = ExitStack()
        self._keeper = Doorkeeper(store.refuses)
        try:
            self._open()
        except ValueError:
            self._keeper.close()
            raise

    def _open(self) -> None:
        secret, place = self._store.server_secret(), self._stage.place
        self._revoked = self._revocations()

        def door(name: str) -> Link:
            return Link(f"tcp://{self._host}:{self._port + PORTS[name]}", ServerKey(secret=secret, door=name))

        with ExitStack() as opened:
            enter = opened.enter_context
            self._windows = enter(Inbox(door("windows"), queue=64, bind=True, largest=_LARGEST["windows"]))
            self._reports = enter(
                Subscriber(door("reports"), (Tracks, Lost, Report, RobotState), bind=True, largest=_LARGEST["reports"])
            )
            self._events = enter(Publisher(door("events"), bind=True, largest=_LARGEST["events"]))
            self._ends = enter(Publisher(door("ends"), bind=True, largest=_LARGEST["ends"]))
            self._work = enter(WorkServer(door("work"), largest=_LARGEST["work"]))
            self._to_decode = enter(Feeder(place.link("windows"), queue=64, count=self._stage.sent))
            self._told = enter(Subscriber(place.link("bus-out"), (End,)))
            doors = (self._windows, self._reports, self._events, self._ends, self._work)
            self._knocks = [socket.knocks() for socket in doors]
            for knocks in self._knocks:
                opened.callback(knocks.close)
            self._detectors: dict[bytes, tuple[Worker, float]] = {}
            opened.callback(self._dismiss_all)
            self._opened = opened.pop_all()

    def round(self) -> None:
        """Let through whatever waits, for a moment."""
        wait_any([self._windows, self._reports, self._work, self._told, *self._inner()], _ROUND_S)
        self._take_windows()
        self._take_reports()
        self._pass_work()
        for message in self._waiting(self._told):
            self._events.publish(message)
            if isinstance(message, End):
                self._ends.publish(message)

    def look(self) -> None:
        """Once a second: who was refused, whether keys were revoked, who wants pictures, which detectors are gone."""
        self._refused["no key"] += sum(knocks.count() for knocks in self._knocks)
        for kind in (*SHOWN, Glimpse):  # nothing is made, or passed on, that nobody wants
            self._told.listen_to(kind, self._events.wanted(kind) or kind is End)
        self._reports.listen_to(Preview, self._stage.bus.wanted(Preview))
        self._ends.wanted(End)  # takes in what listeners have asked for
        for worker, (inner, heard) in list(self._detectors.items()):
            if time.monotonic() - heard > _GONE_S:
                inner.close()
                del self._detectors[worker]
        if self._revocations() != self._revoked:  # whoever is in already is put out with everybody; the others return
            self._opened.close()
            self._open_again()
        self._stage.notice(self._reports.foreign)
        self._refused["another version"] += self._reports.unread
        self._reports.unread = 0
        doors = (self._windows, self._reports, self._work)
        self._refused["malformed"] += sum(socket.malformed for socket in doors)
        for socket in doors:
            socket.malformed = 0
        refused = self.refused()
        for reason, count in (refused - self._counted).items():
            self._stage.count(f"refused: {reason}", count)
        self._counted = refused

    def refused(self) -> Counter[str]:
        """How many peers and messages were refused, by reason."""
        return self._refused + self._keeper.refused

    def _open_again(self) -> None:
        until = time.monotonic() + 5.0
        while True:
            try:
                return self._open()
            except ValueError:  # the ports are ours as soon as ZeroMQ has let go of them
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def _revocations(self) -> frozenset[str] | None:
        """Who is revoked; None, and so everybody, while the store cannot be read."""
        try:
            return frozenset(peer.name for peer in self._store.peers() if peer.revoked)
        except ValueError:
            return None

    def _waiting(self, socket: Inbox | Subscriber) -> Iterator[AnyMessage]:
        """What waits there, as far as one round goes."""
        for _ in range(_AT_ONCE):
            if (message := socket.receive(0)) is None:
                return
            yield message

    def _inner(self) -> list[Worker]:
        return [inner for inner, _ in self._detectors.values()]

    def _admitted(self, message: AnyMessage, sender: str) -> Peer | None:
        try:
            peer = self._store.peer_of(sender)
        except ValueError:  # the store cannot be read: nobody is known
            peer = None
        reason = self._admission.refuses(message, peer, time.time())
        if reason is not None:
            self._refused[reason] += 1
            return None
        return peer

    def _take_windows(self) -> None:
        for message in self._waiting(self._windows):
            if not isinstance(message, Window | End):
                self._refused["wrong door"] += 1
            elif self._admitted(message, self._windows.sender) is not None:
                if isinstance(message, Window):
                    self._stage.count("windows")
                    self._stage.passed(message.captured_at)
                dropped = self._to_decode.offer(message)
                self._stage.count("dropped: queue full", int(isinstance(dropped, Window)))
        self._to_decode.flush()

    def _take_reports(self) -> None:
        for message in self._waiting(self._reports):
            peer = self._admitted(message, self._reports.sender) if isinstance(message, _TOLD) else None
            if peer is not None:
                if isinstance(message, Report):
                    message = replaced(message, stage=f"{message.stage}@{peer.name}")
                elif isinstance(message, RobotState):
                    message = replaced(message, robot=f"{message.robot}@{peer.name}")
                self._stage.bus.publish(message)

    def _pass_work(self) -> None:
        for _ in range(_AT_ONCE):
            if (answer := self._work.receive(0)) is None:
                break
            worker, scores = answer
            if worker not in self._detectors and len(self._detectors) >= _MOST_DETECTORS:
                self._refused["too many detectors"] += 1
                continue
            inner, _ = self._detectors.get(worker) or (Worker(self._stage.place.link("work")), 0.0)
            self._detectors[worker] = inner, time.monotonic()
            inner.give(scores)
        for worker, (inner, _) in list(self._detectors.items()):
            windows = inner.take(0)
            if windows and not self._work.send(worker, windows):
                inner.close()  # the ledger in `decode` hands the windows to others
                del self._detectors[worker]

    def _dismiss_all(self) -> None:
        for inner in self._inner():
            inner.close()

    def close(self) -> None:
        self._opened.close()
        self._keeper.close()


def run_gate(stage: Stage, *, keys: Path, host: str, port: int) -> None:
    """Keep the gate until told to stop. ValueError if a port is taken, or the keys cannot be read."""
    gate = Gate(stage, KeyStore(keys), host, port)
    try:
        stage.ready()
        looked, logged, told = 0.0, time.monotonic(), Counter[str]()
        while not stage.stopping:
            gate.round()
            now = time.monotonic()
            if now - looked >= _LOOK_S:
                looked = now
                gate.look()
            if now - logged >= _LOG_S:
                logged = now
                new = gate.refused() - told
                if new:
                    stage.warn("refused in a minute: " + ", ".join(f"{n} {why}" for why, n in new.most_common()))
                told = gate.refused()
            stage.report()
    finally:
        gate.close()
