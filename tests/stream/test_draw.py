"""Drawn people: where they are drawn, what is left alone, and that a pose estimator finds them with left as left."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import BLAZEPOSE33, NTU25
from skelstream.stream.draw import Look, View, background, draw_person, draw_scene
from skelstream.stream.pose import PoseEstimator
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.wire import Frame

WIDTH, HEIGHT = 320, 240
VIEW = View(width=WIDTH, height=HEIGHT)
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)

# Somebody of 1.75 m who stands 2.6 m away and faces the camera; the right side is the mirror image of the left.
LEFT_M = {
    "Shoulder": (-0.18, 0.40, 2.6), "Elbow": (-0.30, 0.17, 2.6), "Wrist": (-0.42, -0.06, 2.58),
    "Hand": (-0.45, -0.13, 2.57), "HandTip": (-0.48, -0.20, 2.56), "Thumb": (-0.43, -0.15, 2.53),
    "Hip": (-0.09, -0.10, 2.6), "Knee": (-0.12, -0.50, 2.6), "Ankle": (-0.13, -0.88, 2.62), "Foot": (-0.14, -0.94, 2.5),
}  # fmt: skip
MIDDLE_M = {
    "SpineBase": (0, -0.07, 2.6), "SpineMid": (0, 0.20, 2.6), "SpineShoulder": (0, 0.43, 2.6), "Neck": (0, 0.49, 2.6),
    "Head": (0, 0.63, 2.58),
}  # fmt: skip


def standing() -> NDArray[np.float32]:
    joints = np.zeros((25, 3), np.float32)
    for name, at in MIDDLE_M.items():
        joints[NTU25.index(name)] = at
    for name, (x, y, z) in LEFT_M.items():
        joints[NTU25.index(f"{name}Left")] = x, y, z
        joints[NTU25.index(f"{name}Right")] = -x, y, z
    return joints


def turned(joints: NDArray[np.floating], angle: float) -> NDArray[np.floating]:
    """The person turned on the spot."""
    c, s = np.cos(angle), np.sin(angle)
    pivot = joints[NTU25.index("SpineBase")]
    return np.asarray((joints - pivot) @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) + pivot)


def painted(joints: NDArray[np.floating], look: Look | None = None, view: View = VIEW) -> NDArray[np.bool_]:
    """Which pixels (h, w) a person changes."""
    backdrop = np.full((view.height, view.width, 3), 128, np.uint8)
    return np.asarray((draw_scene([(joints, look or Look())], view, backdrop) != 128).any(-1))


def pixel(joints: NDArray[np.floating], *names: str) -> tuple[int, int]:
    """Row and column half-way between joints."""
    u, v = VIEW.project(np.mean([joints[NTU25.index(n)] for n in names], axis=0)).round().astype(int)
    return int(v), int(u)


# --- the camera ------------------------------------------------------------------------------------------------------

FINITE = st.floats(-2, 2)


@given(st.tuples(FINITE, FINITE, st.floats(0.6, 5)), st.floats(30, 100))
def test_projection_is_that_of_opencv(point: tuple[float, float, float], fov: float) -> None:
    view = View(width=640, height=480, horizontal_fov_deg=fov)
    focal = 320 / np.tan(np.radians(fov / 2))
    camera_matrix = np.array([[focal, 0, 320], [0, focal, 240], [0, 0, 1]])
    x, y, z = point  # OpenCV's x grows to the right and its y downwards
    expected, _ = cv2.projectPoints(np.array([[-x, -y, z]]), np.zeros(3), np.zeros(3), camera_matrix, None)
    np.testing.assert_allclose(view.project(np.array(point)), expected[0, 0], atol=1e-6)


@given(st.tuples(FINITE, FINITE, FINITE), st.floats(-3, 3), st.floats(-1.4, 1.4), st.floats(0.6, 9))
def test_a_camera_sees_what_it_looks_at_in_the_middle(
    position: tuple[float, float, float], yaw: float, pitch: float, away: float
) -> None:
    view = View(width=640, height=480, position=position, yaw=yaw, pitch=pitch)
    sight = np.array([np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)])
    target = np.array(position) + away * sight
    np.testing.assert_allclose(view.project(target), [320, 240], atol=1e-6)
    above, leftwards = target + np.array([0, 0.05, 0]), target + 0.05 * np.array([np.cos(yaw), 0, -np.sin(yaw)])
    assert view.project(above)[1] < 240, "up is up"
    np.testing.assert_allclose(view.project(above)[0], 320, atol=1e-6)  # it does not roll
    assert view.project(leftwards)[0] < 320, "x grows to the camera's left"
    between = np.linalg.norm(view.to_camera(above) - view.to_camera(leftwards))
    np.testing.assert_allclose(between, np.linalg.norm(above - leftwards), rtol=1e-9)


def test_what_is_behind_the_camera_has_no_pixel() -> None:
    assert np.isnan(VIEW.project(np.array([[0, 0, -1], [0, 0, 0], [np.nan, 0, 2]], float))).all()


def test_a_view_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="0x240"):
        View(width=0, height=240)
    with pytest.raises(ValueError, match="between 0 and 180"):
        View(width=320, height=240, horizontal_fov_deg=180)


# --- framing a sequence ----------------------------------------------------------------------------------------------


def walk(frames: int = 20, *, aside: float = 0.0, nearer: float = 0.0) -> NDArray[np.floating]:
    way = np.linspace(0, 1, frames)[:, None, None] * np.array([aside, 0.0, -nearer])
    return np.asarray(standing() + way)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.floats(-2, 2), st.floats(0, 1.5),
    st.sampled_from([(320, 240), (320, 180), (120, 160)]),
)  # fmt: skip
def test_the_person_stays_in_the_framed_picture(seed: int, aside: float, nearer: float, size: tuple[int, int]) -> None:
    joints = walk(aside=aside, nearer=nearer)
    for rng in (None, np.random.default_rng(seed)):
        view = View.framing(joints, width=size[0], height=size[1], rng=rng)
        pixels = view.project(joints) / size
        assert pixels.min() > 0 and pixels.max() < 1
        assert abs(view.yaw) <= np.radians(30.01)
        for frame in joints[[0, -1]]:  # hair and shoes, which reach farther than the joints, have room as well
            assert not painted(frame, view=view)[[0, -1]].any()


@pytest.mark.parametrize("seed", range(8))
def test_somebody_who_stays_put_fills_the_picture(seed: int) -> None:
    joints = walk()
    for rng, low, high in ((None, 0.60, 0.70), (np.random.default_rng(seed), 0.45, 0.80)):
        view = View.framing(joints, width=640, height=480, rng=rng)
        rows = np.flatnonzero(painted(joints[0], view=view).any(axis=1))
        assert low - 0.03 < (rows[-1] - rows[0]) / 480 < high + 0.05


def test_a_wild_joint_does_not_send_the_camera_away() -> None:
    calm, wild = walk(200), walk(200)
    wild[77, NTU25.index("HandTipLeft")] += 20
    wild[78] = np.nan
    wild[79] = 0
    here, there = (np.array(View.framing(j, width=640, height=480).position) for j in (calm, wild))
    assert np.abs(here - there).max() < 0.05


def test_framing_follows_people_from_any_side_and_behind() -> None:
    joints = turned(walk(), np.pi) - [0, 0, 4]  # behind the Kinect, as another camera would record it
    view = View.framing(joints, width=640, height=480)
    assert (view.project(joints) > 0).all()


def test_framing_nobody_is_refused() -> None:
    for nobody in (np.zeros((5, 25, 3)), np.full((5, 25, 3), np.nan), np.zeros((0, 25, 3))):
        with pytest.raises(ValueError, match="no person to frame"):
            View.framing(nobody, width=640, height=480)


# --- what is drawn ---------------------------------------------------------------------------------------------------


def without(joints: NDArray[np.floating], *names: str) -> NDArray[np.floating]:
    fewer = joints.copy()
    fewer[[NTU25.index(name) for name in names]] = np.nan
    return fewer


def test_left_is_on_the_right_of_the_picture_for_somebody_who_faces_the_camera() -> None:
    pixels = VIEW.project(standing())
    assert pixels[NTU25.index("HandLeft"), 0] > pixels[NTU25.index("HandRight"), 0] + 50
    armless = painted(without(standing(), "ElbowLeft", "ElbowRight"))
    for elbow, is_left in (("ElbowRight", True), ("ElbowLeft", False)):
        arm = painted(without(standing(), elbow)) & ~armless
        columns = np.flatnonzero(arm.any(axis=0))
        assert len(columns) and ((columns > WIDTH / 2) == is_left).all()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.floats(-3.2, 3.2), st.floats(-1.5, 1.5), st.floats(-0.6, 2), st.floats(0, 0.06)
)  # fmt: skip
def test_nothing_is_painted_far_from_the_skeleton(
    seed: int, angle: float, aside: float, farther: float, shake_m: float
) -> None:
    rng = np.random.default_rng(seed)
    joints = turned(standing(), angle) + rng.normal(np.array([aside, 0, farther]), shake_m, (25, 3))
    pixels = VIEW.project(joints)
    near = np.zeros((HEIGHT, WIDTH), np.uint8)
    for child, parent in NTU25.bones:
        a, b = pixels[[child, parent]].round().astype(int).tolist()
        reach = 0.32 * VIEW.focal_px / joints[:, 2].min()  # hair, the thickest trunk and the longest foot
        cv2.line(near, a, b, 255, thickness=2 * int(np.ceil(reach)) + 1)
    assert not (painted(joints, Look.random(rng)) & (near == 0)).any()


@pytest.mark.parametrize("angle", np.linspace(0, 2 * np.pi, 7)[:-1])
def test_limbs_and_trunk_are_covered(angle: float) -> None:
    joints = turned(standing(), float(angle))
    mask = painted(joints)
    for child, parent in NTU25.bones:
        names = NTU25.joints[child], NTU25.joints[parent]
        if not any("Thumb" in n or "Tip" in n for n in names):
            assert mask[pixel(joints, *names)], names


def test_a_missing_joint_hides_its_limbs_and_no_others() -> None:
    for unknown in (np.nan, np.inf, 0.0):
        joints = standing()
        joints[NTU25.index("WristLeft")] = unknown
        mask = painted(joints)
        assert not mask[pixel(standing(), "ElbowLeft", "WristLeft")]
        assert mask[pixel(standing(), "ElbowRight", "WristRight")]
        assert mask[pixel(standing(), "ShoulderLeft", "ElbowLeft")]


@given(st.lists(st.booleans(), min_size=25, max_size=25))
@settings(max_examples=40, deadline=None)
def test_any_joints_may_be_missing(missing: list[bool]) -> None:
    joints = standing()
    whole = painted(joints)
    joints[np.array(missing)] = np.nan
    mask = painted(joints)
    # What is left of a person lies about where the whole one is: the direction of a foot or a face may have changed.
    margin = cv2.dilate(whole.astype(np.uint8), np.ones((41, 41), np.uint8)).astype(bool)
    assert not (mask & ~margin).any()


@pytest.mark.parametrize(
    "joints",
    [np.zeros((25, 3)), np.full((25, 3), np.nan), standing() - [0, 0, 5], standing() - [50, 0, 0]],
    ids=["zero", "unknown", "behind", "aside"],
)
def test_nobody_is_drawn(joints: NDArray[np.floating]) -> None:
    assert not painted(joints).any()


def test_a_zero_joint_is_missing_wherever_the_camera_stands() -> None:
    joints = standing()
    joints[NTU25.index("HandRight")] = joints[NTU25.index("ElbowRight")] = 0
    view = View(width=WIDTH, height=HEIGHT, position=(0, 0, -2))
    whole = painted(standing(), view=view)
    assert not (painted(joints, view=view) & ~whole).any()


def test_very_near_and_very_far_people() -> None:
    def at(distance: float) -> NDArray[np.floating]:
        return np.asarray(standing() - np.array([0, 0, 2.6 - distance]))

    assert not painted(at(0.4)).any()
    for distance in (0.5, 0.55, 0.6):  # the camera is amidst them: some joints are seen, or none
        assert painted(at(distance)).shape == (HEIGHT, WIDTH)
    assert painted(at(0.8)).mean() > 0.3
    rows = np.flatnonzero(painted(at(30.0)).any(axis=1))
    assert 10 <= rows[-1] - rows[0] + 1 <= 20


def test_eyes_are_seen_from_before_only() -> None:
    def whites(angle: float) -> int:
        view = View(width=640, height=480)
        backdrop = np.full((480, 640, 3), 128, np.uint8)
        look = Look(shirt=(90, 40, 40), skin=(110, 145, 195))
        image = draw_scene([(turned(standing(), angle), look)], view, backdrop)
        return int((image.min(axis=-1) > 225).sum())

    assert whites(0.0) >= 4
    assert whites(np.pi) == 0


def test_the_nearer_person_covers_the_farther() -> None:
    near, far = Look(shirt=(20, 20, 200)), Look(shirt=(200, 20, 20))
    behind = standing() + np.array([0, 0, 0.5], np.float32)
    for people in ([(standing(), near), (behind, far)], [(behind, far), (standing(), near)]):
        b, _, r = draw_scene(people, VIEW, GREY)[pixel(standing(), "SpineMid")].astype(int)
        assert r > b + 50


def test_a_hand_before_the_chest_covers_it_and_one_behind_the_back_does_not() -> None:
    look = Look(shirt=(200, 30, 30), skin=(110, 145, 195), long_sleeves=False)
    for z, seen in ((2.3, True), (2.9, False)):
        joints = standing()
        for name in ("WristLeft", "HandLeft", "HandTipLeft", "ThumbLeft"):
            joints[NTU25.index(name)] = (0.02, 0.2, z)
        joints[NTU25.index("ElbowLeft")] = (-0.25, 0.2, z)
        b, _, r = draw_scene([(joints, look)], VIEW, GREY)[pixel(joints, "WristLeft")].astype(int)
        assert (r > b) == seen


def test_the_backdrop_is_left_alone_and_must_fit() -> None:
    before = GREY.copy()
    draw_scene([(standing(), Look())], VIEW, GREY)
    np.testing.assert_array_equal(GREY, before)
    with pytest.raises(ValueError, match="the view needs"):
        draw_scene([], VIEW, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(25, 3\)"):
        draw_person(GREY.copy(), np.zeros((20, 3)), VIEW, Look())


# --- looks and backgrounds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(320, 240), (64, 48), (240, 426)])
def test_backgrounds_are_the_seeds_own(size: tuple[int, int]) -> None:
    seen = [background(seed, *size) for seed in range(8)]
    for seed, image in enumerate(seen):
        assert image.shape == (size[1], size[0], 3) and image.dtype == np.uint8
        np.testing.assert_array_equal(image, background(seed, *size))
    assert len({image.tobytes() for image in seen}) == len(seen)


def test_looks_differ_and_repeat() -> None:
    looks = [Look.random(np.random.default_rng(seed)) for seed in range(20)]
    assert looks == [Look.random(np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(looks)) == len(looks)


# --- the purpose -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_pose_estimator_finds_the_drawn_person(seed: int) -> None:
    try:
        ensure_pose_model("lite")
    except RuntimeError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(seed)
    joints = standing()
    view = View.framing(joints, width=640, height=480)
    image = draw_scene([(joints, Look.random(rng))], view, background(seed, 640, 480))
    with PoseEstimator() as estimator:
        people = estimator.estimate(Frame(camera="drawn", t=0.0, captured_at=0.0, seq=0, image=image))
    assert len(people.image) == 1
    drawn = view.project(joints)
    tall = drawn[:, 1].max() - drawn[:, 1].min()
    for part in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"):
        for side in ("Left", "Right"):
            found = people.image[0, BLAZEPOSE33.index(part + side), :2]
            assert np.linalg.norm(found - drawn[NTU25.index(part + side)]) < 0.1 * tall, part + side
