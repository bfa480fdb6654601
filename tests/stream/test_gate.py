"""The gate: real sockets on real ports. Who has no key, a wrong one, a revoked one or one for another door gets
nothing in and nothing out; what is repeated, stale, or another's is refused; and what is right goes through.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from skelstream.stream.elsewhere import PORTS, Elsewhere
from skelstream.stream.gate import Admission, Gate
from skelstream.stream.keys import KeyStore, Peer, Role, read_key
from skelstream.stream.stage import Place, Stage, resident_mb
from skelstream.stream.wire import (
    Bus,
    ClientKey,
    End,
    Event,
    Feeder,
    Glimpse,
    Inbox,
    Link,
    Publisher,
    Report,
    RobotState,
    Scores,
    Subscriber,
    Tracks,
    Window,
    Worker,
    WorkServer,
    encode,
)
from skelstream.stream.wire.curve import new_pair


def window(index: int, camera: str = "kitchen", track: int = 1, at: float | None = None, last: bool = False) -> Window:
    return Window(
        camera=camera, t=index / 30, captured_at=time.time() if at is None else at, track=track, index=index,
        first_tick=index, valid=64, last=last, joints=np.zeros((3, 64, 25, 2), np.float32), evidence=1.0,
    )  # fmt: skip


def tracks(seq: int, at: float, camera: str = "kitchen") -> Tracks:
    none = np.zeros((0, 25, 3), np.float32)
    return Tracks(
        camera=camera, t=seq / 30, captured_at=at, seq=seq, size=(640, 480), ids=(), joints=none,
        pixels=none[..., :2], confidence=none[..., 0],
    )  # fmt: skip


def event() -> Event:
    return Event(
        camera="kitchen", t=1.0, captured_at=time.time(), kind="start", track=1, action="wave", t_start=0.5,
        t_end=None, confidence=0.9, decided_at=time.time(),
    )  # fmt: skip


def robot_state(robot: str) -> RobotState:
    return RobotState(
        robot=robot, at=time.time(), state="ready", behaviour="", because="", camera="", track=None, reacted_ms=None,
        moved_at=None, points=np.zeros((0, 3), np.float32), bones=(),
    )  # fmt: skip


class Site:
    """A gate with a pipeline's sockets behind it, and keys for whoever comes."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="skel-"))
        self.place = Place(self.folder)
        self.store = KeyStore(self.folder / "keys")
        self.port = _ports()
        self._opened = ExitStack()
        enter = self._opened.enter_context
        self._opened.callback(Bus(self.place.here("bus-in"), self.place.here("bus-out")).close)
        self.windows = enter(Inbox(self.place.here("windows"), queue=64, bind=True))
        self.work = enter(WorkServer(self.place.here("work")))
        self.heard = enter(Subscriber(self.place.here("bus-out"), (Tracks, Report, RobotState)))
        self.stage = enter(Stage("gate", self.place))
        self.gate = Gate(self.stage, self.store, "127.0.0.1", self.port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        looked = 0.0
        while not self._stop.is_set():
            self.gate.round()
            if time.monotonic() - looked > 0.2:
                looked = time.monotonic()
                self.gate.look()
        self.gate.close()

    def key(self, name: str, *roles: Role) -> ClientKey:
        self.store.new(name, roles, self.folder / f"{name}.key")
        return read_key(self.folder / f"{name}.key")

    def elsewhere(self, key: ClientKey) -> Place:
        return Place(self.folder, Elsewhere("127.0.0.1", self.port, key))

    def refused(self, reason: str, timeout_s: float = 10.0) -> bool:
        """Whether something is refused for this reason within the time."""
        return soon(lambda: self.gate.refused()[reason] > 0, timeout_s)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._opened.close()


def soon(happens, timeout_s: float = 10.0) -> bool:  # type: ignore[no-untyped-def]
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if happens():
            return True
        time.sleep(0.02)
    return False


def _ports() -> int:
    """The first of five free ports in a row."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
        try:
            with ExitStack() as opened:
                for n in PORTS.values():
                    opened.enter_context(socket.socket()).bind(("127.0.0.1", port + n))
            return port
        except (OSError, OverflowError):
            continue


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    try:
        yield site
    finally:
        site.close()


def test_a_camera_elsewhere_sends_windows_and_tracks_and_hears_of_its_end(site: Site) -> None:
    place = site.elsewhere(site.key("kitchen", "camera"))
    with (
        Feeder(place.link("windows"), queue=8) as feeder,
        Publisher(place.link("bus-in")) as publisher,
        Subscriber(place.link("ends"), (End,)) as ends,
        Publisher(site.place.here("bus-in")) as decode,
    ):
        assert feeder.send(window(0), 10.0)
        received = site.windows.receive(10.0)
        assert isinstance(received, Window) and received.index == 0
        assert soon(lambda: publisher.wanted(Tracks))
        publisher.publish(tracks(0, time.time()))
        publisher.publish(Report(stage="pose", pid=1, at=time.time(), state="ready", counters={}, gauges={}))
        heard = [site.heard.receive(10.0) for _ in range(2)]
        assert isinstance(heard[0], Tracks)
        assert isinstance(heard[1], Report) and heard[1].stage == "pose@kitchen"

        def told() -> bool:
            decode.publish(End(camera="kitchen"))
            return ends.receive(0.1) is not None

        assert soon(told)


def test_a_viewer_elsewhere_reads_events(site: Site) -> None:
    with (
        Subscriber(site.elsewhere(site.key("tv", "viewer")).link("bus-out"), (Event,)) as feed,
        Publisher(site.place.here("bus-in")) as decode,
    ):

        def told() -> bool:
            decode.publish(event())
            return feed.receive(0.1) is not None

        assert soon(told)


def test_a_robot_elsewhere_reads_what_it_answers_and_tells_what_it_does(site: Site) -> None:
    far, no_robot = site.elsewhere(site.key("nao", "robot")), site.elsewhere(site.key("tablet", "viewer"))
    glimpse = Glimpse(
        camera="kitchen", t=1.0, captured_at=time.time(), track=1, tick=30, evidence=1.0,
        probabilities=np.array([0.2, 0.8], np.float32),
    )  # fmt: skip
    with Subscriber(far.link("bus-out"), (Glimpse,)) as feed, Publisher(site.place.link("bus-in")) as bus:

        def comes() -> bool:
            bus.publish(glimpse)
            return isinstance(feed.receive(0.05), Glimpse)

        assert soon(comes)
    with Publisher(far.link("bus-in")) as good, Publisher(no_robot.link("bus-in")) as bad:

        def told() -> bool:
            bad.publish(robot_state("impostor"))
            good.publish(robot_state("nao"))
            return isinstance(message := site.heard.receive(0.05), RobotState) and message.robot == "nao@nao"

        assert soon(told)
        assert site.refused("wrong role")


def test_a_detector_elsewhere_gets_windows_and_its_scores_come_back(site: Site) -> None:
    with Worker(site.elsewhere(site.key("box", "detector")).link("work")) as worker:
        offers: list[tuple[bytes, list[Scores]]] = []

        def offered() -> bool:
            worker.free()
            offers.extend(filter(None, [site.work.receive(0.1)]))
            return bool(offers)

        assert soon(offered) and offers[0][1] == []
        assert site.work.send(offers[0][0], [window(3)])
        taken = worker.take(10.0)
        assert [w.index for w in taken] == [3]
        scores = Scores(
            camera="kitchen", t=0.1, captured_at=1.0, track=1, index=3, first_tick=59, valid=8, last=False,
            logits=np.zeros((8, 3), np.float32), evidence=1.0, scored_at=2.0,
        )  # fmt: skip
        worker.give([scores])
        back: list[int] = []

        def returned() -> bool:
            answer = site.work.receive(0.1)
            back.extend(s.index for s in (answer[1] if answer else []))
            return bool(back)

        assert soon(returned) and back == [3]


def plain_socket() -> zmq.Socket[bytes]:
    pushing: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
    return pushing


def a_stranger(site: Site) -> ClientKey:
    public, secret = new_pair()
    return ClientKey(public=public, secret=secret, server=site.store.server_public())


def test_an_unknown_a_revoked_and_a_wrong_key_get_nothing_in_and_nothing_out(site: Site) -> None:
    revoked = site.key("old", "camera", "viewer", "detector")
    site.store.revoke("old")
    viewer, camera = site.key("tv", "viewer"), site.key("kitchen", "camera")
    good = site.elsewhere(site.key("porch", "camera"))
    for reason, cannot_send, cannot_read in (
        ("unknown key", a_stranger(site), a_stranger(site)),
        ("revoked key", revoked, revoked),
        ("wrong role", viewer, camera),
    ):
        with (
            Feeder(site.elsewhere(cannot_send).link("windows"), queue=8) as feeder,
            Worker(site.elsewhere(cannot_send).link("work")) as worker,
            Subscriber(site.elsewhere(cannot_read).link("bus-out"), (Event,)) as feed,
            Publisher(site.place.here("bus-in")) as decode,
        ):
            worker.free()
            assert not feeder.send(window(0), 0.5)  # nobody takes it
            assert site.refused(reason)
            for _ in range(5):
                decode.publish(event())
                assert feed.receive(0.1) is None
    assert site.windows.receive(0.2) is None and site.work.receive(0.2) is None
    with Feeder(good.link("windows"), queue=8) as feeder:  # and whoever may, still may
        assert feeder.send(window(0, camera="porch"), 10.0) and isinstance(site.windows.receive(10.0), Window)


def test_without_a_key_or_with_another_servers_nothing_happens(site: Site) -> None:
    key = site.key("kitchen", "camera")
    other_public, _ = new_pair()
    with (
        Feeder(site.elsewhere(replace(key, server=other_public)).link("windows"), queue=8) as mistaken,
        plain_socket() as plain,
        socket.create_connection(("127.0.0.1", site.port)) as noise,
    ):
        plain.setsockopt(zmq.LINGER, 0)
        plain.connect(f"tcp://127.0.0.1:{site.port}")
        plain.send(encode(window(0)))
        noise.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        assert not mistaken.send(window(0), 0.5)
        assert site.refused("no key")
        assert site.windows.receive(0.5) is None


def test_whoever_is_in_already_is_put_out_when_the_key_is_revoked(site: Site) -> None:
    bad, good = (site.elsewhere(site.key(name, "camera")) for name in ("bad", "good"))
    with Feeder(bad.link("windows"), queue=1) as bad_feeder, Feeder(good.link("windows"), queue=1) as good_feeder:
        assert bad_feeder.send(window(0, camera="b"), 10.0) and isinstance(site.windows.receive(10.0), Window)
        site.store.revoke("bad")
        assert site.refused("revoked key")
        while site.windows.receive(0.1) is not None:
            pass
        bad_feeder.send(window(1, camera="b"), 0.1)
        bad_feeder.send(window(2, camera="b"), 0.1)
        assert site.windows.receive(0.5) is None
        index = iter(range(10**6))

        def passes() -> bool:  # the others have come back by themselves
            good_feeder.send(window(next(index), camera="g"), 0.1)
            return isinstance(site.windows.receive(0.1), Window)

        assert soon(passes)


def test_a_message_that_is_too_large_or_malformed_stops_at_the_gate(site: Site) -> None:
    key = site.key("kitchen", "camera")
    huge = Window(
        camera="kitchen", t=0.0, captured_at=time.time(), track=1, index=0, first_tick=0, valid=1, last=False,
        joints=np.zeros((3, 4096, 25, 8), np.float32), evidence=1.0,
    )  # fmt: skip
    address = f"tcp://127.0.0.1:{site.port}"
    with Feeder(Link(address, key), queue=8) as feeder:
        assert feeder.send(huge, 10.0)
        assert site.windows.receive(0.5) is None  # it was cut off before it was read
        assert feeder.send(window(5), 10.0)
        assert soon(lambda: feeder.send(window(6), 0.1)) and isinstance(site.windows.receive(10.0), Window)
        feeder._socket.send(b"\x93nonsense")
        assert site.refused("malformed")
        assert feeder.send(tracks(0, time.time()), 10.0)
        assert site.refused("wrong door")


# --- what may go on: without sockets ---------------------------------------------------------------------------------

CAMERA = Peer(name="kitchen", public="k", roles=("camera",), made="")
OTHER = Peer(name="porch", public="p", roles=("camera",), made="")
VIEWER = Peer(name="tv", public="v", roles=("viewer",), made="")
NOW = 1000.0


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(NOW - 50, NOW + 4)), max_size=60))
def test_what_is_admitted_of_a_person_never_goes_back(sent: list[tuple[int, float]]) -> None:
    admission = Admission()
    admitted = [(at, index) for index, at in sent if admission.refuses(window(index, at=at), CAMERA, NOW) is None]
    assert admitted == sorted(set(admitted))


def test_reasons() -> None:
    admission = Admission()
    assert admission.refuses(window(0, at=NOW), None, NOW) == "unknown key"
    assert admission.refuses(window(0, at=NOW), replace(CAMERA, revoked="2026"), NOW) == "unknown key"
    assert admission.refuses(window(0, at=NOW), VIEWER, NOW) == "wrong role"
    assert admission.refuses(event(), CAMERA, NOW) == "wrong role"  # nobody but `decode` says what somebody does
    assert admission.refuses(window(0, at=NOW - 61), CAMERA, NOW) == "stale or future"
    assert admission.refuses(window(0, at=NOW + 6), CAMERA, NOW) == "stale or future"
    assert admission.refuses(window(0, at=NOW), CAMERA, NOW) is None
    assert admission.refuses(window(0, at=NOW), CAMERA, NOW) == "repeated"
    assert admission.refuses(window(1, at=NOW), OTHER, NOW) == "another's camera"
    assert admission.refuses(End(camera="kitchen"), OTHER, NOW) == "another's camera"
    assert admission.refuses(tracks(0, NOW), CAMERA, NOW) is None
    assert admission.refuses(tracks(0, NOW), CAMERA, NOW) == "repeated"
    # A camera that was started anew counts from 0 again, later.
    assert admission.refuses(tracks(0, NOW + 1), CAMERA, NOW) is None
    assert admission.refuses(window(0, at=NOW + 1), CAMERA, NOW) is None


def test_the_ledger_is_bounded() -> None:
    admission = Admission()
    reasons = [admission.refuses(window(0, track=n, at=NOW), CAMERA, NOW) for n in range(1000)]
    assert reasons.count(None) == 256 and reasons[-1] == "too many people"
    reasons = [admission.refuses(End(camera=f"c{n}"), CAMERA, NOW) for n in range(100)]
    assert "too many cameras" in reasons
    assert admission.refuses(End(camera="kitchen"), CAMERA, NOW) is None  # who was known before stays so


def test_people_whose_camera_went_without_a_word_make_room() -> None:
    admission = Admission()
    for n in range(256):
        assert admission.refuses(window(0, track=n, at=NOW), CAMERA, NOW) is None
    assert admission.refuses(window(0, track=256, at=NOW + 59), CAMERA, NOW + 59) == "too many people"
    assert admission.refuses(window(0, track=256, at=NOW + 61), CAMERA, NOW + 61) is None
    assert admission.refuses(window(0, track=3, at=NOW), CAMERA, NOW + 61) == "stale or future"  # still not again


def test_with_a_damaged_key_store_the_gate_stands_and_lets_nobody_in(site: Site) -> None:
    place = site.elsewhere(site.key("kitchen", "camera"))
    with Feeder(place.link("windows"), queue=1) as feeder:
        assert feeder.send(window(0), 10.0) and isinstance(site.windows.receive(10.0), Window)
        peers = site.store.folder / "peers.json"
        good = peers.read_text()
        peers.write_text("{")
        assert site.refused("unreadable key store")
        peers.write_text(good)
        index = iter(range(1, 10**6))

        def passes() -> bool:
            feeder.send(window(next(index)), 0.1)
            return isinstance(site.windows.receive(0.1), Window)

        assert soon(passes)


FLOOD = """
import json, socket, sys
from skelstream.stream.wire import ClientKey, Link, Publisher
address, host, port, key = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.stdin.readline())
with Publisher(Link(address, ClientKey(**key))) as publisher:
    print("floods", flush=True)
    while True:
        for _ in range(1000):  # rubbish with a good key, as fast as it can
            publisher._socket.send_multipart([b"Tracks", b"\\xdd\\xff\\xff\\xff\\xff" * 2000, b"x" * 16 + b"\\1\\0"])
        with socket.socket() as link:  # and noise without any
            link.settimeout(0.2)
            try:
                link.connect((host, port))
                link.sendall(b"\\xff" + bytes(100_000))
            except OSError:
                pass
"""


def test_whoever_floods_the_gate_delays_nobody_and_fills_no_memory(site: Site) -> None:
    hostile = site.elsewhere(site.key("mallory", "camera", "viewer")).link("bus-in")
    good = site.elsewhere(site.key("kitchen", "camera"))
    assert isinstance(hostile, Link) and isinstance(hostile.key, ClientKey)
    words = [hostile.address, "127.0.0.1", str(site.port + PORTS["windows"])]
    flood = subprocess.Popen([sys.executable, "-c", FLOOD, *words], stdin=PIPE, stdout=PIPE, text=True)
    assert flood.stdin is not None and flood.stdout is not None
    try:
        with Feeder(good.link("windows"), queue=8) as feeder:
            assert feeder.send(window(0), 10.0) and isinstance(site.windows.receive(10.0), Window)
            before = resident_mb()
            flood.stdin.write(json.dumps(asdict(hostile.key)) + "\n")
            flood.stdin.flush()
            assert flood.stdout.readline() == "floods\n"
            assert soon(lambda: site.gate.refused()["malformed"] > 100)
            for index in range(1, 120):
                assert feeder.send(window(index), 5.0)
                received = site.windows.receive(5.0)
                assert isinstance(received, Window) and received.index == index
                time.sleep(1 / 60)
            assert flood.poll() is None and resident_mb() - before < 60
    finally:
        flood.kill()
        flood.communicate()
