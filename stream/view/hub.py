"""Read the feed on a thread of its own and keep, ready to send, the newest of everything that the page shows.

What goes to the page: `hello` once, `state` about 15 times a second, `log` when it changed (all three JSON text), and
pictures as binary messages: the length of a JSON header as 4 bytes little-endian, the header, the JPEG.
"""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...encoder.layout import NTU25
from ..wire import Preview, Tracks
from .snapshot import WINDOW_S, Picture
from .state import Feed, ViewState, Watched

STATE_HZ = 15.0
_FEED_WAIT_S = 0.1  # how long a stop may have to wait for the feed


class Hub:
    """The view's state behind a lock: one thread feeds it, the server's event loop asks.

    `on_picture` is called on the feeding thread when a picture may have come. `failure` is what the feed raised: there
    is nothing to show any more.
    """

    def __init__(self, feed: Feed, classes: Sequence[str]) -> None:
        self.on_picture: Callable[[], object] = lambda: None
        self.failure: Exception | None = None
        self.hello = _json(
            type="hello",
            classes=list(classes),
            joints=NTU25.joints,
            bones=NTU25.bones,
            window_s=WINDOW_S,
        )
        self._feed = feed
        self._state = ViewState(classes)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="view-feed", daemon=True)
        # One encoding serves all clients of a camera.
        self._packets: dict[str, tuple[int, bytes]] = {}
        self._states: dict[str | None, tuple[float, int, str]] = {}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; returns when the thread has ended."""
        self._stop.set()
        self._thread.join()

    def state(self, camera: str | None) -> tuple[int, str]:
        """The revision of a camera's event log, and its state as JSON."""
        now = time.monotonic()
        with self._lock:
            made_at, revision, text = self._states.get(camera, (float("-inf"), 0, ""))
            if now - made_at >= 0.5 / STATE_HZ:
                snapshot = self._state.snapshot(camera, at=now)
                revision, text = snapshot["log_revision"], _json(type="state", **snapshot)
                if len(self._states) > 64:  # names are the clients' own
                    self._states.clear()
                self._states[camera] = (now, revision, text)
        return revision, text

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

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                message = self._feed.receive(_FEED_WAIT_S)
                if message is None:
                    continue
                with self._lock:
                    self._state.apply(message, at=time.monotonic())
                if isinstance(message, Preview | Tracks):
                    self.on_picture()
        except Exception as error:
            self.failure = error


def _json(**message: Any) -> str:
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def _packet(picture: Picture) -> bytes:
    header = _json(camera=picture.camera, seq=picture.seq, t=picture.t, size=picture.size, people=picture.people)
    return struct.pack("<I", len(header.encode())) + header.encode() + picture.jpeg
