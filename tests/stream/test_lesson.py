"""Lessons: every showing is found by itself, and what cannot work is refused in a line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from skelstream.encoder.clock import HZ
from skelstream.encoder.layout import NTU25
from skelstream.stream.lesson import Lesson
from skelstream.stream.showing import LONGEST, Showing
from skelstream.stream.wire import Tracks

from .shown import Shown, shown

JOINTS = NDArray[np.float32]


def tracks(t: float, people: dict[int, JOINTS], camera: str = "door") -> Tracks:
    count = len(people)
    return Tracks(
        camera=camera, t=t, captured_at=0.0, seq=round(t * HZ), size=(640, 480), ids=tuple(people),
        joints=np.stack([*people.values()]) if people else np.zeros((0, 25, 3), np.float32),
        pixels=np.zeros((count, 25, 2), np.float32), confidence=np.ones((count, 25), np.float32),
    )  # fmt: skip


def taught(
    lesson: Lesson, scene: Shown, change: Callable[[JOINTS], JOINTS] = lambda joints: joints, hz: float = HZ
) -> None:  # fmt: skip
    """The scene as a camera of `hz` frames a second sees it."""
    for i in range(int(len(scene.joints_TVC) / HZ * hz)):
        if lesson.over:
            return
        lesson.push(tracks(i / hz, {3: change(scene.joints_TVC[int(i / hz * HZ)].astype(np.float32))}))


@pytest.mark.parametrize("movement", ["circle", "wings", "bow"])
@pytest.mark.parametrize("hz", [30.0, 15.0])
def test_each_showing_is_found(movement: str, hz: float) -> None:
    scene = shown([movement] * 5)
    lesson = Lesson(movement, shots=5)
    ends: list[float] = []
    for i in range(int(len(scene.joints_TVC) / HZ * hz)):
        lesson.push(tracks(i / hz, {3: scene.joints_TVC[int(i / hz * HZ)].astype(np.float32)}))
        if lesson.shown > len(ends):
            ends.append(i / hz)
    assert (lesson.phase, lesson.shown) == ("learning", 5)
    for showing, (_, first, last), end in zip(lesson.showings, scene.spans, ends, strict=True):
        length, true = showing.last - showing.first + 1, last - first
        assert 0.6 * true <= length <= 1.2 * true
        assert last / HZ - 0.5 <= end <= last / HZ + 1.0  # it is told soon after the movement
        assert showing.first >= 30  # with the rest before it


def test_trembling_is_no_movement() -> None:
    rng = np.random.default_rng(0)
    scene = shown([], first_s=8.0)
    lesson = Lesson("x", shots=1)
    taught(lesson, scene, lambda joints: joints + rng.normal(0, 0.012, joints.shape).astype(np.float32))
    assert (lesson.phase, lesson.shown) == ("show it", 0)


def test_what_takes_too_long_is_refused_and_the_lesson_goes_on_until_it_is_hopeless() -> None:
    """Waving lasts longer than a showing may: it is refused, twice with a line, and the third time for good."""
    scene = shown(["circle"])
    still = scene.joints_TVC[20].astype(np.float32)
    lesson = Lesson("x", shots=1)
    said: list[str] = []
    t = 0.0
    while not lesson.over and t < 120:
        moving = (t % 12) > 4
        joints = still.copy()
        if moving:
            joints[NTU25.index("WristRight"), 1] += 0.5 + 0.3 * np.sin(6 * t)
        lesson.push(tracks(t, {1: joints}))
        if not said or lesson.message != said[-1]:
            said.append(lesson.message)
        t += 1 / HZ
    refused = [line for line in said if "longer than 4 s" in line]
    assert lesson.phase == "failed" and len(refused) == 3
    assert "\n" not in lesson.message


@pytest.mark.parametrize(
    ("people", "told"),
    [
        (lambda joints: {}, "nobody is seen"),
        (lambda joints: {1: np.where(np.isin(np.arange(25), [0, 1, 2, 3, 20])[:, None], joints, 0)}, "too little"),
    ],
)
def test_whoever_is_not_seen_is_told_so(people: Callable[[JOINTS], dict[int, JOINTS]], told: str) -> None:
    still = shown([]).joints_TVC[20].astype(np.float32)
    lesson = Lesson("x", shots=2)
    for i in range(int(25 * HZ)):
        lesson.push(tracks(i / HZ, people(still)))
    assert lesson.phase == "failed"
    assert told in lesson.message


def test_nothing_shown_fails_in_a_line() -> None:
    still = shown([]).joints_TVC[20].astype(np.float32)
    lesson = Lesson("x", shots=2)
    for i in range(int(40 * HZ)):
        lesson.push(tracks(i / HZ, {1: still}))
    assert lesson.phase == "failed" and "nothing was shown" in lesson.message


def test_the_nearest_person_shows_and_another_camera_is_not_heeded() -> None:
    scene = shown(["circle"])
    lesson = Lesson("x", shots=1)
    away = np.array([0.5, 0, 2.0], np.float32)
    for i, joints in enumerate(scene.joints_TVC.astype(np.float32)):
        lesson.push(tracks(i / HZ, {7: scene.joints_TVC[0].astype(np.float32) + away, 8: joints}))
        lesson.push(tracks(i / HZ, {8: joints + 9}, camera="window"))
    assert (lesson.track, lesson.camera, lesson.shown) == (8, "door", 1)


def test_again_throws_the_last_one_away() -> None:
    scene = shown(["circle", "circle", "wings"])
    lesson = Lesson("x", shots=2)
    thrown = False
    for i, joints in enumerate(scene.joints_TVC.astype(np.float32)):
        lesson.push(tracks(i / HZ, {1: joints}))
        if lesson.shown == 1 and not thrown and i > scene.spans[0][2]:
            first = lesson.showings[0]
            lesson.again()
            thrown = True
            assert lesson.shown == 0 and lesson.phase == "get ready"
    assert lesson.phase == "learning" and lesson.showings[0] is not first


def test_a_showing_is_sound_or_none() -> None:
    joints = np.zeros((10, 25, 3), np.float32)
    for first, last in ((-1, 5), (6, 5), (0, 10)):
        with pytest.raises(ValueError, match="does not lie within"):
            Showing(joints_TVC=joints, first=first, last=last)
    with pytest.raises(ValueError, match="is none"):
        Showing(joints_TVC=np.full((10, 25, 3), np.nan, np.float32), first=0, last=5)


def test_variants_of_a_showing_are_the_same_movement_slower_and_faster() -> None:
    scene = shown(["circle"])
    _, first, last = scene.spans[0]
    showing = Showing(joints_TVC=scene.joints_TVC.astype(np.float32), first=first, last=last)
    same, slower, faster = showing.varied()
    np.testing.assert_array_equal(same.joints_TVC, showing.joints_TVC)
    assert faster.last - faster.first < last - first < slower.last - slower.first <= LONGEST

    def reach(one: Showing) -> float:  # of the right wrist from the hips, whatever way the person is turned
        wrist, hips = one.joints_TVC[:, NTU25.index("WristRight")], one.joints_TVC[:, 0]
        return float(np.linalg.norm(wrist - hips, axis=-1)[one.first : one.last].max())

    assert reach(slower) == pytest.approx(reach(same), abs=0.03)
    assert reach(faster) == pytest.approx(reach(same), abs=0.03)
