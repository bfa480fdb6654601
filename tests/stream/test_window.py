"""Windows: streaming equals batch, the second slot, the beginning and the end of a person."""

from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.clock import resample
from skelstream.stream.window import WindowCutter, cut_offline
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
@given(fps=st.floats(12, 70), seed=st.integers(0, 1000), start=st.floats(0, 50), hop=st.integers(1, 5))
def test_streaming_equals_batch_at_any_frame_rate(fps: float, seed: int, start: float, hop: int) -> None:
    times = start + np.arange(int(4 * fps)) / fps
    joints = walk(len(times), seed)
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
