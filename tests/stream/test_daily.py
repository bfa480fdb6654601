"""A day in a room: what is named happens, and where nothing is named nobody does anything that has a name."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.stream.acting.daily import TURN, Daily
from skelstream.stream.actor import BACKGROUND

F64 = NDArray[np.float64]
HZ, SECONDS = 15.0, 60.0
SEEDS = range(6)
AT = {name: i for i, name in enumerate(NTU25.joints)}
NAMED = {"walk", "sit_down", "stand_up", TURN}


@cache
def acted(seed: int) -> tuple[Daily, F64, list[str]]:
    """A day, its joints (T, 25, 3) and the truth of every frame."""
    daily = Daily(seed, SECONDS)
    ts = np.arange(0, SECONDS, 1 / HZ)
    return daily, np.stack([daily.pose(t) for t in ts]).astype(np.float64), [daily.truth(t) for t in ts]


def spans(truth: list[str], background: bool) -> list[tuple[str, slice]]:
    """The runs of frames with one truth, with a name or without."""
    edges = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(truth)) if a != b), len(truth)]
    runs = [(truth[a], slice(a, b)) for a, b in pairwise(edges)]
    return [run for run in runs if (run[0] == BACKGROUND) == background]


def test_most_of_the_day_nothing_is_named_and_all_that_has_a_name_happens() -> None:
    truth = [label for seed in SEEDS for label in acted(seed)[2]]
    assert set(truth) == NAMED | {BACKGROUND}
    assert 0.5 < truth.count(BACKGROUND) / len(truth) < 0.9


def test_where_nothing_is_named_the_feet_stand_and_no_hand_is_raised() -> None:
    for seed in SEEDS:
        _, joints, truth = acted(seed)
        for _, frames in spans(truth, background=True):
            still = joints[frames][3:-3]  # the last of a step is too slow to be called one
            if len(still) < 5:
                continue
            for foot in ("FootLeft", "FootRight"):
                assert np.ptp(still[:, AT[foot]][:, [0, 2]], axis=0).max() < 0.03
            head = still[:, AT["Head"], 1]
            for hand in ("HandLeft", "HandRight"):
                assert (still[:, AT[hand], 1] - head).max() < 0.1


def test_a_walk_goes_somewhere_and_a_turn_stays() -> None:
    for seed in SEEDS:
        _, joints, truth = acted(seed)
        for name, frames in spans(truth, background=False):
            place = joints[frames][:, AT["SpineBase"]][:, [0, 2]]
            gone = np.linalg.norm(place - place[0], axis=1).max()
            if name == "walk" and frames.stop < len(truth):
                assert gone > 0.4
            elif name == TURN:
                assert gone < 0.2


def test_whoever_sits_down_sits_until_he_stands_up() -> None:
    seen = 0
    for seed in SEEDS:
        _, joints, truth = acted(seed)
        height = joints[:, AT["Head"], 1].max() - joints[:, AT["FootLeft"], 1].min()
        above_knees = joints[:, AT["SpineBase"], 1] - joints[:, [AT["KneeLeft"], AT["KneeRight"]], 1].mean(axis=1)
        named = spans(truth, background=False)
        for (before, a), (after, b) in pairwise(named):
            low = above_knees[a.stop : b.start]
            if before == "sit_down":
                assert after == "stand_up" and np.all(np.abs(low) < 0.1 * height)
                seen += 1
            elif low.size:
                assert np.all(low > 0.15 * height)
    assert seen


def test_hands_are_busy_in_many_places() -> None:
    """At the head, before the chest, at the hips and hanging: a detector that learns from it has seen them all."""
    places = np.zeros(4)
    for seed in SEEDS:
        _, joints, truth = acted(seed)
        frames = joints[[label == BACKGROUND for label in truth]]
        low, high = frames[:, AT["SpineBase"], 1], frames[:, AT["Head"], 1]
        level = (frames[:, [AT["WristLeft"], AT["WristRight"]], 1].T - low) / (high - low)
        edges = (-9.0, 0.05, 0.35, 0.7, 9.0)
        places += [((level >= a) & (level < b)).sum() for a, b in pairwise(edges)]
    assert (places / places.sum() > 0.02).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_body_is_one_body_and_a_longer_day_begins_with_the_shorter(seed: int, a: float, b: float) -> None:
    short, long = Daily(seed, 12.0), Daily(seed, 20.0)
    poses = [short.pose(12 * share).astype(np.float64) for share in (a, b)]
    assert np.array_equal(poses[0].astype(np.float32), long.pose(12 * a))
    bones = [
        np.linalg.norm(pose[[i for i, _ in NTU25.bones]] - pose[[j for _, j in NTU25.bones]], axis=1) for pose in poses
    ]
    rigid = [
        n for n, (i, j) in enumerate(NTU25.bones) if not {"SpineShoulder", "Neck"} & {NTU25.joints[i], NTU25.joints[j]}
    ]
    np.testing.assert_allclose(bones[0][rigid], bones[1][rigid], atol=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_jumps(seed: int) -> None:
    daily = Daily(seed, 30.0)
    joints = np.stack([daily.pose(t) for t in np.arange(0, 30, 1 / 60)]).astype(np.float64)
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=2) * 60
    assert speed.max() < 8.0  # m/s: what a foot of somebody who walks briskly or a hand on its way to the head does


def test_what_cannot_be_acted_is_refused() -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        Daily(0, 0.0)
    with pytest.raises(ValueError, match="0 or more"):
        Daily(-1, 5.0)
    with pytest.raises(ValueError, match="nothing at 6"):
        Daily(0, 5.0).pose(6.0)
