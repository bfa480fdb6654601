"""ROS 2 through a rosbridge: real WebSockets, real processes, and somebody else's client (roslibpy) at the other end.

No rosbridge server can be installed from a package index without a ROS under it. So the bridge of most tests is the one
in conftest.py, written from the protocol's specification; and the slow one at the end runs RobotWebTools'
ros2-web-bridge as it is, with nothing but the ROS under it (rclnodejs) replaced by a graph in memory.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from queue import Queue
from subprocess import PIPE
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.sync.client import connect as connect_websocket
from websockets.sync.server import serve

from skelstream.stream.camera import ActorSource, SourceLost, open_source
from skelstream.stream.retry import Camera
from skelstream.stream.robot.ros_bridge import BridgeInlet, BridgeOutlet, RosAddress
from skelstream.stream.robot.ros_messages import RosScene, Said
from skelstream.stream.stage import Place, Stage
from skelstream.stream.wire import Bus, Event, Frame, Lost, Publisher, Tracks

_PATIENCE_S = 60.0
TEXT = {"/said": "std_msgs/msg/String"}


def soon(what: Callable[[], Any], timeout_s: float = _PATIENCE_S) -> bool:
    until = time.monotonic() + timeout_s
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


class Running:
    """A program that prints, line by line."""

    def __init__(self, command: list[str], **more: Any) -> None:
        self.process = subprocess.Popen(command, stdout=PIPE, stderr=subprocess.STDOUT, text=True, **more)
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line(self, having: str = "") -> str:
        """The next line with this in it."""
        seen = []
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            with contextlib.suppress(Exception):
                seen.append(self._lines.get(timeout=0.2))
                if having in seen[-1]:
                    return seen[-1]
        raise AssertionError(f"no line with {having!r} in {seen}")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="skel-") as folder:
        place = Place(Path(folder))
        bus = Bus(place.here("bus-in"), place.here("bus-out"))
        yield place
        bus.close()


def skelstream(*words: str, **more: Any) -> Running:
    return Running([sys.executable, "-m", "skelstream", *words], **more)


# Listens to topics with roslibpy, and prints a JSON line for every message.
LISTENER = """
import json, sys, threading, roslibpy
ros = roslibpy.Ros(host="127.0.0.1", port=int(sys.argv[1]))
ros.run(timeout=30)
lock = threading.Lock()
def heard(topic):
    def tell(message):
        with lock:
            print(json.dumps({"topic": topic, "msg": dict(message)}), flush=True)
    return tell
topics = [roslibpy.Topic(ros, *word.split("=")) for word in sys.argv[2:]]
for topic in topics:
    topic.subscribe(heard(topic.name))
print("listens", flush=True)
threading.Event().wait()
"""


def roslibpy_listener(port: int, topics: dict[str, str]) -> Running:
    pytest.importorskip("roslibpy", reason="somebody else's rosbridge client; it comes with the extra dev")
    words = [f"{name}={kind}" for name, kind in topics.items()]
    listener = Running([sys.executable, "-c", LISTENER, str(port), *words])
    listener.line("listens")
    return listener


def event(kind: str = "start") -> Event:
    return Event(
        camera="door", t=2.0, captured_at=time.time(), kind=kind, track=1, action="wave", t_start=1.5,  # type: ignore[arg-type]
        t_end=2.0 if kind == "end" else None, confidence=0.9, decided_at=time.time(),
    )  # fmt: skip


def tracks(seq: int = 0) -> Tracks:
    joints = np.random.default_rng(seq).uniform(0.5, 1.5, (1, 25, 3)).astype(np.float32)
    return Tracks(camera="door", t=seq / 30, captured_at=time.time(), seq=seq, size=(64, 48), ids=(1,), joints=joints,
                  pixels=joints[..., :2].copy(), confidence=np.ones((1, 25), np.float32))  # fmt: skip


# --- where ROS is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url", "topic"),
    [
        ("ros:/camera/image_raw", "", "/camera/image_raw"), ("ros:camera", "", "/camera"), ("ros:", "", ""),
        ("ros:///a", "", "/a"), ("ros://127.0.0.1", "ws://127.0.0.1:9090", ""),
        ("ros://localhost:99/a/b", "ws://localhost:99", "/a/b"), ("ros://[::1]:99", "ws://[::1]:99", ""),
        ("ros://robot.local", "wss://robot.local:9090", ""), ("ros://10.0.0.7:91/a", "wss://10.0.0.7:91", "/a"),
        ("ros://localhost.evil.org", "wss://localhost.evil.org:9090", ""),
        ("ros+plain://robot.local:9090/a", "ws://robot.local:9090", "/a"),
    ],
)  # fmt: skip
def test_beyond_this_machine_nothing_goes_in_the_clear_unless_it_is_asked_for(text: str, url: str, topic: str) -> None:
    assert RosAddress.named(text) == RosAddress(url, topic)


@pytest.mark.parametrize(
    "text", ["http://x", "ros://:90", "ros://a:b", "ros://a:99999", "ros://user:pass@a/b", "ros://a/b c", "ros://a/b?c=d",
             "ros://[::1", "ros://a/b#c", "ros:/1", "wss://a"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(ValueError) as refusal:
        RosAddress.named(text)
    assert "\n" not in str(refusal.value) and "pass" not in str(refusal.value).replace(text, "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ros", "--bridge", "ros://127.0.0.1:9"], "no rosbridge answers at ws://127.0.0.1:9"),
        (["ros", "--bridge", "http://x"], "no address of ROS"), (["ros", "--bridge", "ros:/a"], "names a topic"),
        (["ros", "--prefix", "a b"], "no topic of ROS 2"), (["ros", "--frame", "a b"], "no topic of ROS 2"),
        (["live", "--camera", "ros:"], "needs a topic"), (["live", "--camera", "ros:/a b"], "no topic of ROS 2"),
        (["live", "--camera", "ros://127.0.0.1:9/a"], "no rosbridge answers at ws://127.0.0.1:9"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_met_costs_a_line(words: list[str], says: str, tmp_path: Path) -> None:
    at = ["--at", str(tmp_path)]
    ask = [sys.executable, "-m", "skelstream", *words, *at]
    done = subprocess.run(ask, capture_output=True, text=True, timeout=_PATIENCE_S)
    assert done.returncode == 2 and says in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout


# --- publishing -------------------------------------------------------------------------------------------------------


def test_somebody_elses_client_hears_all_that_is_published(bridge: Any, place: Place) -> None:
    """The stage as a process, the bridge, and roslibpy behind it; nothing that is published is refused."""
    topics = RosScene().topics
    with (
        roslibpy_listener(bridge.port, topics) as listener,
        skelstream("ros", "--bridge", bridge.address, "--at", str(place.folder)) as stage,
        Publisher(place.here("bus-in")) as publisher,
    ):
        assert soon(lambda: publisher.wanted(Tracks) and publisher.wanted(Event))
        assert bridge.wait_for(lambda: bridge.advertised == topics)
        publisher.publish(event())
        heard: dict[str, Any] = {}
        seq = 0
        until = time.monotonic() + _PATIENCE_S
        while heard.keys() != topics.keys() - {"/skelstream/behaviour"} and time.monotonic() < until:
            publisher.publish(tracks(seq))
            seq += 1
            one = json.loads(listener.line("topic"))
            heard[one["topic"]] = one["msg"]
        assert heard.keys() == topics.keys() - {"/skelstream/behaviour"}  # no robot is here
        assert json.loads(heard["/skelstream/events"]["data"])["action"] == "wave"
        assert heard["/skelstream/joints"]["header"]["frame_id"] == "door_link"
        assert len(base64.b64decode(heard["/skelstream/joints"]["data"])) == 24 * 25
        assert {"skelstream: ros"} <= {one["name"] for one in heard["/diagnostics"]["status"]}
        assert not bridge.refused
        stage.process.terminate()
        assert stage.process.wait(_PATIENCE_S) == 0


def test_when_the_bridge_goes_the_stage_waits_for_it_and_goes_on(bridge: Any, place: Place) -> None:
    with (
        skelstream("ros", "--bridge", bridge.address, "--at", str(place.folder)) as stage,
        Publisher(place.here("bus-in")) as publisher,
    ):
        assert soon(lambda: publisher.wanted(Event))
        assert bridge.wait_for(lambda: "/skelstream/events" in bridge.advertised)
        bridge.advertised.clear()
        bridge.stop()
        assert "is gone" in stage.line("the bridge at")
        bridge.start()
        assert bridge.wait_for(lambda: bridge.advertised.keys() >= RosScene().topics.keys())
        stage.line("the bridge is back")
        with roslibpy_listener(bridge.port, {"/skelstream/events": "std_msgs/msg/String"}) as listener:
            publisher.publish(event("end"))
            said = json.loads(json.loads(listener.line("topic"))["msg"]["data"])
            assert said["event"] == "end"
        assert not bridge.refused and stage.process.poll() is None


def test_a_bridge_that_takes_nothing_delays_nobody_and_fills_no_memory() -> None:
    """A server that reads no more: what waits is bounded, and the oldest goes first."""
    stop = threading.Event()

    def deaf(connection: Any) -> None:
        connection.recv()
        stop.wait(_PATIENCE_S)

    with serve(deaf, "127.0.0.1", 0, max_queue=1, compression=None, close_timeout=0.2) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        with BridgeOutlet(f"ws://127.0.0.1:{port}", TEXT) as outlet:
            slowest = 0.0
            for n in range(3000):
                began = time.monotonic()
                outlet.publish(Said("/said", {"data": f"{n} " + "x" * 20_000}))
                slowest = max(slowest, time.monotonic() - began)
            assert slowest < 1.0
            assert len(outlet._waiting["/said"]) <= 16 and outlet.dropped > 1000
            assert outlet._waiting["/said"][-1].fields["data"].startswith("2999 ")
        stop.set()
        server.shutdown()


def test_what_the_bridge_complains_of_is_told_once_and_in_a_line(bridge: Any) -> None:
    with BridgeOutlet(f"ws://127.0.0.1:{bridge.port}", {"/a": "nobody_msgs/msg/None"}) as outlet:
        assert soon(lambda: outlet.complaint)
        assert outlet.complaint == "the bridge says: advertise: Unable to import nobody_msgs/msg/None"
        bridge.say(json.dumps({"op": "status", "level": "error", "msg": "another\x1b[2J\n" + "x" * 10_000}))
        outlet.publish(Said("/a", {}))
        assert bridge.wait_for(lambda: len(bridge.refused) == 2)
        assert "Unable to import" in outlet.complaint


def test_messages_of_a_topic_keep_their_order(bridge: Any) -> None:
    with connect_websocket(f"ws://127.0.0.1:{bridge.port}") as listener:
        listener.send(json.dumps({"op": "subscribe", "topic": "/said", "type": TEXT["/said"]}))
        assert bridge.wait_for(lambda: bridge.subscriptions)
        with BridgeOutlet(f"ws://127.0.0.1:{bridge.port}", TEXT) as outlet:
            for n in range(10):
                outlet.publish(Said("/said", {"data": f"ß{n}"}))
            heard = [json.loads(listener.recv(_PATIENCE_S))["msg"]["data"] for _ in range(10)]
    assert heard == [f"ß{n}" for n in range(10)] and outlet.dropped == 0


# --- a topic as a camera ----------------------------------------------------------------------------------------------


class Film:
    """A node that publishes pictures: the n-th is of the grey 2n + 20, and says so in its stamp, too."""

    def __init__(self, bridge: Any, topic: str, hz: float = 30.0) -> None:
        self._bridge, self._topic, self._hz = bridge, topic, hz
        self._stop = threading.Event()
        self.sent = 0
        self.pause = False
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(1 / self._hz):
            if not self.pause:
                self._bridge.publish(self._topic, self.picture(self.sent))
                self.sent += 1

    def picture(self, n: int) -> dict[str, Any]:
        image = np.full((48, 64, 3), 20 + 2 * n % 200, np.uint8)
        now = time.time()
        header = {"stamp": {"sec": int(now), "nanosec": int(now % 1 * 1e9)}, "frame_id": "camera"}
        if self._topic.endswith("/compressed"):
            data = cv2.imencode(".png", image)[1].tobytes()
            return {"header": header, "format": "png", "data": base64.b64encode(data).decode()}
        return {"header": header, "height": 48, "width": 64, "encoding": "rgb8", "is_bigendian": 0, "step": 192,
                "data": base64.b64encode(image.tobytes()).decode()}  # fmt: skip

    def close(self) -> None:
        self._stop.set()


@pytest.mark.parametrize("topic", ["/camera/image_raw", "/camera/image_raw/compressed"])
def test_the_pictures_of_a_topic(bridge: Any, topic: str) -> None:
    film = Film(bridge, topic)
    with contextlib.closing(film), contextlib.closing(open_source(bridge.address + topic, duration_s=1.0)) as source:
        assert source.live and source.name == "ros" + topic.replace("/", "-")
        frames = list(source.frames())
    subscribed = bridge.subscriptions[-1]
    assert subscribed["queue_length"] == 1 and subscribed["type"].startswith("sensor_msgs/msg/")
    assert subscribed["type"].endswith("CompressedImage" if "compressed" in topic else "/Image")
    assert len(frames) >= 3
    times = [frame.t for frame in frames]
    assert all(later > earlier for earlier, later in pairwise(times)) and times[-1] < 1.0
    for frame in frames:
        assert frame.image.shape == (48, 64, 3) and np.ptp(frame.image) == 0
        assert -0.1 < time.time() - frame.captured_at < 30
    greys = [int(frame.image[0, 0, 0]) for frame in frames]
    assert len(set(greys)) == len(greys)


def test_of_pictures_that_come_faster_than_they_are_taken_the_newest_is_taken(bridge: Any) -> None:
    film = Film(bridge, "/a", hz=1e-3)
    with contextlib.closing(film):
        inlet_address = RosAddress.named(bridge.address + "/a")
        with contextlib.closing(BridgeInlet(inlet_address.bridge, "/a", "sensor_msgs/msg/Image")) as inlet:
            assert bridge.wait_for(lambda: bridge.subscriptions)
            for n in range(10):
                bridge.publish("/a", {"number": n})
            assert soon(lambda: inlet._connection.recv_messages.frames.qsize() >= 10)
            message = inlet.newest(_PATIENCE_S)
    assert message is not None and message["number"] == 9


def test_a_topic_on_which_nothing_comes_and_one_with_pictures_that_cannot_be_shown(bridge: Any) -> None:
    with pytest.raises(ValueError, match="no picture comes on /nothing; is its publisher running") as refusal:
        open_source(bridge.address + "/nothing")
    assert "\n" not in str(refusal.value)

    class Depth(Film):
        def picture(self, n: int) -> dict[str, Any]:
            return {**super().picture(n), "encoding": "16UC1"}

    with contextlib.closing(Depth(bridge, "/depth")), pytest.raises(ValueError, match="encoded as '16UC1'; publish"):
        open_source(bridge.address + "/depth")


def test_a_damaged_picture_is_passed_over_and_a_source_of_them_is_lost(bridge: Any) -> None:
    class Damaged(Film):
        all_of_them = False

        def picture(self, n: int) -> dict[str, Any]:
            picture = super().picture(n)
            return {**picture, "step": 7} if self.all_of_them or n % 2 else picture

    film = Damaged(bridge, "/camera/image_raw")
    with contextlib.closing(film):
        while True:  # the first that comes may be a damaged one
            with contextlib.suppress(ValueError):
                source = open_source(bridge.address + "/camera/image_raw")
                break
        frames = source.frames()
        for _ in range(5):
            assert next(frames).image.shape == (48, 64, 3)
        film.all_of_them = True
        with pytest.raises(SourceLost, match="64x48 rgb8"):
            for _ in frames:
                pass
        source.close()


def test_a_camera_that_is_lost_with_its_bridge_comes_back_with_it(bridge: Any, place: Place) -> None:
    """The camera as the pipeline has it, which seeks what it has lost; the clock and the count of frames go on."""
    film = Film(bridge, "/camera/image_raw")
    with Stage("camera", place) as stage, contextlib.closing(film):
        spec = bridge.address + "/camera/image_raw"
        camera = Camera(lambda *, epoch: open_source(spec, epoch=epoch), stage, name="eye", live=True)

        def next_of(kind: type[Frame] | type[Lost]) -> Frame | Lost:
            until = time.monotonic() + _PATIENCE_S
            while time.monotonic() < until:
                message = camera.next(0.1)
                if isinstance(message, Frame):
                    stage.count("captured")
                if isinstance(message, kind):
                    return message
            raise AssertionError(f"no {kind.__name__}")

        before = next_of(Frame)
        bridge.stop()
        assert isinstance(lost := next_of(Lost), Lost) and "bridge is gone" in lost.reason
        bridge.start()
        after = next_of(Frame)
        film.pause = True
        assert isinstance(lost := next_of(Lost), Lost) and "no picture comes on /camera/image_raw" in lost.reason
        film.pause = False
        last = next_of(Frame)
        camera.close()
    assert isinstance(before, Frame) and isinstance(after, Frame) and isinstance(last, Frame)
    assert before.t < after.t < last.t and before.seq < after.seq < last.seq


HOSTILE = [
    b"\xff\xfe", "", "null", "[]", "[" * 100_000, '{"op": 3}', '{"op": "publish"}', '{"op": "publish", "msg": 3}',
    '{"op": "publish", "topic": "/a", "msg": {"data": {"data": []}, "header": 3}}', '{"op": "fragment", "data": "x"}',
    '{"op": "status", "level": {}, "msg": []}', '{"op": "publish", "msg": {"width": 1e999}}', "1" * 10_000,
]  # fmt: skip


def test_whatever_a_bridge_may_say_a_source_goes_on(bridge: Any) -> None:
    film = Film(bridge, "/camera/image_raw")
    with contextlib.closing(film), contextlib.closing(open_source(bridge.address + "/camera/image_raw")) as source:
        frames = source.frames()
        next(frames)
        for text in HOSTILE:
            bridge.say(text)
            assert next(frames).image.shape == (48, 64, 3)


def test_a_picture_larger_than_any_is_cut_off_before_it_is_read(bridge: Any) -> None:
    film = Film(bridge, "/camera/image_raw")
    with contextlib.closing(film), contextlib.closing(open_source(bridge.address + "/camera/image_raw")) as source:
        frames = source.frames()
        next(frames)
        threading.Thread(target=bridge.say, args=("x" * (96 << 20),), daemon=True).start()
        with pytest.raises(SourceLost, match="bridge is gone"):
            for _ in frames:
                pass


# --- beyond this machine ----------------------------------------------------------------------------------------------


def _own_address() -> str:
    """An address of this machine by which others reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        if not (address := str(probe.getsockname()[0])).startswith("127."):
            return address
    pytest.skip("this machine has no address but its own")


def test_to_another_machine_the_bridge_must_have_a_certificate_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here to make a certificate with")
    address = _own_address()
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        "key.pem",
    ]
    subject = ["-out", "cert.pem", "-days", "2", "-subj", "/CN=bridge", "-addext", f"subjectAltName=IP:{address}"]
    subprocess.run([*make, *subject], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    heard: Queue[str | bytes] = Queue()

    def hear(connection: Any) -> None:
        for text in connection:
            heard.put(text)

    with serve(hear, address, 0, ssl=context, compression=None, close_timeout=0.2) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        bridge = RosAddress.named(f"ros://{address}:{server.socket.getsockname()[1]}").bridge
        assert bridge.startswith("wss://")
        with pytest.raises(ValueError, match=r"CERTIFICATE_VERIFY_FAILED.*; start it there with ssl:=true") as refusal:
            BridgeOutlet(bridge, TEXT)
        assert "\n" not in str(refusal.value)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        with BridgeOutlet(bridge, TEXT) as outlet:
            outlet.publish(Said("/said", {"data": "in private"}))
            assert soon(lambda: any("in private" in str(text) for text in list(heard.queue)))
        with pytest.raises(ValueError, match="no rosbridge answers at ws://"):
            BridgeOutlet(bridge.replace("wss:", "ws:"), TEXT)
        server.shutdown()


# --- the whole of it --------------------------------------------------------------------------------------------------

JAVASCRIPT_ROS = """
// What ros2-web-bridge needs of rclnodejs, on a graph of topics in memory.
const nodes = new Map()
const listeners = (topic) => nodes.get(topic) || nodes.set(topic, new Set()).get(topic)
const node = {
  createPublisher: (type, topic) => ({ publish: (message) => listeners(topic).forEach((tell) => tell(message)) }),
  createSubscription: (type, topic, options, tell) => (listeners(topic).add(tell), { topic, tell }),
  destroyPublisher: () => {},
  destroySubscription: ({ topic, tell }) => listeners(topic).delete(tell),
}
const named = (name) => { if (!/^[/A-Za-z_][\\w/]*$/.test(name)) throw new TypeError("topic name: " + name) }
module.exports = {
  init: async () => {}, createNode: () => node, spin: () => {}, shutdown: () => {}, isShutdown: () => true,
  validator: { validateFullTopicName: named, validateTopicName: named },
}
"""


@pytest.fixture(scope="module")
def web_bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of RobotWebTools' ros2-web-bridge."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node, or no npm, here")
    folder = tmp_path_factory.mktemp("bridge")
    install = [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "ros2-web-bridge@0.3.0",
        "rclnodejs@0.18",
    ]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot install ros2-web-bridge: {done.stderr.strip().splitlines()[-1:]}")
    ros = folder / "node_modules" / "rclnodejs"
    shutil.rmtree(ros)
    ros.mkdir()
    (ros / "index.js").write_text(JAVASCRIPT_ROS)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    serving = ["node", "node_modules/ros2-web-bridge/bin/rosbridge.js", "-p", str(port)]
    with Running(serving, cwd=folder) as running:
        running.line("Websocket started")
        yield port


@pytest.mark.slow
def test_the_whole_loop_through_somebody_elses_bridge(web_bridge: int, tmp_path: Path) -> None:
    """An actor's pictures go in on a topic, through ros2-web-bridge; what he does comes out on another, to roslibpy."""
    address = f"ros://127.0.0.1:{web_bridge}"
    stop = threading.Event()

    def film() -> None:
        source = ActorSource(seed=0, width=640, height=360, duration_s=600.0)
        with connect_websocket(f"ws://127.0.0.1:{web_bridge}", compression=None) as camera:
            kind = "sensor_msgs/msg/CompressedImage"
            camera.send(json.dumps({"op": "advertise", "topic": "/eye/compressed", "type": kind}))
            for frame in source.frames():
                if stop.is_set():
                    return
                stamp = {"sec": int(frame.captured_at), "nanosec": int(frame.captured_at % 1 * 1e9)}
                data = base64.b64encode(cv2.imencode(".jpg", frame.image)[1].tobytes()).decode()
                message = {"header": {"stamp": stamp, "frame_id": "eye"}, "format": "jpeg", "data": data}
                camera.send(json.dumps({"op": "publish", "topic": "/eye/compressed", "msg": message}))

    filming = threading.Thread(target=film, daemon=True)
    filming.start()
    topics = {"/skelstream/events": "std_msgs/msg/String", "/tf": "tf2_msgs/msg/TFMessage"}
    at = ["--at", str(tmp_path)]
    try:
        with (
            roslibpy_listener(web_bridge, topics) as listener,
            skelstream("live", "--camera", f"{address}/eye/compressed", "--no-page", *at) as live,
        ):
            live.line("start")  # it sees him do something
            with skelstream("ros", "--bridge", address, *at):
                told: dict[str, Any] = {}
                while told.keys() != topics.keys():
                    one = json.loads(listener.line("topic"))
                    told[one["topic"]] = one["msg"]
            said = json.loads(told["/skelstream/events"]["data"])
            assert said["camera"] == "ros-eye-compressed" and said["latency_ms"] > 0
            place = told["/tf"]["transforms"][0]["transform"]["translation"]
            assert 1 < place["x"] < 8 and abs(place["y"]) < 3
    finally:
        stop.set()
        filming.join(10)
