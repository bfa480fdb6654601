"""The 30 Hz clock: one frame at a time gives what all at once gives, and both give straight lines back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.clock import GAP_S, HZ, Resampler, resample

gaps = st.lists(st.floats(0.004, 0.4), min_size=1, max_size=80)
short_gaps = st.lists(st.floats(0.004, 0.99 * GAP_S), min_size=1, max_size=80)
shares = st.sampled_from([0.0, 0.1, 0.5, 1.0])


def points(times: NDArray[np.float64], seed: int, missing: float) -> NDArray[np.float32]:
    """A walk (T, 4, 3) far from zero, this share of whose points were not seen."""
    rng = np.random.default_rng(seed)
    values = 5 + rng.normal(size=(len(times), 4, 3))
    return np.where(rng.random((len(times), 4, 1)) < missing, 0, values).astype(np.float32)


@given(gaps=gaps, start=st.floats(0, 1000), seed=st.integers(0, 2**32 - 1), missing=shares)
def test_streaming_equals_batch(gaps: list[float], start: float, seed: int, missing: float) -> None:
    times = start + np.cumsum(gaps)
    values = points(times, seed, missing)
    first, whole = resample(times, values)

    resampler = Resampler()
    pieces = [resampler.push(t, value) for t, value in zip(times, values, strict=True)]
    streamed = np.concatenate([ticks for _, ticks in pieces])
    assert pieces[0][0] == first
    # A recording shorter than a tick still gives one frame; a stream cannot know that it will end.
    assert len(streamed) in (len(whole), len(whole) - 1)
    np.testing.assert_allclose(streamed, whole[: len(streamed)], atol=1e-5)


@given(gaps=short_gaps, slope=st.floats(-3, 3))
def test_a_straight_movement_stays_straight(gaps: list[float], slope: float) -> None:
    times = np.cumsum(gaps)
    first, values = resample(times, (100 + slope * times)[:, None])
    at = (first + np.arange(len(values))) / HZ
    inside = (at >= times[0]) & (at <= times[-1])
    # A stamp up to 2 ms before a tick counts as on it.
    np.testing.assert_allclose(values[inside, 0], 100 + slope * at[inside], atol=2e-3 * abs(slope) + 1e-4)


@settings(max_examples=30)
@given(gaps=gaps, start=st.floats(0, 50), seed=st.integers(0, 2**32 - 1), missing=shares)
def test_nothing_lies_between_what_was_seen_and_what_was_not(
    gaps: list[float], start: float, seed: int, missing: float
) -> None:
    """Told tick by tick: a point is missing, or one of the two neighbours' own, or between two that were both seen."""
    times = start + np.cumsum(gaps)
    values = points(times, seed, missing)
    first, ticks = resample(times, values)
    for tick, row in zip(first + np.arange(len(ticks)), ticks, strict=True):
        t = tick / HZ
        after = int(np.argmax(times >= t - 2e-3)) if times[-1] >= t - 2e-3 else len(times) - 1
        before = max(after - 1, 0)
        nearest = before if t - times[before] <= times[after] - t else after
        for joint, point in enumerate(row):
            a, b = values[before, joint], values[after, joint]
            if times[after] - times[before] > GAP_S:
                near = abs(times[nearest] - t) <= 0.5 / HZ
                expected = [values[nearest, joint]] if near else [np.zeros(3)]
            elif a.any() and b.any():
                expected = [np.clip(point, np.minimum(a, b), np.maximum(a, b))]
            else:
                expected = [values[nearest, joint]]
                # Half-way between the two either is the nearer one.
                expected += [a, b] if abs(2 * t - times[before] - times[after]) < 1e-6 else []
            assert any(np.allclose(point, e, atol=1e-5) for e in expected)


def test_a_long_gap_is_not_filled() -> None:
    times = np.concatenate([np.arange(30), 30 + 12 + np.arange(30)]) / 30
    first, values = resample(times, np.ones((60, 25, 3), np.float32))
    assert first == 0
    np.testing.assert_array_equal(values.any(axis=(1, 2)), [True] * 30 + [False] * 12 + [True] * 30)


def test_a_30_fps_file_with_millisecond_stamps_keeps_every_frame() -> None:
    times = np.round(np.arange(300) / 30, 3)
    first, values = resample(times, 1 + np.arange(300, dtype=np.float64)[:, None])
    assert first == 0
    np.testing.assert_allclose(values[:, 0], 1 + np.arange(300), atol=0.05)


def test_times_that_do_not_increase_are_refused() -> None:
    with pytest.raises(ValueError, match="increase"):
        resample(np.array([0.0, 0.1, 0.1]), np.zeros((3, 1)))
    resampler = Resampler()
    resampler.push(1.0, np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="increase"):
        resampler.push(1.0, np.zeros(1, np.float32))
