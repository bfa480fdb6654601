"""Joint layouts: every conversion keeps left left, unknown unknown, and a person the shape of a person."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import LAYOUTS, NTU25, Layout, mirror_ntu25, to_ntu25

every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())


def side(joint: str) -> int:
    """-1 for a left joint, 1 for a right one, 0 for the middle, from the name alone."""
    if joint in {"root", "joint_Root"} or (joint.startswith(("lower", "Lower")) and not joint.endswith(("_L", "_R"))):
        return 0
    if "Left" in joint or joint.endswith("_L") or joint[0] == "l":
        return -1
    return 1 if "Right" in joint or joint.endswith("_R") or joint[0] == "r" else 0


def random_joints(layout: Layout, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(4, len(layout), 3)).astype(np.float32)


@every_layout
def test_left_stays_left(layout: Layout) -> None:
    joints = np.zeros((len(layout), 3), np.float32)
    joints[:, 0] = [side(name) for name in layout.joints]
    converted = to_ntu25(joints, layout)
    assert [round(float(x), 5) for x in converted[:, 0]] == [side(name) for name in NTU25.joints]


@every_layout
def test_a_mirror_is_an_involution_and_swaps_sides(layout: Layout) -> None:
    for i, j in enumerate(layout.mirror):
        assert layout.mirror[j] == i
        assert side(layout.joints[j]) == -side(layout.joints[i])


@every_layout
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.tuples(*[st.floats(-3, 3, width=32)] * 3))
def test_conversion_moves_and_mirrors_with_the_person(layout: Layout, seed: int, shift: tuple[float, ...]) -> None:
    joints = random_joints(layout, seed)
    moved = joints + np.array(shift, np.float32)
    np.testing.assert_allclose(
        to_ntu25(moved, layout), to_ntu25(joints, layout) + np.array(shift, np.float32), atol=2e-5
    )
    mirrored = joints[:, list(layout.mirror)] * np.array([-1, 1, 1], np.float32)
    np.testing.assert_allclose(to_ntu25(mirrored, layout), mirror_ntu25(to_ntu25(joints, layout)), atol=2e-5)


@given(seed=st.integers(0, 10_000))
def test_mirrored_twice_is_the_same(seed: int) -> None:
    joints = random_joints(NTU25, seed)
    assert not np.array_equal(mirror_ntu25(joints), joints)
    np.testing.assert_array_equal(mirror_ntu25(mirror_ntu25(joints)), joints)


def test_ntu25_is_itself() -> None:
    joints = random_joints(NTU25, 0)
    np.testing.assert_array_equal(to_ntu25(joints, NTU25), joints)


@every_layout
def test_unknown_stays_unknown(layout: Layout) -> None:
    joints = random_joints(layout, 1)
    known = to_ntu25(joints, layout)
    assert known.shape == (4, 25, 3) and known.dtype == np.float32 and np.isfinite(known).all()
    for i in range(len(layout)):
        holed = joints.copy()
        holed[:, i] = np.nan
        converted = to_ntu25(holed, layout)
        lost = np.isnan(converted)
        np.testing.assert_array_equal(converted[~lost], known[~lost])  # nothing is made up in its place
        other = joints.copy()
        other[:, i] += 1
        np.testing.assert_array_equal((to_ntu25(other, layout) != known).any(-1), lost.any(-1))
    assert np.isnan(to_ntu25(np.full_like(joints, np.nan), layout)).all()


# Somebody 1.75 m tall who stands 3 m away and faces the camera; metres, the left half. The right one mirrors it.
LEFT_HALF = {
    "Shoulder": (-0.18, 0.45, 3.0), "Elbow": (-0.25, 0.17, 3.0), "Wrist": (-0.27, -0.08, 2.97),
    "Hand": (-0.27, -0.16, 2.95), "Hip": (-0.09, -0.03, 3.0), "Knee": (-0.1, -0.45, 3.0), "Ankle": (-0.1, -0.86, 3.03),
    "Foot": (-0.11, -0.92, 2.88), "Heel": (-0.1, -0.92, 3.07), "Ear": (-0.075, 0.66, 3.0), "Eye": (-0.03, 0.69, 2.91),
    "EyeInner": (-0.02, 0.69, 2.91), "EyeOuter": (-0.04, 0.69, 2.92), "Mouth": (-0.03, 0.61, 2.91),
    "Pinky": (-0.29, -0.17, 2.95), "Index": (-0.26, -0.18, 2.94), "Thumb": (-0.25, -0.13, 2.93),
}  # fmt: skip
MIDDLE = {
    "Nose": (0, 0.65, 2.9), "HipCenter": (0, 0, 3), "Spine": (0, 0.22, 3), "ShoulderCenter": (0, 0.48, 3),
    "Head": (0, 0.68, 2.98), "Neck": (0, 0.5, 3), "Torso": (0, 0.22, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", ["kinect20", "blazepose33", "coco17", "sbu15"])
def test_a_person_keeps_a_persons_shape(name: str) -> None:
    def place(joint: str) -> tuple[float, ...]:
        if joint in MIDDLE:
            return MIDDLE[joint]
        x, y, z = LEFT_HALF[joint.removesuffix("Left").removesuffix("Right")]
        return (x if joint.endswith("Left") else -x, y, z)

    layout = LAYOUTS[name]
    body = to_ntu25(np.array([place(joint) for joint in layout.joints], np.float32), layout)
    at = {joint: body[i] for i, joint in enumerate(NTU25.joints)}

    def length(a: str, b: str) -> float:
        return float(np.linalg.norm(at[a] - at[b]))

    assert 0.4 < length("SpineBase", "SpineShoulder") < 0.6
    assert at["SpineBase"][1] < at["SpineMid"][1] < at["SpineShoulder"][1] < at["Neck"][1] < at["Head"][1]
    for hand in ("Left", "Right"):
        assert 0.2 < length(f"Shoulder{hand}", f"Elbow{hand}") < 0.4
        assert 0.15 < length(f"Elbow{hand}", f"Wrist{hand}") < 0.35
        assert 0.02 < length(f"Wrist{hand}", f"Hand{hand}") < 0.15
        assert length(f"Wrist{hand}", f"HandTip{hand}") > length(f"Wrist{hand}", f"Hand{hand}")
        assert 0.3 < length(f"Hip{hand}", f"Knee{hand}") < 0.55
        assert 0.3 < length(f"Knee{hand}", f"Ankle{hand}") < 0.55
    assert max(length(NTU25.joints[a], NTU25.joints[b]) for a, b in NTU25.bones) < 0.55
    np.testing.assert_allclose(mirror_ntu25(body), body, atol=1e-6)  # they stand straight


def test_wrong_shapes_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"coco17 .* \(\.\.\., 17, 3\)"):
        to_ntu25(np.zeros((5, 25, 3), np.float32), LAYOUTS["coco17"])
    with pytest.raises(ValueError, match="no joint 'Tail'"):
        NTU25.index("Tail")
