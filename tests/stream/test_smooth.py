"""Smoothing: noise is calmed, movement followed, at every frame rate alike; what is not seen is zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.stream.lift import LiftedPerson
from skelstream.stream.smooth import FOUND, LOST, OneEuro, Smoother

HIPS = [NTU25.index(name) for name in ("SpineBase", "SpineMid", "HipLeft", "HipRight")]


def lifted(joints: NDArray[np.floating], sight: NDArray[np.floating] | float = 1.0) -> LiftedPerson:
    return LiftedPerson(
        joints=joints.astype(np.float32), pixels=np.zeros((25, 2), np.float32), confidence=np.ones(25, np.float32),
        sight=np.broadcast_to(np.asarray(sight, np.float32), 25),
    )  # fmt: skip


def test_one_euro_calms_a_still_hand_and_follows_a_fast_one() -> None:
    rng = np.random.default_rng(0)
    still = OneEuro(min_cutoff_hz=2.0, beta=4.0)
    noise = rng.normal(scale=0.01, size=(300, 1, 3))
    calmed = np.array([still(i / 30, value) for i, value in enumerate(noise)])
    assert calmed[30:].std() < 0.7 * noise[30:].std()

    moving = OneEuro(min_cutoff_hz=2.0, beta=4.0)
    path = np.array([[[2.0 * i / 30, 0, 0]] for i in range(60)])  # 2 m/s
    followed = np.array([moving(i / 30, value) for i, value in enumerate(path)])
    lag_s = (path[-1, 0, 0] - followed[-1, 0, 0]) / 2.0
    assert 0 <= lag_s < 0.04


@settings(deadline=None, max_examples=10)
@given(speed=st.floats(0.1, 4), cutoff=st.floats(0.5, 4), beta=st.floats(0.5, 5))
def test_the_lag_behind_a_steady_movement_is_the_same_at_every_frame_rate(
    speed: float, cutoff: float, beta: float
) -> None:
    # A first-order low-pass of cut-off f lags 1 / (2 pi f) behind; the filter's own f grows with its estimate of the
    # speed, v (1 + 30 lag). What solves both is the lag.
    lag_s = np.roots([2 * np.pi * beta * speed * 30, 2 * np.pi * (cutoff + beta * speed), -1]).max()
    for fps in (15, 24, 30, 60, 120):
        one_euro = OneEuro(min_cutoff_hz=cutoff, beta=beta)
        for i in range(4 * fps + 1):
            smooth = one_euro(i / fps, np.array([[speed * i / fps, 0.0, 0.0]]))
        assert (speed * 4 - smooth[0, 0]) / speed == pytest.approx(lag_s, abs=5e-4), fps


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_missing_joints_are_zero_and_the_others_do_not_care_what_was_invented(seed: int, share: float) -> None:
    """Whatever numbers stand where nothing was seen, what comes out is the same."""
    rng = np.random.default_rng(seed)
    true = np.cumsum(rng.normal(scale=0.02, size=(40, 25, 3)), axis=0) + np.array([0.3, 0.2, 3.0])
    seen = np.repeat(rng.random((8, 25)) < share, 5, axis=0)
    invented = np.where(seen[..., None], true, true + rng.normal(size=true.shape))
    one, other = Smoother(), Smoother()
    for i in range(40):
        a = one(i / 30, lifted(true[i], seen[i].astype(np.float32)))
        b = other(i / 30, lifted(invented[i], seen[i].astype(np.float32)))
        np.testing.assert_array_equal(a.any(axis=1), seen[i])
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_sight_has_to_rise_high_and_to_fall_low() -> None:
    middle = (FOUND + LOST) / 2
    smoother, joints, sights = Smoother(), np.ones((25, 3)), (middle, 1, middle, 0, middle)
    seen = [bool(smoother(i / 30, lifted(joints, sight)).any()) for i, sight in enumerate(sights)]
    assert seen == [False, True, True, False, False]


def test_a_joint_that_comes_back_begins_where_it_is() -> None:
    smoother, hand = Smoother(), NTU25.index("HandLeft")
    joints = np.random.default_rng(0).normal(size=(25, 3)) + np.array([0, 0, 3])
    gone = np.ones(25)
    gone[hand] = 0
    for i in range(30):
        smoother(i / 30, lifted(joints))
    for i in range(30, 40):
        assert not smoother(i / 30, lifted(joints, gone))[hand].any()
    joints[hand] += 0.7
    np.testing.assert_allclose(smoother(40 / 30, lifted(joints)), joints, atol=1e-5)


def test_hips_that_come_and_go_move_nothing_else() -> None:
    """The place is told by the hips or, without them, by the shoulders: to change over makes no jump, and a person who
    walks steadily is followed as if the hips had been seen all along."""
    body = np.random.default_rng(1).normal(scale=0.3, size=(25, 3)) + np.array([0, 0, 3])
    away = np.ones(25)
    away[HIPS] = 0
    with_hips, without = Smoother(), Smoother()
    for i in range(150):
        joints = body + np.array([0.8 * i / 30, 0, 0])
        hidden = 50 <= i < 100
        a, b = with_hips(i / 30, lifted(joints)), without(i / 30, lifted(joints, away if hidden else np.ones(25)))
        np.testing.assert_array_equal(b[HIPS].any(axis=1), not hidden)
        others = [joint for joint in range(25) if joint not in HIPS]
        np.testing.assert_allclose(b[others], a[others], atol=1e-4)


def test_whoever_was_out_of_sight_begins_anew() -> None:
    smoother, joints = Smoother(), np.ones((25, 3))
    for i in range(10):
        smoother(i / 30, lifted(joints))
    assert not smoother(10 / 30, lifted(joints, 0.0)).any()
    np.testing.assert_allclose(smoother(11 / 30, lifted(joints + 1)), joints + 1, atol=1e-6)
