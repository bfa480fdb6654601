"""The clients in docs/protocol.md: taken out of the page, compiled, and run against a real bus, and a real gate with
CURVE. They have nothing of skelstream's. Copies of them elsewhere (README.md) are the same to the letter.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from subprocess import PIPE

import msgspec
import numpy as np
import pytest

from skelstream.stream.actor import Script
from skelstream.stream.keys import KeyStore
from skelstream.stream.stage import Place
from skelstream.stream.window import WindowCutter
from skelstream.stream.wire import (
    PROTOCOL,
    Bus,
    End,
    Event,
    Inbox,
    Publisher,
    RobotState,
    Subscriber,
    Tracks,
    Window,
    encode,
)

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs" / "protocol.md", ROOT / "README.md")
_PATIENCE_S = 60.0


def program(name: str) -> str:
    """The program of this name, from the page."""
    found = [
        block
        for page in PAGES
        for block in re.findall(r"^```\w+\n(.*?)^```$", page.read_text(), re.M | re.S)
        if re.match(rf"(#|//) {re.escape(name)} ", block)
    ]
    assert found, f"docs/protocol.md has no {name}"
    assert len(set(found)) == 1, f"{name} differs from page to page"
    return str(found[0])


@pytest.fixture
def place() -> Iterator[Place]:
    """A bus in a folder of a short path."""
    with tempfile.TemporaryDirectory(prefix="skel-") as folder:
        place = Place(Path(folder))
        bus = Bus(place.here("bus-in"), place.here("bus-out"))
        yield place
        bus.close()


@pytest.fixture(scope="module")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    pytest.importorskip("msgpack", reason="the Python client needs msgpack; it comes with the extra dev")
    path = tmp_path_factory.mktemp("python") / "events.py"
    path.write_text(program(path.name))
    return [sys.executable, "-I", str(path)]


@pytest.fixture(scope="module")
def cpp_client(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("cpp")
    (folder / "events.cpp").write_text(program("events.cpp"))
    if shutil.which("g++") is None:
        pytest.skip("there is no g++ here")
    headers = "#include <zmq.hpp>\n#include <nlohmann/json.hpp>\n"
    probe = subprocess.run(["g++", "-E", "-x", "c++", "-"], input=headers, capture_output=True, text=True)
    if probe.returncode:
        pytest.skip("Debian's libzmq3-dev, cppzmq-dev or nlohmann-json3-dev is not installed")
    build = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "events.cpp", "-lzmq", "-o", "events"]
    subprocess.run(build, cwd=folder, check=True)
    return [str(folder / "events")]


@pytest.fixture(scope="module")
def javascript_client(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node, or no npm, here")
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "events.mjs").write_text(program("events.mjs"))
    install = ["npm", "install", "--no-audit", "--no-fund", "zeromq@6", "@msgpack/msgpack@3"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot install zeromq and @msgpack/msgpack: {done.stderr.strip().splitlines()[-1:]}")
    return ["node", str(folder / "events.mjs")]


each_client = pytest.mark.parametrize(
    "client",
    [
        "python_client",
        pytest.param("cpp_client", marks=pytest.mark.slow),
        pytest.param("javascript_client", marks=pytest.mark.slow),
    ],
)


class Running:
    """A program that prints, line by line."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdout=PIPE, stderr=subprocess.STDOUT, text=True)
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line(self) -> str:
        return self._lines.get(timeout=_PATIENCE_S)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()


def event(kind: str, track: int = 1) -> Event:
    ended = 2.0 if kind == "end" else None
    return msgspec.convert(
        {"type": "Event", "camera": "küche", "t": 2.0, "captured_at": time.time(), "kind": kind, "track": track,
         "action": "wave", "t_start": 1.0, "t_end": ended, "confidence": 0.9, "decided_at": time.time()},
        Event,
    )  # fmt: skip


def until_wanted(publisher: Publisher, kind: type[Event]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not publisher.wanted(kind):
        assert time.monotonic() < until, "nobody listens"
        time.sleep(0.01)


@each_client
def test_a_client_prints_what_people_do(client: str, place: Place, request: pytest.FixtureRequest) -> None:
    command: list[str] = request.getfixturevalue(client)
    with Running([*command, place.here("bus-out")]) as running, Publisher(place.here("bus-in")) as publisher:
        until_wanted(publisher, Event)
        for version, kind in ((PROTOCOL + 1, b"Event"), (PROTOCOL, b"Eventually")):  # a newer peer's
            tag = bytes(16) + version.to_bytes(2, "little")
            publisher._socket.send_multipart([kind, encode(event("start", track=99)), tag])
        for kind_said in ("start", "update", "end"):
            publisher.publish(event(kind_said))
        assert [running.line() for _ in range(3)] == ["küche 1 start wave", "küche 1 update wave", "küche 1 end wave"]


@each_client
def test_a_client_comes_through_the_gate_with_its_key(
    client: str, place: Place, request: pytest.FixtureRequest
) -> None:
    command: list[str] = request.getfixturevalue(client)
    KeyStore(place.folder / "keys").new("tv", ("viewer",), place.folder / "tv.key")
    port = _ports()
    opened = [sys.executable, "-m", "skelstream", "gate", "--host", "127.0.0.1", "--port", str(port)]
    with (
        Running([*opened, "--keys", str(place.folder / "keys"), "--at", str(place.folder)]),
        Running([*command, f"tcp://127.0.0.1:{port + 2}", str(place.folder / "tv.key")]) as running,
        Publisher(place.here("bus-in")) as publisher,
    ):
        until_wanted(publisher, Event)  # the gate asks for what somebody asks it for
        publisher.publish(event("start"))
        assert running.line() == "küche 1 start wave"


def _ports() -> int:
    """The first of five ports in a row that nobody uses."""
    for first in range(20000, 40000, 7):
        taken = []
        try:
            for port in range(first, first + 5):
                taken.append(socket.create_server(("127.0.0.1", port)))
            return first
        except OSError:
            continue
        finally:
            for one in taken:
                one.close()
    raise AssertionError("no ports")


def test_a_robot_of_ones_own_is_heard(place: Place, tmp_path: Path) -> None:
    pytest.importorskip("msgpack", reason="the example needs msgpack")
    (tmp_path / "robot.py").write_text(program("robot.py"))
    with (
        Subscriber(place.here("bus-out"), (RobotState,)) as feed,
        Running([sys.executable, "-I", str(tmp_path / "robot.py"), place.here("bus-in")]),
    ):
        states = [feed.receive(_PATIENCE_S) for _ in range(10)]
    assert feed.malformed == feed.missed == 0
    assert all(isinstance(state, RobotState) and state.behaviour == "nod" for state in states)
    heights = [float(state.points[2, 2]) for state in states if isinstance(state, RobotState)]
    assert len(set(heights)) > 1 and all(1.4 <= height <= 1.6 for height in heights)


def test_a_sensor_of_ones_own_sends_the_windows_that_a_camera_would(place: Place, tmp_path: Path) -> None:
    """Three seconds of the actor's joints: what the example sends is what our own cutter cuts."""
    pytest.importorskip("msgpack", reason="the example needs msgpack")
    script = Script(seed=3, duration_s=10.0)
    frames = np.stack([script.pose(n / 30) for n in range(75)]).astype(np.float32)
    np.save(tmp_path / "clip.npy", frames)
    (tmp_path / "sensor.py").write_text(program("sensor.py"))
    cutter = WindowCutter(WindowCutter.Config(hop=1))
    expected: list[Window] = []
    for seq, joints in enumerate(frames):
        expected += cutter.push(
            Tracks(camera="sensor", t=seq / 30, captured_at=0.0, seq=seq, size=(1, 1), ids=(1,), joints=joints[None],
                   pixels=joints[None, :, :2].copy(), confidence=np.ones((1, 25), np.float32))
        )  # fmt: skip
    with (
        Inbox(place.here("windows"), queue=64, bind=True) as inbox,
        Running([sys.executable, "-I", str(tmp_path / "sensor.py"), place.here("windows"), str(tmp_path / "clip.npy")]),
    ):
        heard: list[Window] = []
        while not isinstance(message := inbox.receive(_PATIENCE_S), End):
            assert isinstance(message, Window), "it sends something else, or nothing"
            heard.append(message)
    assert inbox.malformed == 0 and message.camera == "sensor"
    by_tick = {window.first_tick: window for window in expected}
    shared = [(window, by_tick[window.first_tick]) for window in heard if window.first_tick in by_tick]
    assert len(shared) >= 58
    for window, ours in shared:
        np.testing.assert_allclose(window.joints, ours.joints, atol=1e-4)
        assert window.valid == ours.valid
    assert [window.index for window in heard] == list(range(len(heard))) and heard[-1].last


def test_the_page_starts_what_it_says(place: Place) -> None:
    """The numbers in the page are the code's."""
    from skelstream.stream.elsewhere import FIRST_PORT, PORTS

    text = PAGES[0].read_text()
    assert f"`tcp://robot.local:{FIRST_PORT + PORTS['events']}`" in text and f"`--port` ({FIRST_PORT})" in text
    for door, offset in PORTS.items():
        assert re.search(rf"\+{offset}\s+`{door}`", text)
    assert f'unpack_from("<H", tag, 16) == ({PROTOCOL},)' in program("events.py")
