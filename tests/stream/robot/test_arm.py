"""The arm: where its hand is agrees with MuJoCo, and what it can reach it reaches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

mujoco = pytest.importorskip("mujoco", reason="the extra `robot` is not installed")

from skelstream.stream.robot.humanoid import POINTS, Humanoid  # noqa: E402

BODY = Humanoid()
shares = st.tuples(*[st.floats(0, 1)] * 3)


@pytest.mark.parametrize("side", ["left", "right"])
@settings(max_examples=40, deadline=None)
@given(share=shares)
def test_its_places_are_mujocos(side: str, share: tuple[float, float, float]) -> None:
    arm = BODY.arms[side]
    angles = arm.least + np.array(share) * (arm.most - arm.least)
    data = mujoco.MjData(BODY._model)
    for hinge, angle in zip(("shoulder1", "shoulder2", "elbow"), angles, strict=True):
        data.joint(f"{side}_{hinge}").qpos[0] = angle
    mujoco.mj_kinematics(BODY._model, data)
    torso, shoulder = data.body("torso").xmat.reshape(3, 3), data.body(f"{side}_upper_arm").xpos
    elbow, hand = arm.places(angles)
    np.testing.assert_allclose(torso @ elbow, data.body(f"{side}_lower_arm").xpos - shoulder, atol=1e-9)
    np.testing.assert_allclose(torso @ hand, data.geom(f"{side}_hand").xpos - shoulder, atol=1e-9)


@pytest.mark.parametrize("side", ["left", "right"])
@settings(max_examples=60, deadline=None)
@given(share=shares, start=shares)
def test_from_anywhere_it_comes_near_what_it_can_reach(
    side: str, share: tuple[float, float, float], start: tuple[float, float, float]
) -> None:
    arm = BODY.arms[side]
    span = arm.most - arm.least
    goal = arm.places(arm.least + np.array(share) * span)[1]
    angles = arm.least + np.array(start) * span
    for _ in range(25):  # half a second of rounds, each from where the last one ended
        angles = arm.reach(goal, angles)
    assert (angles >= arm.least).all() and (angles <= arm.most).all()
    assert np.linalg.norm(arm.places(angles)[1] - goal) < 0.1 * arm.length


def test_what_is_too_far_is_pointed_at() -> None:
    arm = BODY.arms["right"]
    angles = np.zeros(3)
    for _ in range(25):
        angles = arm.reach(np.array([3.0, 0.0, 0.0]), angles)
    hand = arm.places(angles)[1]
    assert hand[0] > 0.9 * np.linalg.norm(hand) and np.linalg.norm(hand) > 0.9 * arm.length


def test_the_points_are_a_humanoid_that_stands() -> None:
    at = dict(zip(POINTS, Humanoid().points(), strict=True))
    assert at["head"][2] > at["neck"][2] > at["pelvis"][2] > at["left_knee"][2] > at["left_foot"][2] > 0
    assert at["nose"][0] > at["head"][0] and at["left_shoulder"][1] > 0 > at["right_shoulder"][1]
