"""What is seen as ROS messages: of the types that ROS 2 defines, in the frames that REP 103 wants, and with the truth
in them, which is computed here anew.
"""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.encoder.layout import NTU25
from skelstream.stream.actor import Script
from skelstream.stream.robot.ros_frames import chest
from skelstream.stream.robot.ros_messages import RosScene, Said, topic_named
from skelstream.stream.wire import AnyMessage, End, Event, EventKind, Lost, Named, Report, RobotState, Tracks, replaced

AT = 1_700_000_000.987654321
SEEN = np.ones(25, bool)
_UP = np.array([0.0, 0.0, 1.0])


def standing(facing_deg: float = 0.0, at: tuple[float, float, float] = (0.0, 0.0, 3.0)) -> np.ndarray:
    """Somebody upright in Kinect camera space, at 0 degrees looking at the camera, turning to their own left. The spine
    stands on `at`; shoulders are level and 0.5 m above it, so that the truth is exact; the rest is an actor's.
    """
    joints = np.asarray(Script(seed=1, duration_s=5.0).pose(0.0), np.float64)
    joints -= joints[NTU25.index("SpineBase")]
    for name, place in (
        ("ShoulderLeft", [-0.2, 0.5, 0]),
        ("ShoulderRight", [0.2, 0.5, 0]),
        ("SpineShoulder", [0, 0.5, 0]),
    ):
        joints[NTU25.index(name)] = place
    turn = math.radians(facing_deg)
    around_y = np.array([[math.cos(turn), 0, math.sin(turn)], [0, 1, 0], [-math.sin(turn), 0, math.cos(turn)]])
    return np.asarray(joints @ around_y.T + np.array(at), np.float32)


def tracks(*people: np.ndarray, camera: str = "door", ids: tuple[int, ...] | None = None) -> Tracks:
    joints = np.stack(people) if people else np.zeros((0, 25, 3), np.float32)
    confidence = np.where(joints.any(axis=2), 0.75, 0.0).astype(np.float32)
    numbers = tuple(range(1, len(joints) + 1)) if ids is None else ids
    return Tracks(camera=camera, t=1.0, captured_at=AT, seq=1, size=(640, 480), ids=numbers, joints=joints,
                  pixels=np.zeros((len(joints), 25, 2), np.float32), confidence=confidence)  # fmt: skip


def event(kind: EventKind = "start", action: str = "wave", track: int = 1) -> Event:
    return Event(camera="door", t=2.0, captured_at=AT, kind=kind, track=track, action=action, t_start=1.5,
                 t_end=2.0 if kind == "end" else None, confidence=0.876, decided_at=AT + 0.25)  # fmt: skip


def robot(behaviour: str = "nod", at: float = AT) -> RobotState:
    points = np.arange(9, dtype=np.float32).reshape(3, 3)
    return RobotState(
        robot="hubo 1", at=at, state="acting", behaviour=behaviour, because="wave", camera="door", track=1,
        reacted_ms=312.5, moved_at=None, points=points, bones=((0, 1), (1, 2)),
    )  # fmt: skip


def report(stage: str = "pose", state: Literal["ready", "stale", "failed"] = "ready", at: float = AT) -> Report:
    return Report(stage=stage, pid=1, at=at, state=state, counters={"frames": 3}, gauges={"pose_ms": 12.34567})


def said(scene: RosScene, *messages: AnyMessage) -> dict[str, dict[str, Any]]:
    """The newest of every topic."""
    return {one.topic: one.fields for message in messages for one in scene.push(message)}


def cloud(fields: dict[str, Any]) -> np.ndarray:
    """A PointCloud2's points, read as its fields say."""
    letters = {7: "<f4", 6: "<u4"}
    dtype = np.dtype({
        "names": [field["name"] for field in fields["fields"]],
        "formats": [letters[field["datatype"]] for field in fields["fields"]],
        "offsets": [field["offset"] for field in fields["fields"]], "itemsize": fields["point_step"],
    })  # fmt: skip
    data = fields["data"] if isinstance(fields["data"], bytes) else base64.b64decode(fields["data"])
    assert len(data) == fields["row_step"] * fields["height"] == fields["point_step"] * fields["width"]
    return np.frombuffer(data, dtype)


def turned(pose: dict[str, Any], axis: tuple[float, float, float]) -> np.ndarray:
    """An axis of the pose's own frame, in the frame around it: v + 2 q x (q x v + w v)."""
    q = np.array([pose["orientation"][name] for name in "xyz"])
    w = pose["orientation"]["w"]
    return np.asarray(axis + 2 * np.cross(q, np.cross(q, axis) + w * np.array(axis)))


def test_every_message_is_of_the_type_that_ros_defines(ros_types: Any) -> None:
    """To the last field, and the same after a way through CDR."""
    scene = RosScene()
    hidden = standing()
    hidden[3:9] = 0
    messages: list[AnyMessage] = [
        tracks(standing(), hidden, ids=(1, 2**40)), tracks(), Named(camera="door", track=1, name="Ännchen", at=AT),
        event(), tracks(standing()), event("end"), Lost(camera="door", at=AT, reason="why"), End(camera="door"),
        robot(), report(),
    ]  # fmt: skip
    published: list[Said] = [one for message in messages for one in scene.push(message)] + list(scene.tick(AT + 1))
    assert {one.topic for one in published} == set(scene.topics)

    def jsoned(value: Any) -> Any:
        return json.loads(json.dumps(value, default=lambda data: base64.b64encode(data).decode()))

    for one in published:
        kind, fields = scene.topics[one.topic], jsoned(one.fields)
        assert ros_types.knows(kind)
        received = ros_types.sent(kind, fields)
        assert contains(received, fields), one.topic
        with pytest.raises(ValueError, match="has no field"):  # and it would notice
            ros_types.sent(kind, {**fields, "colour": 1})


def contains(whole: Any, part: Any) -> bool:
    """Whether all of `part` came through; the rest are defaults."""
    if isinstance(part, dict):
        return all(contains(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return math.isclose(whole, part, rel_tol=1e-6, abs_tol=1e-6) if isinstance(part, float) else bool(whole == part)


def test_the_page_has_every_topic_and_its_type() -> None:
    page = (Path(__file__).parents[3] / "docs" / "ros.md").read_text()
    for topic, kind in RosScene().topics.items():
        assert f"| `{topic}` | `{kind.replace('/msg/', '/')}` |" in page
    told = json.loads(page.partition("```json\n")[2].partition("```")[0])
    assert told.keys() == json.loads(said(RosScene(), event())["/skelstream/events"]["data"]).keys()


@pytest.mark.parametrize("frame", ["", "head_camera", "camera_color_optical_frame", "camera_optical"])
def test_joints_are_where_rep_103_has_them(frame: str) -> None:
    """One joint 3 m before the camera, 1 m to its left and 0.5 m up; another that is not seen."""
    joints = np.zeros((25, 3), np.float32)
    joints[3] = [1.0, 0.5, 3.0]
    fields = said(RosScene(frame=frame), tracks(joints, ids=(7,)))["/skelstream/joints"]
    (point,) = cloud(fields)
    right_down_forward = (-1.0, -0.5, 3.0)
    forward_left_up = (3.0, 1.0, 0.5)
    expected = right_down_forward if "optical" in frame else forward_left_up
    assert (point["x"], point["y"], point["z"]) == pytest.approx(expected)
    assert (point["person"], point["joint"], point["confidence"]) == (7, 3, 0.75)
    assert fields["header"]["frame_id"] == (frame or "door_link")
    stamp = fields["header"]["stamp"]
    assert stamp["sec"] + stamp["nanosec"] / 1e9 == pytest.approx(AT, abs=1e-6) and 0 <= stamp["nanosec"] < 10**9


@pytest.mark.parametrize("facing_deg", [0, 30, 90, 180, -135])
@pytest.mark.parametrize("optical", [False, True])
def test_a_person_faces_where_they_look(facing_deg: int, optical: bool) -> None:
    scene = RosScene(frame="eye_optical" if optical else "eye")
    there = said(scene, tracks(standing(facing_deg, at=(0.4, -0.1, 2.0)), ids=(5,)))
    (pose,) = there["/skelstream/people"]["poses"]
    (transform,) = there["/tf"]["transforms"]
    # At 0 they look at the camera: against its forward axis. Their left is then at the camera's right.
    turn = math.radians(facing_deg)
    ahead_kinect = np.array([-math.sin(turn), 0.0, -math.cos(turn)])
    up_kinect, left_kinect = np.array([0.0, 1.0, 0.0]), np.array([-math.cos(turn), 0.0, math.sin(turn)])

    def in_frame(v: np.ndarray) -> np.ndarray:
        return np.array([-v[0], -v[1], v[2]] if optical else [v[2], v[0], v[1]])

    for axis, expected in (((1.0, 0, 0), ahead_kinect), ((0, 1.0, 0), left_kinect), ((0, 0, 1.0), up_kinect)):
        np.testing.assert_allclose(turned(pose, axis), in_frame(expected), atol=1e-5)
    position = [pose["position"][name] for name in "xyz"]
    np.testing.assert_allclose(position, in_frame(np.array([0.4, 0.4, 2.0])), atol=1e-3)
    assert transform["child_frame_id"] == "door_person_5"
    assert transform["transform"] == {"translation": pose["position"], "rotation": pose["orientation"]}


@given(st.lists(st.floats(-5, 5), min_size=12, max_size=12), st.integers(0, 15))
def test_a_pose_is_a_rotation_or_there_is_none(numbers: list[float], hidden: int) -> None:
    joints = np.zeros((25, 3), np.float32)
    which = [NTU25.index(name) for name in ("ShoulderLeft", "ShoulderRight", "SpineBase", "Head")]
    joints[which] = np.array(numbers, np.float32).reshape(4, 3)
    seen = SEEN.copy()
    seen[which] = [not hidden >> i & 1 for i in range(4)]
    pose = chest(joints, seen, _UP)
    if pose is None:
        return
    assert hidden & 3 == 0
    quaternion = np.array([pose["orientation"][name] for name in "xyzw"])
    assert np.linalg.norm(quaternion) == pytest.approx(1, abs=1e-6)
    left = joints[which[0]].astype(float) - joints[which[1]]
    assert turned(pose, (0, 1.0, 0)) @ left > 0  # the left axis is on the left shoulder's side
    if seen[which[2]]:
        spine = (joints[which[0]].astype(float) + joints[which[1]]) / 2 - joints[which[2]]
        off = np.cross(turned(pose, (0, 0, 1.0)), spine)
        np.testing.assert_allclose(off, 0, atol=1e-3 * max(1.0, float(np.linalg.norm(spine))))


def test_who_is_nowhere_to_be_seen_is_not_said_to_be_anywhere() -> None:
    there = said(RosScene(), tracks(np.zeros((25, 3), np.float32)))
    assert cloud(there["/skelstream/joints"]).size == 0 and there["/skelstream/people"]["poses"] == []
    assert "/tf" not in there and "/skelstream/markers" not in there


def test_markers_show_bones_joints_names_and_actions_and_go_by_themselves() -> None:
    scene = RosScene()
    hidden = standing()
    hidden[NTU25.index("WristLeft")] = 0
    messages = (Named(camera="door", track=1, name="Ann", at=AT), event(), tracks(hidden))
    markers = {one["type"]: one for one in said(scene, *messages)["/skelstream/markers"]["markers"]}
    assert markers[9]["text"] == "Ann: wave 88%"
    assert len(markers[7]["points"]) == 24
    assert len(markers[5]["points"]) == 2 * sum(NTU25.index("WristLeft") not in bone for bone in NTU25.bones)
    assert all(0 < one["lifetime"]["sec"] + one["lifetime"]["nanosec"] / 1e9 < 2 for one in markers.values())
    assert len({(one["ns"], one["id"]) for one in markers.values()}) == len(markers)
    after = said(scene, event("end"), Named(camera="door", track=1, name="", at=AT), tracks(standing()))
    assert [one["text"] for one in after["/skelstream/markers"]["markers"] if one["type"] == 9] == ["person 1"]


def test_events_say_what_live_says() -> None:
    told = json.loads(said(RosScene(), event("end"))["/skelstream/events"]["data"])
    assert told == {
        "event": "end", "camera": "door", "person": 1, "action": "wave", "t_start": 1.5, "t_end": 2.0, "t": 2.0,
        "confidence": 0.876, "latency_ms": 250, "stamp": AT,
    }  # fmt: skip


def test_a_behaviour_is_told_when_it_changes_and_every_second() -> None:
    scene = RosScene()
    bows = [robot("bow", AT + later) for later in (1, 1.5, 2.1)]
    states = [robot("nod", AT + n / 20) for n in range(20)] + bows
    published = [one for state in states for one in scene.push(state)]
    told = [json.loads(one.fields["data"]) for one in published if one.topic == "/skelstream/behaviour"]
    changes = [(one["behaviour"], round(one["stamp"] - AT, 2)) for one in told]
    assert changes == [("nod", 0.0), ("bow", 1.0), ("bow", 2.1)]
    assert told[0]["because"] == "wave" and told[0]["person"] == 1 and told[0]["reacted_ms"] == 312.5
    drawn = [one for one in published if one.topic == "/skelstream/markers"]
    assert len(drawn) == len(states)
    (marker,) = drawn[0].fields["markers"]
    assert marker["header"]["frame_id"] == "hubo_1_base_footprint"
    assert [[point[name] for name in "xyz"] for point in marker["points"]] == [
        [0, 1, 2],
        [3, 4, 5],
        [3, 4, 5],
        [6, 7, 8],
    ]


def test_a_robot_of_which_nothing_is_known_is_not_drawn() -> None:
    bare = replaced(robot(), points=np.zeros((0, 3), np.float32), bones=())
    assert said(RosScene(), bare).keys() == {"/skelstream/behaviour"}


def test_diagnostics_tell_of_every_stage_once_a_second() -> None:
    scene = RosScene()
    for message in (report("pose"), report("track", "stale"), report("view", "failed"), report("old", at=AT - 10)):
        assert list(scene.push(message)) == []
    (told,) = scene.tick(AT)
    levels = {one["name"]: (one["level"], one["message"]) for one in told.fields["status"]}
    assert levels == {
        "skelstream: pose": (0, "ready"), "skelstream: track": (3, "stale"), "skelstream: view": (2, "failed"),
        "skelstream: old": (3, "silent for 10 s"),
    }  # fmt: skip
    assert {"key": "pose_ms", "value": "12.346"} in told.fields["status"][0]["values"]
    assert list(scene.tick(AT + 0.5)) == [] and len(list(scene.tick(AT + 1))) == 1
    assert list(scene.tick(AT + 3600)) == []  # those that have been silent for long are forgotten


def test_very_many_people_fill_no_memory() -> None:
    scene = RosScene()
    for n in range(5000):
        list(scene.push(event(track=n)))
        list(scene.push(Named(camera="door", track=n, name="x", at=AT)))
    assert len(scene._does) == len(scene._names) == 1024
    labels = said(scene, tracks(standing(), ids=(4999,)))["/skelstream/markers"]["markers"]
    assert labels[-1]["text"] == "x: wave 88%"


@pytest.mark.parametrize("name", ["", "/", "a b", "1st", "a//b", "a/", "/a-b", "ä", "a" * 500, "~a", "a\n"])
def test_what_is_no_topic_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(ValueError, match="no topic of ROS 2") as refusal:
        topic_named(name)
    assert "\n" not in str(refusal.value)


@given(st.text(min_size=1, max_size=50).filter(str.isprintable))
def test_every_camera_has_a_frame_whatever_it_is_called(camera: str) -> None:
    there = said(RosScene(), tracks(standing(), camera=camera))
    topic_named(there["/skelstream/joints"]["header"]["frame_id"])
    topic_named(there["/tf"]["transforms"][0]["child_frame_id"])
