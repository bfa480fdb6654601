"""Drawn scenes of several people: what is said of them is what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from skelstream.stream.draw import draw_scene
from skelstream.stream.scenes import SCENES, TRUNK, draw_up, recorded


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_its_seeds_and_goes_from_beginning_to_end(name: str) -> None:
    scene, again, other = draw_up(name, 1), draw_up(name, 1), draw_up(name, 2)
    joints = np.array([scene.poses(t) for t in np.linspace(0, scene.duration_s, 40)])
    assert joints.shape == (40, len(scene.looks), 25, 3)
    assert np.isfinite(joints).all()
    np.testing.assert_array_equal(joints[20], again.poses(np.linspace(0, scene.duration_s, 40)[20]))
    assert not np.array_equal(joints[20], other.poses(np.linspace(0, scene.duration_s, 40)[20]))
    assert scene.picture(0.0).shape == (480, 640, 3)
    # Nobody slides or jumps: a thirtieth of a second moves the trunk by a step at most.
    t = np.arange(0, scene.duration_s, 1 / 30)
    root = np.array([[person[0] for person in scene.poses(at)] for at in t])
    assert np.linalg.norm(np.diff(root, axis=0), axis=-1).max() < 0.1


@pytest.mark.parametrize(("name", "hidden"), [("hidden", 1), ("turning-back", 1), ("three-cross", 2)])
def test_the_far_one_is_wholly_hidden_for_a_while_and_the_near_one_never(name: str, hidden: int) -> None:
    scene = draw_up(name, 2)
    seen = np.array([[p.trunk_visible for p in scene.people(t)] for t in np.arange(0, scene.duration_s, 0.2)])
    assert (seen[:, 0] > 0.6).all()
    assert 0.4 <= 0.2 * (seen[:, hidden] < 0.5).sum() <= 3.0
    assert seen[:, hidden].min() == 0
    assert seen[0, hidden] == seen[-1, hidden] == 1.0


@pytest.mark.parametrize(("name", "least_s", "most_s"), [("leaving-2s", 1.2, 4.0), ("leaving-10s", 8.0, 13.0)])
def test_who_leaves_is_away_for_as_long_as_the_name_says(name: str, least_s: float, most_s: float) -> None:
    scene = draw_up(name, 2)
    away = [scene.people(t)[1].visible == 0 for t in np.arange(0, scene.duration_s, 0.2)]
    assert least_s <= 0.2 * sum(away) <= most_s
    assert not away[0] and not away[-1]


def test_the_pixels_of_the_truth_lie_on_the_drawn_people() -> None:
    scene = draw_up("shoulder-to-shoulder", 3)
    picture, people = scene.picture(4.0).astype(int), scene.people(4.0)
    for person in people:
        assert person.visible > 0.8
        for x, y in person.pixels[list(TRUNK)].round().astype(int):
            assert np.abs(picture[y, x] - scene.backdrop[y, x]).max() > 8
    # Of somebody hidden, the picture shows the other.
    scene = draw_up("hidden", 1)
    t = next(t for t in np.arange(0, 8, 0.1) if scene.people(t)[1].trunk_visible == 0)
    near, far = scene.people(t)
    assert np.median(far.joints[:, 2]) > np.median(near.joints[:, 2]) + 0.5
    alone = draw_scene([(near.joints, scene.looks[0])], scene.view, scene.backdrop)
    x, y = far.pixels[list(TRUNK)].round().astype(int).T
    np.testing.assert_array_equal(scene.picture(t)[y, x], alone[y, x])


def test_what_everybody_does_is_known() -> None:
    scene = draw_up("shoulder-to-shoulder", 1)
    said = {who: {scene.truth(t)[who] for t in np.arange(0, scene.duration_s, 0.1)} for who in range(3)}
    assert said == {0: {"background", "wave"}, 1: {"background", "clap"}, 2: {"background", "raise_hand"}}


def test_a_recording_is_a_scene_of_its_people_while_they_are_there() -> None:
    joints = np.array([draw_up("passing", 1).poses(i / 30) for i in range(30)])
    joints[20:, 1] = 0  # the second one has gone
    scene = recorded("two", joints, 0)
    assert scene.duration_s == 1.0
    np.testing.assert_array_equal(np.array(scene.poses(10 / 30)), joints[10])
    assert [person.who for person in scene.people(10 / 30)] == [0, 1]
    assert [person.who for person in scene.people(25 / 30)] == [0]
    assert scene.people(10 / 30)[0].visible == 1.0
    assert (scene.picture(10 / 30) != scene.picture(25 / 30)).any()


def test_no_such_scene() -> None:
    with pytest.raises(ValueError, match="four-about"):
        draw_up("party", 1)
