"""ROS 2 through rclpy, where it can be imported: a ROS installation that is sourced, and its Python.

Messages are filled in from the same dicts that go through rosbridge, field by field as the message's own class says.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from array import array
from collections.abc import Mapping
from typing import Any, Self

from .ros_messages import Said

_QUEUE = 10


def has_rclpy() -> bool:
    """Whether there is a ROS here."""
    return importlib.util.find_spec("rclpy") is not None


def _node(name: str) -> Any:
    try:
        import rclpy
        from rclpy.signals import SignalHandlerOptions
    except ImportError as error:  # it was built for another Python
        reason = str(error).splitlines()[0]
        raise ValueError(f"rclpy cannot be loaded ({reason}); go through a bridge: ros://127.0.0.1:9090") from error
    if not rclpy.ok():
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)  # a stage stops as all stages do
    return rclpy.create_node(name)


def message_class(kind: str) -> Any:
    """The class of `package/msg/Name`; ValueError if this ROS has none."""
    package, name = kind.split("/")[0], kind.split("/")[-1]
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"this ROS has no {kind}; install the package {package.replace('_', '-')}") from error


def filled(message: Any, fields: Mapping[str, Any]) -> Any:
    """The message with these fields set."""
    types = message.get_fields_and_field_types()
    for name, value in fields.items():
        setattr(message, name, _value(getattr(message, name), types[name], value))
    return message


def _value(now: Any, kind: str, value: Any) -> Any:
    """A field's value as its setter wants it: `kind` is its type, such as double or sequence<geometry_msgs/Point>."""
    if isinstance(value, Mapping):
        return filled(now, value)
    if isinstance(value, bytes):
        return array("B", value)
    if kind == "octet":
        return bytes([value])
    if kind in ("float", "double"):
        return float(value)
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        element = message_class(kind.removeprefix("sequence<").removesuffix(">").partition(",")[0])
        return [filled(element(), item) for item in value]
    return value


class NodeOutlet:
    """Publishes as a node of this ROS; a context manager."""

    def __init__(self, topics: Mapping[str, str]) -> None:
        self.dropped, self.trouble, self.complaint = 0, "", ""
        self._classes = {topic: message_class(kind) for topic, kind in topics.items()}
        self._node = _node("skelstream")
        self._publishers = {topic: self._node.create_publisher(kind, topic, _QUEUE)
                            for topic, kind in self._classes.items()}  # fmt: skip

    def publish(self, said: Said) -> None:
        """Publish now."""
        self._publishers[said.topic].publish(filled(self._classes[said.topic](), said.fields))

    def close(self) -> None:
        self._node.destroy_node()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class NodeInlet:
    """Listens to one topic as a node of this ROS, with the sensors' quality of service: the newest, if it comes."""

    def __init__(self, topic: str, kind: str) -> None:
        from rclpy.qos import qos_profile_sensor_data

        self.complaint = ""
        heard = message_class(kind)
        self._node = _node("skelstream_camera")
        self._message: Any = None
        self._node.create_subscription(heard, topic, self._take, qos_profile_sensor_data)

    def newest(self, timeout_s: float) -> dict[str, Any] | None:
        """The newest message that has come, or None after `timeout_s`."""
        import rclpy

        self._message = None
        until = time.monotonic() + timeout_s
        while self._message is None and (left := until - time.monotonic()) > 0:
            rclpy.spin_once(self._node, timeout_sec=left)  # it may have had something else to do
        message = None
        while self._message is not None:
            message, self._message = self._message, None
            rclpy.spin_once(self._node, timeout_sec=0.0)
        return None if message is None else _read(message)

    def close(self) -> None:
        self._node.destroy_node()

    def _take(self, message: Any) -> None:
        self._message = message


def _read(message: Any) -> dict[str, Any]:
    """An image's fields as rosbridge would give them."""
    stamp = message.header.stamp
    names = [name for name in message.get_fields_and_field_types() if name != "header"]
    header = {"stamp": {"sec": stamp.sec, "nanosec": stamp.nanosec}}
    return {"header": header, **{name: getattr(message, name) for name in names}}
