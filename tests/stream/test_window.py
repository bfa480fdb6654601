"""Windows: streaming equals batch, the second slot, the beginning and the end of a person."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.clock import resample
from skelstream.stream.window import WindowCutter, cut_offline, evidence
from skelstream.stream.wire import Tracks, Window


def tracks(t: float, people: dict[int, NDArray[np.float32]], ended: tuple[int, ...] = ()) -> Tracks:
    n = len(people)
    return Tracks(
        camera="c",
        t=t,
        captured_at=100 + t,
        seq=0,
        size=(640, 480),
        ids=tuple(people),
        joints=np.stack(list(people.values())) if n else np.zeros((0, 25, 3), np.float32),
        pixels=np.zeros((n, 25, 2), np.float32),
        confidence=np.ones((n, 25), np.float32),
        ended=ended,
    )


def walk(frames: int, seed: int, x: float = 0.0) -> NDArray[np.float32]:
    steps = np.random.default_rng(seed).normal(size=(frames, 25, 3)) * 0.02
    return np.asarray(np.cumsum(steps, axis=0) + np.array([x, 0, 3]), np.float32)


def windows_of(cutter: WindowCutter, times: Iterable[float], *people: NDArray[np.float32]) -> list[Window]:
    cut: list[Window] = []
    for i, t in enumerate(times):
        cut += cutter.push(tracks(t, {k + 1: person[i] for k, person in enumerate(people)}))
    return [*cut, *cutter.finish()]


@settings(deadline=None, max_examples=20)
@given(
    fps=st.floats(12, 130), dropped=st.sampled_from([0.0, 0.2, 0.8]), seed=st.integers(0, 1000),
    start=st.floats(0, 50), hop=st.integers(1, 5), missing=st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def test_streaming_equals_batch_at_any_frame_rate(
    fps: float, dropped: float, seed: int, start: float, hop: int, missing: float
) -> None:
    rng = np.random.default_rng(seed)
    times = start + np.arange(int(4 * fps)) / fps
    times = times[(rng.random(len(times)) >= dropped) | (np.arange(len(times)) == 0)]
    joints = walk(len(times), seed)
    joints[rng.random(joints.shape[:2]) < missing] = 0
    first, resampled = resample(times, joints)
    both = np.zeros((len(resampled), 2, 25, 3), np.float32)
    both[:, 0] = resampled

    cut = windows_of(WindowCutter(WindowCutter.Config(hop=hop)), times, joints)
    assert [window.index for window in cut] == list(range(len(cut)))
    assert [window.last for window in cut] == [False] * (len(cut) - 1) + [True]
    for window in cut:
        end = window.first_tick + 63 - first
        np.testing.assert_allclose(window.joints, cut_offline(both, end), atol=1e-4)
        assert window.valid == min(end + 1, 64)
        seen = np.count_nonzero(np.abs(resampled[max(end - 31, 0) : end + 1]).sum(axis=-1))
        assert window.evidence == pytest.approx(seen / (32 * 25))
        assert window.evidence == evidence(window.joints, window.valid)
    ends = [window.first_tick + 64 for window in cut[:-1]]
    assert all(end % hop == 0 for end in ends) and np.all(np.diff(ends) == hop)


def test_who_stands_close_by_fills_the_second_slot_and_who_stands_far_off_does_not() -> None:
    times = np.arange(80) / 30
    near, far = walk(80, 1, x=0.8), walk(80, 2, x=4.0)
    for other, expected in ((near, True), (far, False)):
        person = walk(80, 0)
        cut = [w for w in windows_of(WindowCutter(), times, person, other) if w.track == 1]
        assert bool(cut[-1].joints[..., 1].any()) is expected
        if expected:
            np.testing.assert_allclose(cut[-1].joints[:, :, :, 1], other[16:80].transpose(2, 0, 1), atol=1e-5)


def test_the_second_slot_does_not_flicker_with_the_noise_of_a_distance_about_the_limit() -> None:
    times = np.arange(150) / 30
    person, other = walk(150, 0), walk(150, 0) + np.array([1.4, 0, 0], np.float32)
    other += np.random.default_rng(0).normal(scale=0.4, size=(150, 1, 3)).astype(np.float32) * [0, 0, 1]
    apart = np.linalg.norm(other[:, 0] - person[:, 0], axis=1)
    assert (np.diff(apart[30:] > WindowCutter.Config().near_m) != 0).sum() > 10
    cut = [w for w in windows_of(WindowCutter(WindowCutter.Config(hop=1)), times, person, other) if w.track == 1]
    assert all(window.joints[..., 1].any() for window in cut if window.first_tick + 64 > 30)


def test_two_of_whom_only_the_upper_halves_are_seen_are_together_too() -> None:
    times = np.arange(30) / 30
    a, b = walk(30, 1), walk(30, 2, x=0.8)
    a[:, [0, 1, *range(12, 20)]] = 0  # from the hips down
    cut = windows_of(WindowCutter(), times, a, b)
    assert {window.track for window in cut if window.joints[..., 1].any()} == {1, 2}
    b[:] = 0  # nothing of the other is seen: who knows where they are
    cut = windows_of(WindowCutter(), times, a, b)
    assert not any(window.joints[..., 1].any() for window in cut if window.track == 1)


def test_evidence_grows_while_somebody_comes_into_view_and_falls_when_out_of_sight() -> None:
    times = np.concatenate([np.arange(60), 60 + 20 + np.arange(40)]) / 30
    cut = windows_of(WindowCutter(WindowCutter.Config(hop=1)), times, walk(100, 4))
    told = {window.first_tick + 63: window.evidence for window in cut}
    assert [told[tick] for tick in (14, 22, 31, 59)] == pytest.approx([15 / 32, 23 / 32, 1, 1])
    # Ticks 60 to 79 were out of sight.
    assert [told[tick] for tick in (79, 80, 99, 111, 112)] == pytest.approx([12 / 32, 12 / 32, 20 / 32, 1, 1])


def test_the_second_slot_does_not_depend_on_the_order_of_the_people() -> None:
    times = np.arange(70) / 30
    a, b = walk(70, 1), walk(70, 2, x=0.7)
    one_way = {(w.track, w.index): w.joints for w in windows_of(WindowCutter(), times, a, b)}
    cutter, other_way = WindowCutter(), {}
    for i, t in enumerate(times):
        for window in cutter.push(tracks(t, {2: b[i], 1: a[i]})):
            other_way[window.track, window.index] = window.joints
    assert other_way
    for key, joints in other_way.items():
        np.testing.assert_array_equal(joints, one_way[key])


def test_somebody_who_leaves_gets_a_last_window_and_a_glimpse_gets_none() -> None:
    cutter = WindowCutter()
    joints = walk(40, 3)
    for i in range(40):
        list(cutter.push(tracks(i / 30, {1: joints[i]} | ({2: joints[i] + 5} if i == 20 else {}))))
    last = list(cutter.push(tracks(41 / 30, {}, ended=(1, 2))))
    assert [(window.track, window.last) for window in last] == [(1, True)]
    assert not list(cutter.finish())
