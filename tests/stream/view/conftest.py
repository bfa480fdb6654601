"""What the view's tests share: messages as the stages send them, a server, a program that views, and a browser."""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from skelstream.encoder.layout import NTU25
from skelstream.stream.view.server import serve
from skelstream.stream.view.state import ViewState
from skelstream.stream.wire import AnyMessage, Decision, Event, Glimpse, Preview, Report, RobotState, Tracks

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


class _QueueFeed:
    """A feed that a test fills. `kinds`: what was asked for beside the rest."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[AnyMessage] = queue.SimpleQueue()
        self.read = 0
        self.kinds: set[type[AnyMessage]] = set()

    def put(self, *messages: AnyMessage) -> None:
        for message in messages:
            self._queue.put(message)

    def receive(self, timeout_s: float) -> AnyMessage | None:
        with contextlib.suppress(queue.Empty):
            message = self._queue.get(timeout=timeout_s)
            self.read += 1
            return message
        return None

    def listen_to(self, kind: type[AnyMessage], listen: bool) -> None:
        (self.kinds.add if listen else self.kinds.discard)(kind)


class Made:
    """Messages of a camera in the hall, and what makes something of them."""

    CLASSES = ("background", "squat", "wave", "bow")
    SIZE = (640, 480)
    WRIST = (480.0, 200.0)
    ORANGE = (10, 130, 240)  # BGR
    PATIENCE_S = 20.0  # a test that has to wait longer than this has failed
    QueueFeed = _QueueFeed
    # What is drawn at a place on the screen: [red, green, blue, alpha].
    PIXEL = """([id, x, y]) => {
      const canvas = document.querySelector(id);
      const box = canvas.getBoundingClientRect();
      const at = [(x - box.left) * canvas.width / box.width, (y - box.top) * canvas.height / box.height];
      return [...canvas.getContext("2d").getImageData(Math.round(at[0]), Math.round(at[1]), 1, 1).data];
    }"""

    def jpeg(self, colour: tuple[int, int, int] = ORANGE, size: tuple[int, int] = (160, 120)) -> bytes:
        picture = np.full((size[1], size[0], 3), colour, np.uint8)
        return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()

    def preview(
        self, seq: int, camera: str = "door", hz: float = 30.0, picture: bytes = b"", began_at: float = 1e9
    ) -> Preview:
        t = seq / hz
        jpeg = picture or self.jpeg()
        return Preview(camera=camera, t=t, captured_at=began_at + t, seq=seq, size=self.SIZE, jpeg=jpeg)

    def standing(self) -> np.ndarray:
        """Somebody in the middle of the picture, (25, 2) pixels; the stretched left wrist is far from all else."""
        pixels_V2 = np.tile(np.array([320.0, 300.0]), (25, 1))
        pixels_V2[NTU25.index("Head")] = (320, 120)
        pixels_V2[NTU25.index("SpineShoulder")] = (320, 180)
        pixels_V2[NTU25.index("WristLeft")] = self.WRIST
        return pixels_V2

    def tracks(self, seq: int, ids: tuple[int, ...] = (7,), camera: str = "door", hz: float = 30.0) -> Tracks:
        n, t = len(ids), seq / hz
        return Tracks(
            camera=camera, t=t, captured_at=1e9 + t, seq=seq, size=self.SIZE, ids=ids,
            joints=np.zeros((n, 25, 3), np.float32), confidence=np.ones((n, 25), np.float32),
            pixels=np.tile(self.standing(), (n, 1, 1)).astype(np.float32),
        )  # fmt: skip

    def decision(
        self, first_tick: int, labels: tuple[int, ...], track: int = 7, latency_s: float = 0.2, classes: int = 4
    ) -> Decision:
        probabilities = np.full((len(labels), classes), 0.1, np.float32)
        probabilities[np.arange(len(labels)), list(labels)] = 0.7
        t = (first_tick + len(labels)) / 30
        return Decision(
            camera="door", t=t, captured_at=1e9 + t, track=track, first_tick=first_tick, labels=labels,
            probabilities=probabilities, decided_at=1e9 + t + latency_s,
        )  # fmt: skip

    def event(self, kind: Any, t_start: float, t_end: float | None, confidence: float = 0.8) -> Event:
        return Event(
            camera="door", t=9.0, captured_at=1e9, kind=kind, track=7, action="wave", t_start=t_start, t_end=t_end,
            confidence=confidence, decided_at=1e9 + 0.25,
        )  # fmt: skip

    def glimpse(self, tick: int, *shares: float, track: int = 7) -> Glimpse:
        return Glimpse(
            camera="door", t=tick / 30, captured_at=1e9, track=track, tick=tick, evidence=1.0,
            probabilities=np.array(shares, np.float32),
        )  # fmt: skip

    def report(self, stage: str, dropped: int = 0, pid: int = 1, state: Any = "ready", gauge: float = 2.5) -> Report:
        counters = {"frames": 900, "frames_dropped": dropped}
        return Report(stage=stage, pid=pid, at=1e9, state=state, counters=counters, gauges={"wait_ms": gauge})

    def robot(self, at: float, hand_m: float = 1.0, state: Any = "acting") -> RobotState:
        """A trunk with a head, two arms and two legs; one hand at this height."""
        points = [
            (0, 0, 1.4), (0, 0, 1.0), (0, 0, 1.6), (0.1, 0, 1.6), (0, -0.2, 1.4), (0, -0.5, hand_m), (0, 0.2, 1.4),
            (0, 0.3, 0.9), (0, -0.1, 0.9), (0, -0.1, 0.0), (0, 0.1, 0.9), (0, 0.1, 0.0),
        ]  # fmt: skip
        bones = ((0, 1), (0, 2), (2, 3), (0, 4), (4, 5), (0, 6), (6, 7), (1, 8), (8, 9), (1, 10), (10, 11))
        return RobotState(
            robot="gym", at=at, state=state, behaviour="wave", because="somebody waves", camera="door", track=7,
            reacted_ms=321.4, moved_at=at, points=np.array(points, np.float32), bones=bones,
        )  # fmt: skip

    def fed(self, *messages: AnyMessage, at: float = 0.0) -> ViewState:
        state = ViewState(self.CLASSES)
        for message in messages:
            state.apply(message, at=at)
        return state

    def until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self.PATIENCE_S
        while not true():
            assert time.monotonic() < deadline, f"waited {self.PATIENCE_S:.0f} s for {what}"
            time.sleep(0.02)

    # The server, and a program that views

    def free_port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    def answers(self, port: int) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        return False

    @contextlib.contextmanager
    def serving(self, feed: Any, port: int, **options: Any) -> Iterator[None]:
        stop, failures = threading.Event(), []

        def run() -> None:
            try:
                serve(feed, **{"classes": self.CLASSES, "port": port, "stop": stop, **options})
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            self.until(lambda: self.answers(port) or bool(failures), "the server")
            yield
        finally:
            stop.set()
            thread.join()
        assert not failures, failures

    def viewer(self, port: int) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{port}/live", origin=Origin(f"http://127.0.0.1:{port}"), max_size=None)

    def seq_of(self, packet: bytes) -> int:
        (length,) = struct.unpack_from("<I", packet)
        seq: int = json.loads(packet[4 : 4 + length])["seq"]
        assert packet[4 + length :] == self.jpeg()
        return seq

    def see_until(self, client: ClientConnection, seq: int) -> list[int]:
        """Receive and acknowledge like the page does, until the picture `seq` has come; all pictures that came."""
        seen: list[int] = []
        while seq not in seen:
            message = client.recv(timeout=self.PATIENCE_S)
            if isinstance(message, bytes):
                seen.append(self.seq_of(message))
                client.send('{"seen": "picture"}')
            elif '"type":"state"' in message:
                client.send('{"seen": "state"}')
        return seen

    def heard(self, client: ClientConnection, kind: str, true: Callable[[Any], bool] = bool) -> Any:
        """The first text of this kind of which this is true."""
        deadline = time.monotonic() + self.PATIENCE_S
        while time.monotonic() < deadline:
            message = client.recv(timeout=self.PATIENCE_S)
            text = {"type": "picture"} if isinstance(message, bytes) else json.loads(message)
            if text["type"] in ("picture", "state", "robot"):
                client.send(json.dumps({"seen": text["type"]}))
            if text["type"] == kind and true(text):
                return text
        raise AssertionError(f"waited {self.PATIENCE_S:.0f} s for {kind}")

    # The page in a browser

    def shows(self, page: Any, selector: str, text: str) -> None:
        """Wait until the element's text is exactly this."""
        page.wait_for_function(
            "([selector, text]) => document.querySelector(selector)?.textContent.trim() === text", arg=[selector, text]
        )

    @contextlib.contextmanager
    def streaming(
        self, feed: _QueueFeed, *more: AnyMessage, ids: tuple[int, ...] = (7,), from_seq: int = 60
    ) -> Iterator[None]:
        """A camera at 30 fps, from now on, after the messages of `more`."""
        stop = threading.Event()

        def run() -> None:
            for seq in itertools.count(from_seq):
                feed.put(self.preview(seq), self.tracks(seq, ids))
                if seq == from_seq:
                    feed.put(*more)
                if stop.wait(1 / 30):
                    return

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def on_screen(self, page: Any, x: float, y: float) -> tuple[float, float]:
        """Where the page must show this pixel of the original picture: fitted into its tile, its shape kept."""
        box = page.locator(".tile").first.bounding_box()
        scale = min(box["width"] / self.SIZE[0], box["height"] / self.SIZE[1])
        return (
            box["x"] + box["width"] / 2 + scale * (x - self.SIZE[0] / 2),
            box["y"] + box["height"] / 2 + scale * (y - self.SIZE[1] / 2),
        )


@pytest.fixture(scope="session")
def made() -> Made:
    return Made()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("no chromium on this machine; on Debian: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested in a browser")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield launched
        launched.close()


@pytest.fixture
def new_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page, as wide as one likes; each has a browser profile of its own, and none may raise an error."""
    opened: list[Any] = []
    errors: list[str] = []

    def new(width: int = 1280, height: int = 800, **options: Any) -> Any:
        size = {"width": width, "height": height}
        page = browser.new_page(viewport=size, **{"color_scheme": "dark", **options})
        page.set_default_timeout(1000 * Made.PATIENCE_S)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        opened.append(page)
        return page

    yield new
    for page in opened:
        page.close()
    assert not errors


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    return new_page()
