"""ROS as far as it can be had without ROS: its own message definitions, and a bridge.

`ros_types` are the interface definitions of a ROS 2 distribution, as rosbags ships them. `bridge` speaks the server's
side of the rosbridge v2 protocol over a real WebSocket, and has a graph of topics in memory. What is published must be
of the advertised type to the last field, and makes its way through CDR, as it would to any node.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve


class RosTypes:
    """Messages of one distribution: `made` from JSON, strictly, and `said` as JSON again; `sent` is both over CDR."""

    def __init__(self, distribution: str) -> None:
        from rosbags.interfaces import Nodetype
        from rosbags.typesys import Stores, get_typestore

        self._store = get_typestore(Stores[distribution])
        self._node = Nodetype

    def knows(self, kind: str) -> bool:
        return kind in self._store.types

    def sent(self, kind: str, fields: Any) -> Any:
        """What a node would get of this."""
        data = bytes(self._store.serialize_cdr(self.made(kind, fields), kind))
        return self.said(kind, self._store.deserialize_cdr(data, kind))

    def made(self, kind: str, fields: Any) -> Any:
        """The message; ValueError where the fields are not those of its definition."""
        if not isinstance(fields, dict):
            raise ValueError(f"{kind} is no {type(fields).__name__}")
        definition = dict(self._store.get_msgdef(kind).fields)
        if unknown := fields.keys() - definition.keys():
            raise ValueError(f"{kind} has no field {', '.join(unknown)}")
        values = {name: self._value(fields.get(name), what, f"{kind}.{name}") for name, what in definition.items()}
        return self._store.types[kind](**values)

    def _value(self, value: Any, what: Any, where: str) -> Any:
        node, detail = what
        if node == self._node.NAME:
            return self.made(detail, {} if value is None else value)
        if node == self._node.BASE:
            return self._base(value, detail[0], where)
        element = detail[0]
        if element == (self._node.BASE, ("uint8", 0)):
            return np.frombuffer(base64.b64decode(value or "", validate=True), np.uint8)
        if not isinstance(value or [], list):
            raise ValueError(f"{where} is no list")
        items = [self._value(item, element, where) for item in value or []]
        if element[0] == self._node.BASE and element[1][0] != "string":
            return np.array(items, element[1][0])
        return items

    def _base(self, value: Any, base: str, where: str) -> Any:
        kinds = {"string": str, "bool": bool, "float32": float, "float64": float}
        kind = kinds.get(base, int)
        if value is None:
            return kind()
        fits = type(value) is kind or (kind is float and type(value) is int)
        if not fits:
            raise ValueError(f"{where} is a {type(value).__name__}, not {base}")
        if kind is int:
            limits = np.iinfo("uint8" if base in ("byte", "octet", "char") else base)
            if not limits.min <= value <= limits.max:
                raise ValueError(f"{where} is {value}, which is no {base}")
        return value

    def said(self, kind: str, message: Any) -> dict[str, Any]:
        return {name: self._json(getattr(message, name), what) for name, what in self._store.get_msgdef(kind).fields}

    def _json(self, value: Any, what: Any) -> Any:
        node, detail = what
        if node == self._node.NAME:
            return self.said(detail, value)
        if node == self._node.BASE:
            return value
        if detail[0] == (self._node.BASE, ("uint8", 0)):
            return base64.b64encode(bytes(value)).decode()
        return [self._json(item.item() if isinstance(item, np.generic) else item, detail[0]) for item in value]


class Bridge:
    """A rosbridge on a port of this machine. `stop` cuts everybody off, `start` listens again, at the same port.

    `refused` holds every complaint; `subscriptions` and `advertised` what clients have asked for.
    """

    def __init__(self, types: RosTypes) -> None:
        self.refused: list[str] = []
        self.subscriptions: list[dict[str, Any]] = []
        self.advertised: dict[str, str] = {}
        self.changed = threading.Condition()
        self._types = types
        self._listeners: dict[str, set[ServerConnection]] = defaultdict(set)
        self._connections: set[ServerConnection] = set()
        self._server: Server | None = None
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"ros://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = serve(self._serve, "127.0.0.1", self.port, compression=None, max_size=1 << 27)
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        for connection in list(self._connections):
            connection.close_socket()

    def say(self, text: str | bytes) -> None:
        """Send this to every client, whatever it is."""
        for connection in list(self._connections):
            with contextlib.suppress(ConnectionClosed):
                connection.send(text)

    def publish(self, topic: str, fields: dict[str, Any]) -> None:
        """As a node of the graph would: to every client that listens."""
        text = json.dumps({"op": "publish", "topic": topic, "msg": fields})
        for connection in list(self._listeners[topic]):
            with contextlib.suppress(ConnectionClosed):
                connection.send(text)

    def wait_for(self, what: Any, timeout_s: float = 60.0) -> bool:
        """Until `what()` holds; False if it does not in time."""
        with self.changed:
            return bool(self.changed.wait_for(what, timeout_s))

    def _serve(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        advertised: dict[str, str] = {}
        try:
            for text in connection:
                said = json.loads(text)
                try:
                    self._do(connection, advertised, said)
                except (ValueError, KeyError) as error:
                    self.refused.append(f"{said.get('op')}: {error}")
                    connection.send(json.dumps({"op": "status", "level": "error", "msg": f"{said['op']}: {error}"}))
                with self.changed:
                    self.changed.notify_all()
        except ConnectionClosed:
            pass
        finally:
            self._connections.discard(connection)
            for listeners in self._listeners.values():
                listeners.discard(connection)

    def _do(self, connection: ServerConnection, advertised: dict[str, str], said: dict[str, Any]) -> None:
        op, topic = said["op"], said.get("topic", "")
        if op == "advertise":
            if not self._types.knows(said["type"]):
                raise ValueError(f"Unable to import {said['type']}")
            advertised[topic] = self.advertised[topic] = said["type"]
        elif op == "publish":
            if topic not in advertised:
                raise ValueError(f"{topic} is not advertised")
            self.publish(topic, self._types.sent(advertised[topic], said["msg"]))
        elif op == "subscribe":
            self.subscriptions.append(said)
            self._listeners[topic].add(connection)
        elif op == "unsubscribe":
            self._listeners[topic].discard(connection)
        elif op != "unadvertise" and not (op == "set_level" and said["level"] in ("none", "error", "warning", "info")):
            raise ValueError(f"Unknown operation: {op}")


@pytest.fixture(params=["ROS2_HUMBLE", "ROS2_JAZZY"])
def ros_types(request: pytest.FixtureRequest) -> RosTypes:
    pytest.importorskip("rosbags", reason="ROS 2's message definitions come with rosbags, of the extra dev")
    return RosTypes(request.param)


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    pytest.importorskip("rosbags", reason="ROS 2's message definitions come with rosbags, of the extra dev")
    bridge = Bridge(RosTypes("ROS2_JAZZY"))
    yield bridge
    bridge.stop()
