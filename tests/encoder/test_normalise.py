"""Normalisation: blind to where people stand and to their size, exact about who is absent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.encoder.normalise import normalise

BASE, SHOULDER = NTU25.index("SpineBase"), NTU25.index("SpineShoulder")
Window = NDArray[np.float32]


def window(seed: int = 0, torso_m: float = 0.5) -> Window:
    """Two people (3, 64, 25, 2): the first with a torso of the given length in every frame."""
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=0.4, size=(3, 64, 25, 2)) + rng.normal(size=(3, 1, 1, 1))
    x[:, :, SHOULDER, 0] = x[:, :, BASE, 0] + np.array([0, torso_m, 0])[:, None]
    return x.astype(np.float32)


def normal(x: Window) -> Window:
    result: Window = normalise(torch.from_numpy(x)[None])[0].numpy()
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
    together = normalise(torch.from_numpy(batch)).numpy()
    for i in range(3):
        np.testing.assert_array_equal(together[i], normal(batch[i]))
