"""What is seen, as ROS 2 messages: standard types alone, so that nothing has to be compiled on the robot.

    /skelstream/joints     sensor_msgs/PointCloud2           every joint that is seen: x y z confidence person joint
    /skelstream/people     geometry_msgs/PoseArray           where people stand and which way they face
    /skelstream/markers    visualization_msgs/MarkerArray    the same for RViz, with names and actions; robots, too
    /skelstream/events     std_msgs/String                   JSON, as `skelstream live --json` prints it, and its stamp
    /skelstream/behaviour  std_msgs/String                   JSON: what a robot does, and why
    /tf                    tf2_msgs/TFMessage                a frame for each person
    /diagnostics           diagnostic_msgs/DiagnosticArray   every stage, once a second

A message is a dict as rosbridge and the `ros2` command write it; bytes are bytes. Stamps are those of the capture.

Axes are REP 103's: x forward, y left, z up; and in a frame whose name ends in `_optical` or `_optical_frame` those of a
camera: x right, y down, z forward. A person's frame is between the shoulders, x to where the chest looks.
"""

from __future__ import annotations

import colorsys
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...encoder.layout import NTU25
from ..wire import AnyMessage, End, Event, Lost, Named, Report, RobotState, Tracks
from .ros_frames import F32, F64, NO_TURN, Fields, Seen, chest, header, in_ros, is_optical, plain, point, points, up

HEARD: tuple[type[AnyMessage], ...] = (Tracks, Event, Report, Lost, End, Named, RobotState)
_DIAGNOSED_EVERY_S, _STATE_EVERY_S = 1.0, 1.0
_SILENT_S = 3.0  # a stage that has not reported for so long is stale
_FORGOTTEN_S = 60.0
_MOST_KNOWN = 1024
_LIFETIME = {"sec": 0, "nanosec": 500_000_000}  # a marker that is not renewed goes
_LINE_LIST, _SPHERE_LIST, _TEXT = 5, 7, 9
_OK, _WARN, _ERROR, _STALE = range(4)
_LEVELS = {"starting": _WARN, "ready": _OK, "ended": _STALE, "failed": _ERROR, "stale": _STALE}
_COLUMNS = ("x", "y", "z", "confidence", "person", "joint")  # four float32, two uint32
_CLOUD = np.dtype([(name, "<f4" if i < 4 else "<u4") for i, name in enumerate(_COLUMNS)])
_CLOUD_FIELDS = [
    {"name": name, "offset": 4 * i, "datatype": 7 if i < 4 else 6, "count": 1} for i, name in enumerate(_COLUMNS)
]
_NECK, _HEAD = NTU25.index("SpineShoulder"), NTU25.index("Head")
_TOPIC = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class Said:
    """A ROS message, and where it goes."""

    topic: str
    fields: Fields


def topic_named(name: str) -> str:
    """A topic's full name; ValueError if it is none."""
    if not _TOPIC.fullmatch(name) or len(name) > 200:
        raise ValueError(f"{name[:80]!r} is no topic of ROS 2; give letters, digits and _, such as /camera/image_raw")
    return "/" + name.lstrip("/")


class RosScene:
    """What is known of people and robots, as ROS messages. Call `push` with what is heard, and `tick` often.

    `frame` is where the joints are; "" is a frame of each camera's own, CAMERA_link. `topics` are the types by name.
    ValueError if the frame or the prefix is no name.
    """

    def __init__(self, *, prefix: str = "skelstream", frame: str = "") -> None:
        under = topic_named(prefix)
        self._joints, self._people, self._markers = f"{under}/joints", f"{under}/people", f"{under}/markers"
        self._events, self._behaviour = f"{under}/events", f"{under}/behaviour"
        self.topics = {
            self._joints: "sensor_msgs/msg/PointCloud2", self._people: "geometry_msgs/msg/PoseArray",
            self._markers: "visualization_msgs/msg/MarkerArray", self._events: "std_msgs/msg/String",
            self._behaviour: "std_msgs/msg/String", "/tf": "tf2_msgs/msg/TFMessage",
            "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
        }  # fmt: skip
        if frame:
            topic_named(frame)  # the names of frames are spelled likewise
        self._frame = frame.lstrip("/")
        self._names: dict[tuple[str, int], str] = {}
        self._does: dict[tuple[str, int], tuple[str, float]] = {}
        self._reports: dict[str, Report] = {}
        self._states: dict[str, tuple[RobotState, float]] = {}
        self._diagnosed = 0.0

    def push(self, message: AnyMessage) -> Iterator[Said]:
        """What this message is in ROS."""
        if isinstance(message, Tracks):
            yield from self._tracks(message)
        elif isinstance(message, Event):
            yield self._event(message)
        elif isinstance(message, Named):
            _know(self._names, (message.camera, message.track), message.name)
        elif isinstance(message, Report):
            _know(self._reports, message.stage, message)
        elif isinstance(message, RobotState):
            yield from self._robot(message)
        elif isinstance(message, Lost):
            yield _text(self._events, {"event": "lost", "camera": message.camera, "reason": message.reason,
                                       "stamp": message.at})  # fmt: skip
        elif isinstance(message, End):
            yield _text(self._events, {"event": "over", "camera": message.camera})

    def tick(self, now: float) -> Iterator[Said]:
        """What is due at Unix time `now`, whatever is heard."""
        if now - self._diagnosed < _DIAGNOSED_EVERY_S:
            return
        self._diagnosed = now
        self._reports = {name: one for name, one in self._reports.items() if now - one.at < _FORGOTTEN_S}
        if self._reports:
            status = [_status(one, now) for one in self._reports.values()]
            yield Said("/diagnostics", {"header": header(now, ""), "status": status})

    def _tracks(self, tracks: Tracks) -> Iterator[Said]:
        frame = self._frame or f"{plain(tracks.camera)}_link"
        stamped = header(tracks.captured_at, frame)
        seen: Seen = np.asarray(tracks.joints.any(axis=2))
        joints = in_ros(tracks.joints, is_optical(frame))
        upwards = up(is_optical(frame))
        yield Said(self._joints, _cloud(stamped, tracks, joints, seen))
        poses, transforms, markers = [], [], []
        for i, track in enumerate(tracks.ids):
            if (pose := chest(joints[i], seen[i], upwards)) is not None:
                poses.append(pose)
                child = f"{plain(tracks.camera)}_person_{track}"
                transform = {"translation": pose["position"], "rotation": pose["orientation"]}
                transforms.append({"header": stamped, "child_frame_id": child, "transform": transform})
            label = self._label(tracks.camera, track)
            markers += _person(stamped, tracks.camera, track, joints[i], seen[i], label, upwards)
        yield Said(self._people, {"header": stamped, "poses": poses})
        if transforms:
            yield Said("/tf", {"transforms": transforms})
        if markers:
            yield Said(self._markers, {"markers": markers})

    def _label(self, camera: str, track: int) -> str:
        name = self._names.get((camera, track)) or f"person {track}"
        action, confidence = self._does.get((camera, track), ("", 0.0))
        return f"{name}: {action} {confidence:.0%}" if action else name

    def _event(self, event: Event) -> Said:
        if event.kind == "end":
            self._does.pop((event.camera, event.track), None)
        else:
            _know(self._does, (event.camera, event.track), (event.action, event.confidence))
        told: Fields = {
            "event": event.kind, "camera": event.camera, "person": event.track, "action": event.action,
            "t_start": round(event.t_start, 3), "t_end": None if event.t_end is None else round(event.t_end, 3),
            "t": round(event.t, 3), "confidence": round(event.confidence, 3),
            "latency_ms": round(1000 * (event.decided_at - event.captured_at)), "stamp": event.captured_at,
        }  # fmt: skip
        if name := self._names.get((event.camera, event.track)):
            told["name"] = name
        return _text(self._events, told)

    def _robot(self, state: RobotState) -> Iterator[Said]:
        frame = f"{plain(state.robot)}_base_footprint"
        if state.bones:  # of a robot that somebody else moves nothing is known
            ends = np.array(state.bones, int).reshape(-1)
            bones = _marker(header(state.at, frame), f"robot {state.robot}", 0, _LINE_LIST, 0.03, (0.9, 0.9, 0.9))
            yield Said(self._markers, {"markers": [{**bones, "points": points(state.points[ends])}]})
        last, told_at = self._states.get(state.robot, (None, 0.0))
        if last is None or _doing(last) != _doing(state) or state.at - told_at >= _STATE_EVERY_S:
            _know(self._states, state.robot, (state, state.at))
            yield _text(self._behaviour, {
                "robot": state.robot, "state": state.state, "behaviour": state.behaviour, "because": state.because,
                "camera": state.camera, "person": state.track, "reacted_ms": state.reacted_ms, "stamp": state.at,
            })  # fmt: skip


def _cloud(stamped: Fields, tracks: Tracks, joints: F32, seen: Seen) -> Fields:
    people, which = np.nonzero(seen)
    rows = np.zeros(len(people), _CLOUD)
    for axis, name in enumerate("xyz"):
        rows[name] = joints[people, which, axis]
    rows["confidence"] = tracks.confidence[people, which]
    rows["person"] = np.array(tracks.ids, np.uint64)[people] & 0xFFFFFFFF
    rows["joint"] = which
    return {
        "header": stamped, "height": 1, "width": len(rows), "fields": _CLOUD_FIELDS, "is_bigendian": False,
        "point_step": _CLOUD.itemsize, "row_step": _CLOUD.itemsize * len(rows), "data": rows.tobytes(),
        "is_dense": True,
    }  # fmt: skip


def _person(
    stamped: Fields, camera: str, track: int, joints: F32, seen: Seen, label: str, upwards: F64
) -> list[Fields]:
    colour = colorsys.hsv_to_rgb(track * 0.381966 % 1.0, 0.75, 1.0)  # neighbours in number are far apart in colour
    bones = [end for bone in NTU25.bones if seen[list(bone)].all() for end in bone]
    number = track & 0x7FFFFFFF
    drawn = [
        {**_marker(stamped, f"{camera} bones", number, _LINE_LIST, 0.02, colour), "points": points(joints[bones])},
        {**_marker(stamped, f"{camera} joints", number, _SPHERE_LIST, 0.05, colour), "points": points(joints[seen])},
    ]
    drawn = [marker for marker in drawn if marker["points"]]
    top = _HEAD if seen[_HEAD] else _NECK
    if seen[top]:
        text = _marker(stamped, f"{camera} labels", number, _TEXT, 0.15, (1.0, 1.0, 1.0))
        above = {"position": point(joints[top] + 0.3 * upwards), "orientation": NO_TURN}
        drawn.append({**text, "pose": above, "text": label})
    return drawn


def _marker(stamped: Fields, ns: str, number: int, kind: int, size: float, colour: Sequence[float]) -> Fields:
    red, green, blue = map(float, colour)
    return {
        "header": stamped, "ns": ns, "id": number, "type": kind, "action": 0,
        "pose": {"position": {"x": 0.0, "y": 0.0, "z": 0.0}, "orientation": NO_TURN},
        "scale": {"x": size, "y": size, "z": size}, "color": {"r": red, "g": green, "b": blue, "a": 1.0},
        "lifetime": _LIFETIME,
    }  # fmt: skip


def _status(report: Report, now: float) -> Fields:
    silent = now - report.at > _SILENT_S and report.state not in ("ended", "failed")
    values = [*report.counters.items(), *((name, round(value, 3)) for name, value in report.gauges.items())]
    return {
        "level": _STALE if silent else _LEVELS[report.state], "name": f"skelstream: {report.stage}",
        "message": f"silent for {now - report.at:.0f} s" if silent else report.message or report.state,
        "hardware_id": "", "values": [{"key": name, "value": str(value)} for name, value in values],
    }  # fmt: skip


def _doing(state: RobotState) -> tuple[str, str, str, str, int | None]:
    return state.state, state.behaviour, state.because, state.camera, state.track


def _text(topic: str, told: Fields) -> Said:
    return Said(topic, {"data": json.dumps(told, ensure_ascii=False)})


def _know(what: dict[Any, Any], key: object, value: object) -> None:
    """Note it as the newest; of very many the oldest is forgotten."""
    what.pop(key, None)
    if len(what) >= _MOST_KNOWN:
        del what[next(iter(what))]
    what[key] = value
