"""The actor must do what the truth says: every action is checked by its geometry, seen from outside."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.stream.actor import ACTIONS, BACKGROUND, GAP_S, UNSEEN_S, Script, Segment

F64 = NDArray[np.float64]

HZ = 30.0
SEEDS = (0, 1, 2, 3)
ALL = {name: i for i, name in enumerate(NTU25.joints)}
STEPPING = ("walk", "run", "carry", "kick", "jump")  # a foot leaves the floor; everywhere else both stay


@cache
def script(seed: int, duration_s: float = 100.0) -> Script:
    return Script(seed, duration_s)


def poses(s: Script, ts: F64) -> F64:
    return np.stack([s.pose(float(t)) for t in ts]).astype(np.float64)


@cache
def whole(seed: int) -> tuple[F64, F64]:
    """Every frame of a script: times (T,) and joints (T, 25, 3)."""
    ts = np.arange(0.0, 100.0, 1 / HZ)
    return ts, poses(script(seed), ts)


class Act:
    """One performance of an action, in the actor's own frame at its beginning: x to the actor's right, y up from the
    floor, z forward, all in metres; `hz` frames a second from before the first movement to after the last."""

    def __init__(self, seed: int, s: Script, segment: Segment) -> None:
        self.seed, self.segment = seed, segment
        self.ts = np.arange(segment.t_start - UNSEEN_S, min(segment.t_end + UNSEEN_S, s.duration_s), 1 / HZ)
        self.camera_TVC = poses(s, self.ts)
        rest = self.camera_TVC[0]
        right = rest[ALL["HipRight"]] - rest[ALL["HipLeft"]]
        right[1] = 0.0
        right /= np.linalg.norm(right)
        up = np.array([0.0, 1.0, 0.0])
        axes = np.stack([right, up, np.cross(up, right)])
        origin = (rest[ALL["AnkleLeft"]] + rest[ALL["AnkleRight"]]) / 2
        origin[1] = floor(s)
        self.joints_TVC: F64 = (self.camera_TVC - origin) @ axes.T
        self.height = float(self.joints_TVC[0, ALL["Head"], 1])

    def __getitem__(self, joint: str) -> F64:
        """The way (T, 3) of one joint."""
        return self.joints_TVC[:, ALL[joint]]

    def speed(self, joint: str) -> F64:
        return np.asarray(np.linalg.norm(np.diff(self[joint], axis=0), axis=1) * HZ)

    def side_of_highest(self, part: str) -> tuple[str, str]:
        sides = ("Left", "Right")
        return sides if self[f"{part}Left"][:, 1].max() > self[f"{part}Right"][:, 1].max() else sides[::-1]

    def side_of_fastest(self, part: str) -> tuple[str, str]:
        sides = ("Left", "Right")
        return sides if self.speed(f"{part}Left").max() > self.speed(f"{part}Right").max() else sides[::-1]

    def bend(self, side: str) -> F64:
        """The elbow's angle in degrees, 180 when straight."""
        upper, fore = (self[f"{a}{side}"] - self[f"Elbow{side}"] for a in ("Shoulder", "Wrist"))
        cos = (upper * fore).sum(axis=1) / np.linalg.norm(upper, axis=1) / np.linalg.norm(fore, axis=1)
        return np.asarray(np.degrees(np.arccos(np.clip(cos, -1, 1))))

    def reach(self, side: str) -> F64:
        """How far a wrist is in front of its shoulder."""
        return self[f"Wrist{side}"][:, 2] - self[f"Shoulder{side}"][:, 2]


@cache
def floor(s: Script) -> float:
    """The lowest a toe ever is, over the pauses, lies a sole's thickness above the floor."""
    return min(float(s.pose(float(t))[[15, 19], 1].min()) for t in np.linspace(0, 0.5, 5)) - 0.02


@cache
def performances(action: str) -> tuple[Act, ...]:
    acts = []
    for seed in SEEDS:
        s = script(seed)
        uncut = [segment for segment in s.segments if segment.action == action and segment.t_end < s.duration_s - 0.1]
        acts += [Act(seed, s, segment) for segment in uncut[:1]]
    assert len(acts) >= 3
    return tuple(acts)


def reversals(values: F64, at_least: float) -> int:
    """How often a signal turns round after having gone a way of `at_least`."""
    turns, direction, extreme = 0, 0, values[0]
    for value in values:
        if direction >= 0 and value < extreme - at_least:
            turns, direction, extreme = turns + (direction > 0), -1, value
        elif direction <= 0 and value > extreme + at_least:
            turns, direction, extreme = turns + (direction < 0), 1, value
        elif (value - extreme) * direction > 0:
            extreme = value
    return turns


def longest(mask: NDArray[np.bool_]) -> float:
    """The longest run of true frames, in seconds."""
    best = run = 0
    for yes in mask:
        run = run + 1 if yes else 0
        best = max(best, run)
    return best / HZ


# --- what each action must look like ---------------------------------------------------------------------------------


def test_wave_swings_a_hand_to_and_fro_above_the_shoulder() -> None:
    for act in performances("wave"):
        side, _ = act.side_of_highest("Hand")
        hand = act[f"Hand{side}"] - act[f"Shoulder{side}"]
        up = hand[:, 1] > 0.05
        assert longest(up) > 1.2
        assert reversals(hand[up, 0], 0.06) >= 3


def test_clap_brings_the_hands_together_in_front_of_the_chest_again_and_again() -> None:
    for act in performances("clap"):
        apart = np.linalg.norm(act["HandLeft"] - act["HandRight"], axis=1)
        together = apart < 0.14
        assert (np.diff(together.astype(int)) == 1).sum() >= 3
        assert reversals(apart, 0.1) >= 6
        middle = (act["HandLeft"] + act["HandRight"])[together] / 2
        assert np.all(middle[:, 1] < act["Head"][together, 1])
        assert np.all(middle[:, 1] > act["SpineMid"][together, 1] - 0.1)
        assert np.all(middle[:, 2] > act["SpineShoulder"][together, 2] + 0.15)


def test_raise_hand_holds_one_hand_above_the_head_and_lowers_it() -> None:
    for act in performances("raise_hand"):
        side, other = act.side_of_highest("Hand")
        assert longest(act[f"Hand{side}"][:, 1] > act["Head"][:, 1] + 0.05) > 0.8
        assert act[f"Hand{other}"][:, 1].max() < act["SpineMid"][:, 1].min()
        assert act[f"Hand{side}"][-1, 1] < act["SpineMid"][-1, 1]


def test_point_stretches_an_arm_towards_the_camera() -> None:
    for act in performances("point"):
        side, other = act.side_of_highest("Hand")
        shoulder, tip = (act.camera_TVC[:, ALL[f"{part}{side}"]] for part in ("Shoulder", "HandTip"))
        arm, line = tip - shoulder, -shoulder
        cos = (arm * line).sum(axis=1) / np.linalg.norm(arm, axis=1) / np.linalg.norm(line, axis=1)
        assert longest((np.degrees(np.arccos(cos)) < 12) & (act.bend(side) > 145)) > 0.6
        assert act[f"Hand{other}"][:, 1].max() < act["SpineMid"][:, 1].min()


def test_beckon_draws_a_hand_to_the_actor_again_and_again_below_the_head() -> None:
    for act in performances("beckon"):
        side, other = act.side_of_highest("Hand")
        hand = act[f"HandTip{side}"]
        assert reversals(act.reach(side) + hand[:, 2] - act[f"Wrist{side}"][:, 2], 0.12) >= 4
        assert act[f"Wrist{side}"][:, 1].max() < act["Head"][:, 1].min()
        assert act[f"Hand{other}"][:, 1].max() < act["SpineMid"][:, 1].min()


def test_stop_holds_a_palm_forward_at_shoulder_height() -> None:
    for act in performances("stop"):
        side, other = act.side_of_highest("Hand")
        wrist, tip = act[f"Wrist{side}"], act[f"HandTip{side}"]
        level = np.abs(wrist[:, 1] - act[f"Shoulder{side}"][:, 1]) < 0.15
        fingers_up = tip[:, 1] - wrist[:, 1] > 0.7 * np.linalg.norm(tip - wrist, axis=1)
        stretched = (act.reach(side) > 0.25 * act.height) & (act.bend(side) > 135)
        assert longest(level & fingers_up & stretched) > 0.6
        assert act[f"Hand{other}"][:, 1].max() < act["SpineMid"][:, 1].min()


def test_bow_brings_the_head_down_and_forward_over_standing_legs() -> None:
    for act in performances("bow"):
        head = act["Head"]
        deepest = int(head[:, 1].argmin())
        assert head[0, 1] - head[deepest, 1] > 0.09 * act.height
        assert head[deepest, 2] - head[0, 2] > 0.2 * act.height
        assert act["SpineBase"][0, 1] - act["SpineBase"][:, 1].min() < 0.05 * act.height
        assert abs(head[-1, 1] - head[0, 1]) < 0.03


def test_punch_drives_a_fist_straight_forward_and_fast() -> None:
    for act in performances("punch"):
        side = max(("Left", "Right"), key=lambda s: act.reach(s).max())
        level = np.abs(act[f"Wrist{side}"][:, 1] - act[f"Shoulder{side}"][:, 1]) < 0.15
        assert np.any(level & (act.bend(side) > 150) & (act.reach(side) > 0.24 * act.height))
        assert act.speed(f"Hand{side}").max() > 2.5


def test_kick_throws_one_leg_out_and_up_over_the_other() -> None:
    for act in performances("kick"):
        side, other = act.side_of_highest("Ankle")
        ankle = act[f"Ankle{side}"]
        out = int(np.linalg.norm((ankle - ankle[0])[:, [0, 2]], axis=1).argmax())
        assert ankle[out, 1] - ankle[0, 1] > 0.18 * act.height
        assert np.linalg.norm((ankle[out] - ankle[0])[[0, 2]]) > 0.25 * act.height
        assert ankle[out, 2] - ankle[0, 2] > -0.05
        assert act.speed(f"Ankle{side}").max() > 2.0
        assert np.ptp(act[f"Foot{other}"], axis=0).max() < 0.01
        assert np.linalg.norm(ankle[-1] - ankle[0]) < 0.02


def test_throw_winds_up_behind_the_shoulder_and_comes_over_it_fast() -> None:
    for act in performances("throw"):
        side, _ = act.side_of_fastest("Hand")
        hand = act[f"Hand{side}"] - act[f"Shoulder{side}"]
        back = int(np.where(hand[:, 1] > 0, hand[:, 2], np.inf).argmin())
        assert hand[back, 2] < -0.02
        assert hand[back:, 1].max() > 0.15 * act.height
        assert hand[back:, 2].max() > 0.2 * act.height
        assert act.speed(f"Hand{side}").argmax() >= back
        assert act.speed(f"Hand{side}").max() > 3.0


@pytest.mark.parametrize(("action", "near_first"), [("push", True), ("pull", False)])
def test_push_goes_away_from_the_chest_and_pull_comes_to_it(action: str, near_first: bool) -> None:
    for act in performances(action):
        side, _ = act.side_of_highest("Hand")
        reach = act.reach(side)
        far = int(reach.argmax())
        assert reach[far] > 0.22 * act.height
        assert act.bend(side)[far] > 140
        height = act[f"Wrist{side}"][:, 1]
        at_chest = (height > act["SpineMid"][:, 1] - 0.03) & (reach < 0.6 * reach[far])
        before, after = longest(at_chest[:far]), longest(at_chest[far:])
        assert (before if near_first else after) > 0.2
        assert (after if near_first else before) < 0.07
        assert act.speed(f"Hand{side}").max() < 6.0


def test_pick_up_reaches_the_floor_and_rises_again() -> None:
    for act in performances("pick_up"):
        side = min(("Left", "Right"), key=lambda s: act[f"HandTip{s}"][:, 1].min())
        tip = act[f"HandTip{side}"][:, 1]
        assert -0.02 < tip.min() < 0.1 * act.height
        assert act["SpineBase"][:, 1].min() < act["SpineBase"][0, 1] - 0.12 * act.height
        assert abs(act["Head"][-1, 1] - act["Head"][0, 1]) < 0.03


def test_carry_walks_with_both_hands_in_front() -> None:
    for act in performances("carry"):
        middle = slice(len(act.ts) // 5, -(len(act.ts) // 5))
        apart = np.linalg.norm(act["HandLeft"] - act["HandRight"], axis=1)[middle]
        assert np.ptp(apart) < 0.02
        hands = ((act["HandLeft"] + act["HandRight"]) / 2)[middle]
        assert np.all(hands[:, 1] > act["SpineBase"][middle, 1])
        assert np.all(hands[:, 1] < act["SpineShoulder"][middle, 1])
        assert np.all(np.linalg.norm((hands - act["SpineShoulder"][middle])[:, [0, 2]], axis=1) > 0.1 * act.height)
        assert np.linalg.norm((act["SpineBase"] - act["SpineBase"][0])[:, [0, 2]], axis=1).max() > 0.6
        assert min(reversals(act[f"Ankle{side}"][:, 1], 0.02) for side in ("Left", "Right")) >= 3


def test_sit_down_stays_down_and_stand_up_comes_up() -> None:
    for act in performances("sit_down"):
        drop = act["SpineBase"][0, 1] - act["SpineBase"][:, 1]
        assert drop[-1] > 0.18 * act.height
        assert drop.max() - drop[-1] < 0.03
        assert act["SpineBase"][-1, 2] - act["AnkleLeft"][-1, 2] < -0.1 * act.height  # on a chair behind the feet
    for act in performances("stand_up"):
        rise = act["SpineBase"][:, 1] - act["SpineBase"][0, 1]
        assert rise[-1] > 0.18 * act.height
        assert rise.min() > -0.05


def test_between_sit_down_and_stand_up_the_actor_sits() -> None:
    for seed in SEEDS:
        s = script(seed)
        for before, after in zip(s.segments, s.segments[1:], strict=False):
            if before.action == "sit_down":
                assert after.action == "stand_up"
                sitting = poses(s, np.linspace(before.t_end, after.t_start, 9))
                knees = sitting[:, [13, 17], 1].mean(axis=1)
                assert np.all(np.abs(sitting[:, 0, 1] - knees) < 0.15)


def test_walk_goes_somewhere_step_by_step() -> None:
    for act in performances("walk"):
        assert np.linalg.norm((act["SpineBase"] - act["SpineBase"][0])[:, [0, 2]], axis=1).max() > 0.6
        lifted = {side: act[f"Foot{side}"][:, 1] - act[f"Foot{side}"][0, 1] > 0.01 for side in ("Left", "Right")}
        assert not np.any(lifted["Left"] & lifted["Right"])
        assert all((np.diff(lifted[side].astype(int)) == 1).sum() >= 2 for side in lifted)
        hands_part = act["HandLeft"] - act["HandRight"]
        assert np.linalg.norm(hands_part, axis=1).min() > 0.1


def test_run_has_both_feet_in_the_air_and_pumps_bent_arms() -> None:
    for act in performances("run"):
        lifted = [act[f"Foot{side}"][:, 1] - act[f"Foot{side}"][0, 1] > 0.005 for side in ("Left", "Right")]
        flights = lifted[0] & lifted[1]
        assert (np.diff(flights.astype(int)) == 1).sum() >= 3
        middle = slice(len(act.ts) // 4, -(len(act.ts) // 4))
        assert np.median(act.bend("Left")[middle]) < 125
        assert np.median(act.bend("Right")[middle]) < 125
        assert all((np.diff(foot.astype(int)) == 1).sum() >= 3 for foot in lifted)


def test_jump_has_the_whole_body_in_the_air() -> None:
    for act in performances("jump"):
        lifted = [act[f"Foot{side}"][:, 1] - act[f"Foot{side}"][0, 1] > 0.03 for side in ("Left", "Right")]
        flight = lifted[0] & lifted[1]
        assert longest(flight) > 0.06
        assert act["SpineBase"][flight, 1].max() > act["SpineBase"][0, 1] + 0.015
        assert longest(lifted[0] ^ lifted[1]) < 0.05


def test_every_action_is_checked_above() -> None:
    checked = {"sit_down", "stand_up", "push", "pull"}
    checked |= {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert all(any(name == action or name.startswith(f"{action}_") for name in checked) for action in ACTIONS)


# --- the body --------------------------------------------------------------------------------------------------------

moments = st.floats(0.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), moments, moments)
def test_bones_keep_their_length(seed: int, a: float, b: float) -> None:
    s = Script(seed, 30.0)
    lengths = [
        np.array([np.linalg.norm(pose[child] - pose[parent]) for child, parent in NTU25.bones])
        for pose in (s.pose(30.0 * a), s.pose(30.0 * b))
    ]
    np.testing.assert_allclose(lengths[0], lengths[1], atol=1e-3)
    assert lengths[0].min() > 0.01
    assert 0.8 < float(np.ptp(s.pose(0.0)[:, 1])) < 2.0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), moments)
def test_a_millisecond_moves_nobody_far(seed: int, share: float) -> None:
    s = Script(seed, 40.0)
    t = 39.9 * share
    moved = np.linalg.norm(s.pose(t + 1e-3) - s.pose(t), axis=1)
    assert moved.max() < 0.016  # 16 m/s: a thrown hand's tip comes to 12


def test_no_joint_moves_faster_than_people_do_and_none_jumps_at_a_seam() -> None:
    limits = {
        "Head": 4.0,
        "SpineBase": 4.0,
        "KneeLeft": 10.0,
        "AnkleLeft": 12.0,
        "HandTipLeft": 13.0,
        "ElbowRight": 9.0,
    }
    for seed in SEEDS[:1]:
        _, ways = whole(seed)
        speed = np.linalg.norm(np.diff(ways, axis=0), axis=2) * HZ
        for joint, limit in limits.items():
            assert speed[:, ALL[joint]].max() < limit, joint
    for seed in SEEDS:
        s = script(seed)
        for segment in s.segments:
            for t in (segment.t_start, segment.t_end):
                if UNSEEN_S < t < s.duration_s - UNSEEN_S - 0.01:
                    around = poses(s, np.array([t - UNSEEN_S - 0.004, t - 0.004, t + 0.004, t + UNSEEN_S + 0.004]))
                    assert np.abs(np.diff(around, axis=0)).max() < 0.25


def test_facing_the_camera_the_left_shoulder_has_the_smaller_x() -> None:
    for seed in range(12):
        s = Script(seed, 40.0)
        for t in np.arange(0.0, 40.0, 0.5):
            if s.truth(float(t)) not in ("walk", "run", "carry"):
                pose = s.pose(float(t))
                assert pose[ALL["ShoulderLeft"], 0] < pose[ALL["ShoulderRight"], 0]
                assert pose[ALL["HipLeft"], 0] < pose[ALL["HipRight"], 0]


def test_knees_bend_forward_and_elbows_do_not_bend_backward() -> None:
    for action in ("pick_up", "sit_down", "jump", "bow"):
        for act in performances(action):
            for side in ("Left", "Right"):
                hip, knee, ankle = (act[f"{part}{side}"] for part in ("Hip", "Knee", "Ankle"))
                share = (hip[:, 1] - knee[:, 1]) / (hip[:, 1] - ankle[:, 1])
                between = hip + share[:, None] * (ankle - hip)
                assert np.all(knee[:, 2] > between[:, 2] - 0.01)
    rest = performances("wave")[0]
    for side in ("Left", "Right"):
        middle = (rest[f"Shoulder{side}"][0] + rest[f"Wrist{side}"][0]) / 2
        assert rest[f"Elbow{side}"][0, 2] < middle[2]


def test_feet_stay_where_they_stand() -> None:
    for seed in SEEDS[:1]:
        s, (ts, ways) = script(seed), whole(seed)
        sole = min(ways[:, ALL["FootLeft"], 1].min(), ways[:, ALL["FootRight"], 1].min())
        on_floor = []
        for side in ("Left", "Right"):
            foot = ways[:, ALL[f"Foot{side}"]]
            assert foot[:, 1].max() < sole + 1.2
            down = foot[:, 1] < sole + 0.0005
            slid = np.linalg.norm(np.diff(foot, axis=0), axis=1)[down[1:] & down[:-1]]
            assert slid.max() < 0.004
            on_floor.append(down)
        labels = np.array([s.truth(float(t)) for t in ts])
        assert np.all((on_floor[0] | on_floor[1])[~np.isin(labels, ("run", "jump"))])
        still = ~np.isin(labels, (*STEPPING, BACKGROUND))
        assert still.any()
        assert np.all((on_floor[0] & on_floor[1])[still])


def test_a_camera_of_60_degrees_sees_the_whole_body() -> None:
    half_width = math.tan(math.radians(30))
    for seed in range(8):
        s = Script(seed, 45.0)
        pose = poses(s, np.arange(0.0, 45.0, 0.2))
        assert np.abs(pose[..., 0] / pose[..., 2]).max() < half_width
        assert np.abs(pose[..., 1] / pose[..., 2]).max() < half_width * 3 / 4
        assert pose[:, 0, 2].min() > 1.6
        assert pose[:, 0, 2].max() < 4.0


def test_bodies_differ() -> None:
    sizes = [float(np.ptp(Script(seed, 1.0).pose(0.0)[:, 1])) for seed in range(30)]
    assert min(sizes) < 1.35 < 1.65 < max(sizes)


# --- the script ------------------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_script_in_any_order_of_asking() -> None:
    one, two = Script(11, 40.0), Script(11, 40.0)
    ts = np.linspace(0.0, 40.0, 23)
    forwards = poses(one, ts)
    backwards = poses(two, ts[::-1])[::-1]
    np.testing.assert_array_equal(forwards, backwards)
    assert one.segments == two.segments
    assert one.look_seed == two.look_seed
    other = Script(12, 40.0)
    assert other.segments != one.segments
    assert not np.array_equal(other.pose(5.0), one.pose(5.0))
    assert one.pose(0.0).dtype == np.float32
    assert one.pose(40.0).shape == (25, 3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 60.0), moments)
def test_a_longer_script_begins_like_the_shorter(seed: int, duration_s: float, share: float) -> None:
    short, long = Script(seed, duration_s), Script(seed, 75.0)
    t = duration_s * share
    np.testing.assert_array_equal(short.pose(t), long.pose(t))
    if t < duration_s:
        assert short.truth(t) == long.truth(t)
    assert short.segments[:-1] == long.segments[: max(0, len(short.segments) - 1)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1.0, 200.0))
def test_segments_follow_each_other_with_background_between(seed: int, duration_s: float) -> None:
    s = Script(seed, duration_s)
    end = 0.0
    for segment in s.segments:
        gap = segment.t_start - end
        # The first pause has no action before it whose unseen end it could take.
        assert GAP_S[0] - UNSEEN_S - 1e-9 <= gap <= GAP_S[1] + 1e-9
        assert segment.t_start < segment.t_end <= duration_s
        assert s.truth(max(end, segment.t_start - 0.01)) == BACKGROUND
        middle = (segment.t_start + segment.t_end) / 2
        assert s.truth(segment.t_start) == s.truth(middle) == segment.action
        if segment.t_end < duration_s:
            assert s.truth(segment.t_end) == BACKGROUND
        end = segment.t_end
    assert s.truth(0.0) == BACKGROUND


def test_every_action_comes_before_any_comes_again() -> None:
    for seed in range(5):
        played = [segment.action for segment in Script(seed, 260.0).segments]
        n = len(ACTIONS)
        assert len(played) > 2 * n
        assert set(played[:n]) == set(played[n : 2 * n]) == set(ACTIONS)
        assert played[:n] != played[n : 2 * n]
        assert all(played[i + 1] == "stand_up" for i in range(2 * n) if played[i] == "sit_down")


def test_only_the_chosen_actions_are_played() -> None:
    s = Script(3, 60.0, ["wave", "sit_down", "stand_up"])
    assert {segment.action for segment in s.segments} == {"wave", "sit_down", "stand_up"}


@pytest.mark.parametrize(
    ("seed", "duration_s", "actions", "message"),
    [
        (1, 0.0, None, "positive number of seconds"),
        (1, math.nan, None, "positive number of seconds"),
        (-1, 5.0, None, "seed is 0 or more"),
        (1, 5.0, ["wave", "dance"], "no action 'dance'"),
        (1, 5.0, [], "at least one action"),
        (1, 5.0, ["wave", "wave"], "only once"),
        (1, 5.0, ["sit_down"], "both sit_down and stand_up"),
    ],
)
def test_bad_scripts_are_refused(seed: int, duration_s: float, actions: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Script(seed, duration_s, actions)


@pytest.mark.parametrize("t", [-0.1, 10.1, math.nan])
def test_there_is_nothing_outside_the_script(t: float) -> None:
    s = Script(1, 10.0)
    with pytest.raises(ValueError, match="runs from 0 to 10"):
        s.pose(t)
    with pytest.raises(ValueError, match="runs from 0 to 10"):
        s.truth(t)
