"""The simulated camera: it keeps what it must keep, its noise has the size and the spectrum that its profile says, and
a profile that was measured on a made-up camera makes the same of other people as that camera did."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.train.camera_fit import fit_profile
from skelstream.train.camera_noise import (
    AHEAD,
    FEATURES,
    FRAMES,
    CameraProfile,
    Noise,
    as_a_camera_sees,
    moved,
    noise_matrix,
    seen,
)

BASE, WRIST = NTU25.index("SpineBase"), NTU25.index("WristLeft")


def flat_noise(factor: np.ndarray, **more: float) -> Noise:
    numbers = {"common": 0.0, "own": 0.0, "effort": 0.0} | more
    return Noise(
        factor=factor.astype(np.float32), spectrum=np.ones(FRAMES, np.float32),
        usual_log_speed=np.zeros(len(factor), np.float32), **numbers,
    )  # fmt: skip


def faithful(**more: Any) -> CameraProfile:
    """A camera that sees what is."""
    taps = np.zeros(AHEAD + 6, np.float32)
    taps[AHEAD] = 1
    nothing = np.zeros((1, FEATURES), np.float32)
    identity = np.eye(FEATURES, dtype=np.float32)
    return replace(
        CameraProfile(
            usual=nothing[0], seen_usual=nothing[0], reads=identity, writes=identity, bias=nothing, taps=taps,
            drift=flat_noise(nothing), jitter=flat_noise(nothing),
        ),
        **more,
    )  # fmt: skip


def windows(walkers: Any, rng: np.random.Generator, batch: int, people: int = 2) -> torch.Tensor:
    """(B, 3, 64, 25, M) metres."""
    x = np.stack([[walkers.moving(rng, FRAMES) + np.array([m, 0, 0]) for m in range(people)] for _ in range(batch)])
    return torch.from_numpy(x.transpose(0, 4, 2, 3, 1).astype(np.float32)).contiguous()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_faithful_camera_sees_what_is(walkers: Any) -> None:
    x = windows(walkers, np.random.default_rng(0), 3)
    torch.testing.assert_close(seen(x, generator(), faithful()), x, atol=1e-5, rtol=0)


def test_a_random_camera_turns_everybody_together_and_bends_nobody(walkers: Any) -> None:
    x = windows(walkers, np.random.default_rng(1), 4)
    made = as_a_camera_sees(x, generator(), faithful())
    assert (made - x).abs().amax() > 0.05

    def distances(joints: torch.Tensor) -> torch.Tensor:
        points = joints.permute(0, 2, 3, 4, 1).flatten(1, 3)[:, ::37]  # of both people, in all frames
        return torch.cdist(points.double(), points.double())

    torch.testing.assert_close(distances(made), distances(x), atol=1e-4, rtol=0)
    # The first person's mean place is where they turn about.
    place = x[:, :, :, BASE, 0].mean(dim=2)
    torch.testing.assert_close(made[:, :, :, BASE, 0].mean(dim=2), place, atol=1e-4, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 30))
def test_what_is_missing_stays_missing_and_nothing_else_does(walkers: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = windows(walkers, rng, 2)
    known = torch.from_numpy(rng.random((2, 1, FRAMES, len(NTU25), 2)) > 0.2)
    known &= torch.from_numpy(rng.random((2, 1, FRAMES, 1, 2)) > 0.2)  # whole people are away for a while
    known[0, ..., 1] = False  # and one all the time
    made = as_a_camera_sees(x * known, generator(seed), CameraProfile.shipped())
    assert torch.isfinite(made).all()
    assert torch.equal((made != 0).any(dim=1), known[:, 0])
    assert made.abs().amax() < 20  # metres: nobody flies


def test_the_same_generator_sees_the_same_and_another_one_something_else(walkers: Any) -> None:
    x, profile = windows(walkers, np.random.default_rng(2), 2), CameraProfile.shipped()
    assert torch.equal(as_a_camera_sees(x, generator(5), profile), as_a_camera_sees(x, generator(5), profile))
    assert not torch.equal(as_a_camera_sees(x, generator(5), profile), as_a_camera_sees(x, generator(6), profile))


def test_a_start_that_is_repeated_goes_on_being_repeated(walkers: Any) -> None:
    x = windows(walkers, np.random.default_rng(3), 2)
    x[0, :, :20] = x[0, :, 20:21]
    made = as_a_camera_sees(x, generator(), CameraProfile.shipped())
    assert torch.equal(made[0, :, :20], made[0, :, 20:21].expand(-1, 20, -1, -1))
    assert (made[0, :, 21:].diff(dim=1) != 0).all()
    assert (made[1, :, :20].diff(dim=1) != 0).all()


def test_what_is_seen_late_comes_late(walkers: Any) -> None:
    x = windows(walkers, np.random.default_rng(4), 2, people=1)
    x = x - x[:, :, :, BASE : BASE + 1] + torch.tensor([0, 1.0, 3.0])[:, None, None, None]  # who stands where they are
    taps = np.zeros(AHEAD + 6, np.float32)
    taps[AHEAD + 3] = 1
    made = seen(x, generator(), faithful(taps=taps))
    torch.testing.assert_close(made[:, :, 3:], x[:, :, :-3], atol=1e-5, rtol=0)


def test_noise_has_its_size_and_moves_what_its_factor_says(walkers: Any) -> None:
    factor = np.zeros((1, FEATURES))
    factor[0, 3 * WRIST + 2] = 0.04
    x = torch.from_numpy(np.tile(walkers.moving(np.random.default_rng(5), FRAMES), (400, 1, 1, 1)).astype(np.float32))
    x = x.permute(0, 3, 1, 2)[..., None].contiguous()
    noise = (seen(x, generator(), faithful(jitter=flat_noise(factor))) - x)[..., 0].numpy()
    torso = np.linalg.norm(np.subtract(*walkers.still(1)[0, [NTU25.index("SpineShoulder"), BASE]]))
    assert noise[:, 2, :, WRIST].std() == pytest.approx(0.04 * torso / 0.5, rel=0.03)
    noise[:, 2, :, WRIST] = 0
    assert np.abs(noise).max() < 1e-5


def test_noise_follows_its_spectrum() -> None:
    amplitudes = np.exp(-np.arange(FRAMES) / 5.0)
    drawn = noise_matrix(amplitudes) @ np.random.default_rng(6).normal(size=(FRAMES, 20_000))
    # The autocorrelation is the cosine transform of the power (Wiener and Khinchin), here summed by hand.
    lag, k = np.arange(FRAMES)[:, None], np.arange(1, FRAMES)[None]
    expected = (amplitudes[0] ** 2 + 2 * (amplitudes[1:] ** 2 * np.cos(np.pi * k * lag / FRAMES)).sum(axis=1)) / (
        amplitudes[0] ** 2 + 2 * (amplitudes[1:] ** 2).sum()
    )
    for first in (0, 20):
        found = (drawn[first] * drawn[first : first + 40]).mean(axis=1)
        np.testing.assert_allclose(found, expected[:40], atol=0.05)


def test_who_moves_is_seen_worse_and_only_where_they_move(walkers: Any) -> None:
    factor = np.zeros((2, FEATURES))
    factor[0, 3 * WRIST], factor[1, 3 * NTU25.index("AnkleRight")] = 0.02, 0.02
    rng = np.random.default_rng(7)
    still = walkers.still(FRAMES)
    still[:, NTU25.index("Head"), 1] += 1e-4 * np.arange(FRAMES)  # a start that repeats would stay as it is
    waving = still.copy()
    waving[:, WRIST] += 0.3 * walkers.smooth(rng, FRAMES, 3)
    x = torch.from_numpy(np.stack([still, waving] * 300).astype(np.float32)).permute(0, 3, 1, 2)[..., None].contiguous()
    made = seen(x, generator(), faithful(jitter=flat_noise(factor, effort=0.7)))
    noise = (made - x)[:, 0, :, :, 0].numpy()
    wrist, ankle = noise[..., WRIST].std(axis=1), noise[..., NTU25.index("AnkleRight")].std(axis=1)
    assert wrist[1::2].mean() > 3 * wrist[::2].mean()
    assert ankle[1::2].mean() == pytest.approx(ankle[::2].mean(), rel=0.1)


def test_signals_weigh_the_joints_that_they_move() -> None:
    factor = np.zeros((1, FEATURES))
    factor[0, [3 * WRIST, 3 * WRIST + 1, 3 * BASE]] = 3, 4, 5
    factor[0, -1] = 100  # the way of SpineBase is no joint
    shares = moved(factor)[:, 0]
    assert shares[WRIST] == pytest.approx(0.5)
    assert shares[BASE] == pytest.approx(0.5)
    assert shares.sum() == pytest.approx(1)


def test_wrong_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"windows to see are \(B, 3, 64, 25, M\)"):
        as_a_camera_sees(torch.zeros(2, 3, 32, 25, 2), generator(), faithful())


def test_a_batch_of_nobody_is_seen_as_nobody() -> None:
    x = torch.zeros(2, 3, FRAMES, 25, 2)
    assert torch.equal(as_a_camera_sees(x, generator(), CameraProfile.shipped()), x)


def test_a_profile_survives_its_file(walkers: Any) -> None:
    profile = CameraProfile.shipped()
    again = CameraProfile.from_json(profile.to_json())
    assert again.to_json() == profile.to_json()
    x = windows(walkers, np.random.default_rng(8), 2)
    assert torch.equal(as_a_camera_sees(x, generator(), again), as_a_camera_sees(x, generator(), profile))


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("usual"),
        lambda told: told.update(usual=[1, 2]),
        lambda told: told.update(taps=[]),
        lambda told: told["jitter"].update(own="much"),
        lambda told: told["jitter"].update(spectrum=[0] * FRAMES),
        lambda told: told.update(drift=3),
        lambda told: told["drift"].update(more=1.0),
        lambda told: told.update(bias=[[1, float("nan")]]),
    ],
)
def test_a_damaged_profile_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    told = json.loads(CameraProfile.shipped().to_json())
    change(told)
    with pytest.raises(ValueError, match="no camera profile, or a damaged one; measure it again"):
        CameraProfile.from_json(json.dumps(told))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError):
        CameraProfile.from_json("{")


# --- measuring -----------------------------------------------------------------------------------------------------


def made_up_camera(walkers: Any, rng: np.random.Generator, true_TVC: np.ndarray) -> np.ndarray:
    """It sees a third of the depth, the arms 6 cm too low, all two frames late, and a centimetre of noise."""
    frames = len(true_TVC)
    late = np.concatenate([np.repeat(true_TVC[:1], 2, axis=0), true_TVC[:-2]])
    place = late[:, [BASE]]
    late = late - place
    late[..., 2] *= 0.3
    late[:, [WRIST, WRIST - 1], 1] -= 0.06
    noise = 0.01 * walkers.smooth(rng, frames, 25, 3, cutoff_hz=6.0)
    noise[:, BASE] = 0
    seen_there: NDArray[np.floating] = late + noise + place
    return seen_there


def test_a_measured_profile_does_to_others_what_the_camera_did(walkers: Any) -> None:
    rng = np.random.default_rng(9)
    told = [walkers.moving(rng, 200) for _ in range(40)]
    profile = fit_profile(
        [walkers.pair(true, made_up_camera(walkers, rng, true), f"made/{i}") for i, true in enumerate(told)]
    )
    assert int(profile.taps.argmax()) == AHEAD + 2

    others = np.stack([walkers.moving(rng, FRAMES) for _ in range(60)])
    x = torch.from_numpy(others.transpose(0, 3, 1, 2).astype(np.float32))[..., None].contiguous()
    simulated = seen(x, generator(), profile)[..., 0].permute(0, 2, 3, 1).numpy()
    really = np.stack([made_up_camera(walkers, rng, true) for true in others])
    inner = slice(8, -8)
    for made, name in ((simulated, "simulated"), (really, "real")):
        about, true = (y[:, inner] - y[:, inner, [BASE]] for y in (made, others))
        moved_true, moved_seen = (np.diff(y[..., WRIST, :], axis=1) for y in (true, about))
        late_true = (others - others[:, :, [BASE]])[:, 6:-10]
        gain = (about[..., WRIST, 2] * late_true[..., WRIST, 2]).mean() / np.square(late_true[..., WRIST, 2]).mean()
        assert gain == pytest.approx(0.3, abs=0.06), name
        bias = (about - late_true)[..., WRIST, 1].mean() - (about - late_true)[..., NTU25.index("WristRight"), 1].mean()
        # Left and right are alike to what is measured: half of what one side has is given to each.
        assert bias == pytest.approx(0.0 if name == "simulated" else -0.06, abs=0.02), name
        assert moved_seen[..., 2].std() < 0.6 * moved_true[..., 2].std(), name
    ratio = np.diff(simulated, n=2, axis=1).std() / np.diff(really, n=2, axis=1).std()
    assert 0.7 < ratio < 1.4


def test_too_few_recordings_are_refused(walkers: Any) -> None:
    true = walkers.moving(np.random.default_rng(10), 100)
    with pytest.raises(ValueError, match=r"3 drawn recordings .* are too few"):
        fit_profile([walkers.pair(true, true)] * 3)
    with pytest.raises(ValueError, match="0 drawn recordings"):
        fit_profile([walkers.pair(true[:40], true[:40])] * 30)
