"""The 30 Hz clock: one frame at a time gives what all at once gives, and both give straight lines back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.encoder.clock import HZ, Resampler, resample

gaps = st.lists(st.floats(0.004, 0.4), min_size=1, max_size=80)


@given(gaps=gaps, start=st.floats(0, 1000), seed=st.integers(0, 2**32 - 1))
def test_streaming_equals_batch(gaps: list[float], start: float, seed: int) -> None:
    times = start + np.cumsum(gaps)
    values = np.random.default_rng(seed).normal(size=(len(times), 4, 3)).astype(np.float32)
    first, whole = resample(times, values)

    resampler = Resampler()
    pieces = [resampler.push(t, value) for t, value in zip(times, values, strict=True)]
    streamed = np.concatenate([ticks for _, ticks in pieces])
    assert pieces[0][0] == first
    # A recording shorter than a tick still gives one frame; a stream cannot know that it will end.
    assert len(streamed) in (len(whole), len(whole) - 1)
    np.testing.assert_allclose(streamed, whole[: len(streamed)], atol=1e-5)


@given(gaps=gaps, slope=st.floats(-3, 3))
def test_a_straight_movement_stays_straight(gaps: list[float], slope: float) -> None:
    times = np.cumsum(gaps)
    first, values = resample(times, (slope * times)[:, None])
    at = (first + np.arange(len(values))) / HZ
    inside = (at >= times[0]) & (at <= times[-1])
    # A stamp up to 2 ms before a tick counts as on it.
    np.testing.assert_allclose(values[inside, 0], slope * at[inside], atol=2e-3 * abs(slope) + 1e-4)


def test_a_30_fps_file_with_millisecond_stamps_keeps_every_frame() -> None:
    times = np.round(np.arange(300) / 30, 3)
    first, values = resample(times, np.arange(300, dtype=np.float64)[:, None])
    assert first == 0
    np.testing.assert_allclose(values[:, 0], np.arange(300), atol=0.05)


def test_times_that_do_not_increase_are_refused() -> None:
    with pytest.raises(ValueError, match="increase"):
        resample(np.array([0.0, 0.1, 0.1]), np.zeros((3, 1)))
    resampler = Resampler()
    resampler.push(1.0, np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="increase"):
        resampler.push(1.0, np.zeros(1, np.float32))
