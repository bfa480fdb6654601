"""Several followed at once: each by a landmarker of their own, nobody twice, and somebody new soon.

In place of MediaPipe's landmarker stands one that sees pillars of a colour as people: it follows the one nearest to
where it last saw one, and where that is gone it takes the first it finds. Like MediaPipe's it refuses a stamp that does
not grow.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from skelstream.encoder.layout import BLAZEPOSE33
from skelstream.stream.follow import LOOK_EVERY_MS, Followers
from skelstream.stream.wire import U8

SIZE = (640, 480)
# A figure of 200 pixels about the middle of its trunk: x and y of each landmark.
HEIGHTS = {"Hip": 35, "Knee": 75, "Ankle": 110, "Shoulder": -35}


def figure() -> np.ndarray:
    at = np.tile([0.0, -60.0], (33, 1))
    for side, sign in (("Left", 1), ("Right", -1)):
        for part, y in HEIGHTS.items():
            at[BLAZEPOSE33.index(f"{part}{side}")] = (12 * sign, y)
    return at


class Landmarker:
    def __init__(self) -> None:
        self.last: float | None = None
        self.stamp = -1
        self.calls = 0

    def __call__(self, picture: U8, stamp: int) -> Any:
        assert stamp > self.stamp, "a stamp must grow"
        self.stamp, self.calls = stamp, self.calls + 1
        row = (picture[240] == [0, 0, 255]).all(axis=1).astype(int)  # the pillars' pixels at the height of the trunk
        starts = np.flatnonzero(np.diff(np.concatenate([[0], row])) == 1)
        ends = np.flatnonzero(np.diff(np.concatenate([row, [0]])) == -1)
        middles = (starts + ends) / 2
        if self.last is not None:
            middles = middles[np.abs(middles - self.last) < 40]
        self.last = None if not len(middles) else float(middles[np.abs(middles - (self.last or 0)).argmin()])
        if self.last is None:
            return SimpleNamespace(pose_landmarks=[], pose_world_landmarks=[])
        marks = [
            SimpleNamespace(x=(self.last + x) / SIZE[0], y=(240 + y) / SIZE[1], visibility=1.0) for x, y in figure()
        ]
        return SimpleNamespace(pose_landmarks=[marks], pose_world_landmarks=[marks])


def picture(*places: float) -> U8:
    image = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
    for x in places:
        image[160:360, int(x) - 15 : int(x) + 15] = (0, 0, 255)
    return image


def places(followers: Followers, at_ms: int, *people: float) -> list[float]:
    return sorted(float(found.marks_px[:, 0].mean()) for found in followers.look(picture(*people), at_ms))


@pytest.fixture
def landmarkers() -> list[Landmarker]:
    return [Landmarker() for _ in range(3)]


@pytest.fixture
def followers(landmarkers: list[Landmarker]) -> Followers:
    return Followers(landmarkers, lambda rgb: rgb)


def test_everybody_is_found_once_within_a_few_frames_and_followed(followers: Followers) -> None:
    for i in range(30):
        people = (100 + 3 * i, 300 + 2 * i, 520 - 2 * i)
        found = places(followers, 33 * i, *people)
        assert len(found) == min(i + 1, 3)
    assert found == pytest.approx(sorted(people), abs=2)


def test_somebody_new_is_found_within_the_time_between_two_looks(followers: Followers) -> None:
    for i in range(10):
        assert len(places(followers, 33 * i, 100)) == 1
    came = 33 * 10
    seen = [len(places(followers, came + 33 * i, 100, 500)) for i in range(2 + LOOK_EVERY_MS // 33)]
    assert seen[-1] == 2


def test_who_leaves_is_gone_at_once_and_the_landmarker_is_free_for_another(followers: Followers) -> None:
    for i in range(5):
        places(followers, 33 * i, 100, 300, 500)
    assert places(followers, 33 * 5, 100, 300) == pytest.approx([100, 300], abs=2)
    for i in range(6, 16):
        found = places(followers, 33 * i, 100, 300, 620)
    assert found == pytest.approx([100, 300, 620], abs=2)


def test_two_who_meet_on_one_body_are_one_and_part_again(followers: Followers) -> None:
    for i in range(60):
        apart = abs(30 - i) * 6
        found = places(followers, 33 * i, 320 - apart, 320 + apart)
        assert len(found) == len(set(found)) <= 2
        if apart < 10:
            assert len(found) == 1
    assert len(found) == 2


def test_a_lone_person_costs_one_look_a_frame_and_a_few_a_second_for_others(
    followers: Followers, landmarkers: list[Landmarker]
) -> None:
    for i in range(60):
        places(followers, 33 * i, 320)
    assert (
        60 + 60 * 33 // LOOK_EVERY_MS - 2 <= sum(one.calls for one in landmarkers) <= 60 + 60 * 33 // LOOK_EVERY_MS + 2
    )
    alone = Landmarker()
    only = Followers([alone], lambda rgb: rgb)
    for i in range(60):
        places(only, 33 * i, 320)
    assert alone.calls == 60
