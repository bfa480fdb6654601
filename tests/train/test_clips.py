"""Clips: what is drawn from a store is what an independent resize of the same frames gives."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from skelstream.train.clips import LONGEST, Clips
from skelstream.train.gather import gather, resized
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    rng = np.random.default_rng(0)

    def recording(i: int, frames: int, trimmed: bool) -> Recording:
        return Recording(
            name=f"r{i}", subject=f"s{i % 3}", view=str(i % 2), trimmed=trimmed, times_s=np.arange(frames) / 30,
            joints=rng.normal(size=(frames, 1, 25, 3)).astype(np.float32), labels=np.full(frames, i % 4, np.int16),
        )  # fmt: skip

    recordings = [recording(i, n, n < 500) for i, n in enumerate((20, 64, 90, 130, 700))]
    path = tmp_path_factory.mktemp("stores") / "set"
    return write_store(path, recordings, dataset="set", classes=("a", "b", "c", "d"), licence="ours", source="recorded")


@settings(deadline=None, max_examples=30)
@given(length=st.integers(2, 200), frames=st.integers(1, 100), seed=st.integers(0, 1000))
def test_resizing_is_torchs_bilinear_without_aligned_corners(length: int, frames: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(length, 1, 2, 3)).astype(np.float32)
    at = resized(np.array([0]), np.array([length]), frames)
    ours, _ = gather(x, at, np.array([length]))
    series = torch.from_numpy(x).double().flatten(1).T[None, :, :, None]
    theirs = F.interpolate(series, size=(frames, 1), mode="bilinear", align_corners=False)[0, :, :, 0].T
    np.testing.assert_allclose(ours[0].reshape(frames, -1), theirs.numpy(), atol=1e-5)


def test_whole_clips_and_their_labels(store: Store) -> None:
    clips = Clips([store])
    assert len(clips) == 4 + 3  # the long recording in three parts of at most LONGEST
    assert all(clip.length <= LONGEST for clip in clips.clips)
    assert sum(clip.length for clip in clips.clips) == len(store.frames)
    assert clips.labels.tolist() == [0, 1, 2, 3, 0, 0, 0]
    x = clips.whole(np.array([1, 3]), 64)
    np.testing.assert_array_equal(x[0, :, :, :, 0].permute(1, 2, 0), store.joints(store.entries[1])[:, 0])
    assert x.shape == (2, 3, 64, 25, 2) and (x[..., 1] == 0).all()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_crops_stay_inside_their_clip_and_follow_the_seed(store: Store, seed: int) -> None:
    clips = Clips([store])
    indices = np.arange(len(clips))
    first, second = (clips.cropped(indices, 64, np.random.default_rng(seed)) for _ in range(2))
    assert torch.equal(first, second)
    for clip, x in zip(clips.clips, first, strict=True):
        frames = torch.from_numpy(np.array(store.frames[clip.start : clip.start + clip.length]))
        low, high = frames.amin(dim=0), frames.amax(dim=0)  # interpolation stays between what the clip holds
        drawn = x.permute(1, 3, 2, 0)
        assert (drawn >= low - 1e-5).all() and (drawn <= high + 1e-5).all()


def test_choosing_people_and_nobody(store: Store) -> None:
    assert {clip.subject for clip in Clips([store], lambda s, e: e.subject == "s1").clips} == {"s1"}
    with pytest.raises(ValueError, match="no clips"):
        Clips([store], lambda s, e: False)


def test_several_stores_are_drawn_from_alike(store: Store) -> None:
    one, two = Clips([store]), Clips([store, store])
    n = len(one)
    np.testing.assert_array_equal(two.whole(np.array([2, n + 2]), 64)[1], one.whole(np.array([2]), 64)[0])


def test_actions_of_an_untrimmed_recording_are_clips(tmp_path: Path) -> None:
    labels = np.repeat([0, 2, 0, 1, 3], [10, 20, 5, 30, 15]).astype(np.int16)
    recording = Recording(
        name="r", subject="s", view="", trimmed=False, times_s=np.arange(80) / 30,
        joints=np.random.default_rng(0).normal(size=(80, 1, 25, 3)).astype(np.float32), labels=labels,
    )  # fmt: skip
    store = write_store(tmp_path / "s", [recording], dataset="s", classes=tuple("bacd"), licence="", source="recorded")
    assert [(c.start, c.length, c.label) for c in Clips([store], actions=True).clips] == [
        (10, 20, 2), (35, 30, 1), (65, 15, 3),
    ]  # fmt: skip
