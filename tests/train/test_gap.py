"""The gap, measured on people whom a made-up camera saw: what it did to them is found again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skelstream.encoder.layout import NTU25
from skelstream.stream.draw import View
from skelstream.train.camera_fit import windows
from skelstream.train.camera_noise import CameraProfile, seen
from skelstream.train.drawn import DrawnCamera, read_cameras, write_cameras
from skelstream.train.drawn_pairs import drawn_pairs
from skelstream.train.gap import VIEWS, about_trunk, body_axes, measure, similarity, split
from skelstream.train.gap_report import likeness, simulated
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store

WRIST, TRUNK = (
    NTU25.index("WristLeft"),
    [NTU25.index(f"{p}{s}") for p in ("Shoulder", "Hip") for s in ("Left", "Right")],
)


def turned(joints: np.ndarray, yaw: float) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    return np.asarray(joints @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T)


def test_a_camera_without_faults_has_no_gap(walkers: Any) -> None:
    true = walkers.moving(np.random.default_rng(0), 150)
    gap = measure([walkers.pair(true, true)])
    assert (gap.found, gap.frames, gap.pairs) == (1, 150, 1) and gap.scale == pytest.approx(1)
    for name in ("bias", "noise", "along", "across", "missing"):
        np.testing.assert_allclose(getattr(gap, name), 0, atol=1e-9)
    assert gap.place_along < 1e-9
    known = np.isfinite(gap.gain_across)
    np.testing.assert_allclose(gap.gain_across[known], 1, atol=1e-9)
    assert WRIST in np.flatnonzero(known)


def test_scale_and_turn_of_the_whole_are_no_error(walkers: Any) -> None:
    true = walkers.moving(np.random.default_rng(1), 150)
    seen = 0.8 * turned(true, 0.4) + np.array([0.3, 0, 1.0])
    gap = measure([walkers.pair(true, seen)])
    assert gap.scale == pytest.approx(1 / 0.8)
    np.testing.assert_allclose(gap.noise, 0, atol=1e-9)


def test_bias_is_told_in_the_axes_of_the_body(walkers: Any) -> None:
    """A wrist that is seen 5 cm too far to the front is so, whichever way somebody faces."""
    still = walkers.still(120)
    for yaw in (0.0, 1.0):
        true = turned(still - still[:1, :1], yaw) + np.array([0, 1, 3.0])
        front = body_axes(true)[0, 2]
        np.testing.assert_allclose(front, turned(np.array([0, 0, -1.0]), yaw), atol=1e-9)  # who faces us looks at us
        seen = true.copy()
        seen[:, WRIST] += 0.05 * front
        gap = measure([walkers.pair(true, seen)])
        np.testing.assert_allclose(gap.bias[WRIST], [0, 0, 0.05], atol=0.01)  # a little goes into the best turn
        assert np.abs(np.delete(gap.bias, WRIST, axis=0)).max() < 0.01


def test_noise_is_parted_by_its_speed_and_by_the_line_of_sight(walkers: Any) -> None:
    rng, frames = np.random.default_rng(2), 900
    true = walkers.still(frames)
    true -= true[:, [WRIST]] * [1, 1, 0]  # the wrist before the camera, which looks along z there
    seen = true.copy()
    seen[:, WRIST, 2] += 0.05 * np.sin(2 * np.pi * 0.5 * np.arange(frames) / 30)  # slow, in depth
    seen[:, WRIST, 1] += 0.02 * np.sin(2 * np.pi * 5.0 * np.arange(frames) / 30)  # fast, across
    seen[:, NTU25.index("Head")] += 0.01 * rng.normal(size=(frames, 3))
    gap = measure([walkers.pair(true, seen)])
    assert gap.drift[WRIST] == pytest.approx(0.05 / np.sqrt(2), rel=0.1)
    assert gap.jitter[WRIST] == pytest.approx(0.02 / np.sqrt(2), rel=0.1)
    assert gap.along[WRIST] == pytest.approx(0.05 / np.sqrt(2), rel=0.1)
    assert gap.across[WRIST] == pytest.approx(0.02 / 2, rel=0.15)  # one of two coordinates
    assert gap.noise[NTU25.index("Head")] == pytest.approx(0.01 * np.sqrt(3), rel=0.1)


def test_lag_and_gain_of_what_moves(walkers: Any) -> None:
    rng, frames = np.random.default_rng(3), 600
    true = walkers.still(frames)
    swing = 0.2 * walkers.smooth(rng, frames + 3, 3)
    true[:, WRIST] += swing[3:]
    seen = walkers.still(frames)
    seen[:, WRIST] += swing[:-3] * [0.9, 0.9, 0.25]  # 100 ms late, a quarter of the depth
    gap = measure([walkers.pair(true, seen)])
    assert gap.lag_ms[WRIST] == pytest.approx(100, abs=12)
    in_time = walkers.still(frames)
    in_time[:, WRIST] += swing[3:] * [0.9, 0.9, 0.25]
    gap = measure([walkers.pair(true, in_time)])
    # The best scale takes a little of what the arm moves too little.
    assert gap.gain_across[WRIST] == pytest.approx(0.9, abs=0.07)
    assert gap.gain_along[WRIST] == pytest.approx(0.25, abs=0.07)
    assert np.isnan(gap.lag_ms[NTU25.index("AnkleLeft")])  # which stood still


def test_drop_out_of_people_and_of_joints_is_counted_and_spoils_nothing(walkers: Any) -> None:
    true = walkers.moving(np.random.default_rng(4), 200)
    seen = true.copy()
    seen[50:70] = 0
    seen[100:118, WRIST] = 0
    gap = measure([walkers.pair(true, seen)])
    assert gap.found == pytest.approx(0.9)
    assert gap.missing[WRIST] == pytest.approx(18 / 180)
    assert np.delete(gap.missing, WRIST).max() == 0
    np.testing.assert_allclose(gap.noise, 0, atol=1e-9)


def test_views_go_by_where_somebody_faces(walkers: Any) -> None:
    still = walkers.still(100) - np.array([0, 0, 3.0])
    yaws = {"front": 0.2, "oblique": 0.8, "side": 1.6, "back": 3.0}
    pairs = [
        walkers.pair(
            true := turned(still, yaw) + np.array([0, 0, 3.0]),
            true + 0.01 * (i + 1) * (np.arange(25) == WRIST)[:, None],
        )
        for i, yaw in enumerate(yaws.values())
    ]
    gap = measure(pairs)
    np.testing.assert_array_equal(gap.frames_by_view, [100] * 4)
    assert list(VIEWS) == list(yaws)
    assert (np.diff(gap.error_by_view[WRIST]) > 0.01).all()


def test_too_little_is_refused(walkers: Any) -> None:
    true = walkers.still(20)
    with pytest.raises(ValueError, match="no recording shows somebody for a second"):
        measure([walkers.pair(true, true)])


@given(st.integers(0, 1 << 30), st.floats(0.2, 5))
def test_a_similarity_is_found_again(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    points = rng.normal(size=(10, 3))
    found_scale, found_turn = similarity(points, scale * points @ turn.T)
    assert found_scale == pytest.approx(scale)
    np.testing.assert_allclose(found_turn, turn, atol=1e-6)


@given(st.integers(0, 1 << 30), st.integers(2, 90))
def test_the_two_parts_of_a_movement_are_the_whole_and_the_mean_is_slow(seed: int, frames: int) -> None:
    x = np.random.default_rng(seed).normal(size=(2, frames, 3)) + 5
    slow, fast = split(x, axis=1)
    np.testing.assert_allclose(slow + fast, x, atol=1e-9)
    np.testing.assert_allclose(fast.mean(axis=1), 0, atol=1e-9)


def test_the_trunks_middle_is_the_origin(walkers: Any) -> None:
    about, middle = about_trunk(walkers.moving(np.random.default_rng(5), 10))
    np.testing.assert_allclose(about[:, TRUNK].mean(axis=1), 0, atol=1e-12)
    assert middle[:, 2].mean() == pytest.approx(3, abs=0.3)


# --- stores of pairs -----------------------------------------------------------------------------------------------


def store(path: Path, joints: dict[str, np.ndarray]) -> Store:
    recordings = [
        Recording(name=name, subject="made/1", view="", trimmed=True, times_s=np.arange(len(x)) / 30,
                  joints=x.astype(np.float32), labels=np.zeros(len(x), np.int16))
        for name, x in joints.items()
    ]  # fmt: skip
    return write_store(path, recordings, dataset="made", classes=("a",), licence="ours", source="recorded")


def camera(view: View) -> DrawnCamera:
    position = np.array(view.position)
    return DrawnCamera(position=position, axes=view.to_camera(position + np.eye(3)).T)


@given(st.floats(-1, 1), st.floats(-0.5, 0.5), st.tuples(*[st.floats(-3, 3)] * 3))
def test_a_cameras_file_tells_where_the_drawn_camera_stood(
    tmp_path_factory: pytest.TempPathFactory, yaw: float, pitch: float, position: tuple[float, float, float]
) -> None:
    view = View(width=640, height=480, yaw=yaw, pitch=pitch, position=position)
    folder = tmp_path_factory.mktemp("drawn")
    write_cameras(folder, 3, 2, {"made/1": camera(view)})
    stride, cameras = read_cameras(folder)
    points = np.random.default_rng(0).normal(size=(7, 3))
    assert stride == 2
    np.testing.assert_allclose(cameras["made/1"].sees(points), view.to_camera(points), atol=1e-9)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"stride": 0, "cameras": {}}',
                                  '{"stride": 1, "cameras": {"a": {"position": [1], "axes": [[1]]}}}'])  # fmt: skip
def test_a_damaged_cameras_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "drawn.json").write_text(text)
    with pytest.raises(ValueError, match=r"drawn\.json is damaged; draw the store again"):
        read_cameras(tmp_path)


def test_pairs_lie_in_the_cameras_space_one_a_person(walkers: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    true = np.stack([walkers.moving(rng, 40), walkers.moving(rng, 40) + np.array([1, 0, 0])], axis=1)
    true[:10, 1] = 0  # who comes in later
    view = View(width=640, height=480, yaw=0.3, position=(0.5, 1.0, -1.0))
    seen = np.where((true != 0).any(axis=(2, 3), keepdims=True), view.to_camera(true), 0)[:39]
    seen[20:25, 0] = 0
    recorded, drawn = store(tmp_path / "r", {"a": true}), store(tmp_path / "d", {"a": seen})
    with pytest.raises(ValueError, match="does not say where its cameras stood"):
        list(drawn_pairs(recorded, drawn))
    write_cameras(tmp_path / "d", 0, 1, {"a": camera(view)})
    first, second = drawn_pairs(recorded, drawn)
    assert (len(first.found), first.found.sum(), len(second.found), second.found.sum()) == (39, 34, 29, 29)
    np.testing.assert_allclose(first.true_TVC[first.found], first.seen_TVC[first.found], atol=1e-5)
    np.testing.assert_allclose(second.true_TVC, second.seen_TVC, atol=1e-5)
    with pytest.raises(ValueError, match="shows a otherwise than"):
        list(drawn_pairs(store(tmp_path / "other", {"b": true}), drawn))


# --- the simulated camera against the real one ---------------------------------------------------------------------


def test_who_is_simulated_well_cannot_be_told_from_who_was_seen(walkers: Any) -> None:
    """Here the camera is the simulated one itself, once with other random numbers and once with a trembling hand."""
    rng, profile = np.random.default_rng(7), CameraProfile.shipped()
    true = np.stack([walkers.moving(rng, 64) for _ in range(240)])
    x = torch.from_numpy(true.transpose(0, 3, 1, 2).astype(np.float32))[..., None].contiguous()
    made = seen(x, torch.Generator().manual_seed(99), profile)[..., 0].permute(0, 2, 3, 1).double().numpy()
    unit = 0.5 / np.linalg.norm(true[0, 0, NTU25.index("SpineShoulder")] - true[0, 0, 0])  # of the profile's features
    for trembling, name in ((made, "trembles"), (made, "as it is")):
        other = unit * trembling
        if name == "trembles":
            other[:, :, NTU25.index("ElbowLeft")] += 0.02 * rng.normal(size=(240, 64, 3))
        alike = likeness(
            [walkers.pair(a, b, f"made/{i}") for i, (a, b) in enumerate(zip(true, other, strict=True))], profile
        )
        assert alike.told_apart["speeds"]["recorded"] > 0.95, name
        if name == "trembles":
            assert alike.told_apart["speeds"]["simulated"] > 0.95
            continue
        assert 0.3 < alike.told_apart["speeds"]["simulated"] < 0.7
        assert 0.3 < alike.told_apart["bones"]["simulated"] < 0.7
        np.testing.assert_allclose(alike.error_simulated, alike.error_seen, rtol=0.1, atol=1e-6)
        assert alike.speed["simulated"] == pytest.approx(alike.speed["seen"], rel=0.1)


def test_the_simulated_camera_gives_windows_as_they_were(walkers: Any) -> None:
    true = walkers.moving(np.random.default_rng(10), 160)
    told = windows(walkers.pair(true, true))
    made = simulated(told.true_WTF, CameraProfile.shipped())
    assert made.shape == told.true_WTF.shape
    np.testing.assert_allclose(made[..., -3:].mean(axis=1), 0, atol=1e-5)  # the way is told about its mean


def test_likeness_needs_two_recordings(walkers: Any) -> None:
    true = walkers.moving(np.random.default_rng(9), 100)
    with pytest.raises(ValueError, match="two drawn recordings or more"):
        likeness([walkers.pair(true, true)], CameraProfile.shipped())
