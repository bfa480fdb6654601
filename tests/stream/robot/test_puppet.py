"""What the humanoid does, looked at from outside: where its hands, head and feet go, in MuJoCo's own physics."""

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the extra `robot` is not installed")

from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.stream.actor import Script
from skelstream.stream.robot.behaviours import BEHAVIOURS
from skelstream.stream.robot.humanoid import POINTS
from skelstream.stream.robot.puppet import REACH_M, ROUND_S, Puppet
from skelstream.stream.robot.robot import Person

Path = dict[str, NDArray[np.float64]]  # a point's places, one a round (R, 3)


def person(x: float = 2.5, y: float = 0.0, **moved: Sequence[float] | NDArray[np.float64]) -> Person:
    """Somebody who stands there and faces the robot; `moved` puts joints elsewhere."""
    kinect = Script(seed=1, duration_s=1.0).pose(0.0)
    joints = np.stack([kinect[:, 2], kinect[:, 0], kinect[:, 1]], axis=1).astype(np.float64)
    joints += (x, y, 0) - np.array([*joints[0, :2], joints[:, 2].min()])
    for name, at in moved.items():
        joints[NTU25.joints.index(name)] = at
    return Person(joints, np.ones(25, np.bool_))


def acted(behaviours: Sequence[str], seconds: float, whom: Person | None = None, puppet: Puppet | None = None) -> Path:
    puppet = puppet or Puppet()
    rounds = []
    for i in range(round(seconds / ROUND_S)):
        puppet.round(behaviours, i * ROUND_S, whom)
        rounds.append(puppet.body.points())
    return {name: np.stack([places[i] for places in rounds]) for i, name in enumerate(POINTS)}


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_no_joint_leaves_its_limits_and_none_is_thrown_about(name: str) -> None:
    puppet, before = Puppet(), None
    for i in range(100):
        puppet.round([name], i * ROUND_S, person(1.2, 0.5))
        angles = puppet.body.angles
        for joint, angle in zip(puppet.body.joints, angles, strict=True):
            least, most = puppet.body.limits[joint]
            assert least - 0.1 <= angle <= most + 0.1, joint  # MuJoCo's limits give a little under load
        if before is not None:
            assert np.abs(angles - before).max() / ROUND_S < 15  # rad/s
        before = angles


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_all_of_it_can_be_done_with_nobody_there(name: str) -> None:
    places = acted([name], 0.5)
    assert all(np.isfinite(path).all() for path in places.values())


def test_left_alone_it_keeps_still_with_its_arms_down() -> None:
    places = acted([], 2.0)
    for side in ("left", "right"):
        hand = places[f"{side}_hand"]
        assert (hand[:, 2] < places[f"{side}_shoulder"][:, 2] - 0.5).all()
        assert np.ptp(hand, axis=0).max() < 0.01


def test_it_waves_with_a_hand_above_its_shoulder_to_and_fro() -> None:
    places = acted(["wave"], 2.6)
    hand = places["right_hand"][40:] - places["right_shoulder"][40:]
    assert (hand[:, 2] > 0.2).all()
    assert np.ptp(hand[:, 1]) > 0.12
    sides = np.sign(hand[:, 1] - hand[:, 1].mean())
    assert 4 <= np.count_nonzero(np.diff(sides)) <= 12  # 1.7 times a second
    assert np.ptp(places["left_hand"][:, 2]) < 0.05


def test_it_bows_and_rises_again() -> None:
    head = acted(["bow"], 3.2)["head"]
    assert head[:, 2].min() < head[0, 2] - 0.1 and head[:, 0].max() > head[0, 0] + 0.2
    assert abs(head[-1, 2] - head[0, 2]) < 0.03


def test_it_nods() -> None:
    nose = acted(["nod"], 1.2)["nose"][:, 2]
    assert np.count_nonzero(np.diff(np.sign(np.diff(nose))) > 0) >= 2 and np.ptp(nose) > 0.01


@pytest.mark.parametrize("y", [-1.5, 0.0, 1.5])
def test_it_looks_at_whom_it_means(y: float) -> None:
    whom = person(2.0, y)
    places = acted(["look"], 2.5, whom)
    gaze = places["nose"][-1] - places["head"][-1]
    goal = whom.joints[NTU25.joints.index("Head")] - places["head"][-1]
    off = np.degrees(np.arccos(gaze @ goal / np.linalg.norm(gaze) / np.linalg.norm(goal)))
    assert off < 8


def test_it_turns_round_to_somebody_behind_it() -> None:
    puppet = Puppet()
    acted(["look"], 8.0, person(-1.0, 1.0), puppet)
    assert puppet.at[2] > 0.8
    assert np.hypot(*puppet.at[:2]) < 0.01


def test_it_mirrors_arms_as_a_mirror_does() -> None:
    whom = person(2.5)
    shoulder = whom.joints[NTU25.joints.index("ShoulderRight")]
    above = {
        name: shoulder + np.array([0, -0.02, up]) for name, up in (("Elbow", 0.27), ("Wrist", 0.52), ("Hand", 0.6))
    }
    raised = person(2.5, **{f"{name}Right": at for name, at in above.items()})
    places = acted(["mirror"], 2.0, raised)
    # They face one another: the person's right hand goes up, and opposite it the robot's left one.
    assert places["left_hand"][-1, 2] > places["left_shoulder"][-1, 2] + 0.3
    assert places["right_hand"][-1, 2] < places["right_shoulder"][-1, 2] - 0.3


@pytest.mark.parametrize("y", [-1.0, 0.0])
def test_it_points_at_whom_it_means(y: float) -> None:
    whom = person(2.0, y)
    places = acted(["point"], 1.5, whom)
    arm = places["right_hand"][-1] - places["right_shoulder"][-1]
    goal = whom.joints[NTU25.joints.index("SpineShoulder")] - places["right_shoulder"][-1]
    assert arm @ goal / np.linalg.norm(arm) / np.linalg.norm(goal) > 0.96


def test_it_steps_back_from_people_but_not_for_ever_and_comes_home() -> None:
    puppet = Puppet()
    places = acted(["step_back"], 1.4, person(1.2), puppet)
    assert -0.5 < puppet.at[0] < -0.25
    assert np.ptp(places["left_foot"][:, 2]) > 0.02  # it lifts its feet
    for _ in range(5):
        acted(["step_back"], 1.4, person(0.8), puppet)
    assert np.hypot(*puppet.at[:2]) <= REACH_M + 1e-9
    acted([], 15.0, None, puppet)
    assert np.hypot(*puppet.at[:2]) < 0.05


def test_it_claps_and_its_hands_meet() -> None:
    places = acted(["clap"], 2.2)
    apart = np.linalg.norm(places["left_hand"] - places["right_hand"], axis=1)[30:]
    assert apart.min() < 0.12 < 0.2 < apart.max()


def test_it_offers_takes_stops_and_calls() -> None:
    offered = acted(["offer"], 1.5)
    ahead = (offered["right_hand"] - offered["right_shoulder"])[-1]
    assert ahead[0] > 0.3 and ahead[2] < 0
    hand = (0.6, -0.1, 1.15)
    taken = acted(["take"], 2.4, person(1.1, 0.0, HandRight=hand))
    assert np.linalg.norm(taken["right_hand"] - np.array(hand), axis=1).min() < 0.15
    assert np.linalg.norm(taken["right_hand"][-1] - np.array(hand)) > 0.2  # and keeps it
    halted = acted(["stop"], 1.0)
    palm = (halted["right_hand"] - halted["right_shoulder"])[-1]
    assert palm[0] > 0.3 and palm[2] > 0.1
    called = acted(["call"], 1.5)
    assert called["left_hand"][-1, 2] > called["left_shoulder"][-1, 2]
    assert np.linalg.norm(called["right_hand"][-1] - called["head"][-1]) < 0.35


def test_several_at_once_share_the_body() -> None:
    whom = person(2.0, 1.0)
    places = acted(["look", "wave"], 2.0, whom)
    assert places["right_hand"][-1, 2] > places["right_shoulder"][-1, 2]
    assert places["nose"][-1, 1] - places["head"][-1, 1] > 0.02


def test_safe_is_slowly_down_to_rest() -> None:
    puppet = Puppet()
    acted(["stop"], 1.0, None, puppet)
    high = puppet.body.points()[POINTS.index("right_hand"), 2]
    speeds = []
    for i in range(100):
        before = puppet.body.points()[POINTS.index("right_hand")]
        puppet.round(["stop"], i * ROUND_S, None, safe=True)
        speeds.append(np.linalg.norm(puppet.body.points()[POINTS.index("right_hand")] - before) / ROUND_S)
    assert puppet.body.points()[POINTS.index("right_hand"), 2] < high - 0.4
    assert max(speeds) < 1.5  # m/s
