"""Rosbridge: ROS 2 over a WebSocket, in JSON (the rosbridge v2 protocol), where there is no rclpy.

Written on `websockets`, which the page needs anyhow: roslibpy would bring Twisted, and a thread that cannot be started
twice, for the five operations that are used here (advertise, publish, subscribe, status, set_level).

Where the bridge is: ros://HOST:PORT, by default ros://127.0.0.1:9090. On this machine that is plain; on another one it
is encrypted (wss://), and the bridge must have a certificate that this machine trusts (SSL_CERT_FILE names those that
it does). ros+plain://HOST:PORT is plain anywhere: for a network whose users may see the people, too.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_websocket

from ..wire import MAX_MESSAGE_BYTES
from .ros_messages import Said, topic_named

PORT = 9090
_LARGEST = MAX_MESSAGE_BYTES * 4 // 3 + (1 << 16)  # a picture in base64, and what stands around it
_OPENS_S, _ALIVE_S = 5.0, 5.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 4.0
_WAITING = 16  # messages of a topic that wait: for half a second, for who is behind wants to know what is now


@dataclass(frozen=True)
class RosAddress:
    """Where ROS is: the bridge's URL, "" for rclpy or else the bridge on this machine; and a topic, or ""."""

    url: str
    topic: str = ""

    @classmethod
    def named(cls, text: str) -> Self:
        """From ros:/TOPIC, ros://HOST:PORT/TOPIC or ros+plain://...; ValueError if it is none of these."""
        wrong = ValueError(f"{text!r} is no address of ROS; give ros:/TOPIC or ros://HOST:{PORT}/TOPIC")
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port or PORT
        except ValueError as error:
            raise wrong from error
        if parts.scheme not in ("ros", "ros+plain") or parts.query or parts.fragment or "@" in parts.netloc:
            raise wrong
        topic = topic_named(parts.path) if parts.path.strip("/") else ""
        if not parts.netloc:
            return cls("", topic)
        if not host:
            raise wrong
        plain = parts.scheme == "ros+plain" or _is_here(host)
        host = f"[{host}]" if ":" in host else host
        return cls(f"{'ws' if plain else 'wss'}://{host}:{port}", topic)

    @property
    def bridge(self) -> str:
        """The URL of the bridge."""
        return self.url or f"ws://127.0.0.1:{PORT}"


def _is_here(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def connect(url: str) -> ClientConnection:
    """A connection to a bridge, to be closed; ValueError if none answers."""
    try:
        return connect_websocket(
            url, open_timeout=_OPENS_S, close_timeout=0.5, ping_interval=_ALIVE_S, ping_timeout=_ALIVE_S,
            max_size=_LARGEST, compression=None, proxy=None,
        ).__enter__()  # fmt: skip
    except (OSError, WebSocketException) as error:
        mend = "start it there (ros2 launch rosbridge_server rosbridge_websocket_launch.xml), or source a ROS here"
        if url.startswith("wss:"):
            mend = "start it there with ssl:=true and a certificate, or trust your network: ros+plain://"
        raise ValueError(f"no rosbridge answers at {url} ({_line(str(error))}); {mend}") from error


def command(op: str, **fields: Any) -> str:
    """An operation as rosbridge reads it; bytes become base64."""
    return json.dumps({"op": op, **fields}, default=lambda value: base64.b64encode(value).decode())


def understood(text: str | bytes) -> dict[str, Any]:
    """What a bridge says; {} where that is nothing that can be understood."""
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(text)
        if isinstance(said, dict):
            return said
    return {}


def complaint(said: Mapping[str, Any]) -> str:
    """What the bridge complains of, in a line; "" if it does not."""
    if said.get("op") == "status" and said.get("level") in ("error", "warning"):
        return f"the bridge says: {_line(str(said.get('msg')))}"
    return ""


def _line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text[:400]).split())[:200]


class BridgeOutlet:
    """Publishes through a bridge, from a thread of its own: `publish` waits for nobody, and of what cannot be sent the
    oldest goes. When the bridge is gone it is sought until it is back.

    `dropped` counts; `trouble` says in a line that the bridge is gone, `complaint` what it complained of first.
    Raises ValueError if there is none to begin with. A context manager.
    """

    def __init__(self, url: str, topics: Mapping[str, str]) -> None:
        self.dropped, self.trouble, self.complaint = 0, "", ""
        self._url, self._topics = url, dict(topics)
        self._waiting: dict[str, deque[Said]] = {topic: deque() for topic in topics}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, args=(connect(url),), name="rosbridge", daemon=True)
        self._thread.start()

    def publish(self, said: Said) -> None:
        """Send it as soon as that is possible."""
        with self._changed:
            waiting = self._waiting[said.topic]
            if len(waiting) >= _WAITING:
                waiting.popleft()
                self.dropped += 1
            waiting.append(said)
            self._changed.notify_all()

    def close(self) -> None:
        """Send what waits, for a moment, and go."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(1.0)

    def _run(self, connection: ClientConnection | None) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            if connection is not None:
                self.trouble, wait_s = "", _FIRST_WAIT_S
                with contextlib.closing(connection):
                    reason = self._talk(connection)
                if self._closing:
                    return
                self.trouble = f"the bridge at {self._url} is gone ({reason}); it is sought until it is back"
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, wait_s):
                    return
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            try:
                connection = connect(self._url)
            except ValueError:
                connection = None

    def _talk(self, connection: ClientConnection) -> str:
        """Send until it is over; returns why it was."""
        threading.Thread(target=self._listen, args=(connection,), name="rosbridge-in", daemon=True).start()
        try:
            connection.send(command("set_level", level="warning"))
            for topic, kind in self._topics.items():
                connection.send(command("advertise", topic=topic, type=kind))
            while (batch := self._next(connection)) is not None:
                for said in batch:
                    connection.send(command("publish", topic=said.topic, msg=said.fields))
        except (ConnectionClosed, OSError) as error:
            return _line(str(error))
        return "it has closed the connection"

    def _next(self, connection: ClientConnection) -> list[Said] | None:
        """One message of every topic that has any; None when it is over."""

        def due() -> bool:
            return self._closing or connection.close_code is not None or any(self._waiting.values())

        with self._changed:
            self._changed.wait_for(due)
            batch = [waiting.popleft() for waiting in self._waiting.values() if waiting]
        return batch or None

    def _listen(self, connection: ClientConnection) -> None:
        """Take in what the bridge says, until it is gone."""
        with contextlib.suppress(ConnectionClosed, OSError):
            for text in connection:
                self.complaint = self.complaint or complaint(understood(text))
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class BridgeInlet:
    """Listens to one topic through a bridge; what is older than the newest message is passed over. ValueError if there
    is no bridge."""

    def __init__(self, url: str, topic: str, kind: str) -> None:
        self._connection = connect(url)
        self.complaint = ""
        self._send(command("subscribe", topic=topic, type=kind, queue_length=1, throttle_rate=0, compression="none"))

    def newest(self, timeout_s: float) -> dict[str, Any] | None:
        """The newest message that has come, or None after `timeout_s`. Raises ConnectionError when the bridge goes."""
        until = time.monotonic() + timeout_s
        try:
            while (wait_s := until - time.monotonic()) > 0:
                text = self._connection.recv(timeout=wait_s)
                with contextlib.suppress(TimeoutError):
                    while True:
                        text = self._connection.recv(timeout=0)
                said = understood(text)
                if said.get("op") == "publish" and isinstance(message := said.get("msg"), dict):
                    return message
                self.complaint = complaint(said) or self.complaint
        except TimeoutError:
            pass
        except ConnectionClosed as error:
            raise ConnectionError(_line(str(error))) from error
        return None

    def close(self) -> None:
        self._connection.close()

    def _send(self, text: str) -> None:
        with contextlib.suppress(ConnectionClosed):  # whoever listens next is told
            self._connection.send(text)
