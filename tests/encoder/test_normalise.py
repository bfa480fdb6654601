"""Normalisation: blind to where people stand and to their size, exact about who is absent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import COCO17, NTU25
from skelstream.encoder.normalise import Normalisation, normalise

BASE, SHOULDER = NTU25.index("SpineBase"), NTU25.index("SpineShoulder")
Window = NDArray[np.float32]


def window(seed: int = 0, torso_m: float = 0.5) -> Window:
    """Two people (3, 64, 25, 2): the first with a torso of the given length in every frame."""
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=0.4, size=(3, 64, 25, 2)) + rng.normal(size=(3, 1, 1, 1))
    x[:, :, SHOULDER, 0] = x[:, :, BASE, 0] + np.array([0, torso_m, 0])[:, None]
    return x.astype(np.float32)


def normal(x: Window) -> Window:
    result: Window = normalise(torch.from_numpy(x)[None], "torso")[0].numpy()
    return result


metres = st.floats(-5, 5, width=32)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.tuples(metres, metres, metres), factor=st.floats(0.4, 1.9))
def test_place_and_size_do_not_matter(seed: int, shift: tuple[float, ...], factor: float) -> None:
    x = window(seed)
    moved = factor * x + np.array(shift, np.float32)[:, None, None, None]
    np.testing.assert_allclose(normal(moved.astype(np.float32)), normal(x), atol=2e-4)


def test_the_definition_in_numpy() -> None:
    x = window(3, torso_m=0.37)
    x[:, 10:30, :, 0] = 0  # the first person is away for a while,
    x[:, 50:, :, 1] = 0  # the second leaves
    there = [t for t in range(64) if not 10 <= t < 30]
    origin = np.mean([x[:, t, BASE, 0] for t in there], axis=0)
    torso = np.mean([np.linalg.norm(x[:, t, SHOULDER, 0] - x[:, t, BASE, 0]) for t in there])
    expected = (x - origin[:, None, None, None]) * 0.5 / torso
    expected[:, 10:30, :, 0] = 0
    expected[:, 50:, :, 1] = 0
    np.testing.assert_allclose(normal(x), expected, atol=1e-5)
    assert not normal(x)[:, 10:30, :, 0].any() and not normal(x)[:, 50:, :, 1].any()


def test_a_joint_that_was_not_seen_stays_zero_and_moves_nothing() -> None:
    x = window(5)
    expected = normal(x)
    x[:, 5:40, 7, 0] = 0  # a hand
    expected[:, 5:40, 7, 0] = 0
    np.testing.assert_allclose(normal(x), expected, atol=1e-5)
    turned = normalise(torch.from_numpy(x)[None], "facing")[0].numpy()
    assert not turned[:, 5:40, 7, 0].any() and (turned[:, :5, 7, 0] != 0).all()


def test_without_hips_the_shoulders_say_where_somebody_stands() -> None:
    x = window(6)
    hips = [BASE, NTU25.index("HipLeft"), NTU25.index("HipRight")]
    x[:, :, hips, 0] = 0
    got = normal(x)
    assert not got[:, :, hips, 0].any()
    middle = x[:, :, SHOULDER, 0].mean(axis=1) - [0, 0.5, 0]  # an adult's torso below, and in metres
    np.testing.assert_allclose(got[:, :, SHOULDER, 0], x[:, :, SHOULDER, 0] - middle[:, None], atol=1e-5)
    # The side that a camera sees is then told by the shoulders alone.
    left, right = NTU25.index("ShoulderLeft"), NTU25.index("ShoulderRight")
    across = (x[:, :, left, 0] - x[:, :, right, 0]).mean(axis=1)
    turned = normalise(torch.from_numpy(x)[None], "facing")[0].numpy()
    mean = (turned[:, :, left, 0] - turned[:, :, right, 0]).mean(axis=1)
    assert mean[0] == pytest.approx(np.hypot(across[0], across[2]), rel=1e-4) and abs(mean[2]) < 1e-4


def test_hips_that_are_seen_now_and_then_are_enough_for_the_size() -> None:
    x = window(7, torso_m=0.37)
    x[:, 8:, BASE, 0] = 0
    expected = 0.5 / np.mean([np.linalg.norm(x[:, t, SHOULDER, 0] - x[:, t, BASE, 0]) for t in range(8)])
    got = normal(x)
    apart = np.linalg.norm(got[:, 60, 3, 0] - got[:, 60, 9, 0]) / np.linalg.norm(x[:, 60, 3, 0] - x[:, 60, 9, 0])
    assert apart == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("torso_m", "taken_m"), [(0.01, 0.15), (5.0, 1.0)])
def test_a_broken_torso_is_limited(torso_m: float, taken_m: float) -> None:
    got = normal(window(1, torso_m))
    torso = np.linalg.norm(got[:, 0, SHOULDER, 0] - got[:, 0, BASE, 0])
    np.testing.assert_allclose(torso, torso_m * 0.5 / taken_m, rtol=1e-4)


def test_nobody_is_nothing() -> None:
    assert not normal(np.zeros((3, 64, 25, 2), np.float32)).any()
    alone = window()
    alone[..., 0] = 0  # nobody in the first slot: the second is still finite, and the first still absent
    assert np.isfinite(normal(alone)).all() and not normal(alone)[..., 0].any()


def test_windows_of_a_batch_do_not_meet() -> None:
    batch = np.stack([window(1), window(2, 0.8), np.zeros((3, 64, 25, 2), np.float32)])
    together = normalise(torch.from_numpy(batch), "torso").numpy()
    for i in range(3):
        np.testing.assert_array_equal(together[i], normal(batch[i]))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), frame=st.integers(0, 63))
def test_so_far_is_the_whole_of_a_shorter_window(seed: int, frame: int) -> None:
    x = window(seed)
    x[:, 5:15, :, 0] = 0
    so_far = normalise(torch.from_numpy(x)[None], "torso-causal")[0].numpy()
    np.testing.assert_allclose(so_far[:, frame], normal(x[:, : frame + 1])[:, -1], atol=2e-5)


LEFT, RIGHT = ([NTU25.index(f"{joint}{side}") for joint in ("Shoulder", "Hip")] for side in ("Left", "Right"))


def facing(x: Window, scheme: Normalisation = "facing") -> Window:
    result: Window = normalise(torch.from_numpy(x)[None], scheme)[0].numpy()
    return result


def turned(x: Window, angle: float) -> Window:
    """(3, T, V, M) turned about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    result: Window = np.einsum("ij,jtvm->itvm", np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), x).astype(np.float32)
    return result


def across(x: Window) -> NDArray[np.float64]:
    """The mean direction (3,) from slot 0's right to their left."""
    direction: NDArray[np.float64] = (x[:, :, LEFT, 0].astype(float) - x[:, :, RIGHT, 0]).mean(axis=(1, 2))
    return direction


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), angle=st.floats(-np.pi, np.pi), shift=st.tuples(metres, metres, metres))
def test_nor_does_the_side_that_a_camera_sees(seed: int, angle: float, shift: tuple[float, ...]) -> None:
    x = window(seed)
    x[0, :, LEFT] += 0.5  # somebody with a left and a right, whatever the noise
    seen = turned(x, angle) + np.array(shift, np.float32)[:, None, None, None]
    np.testing.assert_allclose(facing(seen), facing(x), atol=5e-4)
    to_left = across(facing(seen))
    assert to_left[0] > 0 and abs(to_left[2]) < 1e-4  # along +x: the hips and shoulders face the camera


def test_facing_is_a_turn_of_everybody_about_the_first() -> None:
    x = window(5)
    x[:, 7:20, :, 1] = 0
    plain, faced = normal(x), facing(x)
    direction = across(plain)
    np.testing.assert_allclose(faced, turned(plain, np.arctan2(direction[2], direction[0])), atol=1e-5)


def test_who_has_no_left_and_right_is_not_turned() -> None:
    x = window(6)
    x[:, :, LEFT, 0] = x[:, :, RIGHT, 0]
    np.testing.assert_array_equal(facing(x), normal(x))
    assert not facing(np.zeros((3, 64, 25, 2), np.float32)).any()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), frame=st.integers(0, 63))
def test_facing_so_far_is_the_whole_of_a_shorter_window(seed: int, frame: int) -> None:
    x = window(seed)
    x[:, 5:15, :, 0] = 0
    np.testing.assert_allclose(facing(x, "facing-causal")[:, frame], facing(x[:, : frame + 1])[:, -1], atol=1e-3)


CORNERS = [COCO17.index(f"{joint}{side}") for joint in ("Shoulder", "Hip") for side in ("Left", "Right")]


def picture(seed: int, frames: int = 64) -> Window:
    """Two people in a picture (3, T, 17, 2): x, y in its heights and confidence; a tenth of the joints unknown."""
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=0.1, size=(3, frames, 17, 2)) + rng.normal(scale=0.3, size=(3, 1, 1, 1))
    x[2] = rng.uniform(0.1, 1, size=x[2].shape)
    return (x * (rng.random((1, frames, 17, 2)) > 0.1)).astype(np.float32)


def image(x: Window) -> Window:
    result: Window = normalise(torch.from_numpy(x)[None], "image")[0].numpy()
    return result


def expected_image(x: Window) -> Window:
    """The definition of "image", frame by frame and joint by joint."""
    origins, torsos, boxes = [], [], []
    for frame in x[..., 0].transpose(1, 2, 0):  # (17, 3)
        known = frame[:, 2] > 0
        origins += [frame[v, :2] for v in CORNERS if known[v]]
        if all(known[v] for v in CORNERS):
            a, b, c, d = (frame[v, :2] for v in CORNERS)
            torsos.append(np.linalg.norm((a + b) / 2 - (c + d) / 2))
        if known.any():
            points = frame[known, :2]
            boxes.append((points.max(axis=0) - points.min(axis=0)).max())
    size = max(np.mean(torsos) if torsos else 0, np.mean(boxes) / 6 if boxes else 0, 1e-3)
    out = x.copy()
    out[:2] = (x[:2] - (np.mean(origins, axis=0) if origins else np.zeros(2))[:, None, None, None]) * 0.5 / size
    out[:2] *= x[2] > 0
    return out


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_definition_for_pictures_in_numpy(seed: int) -> None:
    x = picture(seed)
    x[:, 20:30, :, 0] = 0
    np.testing.assert_allclose(image(x), expected_image(x), atol=1e-4, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), dx=st.floats(-1, 1), dy=st.floats(-1, 1), factor=st.floats(0.2, 3))
def test_place_and_size_in_the_picture_do_not_matter(seed: int, dx: float, dy: float, factor: float) -> None:
    x = picture(seed)
    moved = x.copy()
    moved[:2] = (factor * x[:2] + np.array([dx, dy])[:, None, None, None]) * (x[2] > 0)
    np.testing.assert_allclose(image(moved), image(x), atol=2e-3, rtol=1e-3)


def test_the_unknown_stay_zero_and_confidence_stays() -> None:
    x = picture(4)
    x[:, :10] = 0  # nobody yet
    x[:2, 40, 3, 0], x[2, 40, 3, 0] = 7, 0  # a point that nobody believes in
    got = image(x)
    np.testing.assert_array_equal(got[2], x[2])
    assert not got[:, :10].any() and not got[:2, 40, 3, 0].any()
    np.testing.assert_allclose(np.delete(got, 40, axis=1), np.delete(image(without(x)), 40, axis=1), atol=1e-5)
    assert not image(np.zeros_like(x)).any()


def without(x: Window) -> Window:
    """The same with that point at zero."""
    clean = x.copy()
    clean[:, 40, 3, 0] = 0
    return clean


def test_somebody_seen_from_above_is_measured_by_their_box() -> None:
    x = np.zeros((3, 64, 17, 1), np.float32)
    x[2] = 1
    x[0, :, COCO17.index("WristLeft")] = 0.6  # the torso is one point, an arm stretches away from it
    np.testing.assert_allclose(image(x)[0, :, COCO17.index("WristLeft"), 0], 0.6 * 0.5 / 0.1, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), frame=st.integers(0, 63))
def test_so_far_in_a_picture(seed: int, frame: int) -> None:
    x = picture(seed)
    x[:, :7, :, 0] = 0
    so_far = normalise(torch.from_numpy(x)[None], "image-causal")[0].numpy()
    np.testing.assert_allclose(so_far[:, frame], image(x[:, : frame + 1])[:, -1], atol=1e-4, rtol=1e-4)


def test_without_a_scheme_the_number_of_joints_tells() -> None:
    metres, seen = torch.from_numpy(window())[None], torch.from_numpy(picture(0))[None]
    assert torch.equal(normalise(metres), normalise(metres, "facing"))
    assert torch.equal(normalise(seen), normalise(seen, "image"))
    assert torch.equal(normalise(metres, "none"), metres)
