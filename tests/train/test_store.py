"""Stores: what goes in comes out at 30 Hz, whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store


def recording(name: str, frames: int, hz: float, subject: str = "s/1") -> Recording:
    times = np.arange(frames) / hz
    joints = np.zeros((frames, 1, 25, 3), np.float32)
    joints[:, 0] = 1 + times[:, None, None]  # moves along a line, so that interpolation is exact
    labels = (times >= times[-1] / 2).astype(np.int16)
    return Recording(name=name, subject=subject, view="", trimmed=False, times_s=times, joints=joints, labels=labels)


def store(path: Path, recordings: Iterator[Recording] | list[Recording]) -> Store:
    return write_store(
        path, recordings, dataset="actor", classes=("background", "wave"), licence="ours", source="recorded"
    )


def test_recordings_of_any_rate_come_back_at_30_hz(tmp_path: Path) -> None:
    written = store(tmp_path / "s", [recording("a", 31, 15.0), recording("b", 50, 50.0)])
    opened = Store(tmp_path / "s")
    assert [entry.name for entry in opened.entries] == ["a", "b"] and opened.classes == written.classes
    first, second = (opened.joints(entry) for entry in opened.entries)
    assert first.shape == (61, 2, 25, 3) and len(second) == 30
    for joints in (first, second):
        np.testing.assert_allclose(joints[:, 0, 0, 0], 1 + np.arange(len(joints)) / 30, atol=1e-5)
        assert not joints[:, 1].any()
    labels = opened.frame_labels(opened.entries[0])
    assert labels[0] == 0 and labels[-1] == 1 and (np.diff(labels) >= 0).all()
    assert isinstance(opened.frames, np.memmap)


def test_somebody_who_appears_is_not_pulled_through_the_origin() -> None:
    times = np.arange(10) / 10
    joints = np.full((10, 2, 25, 3), 2.0, np.float32)
    joints[:5, 1] = 0
    seen = Recording(
        name="a", subject="s/1", view="", trimmed=False, times_s=times, joints=joints, labels=np.zeros(10, np.int16)
    )
    resampled, _ = seen.at_30_hz()
    assert set(np.unique(resampled)) == {0.0, 2.0}
    assert not resampled[0, 1].any() and resampled[-1, 1].all()


def test_a_store_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Recording]:
        yield recording("a", 20, 30.0)
        raise ValueError("a bad file")

    with pytest.raises(ValueError, match="a bad file"):
        store(tmp_path / "s", broken())
    assert not list(tmp_path.iterdir())


def test_what_is_no_store_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data prepare"):
        Store(tmp_path)
    store(tmp_path / "s", [recording("a", 20, 30.0)])
    with pytest.raises(ValueError, match="exists already"):
        store(tmp_path / "s", [])
    (tmp_path / "s" / "labels.npy").unlink()
    np.save(tmp_path / "s" / "labels.npy", np.zeros(3, np.int16))
    with pytest.raises(ValueError, match="prepare it again"):
        Store(tmp_path / "s")


def test_a_recording_whose_parts_disagree_is_refused() -> None:
    with pytest.raises(ValueError, match="disagree"):
        Recording(
            name="a", subject="s/1", view="", trimmed=False, times_s=np.arange(3.0),
            joints=np.zeros((4, 1, 25, 3), np.float32), labels=np.zeros(3, np.int16),
        )  # fmt: skip


def test_setup_segments_and_layout_come_back(tmp_path: Path) -> None:
    times = np.arange(40) / 60  # two frames a tick
    told = Recording(
        name="a", subject="s/1", view="C1", setup="17", trimmed=False, times_s=times, layout="coco17",
        joints=np.tile(times[:, None, None, None], (1, 3, 17, 3)).astype(np.float32), labels=np.zeros(40, np.int16),
        segments=((1, 0, 19), (0, 10, 39)), mended="something",
    )  # fmt: skip
    store(tmp_path / "s", [told])
    opened = Store(tmp_path / "s")
    assert opened.layout == "coco17" and opened.frames.shape == (20, 2, 17, 3)  # of three people, two
    (entry,) = opened.entries
    assert (entry.view, entry.setup, entry.segments) == ("C1", "17", ((1, 0, 10), (0, 5, 19)))
    assert opened.mended == {"a": "something"} and not opened.skipped
    np.testing.assert_allclose(opened.frames[:, 0, 0, 0], np.arange(20) / 30, atol=1e-6)


def test_a_store_of_before_setups_and_layouts_still_opens(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    np.save(tmp_path / "s" / "frames.npy", np.zeros((3, 2, 25, 3), np.float32))
    np.save(tmp_path / "s" / "labels.npy", np.zeros(3, np.int16))
    (tmp_path / "s" / "index.json").write_text(
        '{"dataset": "x", "classes": ["a"], "licence": "", "source": "recorded", "hz": 30, "recordings": ['
        '{"name": "x/1", "subject": "x/1", "view": "", "trimmed": true, "start": 0, "length": 3}]}'
    )
    opened = Store(tmp_path / "s")
    assert (opened.layout, opened.entries[0].setup, opened.entries[0].segments) == ("ntu25", "", ())


def test_layouts_do_not_mix(tmp_path: Path) -> None:
    points = Recording(
        name="b", subject="s/1", view="", trimmed=True, times_s=np.arange(9) / 30, layout="coco17",
        joints=np.ones((9, 1, 17, 3), np.float32), labels=np.zeros(9, np.int16),
    )  # fmt: skip
    with pytest.raises(ValueError, match="b has coco17 joints, the recordings before it ntu25"):
        store(tmp_path / "s", [recording("a", 20, 30.0), points])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"layout": "kinect20"}, "not those of layout 'kinect20'"),
        ({"layout": "elephant"}, "not those of layout 'elephant'"),
        ({"segments": ((1, 2, 3),)}, "outside its 3 frames"),
        ({"segments": ((1, 2, 1),)}, "outside its 3 frames"),
        ({"times_s": np.zeros(3)}, "increase strictly"),
    ],
)
def test_what_no_recording_can_be_is_refused(wrong: dict[str, object], says: str) -> None:
    told = {
        "name": "a", "subject": "s/1", "view": "", "trimmed": False, "times_s": np.arange(3.0),
        "joints": np.zeros((3, 1, 25, 3), np.float32), "labels": np.zeros(3, np.int16),
    }  # fmt: skip
    with pytest.raises(ValueError, match=says):
        Recording(**{**told, **wrong})  # type: ignore[arg-type]


@given(frames=st.integers(1, 200), hz=st.sampled_from([15.0, 29.97, 30.0, 60.0]), seed=st.integers(0, 1 << 16))
def test_segments_stay_within_the_frames_and_keep_their_time(frames: int, hz: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.arange(frames) / hz + 0.0123
    segments = [(1, *sorted(rng.integers(0, frames, 2).tolist())) for _ in range(3)]
    told = Recording(
        name="a", subject="s/1", view="", trimmed=False, times_s=times, joints=np.ones((frames, 1, 25, 3), np.float32),
        labels=np.zeros(frames, np.int16), segments=tuple(segments),
    )  # fmt: skip
    n, start = len(told.at_30_hz()[1]), np.ceil((times[0] - 2e-3) * 30) / 30
    for (_, a, b), (_, first, last) in zip(segments, told.segments_at_30_hz(), strict=True):
        assert 0 <= first <= last < n
        for frame, tick in ((a, first), (b, last)):
            # Within half a tick, but for the ends, where there may be no tick beyond.
            assert abs(start + tick / 30 - times[frame]) <= 0.5 / 30 + 1e-6 or tick in (0, n - 1)
