"""ROS 2 through rclpy. No ROS can be installed here, so rclpy itself has never run under this: what stands in for it
has the calls that are used of it, a graph in memory, and message classes that are made from ROS 2's own
definitions and as strict as those that ROS generates: a field takes its own type and no other.
"""

from __future__ import annotations

import contextlib
import sys
import time
import types
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from skelstream.stream.camera import SourceLost, open_source
from skelstream.stream.robot.ros_messages import RosScene, Said
from skelstream.stream.robot.ros_node import NodeOutlet, has_rclpy
from skelstream.stream.wire import AnyMessage, Event, Report, Tracks

_NAMES = {"float64": "double", "float32": "float", "bool": "boolean", "byte": "octet", "char": "uint8"}


class Ros:
    """The stand-in: its graph, and its message classes."""

    def __init__(self, types_of: Any) -> None:
        self.published: list[tuple[str, Any]] = []
        self.nodes: list[Any] = []
        self.classes: dict[str, type] = {}
        self._store, self._node_type = types_of._store, types_of._node
        self._callbacks: dict[str, list[Callable[[Any], None]]] = defaultdict(list)
        self._ready: deque[Callable[[], None]] = deque()

    def message(self, kind: str) -> type:
        """The class of package/Name."""
        package, name = kind.split("/")[0], kind.split("/")[-1]
        if kind not in self.classes:
            full = f"{package}/msg/{name}"
            fields = {field: self._kind(what) for field, what in self._store.get_msgdef(full).fields}
            self.classes[kind] = type(name, (Strict,), {"_types": fields, "_ros": self})
        return self.classes[kind]

    def _kind(self, what: Any) -> str:
        node, detail = what
        if node == self._node_type.NAME:
            return str(detail).replace("/msg/", "/")
        if node == self._node_type.BASE:
            return _NAMES.get(detail[0], str(detail[0]))
        return f"sequence<{self._kind(detail[0])}>"

    def say(self, topic: str, message: Any) -> None:
        """Another node publishes."""
        for callback in self._callbacks[topic]:
            self._ready.append(lambda callback=callback: callback(message))  # type: ignore[misc]

    def do(self, something: Callable[[], None]) -> None:
        """A node has something else to do."""
        self._ready.append(something)

    # rclpy

    def create_node(self, name: str) -> Any:
        def publisher(kind: type, topic: str, qos: int) -> Any:
            def publish(message: Any) -> None:
                assert type(message) is kind
                self.published.append((topic, message))
                self.say(topic, message)

            return types.SimpleNamespace(publish=publish)

        def subscription(kind: type, topic: str, callback: Callable[[Any], None], qos: object) -> None:
            assert issubclass(kind, Strict) and qos == "sensor data"
            self._callbacks[topic].append(callback)

        node = types.SimpleNamespace(
            name=name, create_publisher=publisher, create_subscription=subscription, destroyed=False
        )
        node.destroy_node = lambda: setattr(node, "destroyed", True)
        self.nodes.append(node)
        return node

    def spin_once(self, node: Any, *, timeout_sec: float | None = None) -> None:
        assert node in self.nodes
        if self._ready:
            self._ready.popleft()()
        elif timeout_sec:
            time.sleep(min(timeout_sec, 0.01))


class Strict:
    """A message whose fields take their own type and no other."""

    _types: dict[str, str]
    _ros: Ros

    def __init__(self) -> None:
        for name, kind in self._types.items():
            object.__setattr__(self, name, self._zero(kind))

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        return dict(cls._types)

    def _zero(self, kind: str) -> Any:
        if "/" in kind and not kind.startswith("sequence"):
            return self._ros.message(kind)()
        if kind == "sequence<uint8>":
            return array("B")
        zeros = {"double": 0.0, "float": 0.0, "boolean": False, "octet": b"\0", "string": ""}
        return [] if kind.startswith("sequence") else zeros.get(kind, 0)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self._types, f"no field {name}"
        assert self._fits(value, self._types[name]), f"{name} is {value!r}, not {self._types[name]}"
        object.__setattr__(self, name, value)

    def _fits(self, value: Any, kind: str) -> bool:
        if kind == "sequence<uint8>":
            return isinstance(value, array) and value.typecode == "B"
        if kind.startswith("sequence<"):
            return type(value) is list and all(self._fits(one, kind[9:-1]) for one in value)
        if "/" in kind:
            return type(value) is self._ros.message(kind)
        if kind == "octet":
            return type(value) is bytes and len(value) == 1
        kinds = {"double": float, "float": float, "boolean": bool, "string": str}
        if kind in kinds:
            return type(value) is kinds[kind]
        limits = np.iinfo(kind)
        return type(value) is int and limits.min <= value <= limits.max


@pytest.fixture
def ros(ros_types: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ros]:
    ros = Ros(ros_types)
    module: Any = types.ModuleType("rclpy")
    module.__spec__ = types.SimpleNamespace(name="rclpy")
    module.ok, module.init = lambda: False, lambda *, args, signal_handler_options: None
    module.create_node, module.spin_once = ros.create_node, ros.spin_once
    signals: Any = types.ModuleType("rclpy.signals")
    signals.SignalHandlerOptions = types.SimpleNamespace(NO=0)
    qos: Any = types.ModuleType("rclpy.qos")
    qos.qos_profile_sensor_data = "sensor data"
    for name, one in (("rclpy", module), ("rclpy.signals", signals), ("rclpy.qos", qos)):
        monkeypatch.setitem(sys.modules, name, one)
    for package in ("sensor_msgs", "geometry_msgs", "visualization_msgs", "std_msgs", "tf2_msgs", "diagnostic_msgs"):
        messages: Any = types.ModuleType(f"{package}.msg")
        messages.__getattr__ = lambda name, package=package: ros.message(f"{package}/{name}")
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
        monkeypatch.setitem(sys.modules, f"{package}.msg", messages)
    yield ros


def plain(value: Any) -> Any:
    """A message as a dict."""
    if isinstance(value, Strict):
        return {name: plain(getattr(value, name)) for name in value._types}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return bytes(value) if isinstance(value, array) else value


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(contains(whole[name], one) for name, one in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == (bytes([part]) if isinstance(whole, bytes) and isinstance(part, int) else part))


def test_every_message_is_filled_in_as_its_class_wants_it(ros: Ros) -> None:
    assert has_rclpy()
    scene = RosScene()
    joints = np.random.default_rng(0).uniform(0.5, 2, (2, 25, 3)).astype(np.float32)
    messages: list[AnyMessage] = [
        Event(camera="c", t=1.0, captured_at=5.5, kind="start", track=1, action="wave", t_start=0.5, t_end=None,
              confidence=0.5, decided_at=6.0),
        Tracks(camera="c", t=1.0, captured_at=5.5, seq=1, size=(64, 48), ids=(1, 2**40), joints=joints,
               pixels=joints[..., :2].copy(), confidence=np.ones((2, 25), np.float32)),
        Report(stage="pose", pid=1, at=5.5, state="stale", counters={"n": 1}, gauges={"ms": 2.5}),
    ]  # fmt: skip
    said = [one for message in messages for one in scene.push(message)] + list(scene.tick(6.0))
    with NodeOutlet(scene.topics) as outlet:
        for one in said:
            outlet.publish(one)
    assert len(said) == len(ros.published) >= 6 and ros.nodes[0].destroyed
    for one, (topic, message) in zip(said, ros.published, strict=True):
        assert topic == one.topic and contains(plain(message), one.fields), topic
    with pytest.raises(AssertionError):  # and the classes would notice
        ros.message("geometry_msgs/Point")().x = 1


def test_an_rclpy_of_another_python_costs_a_line(ros: Ros, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rclpy.signals", None)  # it cannot be imported
    with pytest.raises(ValueError, match=r"rclpy cannot be loaded .*; go through a bridge") as refusal:
        NodeOutlet(RosScene().topics)
    assert "\n" not in str(refusal.value)


def test_a_package_that_is_not_there_is_named(ros: Ros) -> None:
    with pytest.raises(ValueError, match="no nobody_msgs/msg/A; install the package nobody-msgs"):
        NodeOutlet({"/a": "nobody_msgs/msg/A"})


def test_pictures_come_from_a_topic_the_newest_first(ros: Ros) -> None:
    def image(grey: int) -> Any:
        message = ros.message("sensor_msgs/Image")()
        message.height, message.width, message.step, message.encoding = 48, 64, 192, "rgb8"
        message.data = array("B", bytes([grey]) * (48 * 192))
        message.header.stamp.sec, message.header.stamp.nanosec = int(time.time()), 0
        return message

    create = ros.create_node

    def create_and_say(name: str) -> Any:  # as soon as somebody is there
        node = create(name)
        subscribe = node.create_subscription

        def subscribed(*words: Any) -> None:
            subscribe(*words)
            ros.do(lambda: None)
            for grey in (10, 20, 30):
                ros.say("/eye", image(grey))

        node.create_subscription = subscribed
        return node

    sys.modules["rclpy"].create_node = create_and_say  # type: ignore[attr-defined]
    with contextlib.closing(open_source("ros:/eye")) as source:
        frames = source.frames()
        assert int(next(frames).image[0, 0, 0]) == 30
        ros.say("/eye", image(40))
        frame = next(frames)
        assert frame.image.shape == (48, 64, 3) and (frame.image == 40).all()
        assert abs(frame.captured_at - time.time()) < 30
        with pytest.raises(SourceLost, match="no picture comes on /eye"):
            next(frames)
    assert all(node.destroyed for node in ros.nodes)


def test_text_is_text(ros: Ros) -> None:
    with NodeOutlet({"/said": "std_msgs/msg/String"}) as outlet:
        outlet.publish(Said("/said", {"data": "grüße"}))
    assert plain(ros.published[0][1]) == {"data": "grüße"}
