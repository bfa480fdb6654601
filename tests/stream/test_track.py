"""Tracking: lifting against a projection, identities that survive crossing and absence."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import BLAZEPOSE33, NTU25
from skelstream.stream.lift import ASSUMED_VIEW_DEGREES, focal_length_px, lift
from skelstream.stream.track import Tracker
from skelstream.stream.wire import People

SIZE = (1280, 720)
SURE = np.ones(33, np.float32)


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
        visibility=np.ones((n, 33), np.float32), presence=np.ones((n, 33), np.float32),
    )  # fmt: skip


@settings(deadline=None)
@given(aside=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5), z=st.floats(1.2, 6))
def test_a_person_is_lifted_to_where_they_stand(aside: float, y: float, z: float) -> None:
    x = aside * z  # within the picture, which shows 30 degrees to either side
    image, world = seen((x, y, z))
    person = lift(image, world, SURE, SURE, SIZE)
    hips = person.joints[[NTU25.index("HipLeft"), NTU25.index("HipRight")]].mean(axis=0)
    # Kinect camera space: x to the camera's left, y up.
    np.testing.assert_allclose(hips, [-x, -y, z], atol=0.01)
    left, right = (person.joints[NTU25.index(f"Shoulder{side}")] for side in ("Left", "Right"))
    assert left[0] < right[0]
    assert person.pixels[NTU25.index("ShoulderLeft"), 0] > person.pixels[NTU25.index("ShoulderRight"), 0]
    assert person.joints[NTU25.index("Head"), 1] > person.joints[NTU25.index("FootLeft"), 1]


def test_a_joint_is_as_sure_as_the_landmarks_it_comes_from() -> None:
    image, world = seen((0, 0, 3))
    doubtful = SURE.copy()
    doubtful[BLAZEPOSE33.index("WristLeft")] = 0.1
    doubtful[BLAZEPOSE33.index("HipRight")] = 0.2
    person = lift(image, world, doubtful, SURE, SIZE)
    at = dict(zip(NTU25.joints, person.confidence.tolist(), strict=True))
    assert {name for name, sure in at.items() if sure == pytest.approx(0.1)} == {"WristLeft", "HandTipLeft"}
    # SpineShoulder only leans on the hips: who sits at a desk has one.
    assert {name for name, sure in at.items() if sure == pytest.approx(0.2)} == {"HipRight", "SpineBase", "SpineMid"}
    assert all(sure in (pytest.approx(0.1), pytest.approx(0.2), 1.0) for sure in at.values())
    # Hidden is not gone: what is present and dimly visible is seen.
    assert person.sight.min() == pytest.approx(0.3)


def test_what_lies_beyond_the_edge_is_not_seen_and_does_not_move_the_rest() -> None:
    image, world = seen((0, 0.6, 2.0))
    below = image[:, 1] > SIZE[1]
    assert {"KneeLeft", "KneeRight", "AnkleLeft"} <= {BLAZEPOSE33.joints[i] for i in np.flatnonzero(below)}
    true = lift(image, world, SURE, SURE, SIZE)
    invented = image + np.where(below[:, None], [[150.0, 200.0, 0.0]], 0).astype(np.float32)
    person = lift(invented, world, SURE, SURE, SIZE)
    np.testing.assert_array_equal(person.sight > 0, true.pixels[:, 1] <= SIZE[1])
    np.testing.assert_allclose(person.joints, true.joints, atol=0.01)
    nobody = lift(image, world, SURE, np.zeros(33, np.float32), SIZE)
    assert np.isfinite(nobody.joints).all() and not nobody.sight.any()


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
    assert tracker.push(people(2.0)).ended == ()


@pytest.mark.parametrize(("comes_back_s", "same"), [(2.5, True), (10.0, False)])
def test_who_has_left_is_known_again_for_some_seconds_and_then_is_somebody_new(comes_back_s: float, same: bool) -> None:
    tracker = Tracker()
    for i in range(31):  # out of the picture to the left, whose edge is 1.7 m from the middle there
        ids = tracker.push(people(i / 30, (-1.0 - 0.7 * i / 30, 0, 3))).ids
    gone = [tracker.push(people(1 + i / 30)).ended for i in range(1, round(30 * comes_back_s))]
    assert gone.count(ids) == 1
    assert gone.index(ids) / 30 < 0.8
    again = tracker.push(people(1 + comes_back_s, (-1.6, 0, 3.1)))
    assert len(again.ids) == 1
    assert (again.ids == ids) is same
    assert again.ended == ()


def test_a_child_does_not_come_back_as_the_man_who_left() -> None:
    tracker = Tracker()
    (name,) = tracker.push(people(0.0, (0, 0, 2))).ids
    for i in range(1, 40):
        tracker.push(people(i / 30))
    assert tracker.push(people(40 / 30, (0, 0, 5))).ids != (name,)


def walk_behind(hidden_s: float, *, back: bool) -> tuple[list[tuple[int, ...]], set[int]]:
    """Somebody stands at 2 m; somebody at 4 m walks up behind them at 1 m/s and is not seen there, and walks on, or
    back: the names of those who were found, frame by frame, and of those who ended."""
    tracker, told, ended = Tracker(), [], set()
    arrives = 1.2 / 1.0
    for i in range(round(30 * (2 * arrives + hidden_s))):
        t = i / 30
        since = t - arrives - hidden_s
        there = t < arrives or since > 0
        x = -1.4 + t if t < arrives else (-0.2 - since if back else 0.2 + since)
        tracks = tracker.push(people(t, (0.0, 0, 2.0), *([(x, 0.0, 4.0)] if there else [])))
        told.append(tracks.ids)
        ended |= set(tracks.ended)
    return told, ended


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("hidden_s", [0.3, 1.0, 2.0])
def test_somebody_behind_somebody_nearer_is_waited_for(hidden_s: float, back: bool) -> None:
    told, ended = walk_behind(hidden_s, back=back)
    assert told[0] == told[-1] and len(told[0]) == 2
    assert {name for ids in told for name in ids} == set(told[0])
    assert not ended


def test_but_not_for_ever() -> None:
    told, ended = walk_behind(4.0, back=False)
    assert ended == {told[0][1]}


def test_a_ghost_beside_somebody_is_not_told_of_and_somebody_new_soon_is() -> None:
    tracker = Tracker()
    names = [tracker.push(people(i / 30, (0, 0, 3), *([(1, 0, 3)] if i in (10, 11) else []))).ids for i in range(20)]
    assert set(names) == {names[0]}
    for i in range(20, 26):
        ids = tracker.push(people(i / 30, (0, 0, 3), (1, 0, 3))).ids
    assert len(ids) == 2 and names[0][0] in ids


PLACES = st.lists(st.tuples(st.floats(-1.5, 1.5), st.just(0.0), st.floats(1.5, 6.0)), max_size=6)


@settings(deadline=None, max_examples=50)
@given(st.lists(PLACES, max_size=8), st.floats(0.02, 1.0))
def test_whatever_is_found_a_name_is_borne_once_and_ends_when_it_is_not(
    scene: list[list[tuple[float, float, float]]], step_s: float
) -> None:
    tracker, here = Tracker(), set[int]()
    for i, places in enumerate(scene):
        tracks = tracker.push(people(i * step_s, *places))
        assert len(set(tracks.ids)) == len(tracks.ids) <= len(places)
        assert tracks.joints.shape == (len(tracks.ids), 25, 3)
        here |= set(tracks.ids)
        assert set(tracks.ended) <= here - set(tracks.ids)
        here -= set(tracks.ended)


def test_a_body_that_was_found_twice_is_one_person() -> None:
    assert len(Tracker().push(people(0.0, (0, 0, 3), (0.02, 0, 3), (1.2, 0, 3))).ids) == 2
