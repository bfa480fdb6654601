"""Tracking: lifting against a projection, identities that survive crossing and absence, smoothing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import BLAZEPOSE33, NTU25
from skelstream.stream.lift import ASSUMED_VIEW_DEGREES, focal_length_px, lift
from skelstream.stream.track import OneEuro, Tracker
from skelstream.stream.wire import People

SIZE = (1280, 720)


def figure() -> NDArray[np.float32]:
    """A person who faces the camera, as BlazePose's world landmarks (33, 3): x right, y down, z away, metres."""
    at = dict.fromkeys(BLAZEPOSE33.joints, (0.0, -0.65, -0.05))
    for side, s in (("Left", 1), ("Right", -1)):  # the left side of somebody who faces us is at the right
        at |= {
            f"Shoulder{side}": (0.18 * s, -0.5, 0), f"Elbow{side}": (0.24 * s, -0.25, 0),
            f"Wrist{side}": (0.26 * s, 0, -0.1), f"Index{side}": (0.26 * s, 0.08, -0.1),
            f"Pinky{side}": (0.28 * s, 0.07, -0.1), f"Thumb{side}": (0.24 * s, 0.05, -0.12),
            f"Hip{side}": (0.1 * s, 0, 0), f"Knee{side}": (0.11 * s, 0.42, -0.02), f"Ankle{side}": (0.11 * s, 0.82, 0),
            f"Heel{side}": (0.11 * s, 0.86, 0.05), f"Foot{side}": (0.12 * s, 0.88, -0.12),
            f"Ear{side}": (0.08 * s, -0.65, 0.03),
        }  # fmt: skip
    return np.array([at[name] for name in BLAZEPOSE33.joints], np.float32)


def seen(place: tuple[float, float, float]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(image (33, 3), world (33, 3)) of the figure standing at `place`, right, down and away from the camera."""
    focal = SIZE[0] / 2 / math.tan(math.radians(ASSUMED_VIEW_DEGREES) / 2)
    points = figure() + np.array(place, np.float32)
    image = np.stack(
        [
            SIZE[0] / 2 + focal * points[:, 0] / points[:, 2],
            SIZE[1] / 2 + focal * points[:, 1] / points[:, 2],
            points[:, 2],
        ],
        axis=1,
    )
    return image.astype(np.float32), figure()


def people(t: float, *places: tuple[float, float, float]) -> People:
    found = [seen(place) for place in places]
    n = len(found)
    return People(
        camera="c", t=t, captured_at=0.0, seq=round(30 * t), size=SIZE,
        image=np.stack([f[0] for f in found]) if n else np.zeros((0, 33, 3), np.float32),
        world=np.stack([f[1] for f in found]) if n else np.zeros((0, 33, 3), np.float32),
        visibility=np.ones((n, 33), np.float32),
    )  # fmt: skip


@settings(deadline=None)
@given(x=st.floats(-1.5, 1.5), y=st.floats(-0.5, 0.5), z=st.floats(1.2, 6))
def test_a_person_is_lifted_to_where_they_stand(x: float, y: float, z: float) -> None:
    image, world = seen((x, y, z))
    person = lift(image, world, np.ones(33, np.float32), SIZE)
    hips = person.joints[[NTU25.index("HipLeft"), NTU25.index("HipRight")]].mean(axis=0)
    # Kinect camera space: x to the camera's left, y up.
    np.testing.assert_allclose(hips, [-x, -y, z], atol=0.01)
    left, right = (person.joints[NTU25.index(f"Shoulder{side}")] for side in ("Left", "Right"))
    assert left[0] < right[0]
    assert person.pixels[NTU25.index("ShoulderLeft"), 0] > person.pixels[NTU25.index("ShoulderRight"), 0]
    assert person.joints[NTU25.index("Head"), 1] > person.joints[NTU25.index("FootLeft"), 1]


def test_a_joint_is_as_sure_as_the_landmarks_it_comes_from() -> None:
    image, world = seen((0, 0, 3))
    visibility = np.ones(33, np.float32)
    visibility[BLAZEPOSE33.index("WristLeft")] = 0.1
    confidence = lift(image, world, visibility, SIZE).confidence
    assert confidence[NTU25.index("WristLeft")] == pytest.approx(0.1)
    assert confidence[NTU25.index("WristRight")] == pytest.approx(1.0)


def test_focal_length_spans_the_longer_side_of_a_portrait_too() -> None:
    assert focal_length_px((720, 1280)) == focal_length_px((1280, 720))


def test_two_who_cross_keep_their_names() -> None:
    tracker = Tracker()
    first = tracker.push(people(0.0, (-1.0, 0, 3.0), (1.0, 0, 3.6)))
    left, right = first.ids
    for i in range(1, 61):
        x = -1.0 + 2.0 * i / 60
        order = [(x, 0.0, 3.0), (-x, 0.0, 3.6)]
        result = tracker.push(people(i / 30, *(order if i % 2 else order[::-1])))
        ids = result.ids if i % 2 else result.ids[::-1]
    assert ids == (left, right)


def test_a_short_absence_keeps_the_name_and_a_long_one_ends_it() -> None:
    tracker = Tracker()
    (name,) = tracker.push(people(0.0, (0, 0, 3))).ids
    assert tracker.push(people(0.3)).ended == ()
    assert tracker.push(people(0.6, (0.1, 0, 3))).ids == (name,)
    assert tracker.push(people(1.0)).ended == ()
    assert tracker.push(people(1.5)).ended == (name,)
    assert tracker.push(people(1.6, (0.1, 0, 3))).ids != (name,)


def test_a_body_that_was_found_twice_is_one_person() -> None:
    assert len(Tracker().push(people(0.0, (0, 0, 3), (0.02, 0, 3), (1.2, 0, 3))).ids) == 2


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
