"""Streams, training windows and augmentation: nobody on both sides, nothing from beyond a stream, truth unchanged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.encoder.layout import NTU25
from skelstream.train.augment import add_bystander, augment, hide, mirror, rotate
from skelstream.train.datasets import READERS
from skelstream.train.recording import Recording
from skelstream.train.sampler import WindowSampler
from skelstream.train.splits import part_of
from skelstream.train.store import write_store
from skelstream.train.streams import Stream, streams_of
from skelstream.train.vocabulary import CLASSES, DATASETS, IGNORE, class_map, translate


def stream(name: str, labels: list[int], seed: int = 0) -> Stream:
    joints = np.zeros((len(labels), 2, 25, 3), np.float32)
    joints[:, 0] = np.random.default_rng(seed).normal(size=(len(labels), 25, 3)) + np.array([0, 0, 3])
    return Stream(
        name=name, dataset="actor", subject="actor/train", source="recorded", joints=joints,
        labels=np.array(labels, np.int16),
    )  # fmt: skip


def test_every_class_of_every_set_has_a_place_in_the_vocabulary() -> None:
    used: set[int] = set()
    for name in (name for name in DATASETS if name not in ("actor", "daily")):
        reader = READERS[name]
        ours = class_map(name, reader.classes)
        assert len(ours) == len(reader.classes) and (ours >= IGNORE).all() and (ours < len(CLASSES)).all()
        used |= set(ours.tolist())
        for native, index in zip(reader.classes, ours, strict=True):
            assert translate(name, native) == (None if index == IGNORE else CLASSES[index])
    assert used >= set(range(len(CLASSES)))  # no action without real examples
    with pytest.raises(ValueError, match="no vocabulary"):
        class_map("unheard-of", ("a",))


def test_each_person_is_in_one_part() -> None:
    parts = {(d, s): part_of(d, f"{d}/{s}") for d in ("utkinect", "precog2016", "nw_ucla") for s in range(1, 11)}
    assert set(parts.values()) == {"train", "val", "test"}
    assert parts["utkinect", 7] == parts["utkinect", 8] == "test"


def test_trimmed_clips_of_a_person_become_one_stream_without_jumps(tmp_path: Path) -> None:
    def clip(i: int, x: float) -> Recording:
        joints = np.zeros((30, 1, 25, 3), np.float32) + np.array([x, 0, 3], np.float32)
        joints += np.arange(25, dtype=np.float32)[:, None] * 0.05
        return Recording(
            name=f"nw_ucla/{i}", subject="nw_ucla/1", view="1", trimmed=True, times_s=np.arange(30) / 30,
            joints=joints, labels=np.full(30, (3, 8)[i % 2], np.int16),
        )  # fmt: skip

    store = write_store(
        tmp_path / "s", [clip(0, 0.0), clip(1, 2.0)], dataset="nw_ucla", classes=READERS["nw_ucla"].classes,
        licence="", source="recorded",
    )  # fmt: skip
    (joined,) = streams_of([store], ("train",))
    assert list(dict.fromkeys(joined.labels.tolist())) == [CLASSES.index("walk"), IGNORE, CLASSES.index("throw")]
    assert np.abs(np.diff(joined.joints[:, 0], axis=0)).max() < 0.05
    assert not streams_of([store], ("test",))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_training_windows_stay_inside_their_stream(seed: int) -> None:
    # Two streams that never share a coordinate: a window that looked across would hold both.
    a, b = stream("a", [0] * 50 + [1] * 50), stream("b", [0] * 10 + [2] * 30)
    b.joints[:, 0] += 100
    joints, labels = WindowSampler([a, b]).draw(np.random.default_rng(seed), 16)
    assert joints.shape == (16, 3, 64, 25, 2) and labels.shape == (16, 64)
    high = (joints[:, 2, :, 0, 0] > 50).float().mean(dim=1)
    assert set(high.tolist()) <= {0.0, 1.0}
    assert not ((labels == 1).any(dim=1) & (high == 1)).any() and not ((labels == 2).any(dim=1) & (high == 0)).any()
    assert not joints[..., 1].any()


def test_a_rare_class_is_drawn_more_often_than_it_occurs_but_still_seldom() -> None:
    common, rare = stream("a", [0] * 900), stream("b", [1] * 100)
    _, labels = WindowSampler([common, rare]).draw(np.random.default_rng(0), 4000)
    # 100 of 1,000 frames, and 10 of 30 + 10 by the square roots: 0.175 of the windows, give or take 0.006.
    assert 0.15 < (labels == 1).all(dim=1).float().mean() < 0.20


def batch() -> torch.Tensor:
    x = torch.randn(6, 3, 64, 25, 2, generator=torch.Generator().manual_seed(0))
    x += torch.tensor([0.0, 0, 3]).view(1, 3, 1, 1, 1)
    x[..., 1] = 0
    return x


def test_augmentation_is_seeded_and_leaves_the_absent_absent() -> None:
    x = batch()
    once, again = (augment(x, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(once, again) and torch.isfinite(once).all()
    assert not torch.equal(once, augment(x, torch.Generator().manual_seed(4)))
    x[0, :, :20] = 0
    assert not augment(x, torch.Generator().manual_seed(3))[0, :, :20, :, 0].any()


def test_a_mirror_exchanges_left_and_right() -> None:
    x = batch()
    flipped = mirror(x, torch.ones(6, dtype=torch.bool))
    left, right = NTU25.index("HandLeft"), NTU25.index("HandRight")
    assert torch.equal(flipped[:, 0, :, left], -x[:, 0, :, right])
    assert torch.equal(flipped[:, 1, :, left], x[:, 1, :, right])
    assert torch.equal(mirror(flipped, torch.ones(6, dtype=torch.bool)), x)


def test_turning_keeps_every_distance() -> None:
    x = batch()[..., :1]
    turned = rotate(x, torch.Generator().manual_seed(1), yaw=1.0, pitch=0.5, roll=0.2)

    def distances(y: torch.Tensor) -> torch.Tensor:
        return torch.cdist(y[..., 0].permute(0, 2, 3, 1), y[..., 0].permute(0, 2, 3, 1))

    torch.testing.assert_close(distances(turned), distances(x), atol=1e-3, rtol=1e-3)
    assert (turned - x).abs().max() > 0.1


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_a_joint_that_was_not_seen_stays_so(seed: int) -> None:
    x = batch()
    left, right = NTU25.index("WristLeft"), NTU25.index("WristRight")
    x[:, :, 10:40, left] = 0
    varied = augment(x, torch.Generator().manual_seed(seed))
    gone = [(varied[:, :, 10:40, joint, 0] == 0).all(dim=(1, 2)) for joint in (left, right)]
    assert (gone[0] | gone[1]).all()  # the other one in a mirror


def test_hidden_joints_are_zero_and_the_others_as_they_were() -> None:
    x = torch.randn(400, 3, 64, 25, 2, generator=torch.Generator().manual_seed(0))
    hidden = hide(x, torch.Generator().manual_seed(0))
    gone = (hidden == 0).all(dim=1)
    assert torch.equal(hidden, torch.where(gone[:, None], 0, x))
    knees, base, head = (NTU25.index(name) for name in ("KneeLeft", "SpineBase", "Head"))
    always = gone.all(dim=1)[..., 0].float().mean(dim=0)
    assert 0.06 < always[knees] < 0.14 and 0.02 < always[base] < 0.08 and always[head] == 0
    assert (gone.any(dim=(1, 2, 3)).float().mean() < 0.35) and gone[..., 0].eq(gone[..., 1]).all()


def test_between_a_seen_joint_and_an_unseen_one_lies_nothing() -> None:
    a = stream("a", [0] * 100)
    a.joints[40:, 0, 7] = 0
    joints, _ = WindowSampler([a], speed=(0.3, 0.9)).draw(np.random.default_rng(0), 32)
    hand, others = joints[:, :, :, 7, 0], joints[:, :, :, :7, 0]
    assert (hand == 0).any() and (hand != 0).any() and (others != 0).all()
    lowest = torch.from_numpy(a.joints[:40, 0, 7].min(axis=0))
    inside = hand.transpose(1, 2)[(hand != 0).any(dim=1)]
    assert (inside >= lowest - 1e-4).all()  # a mean with zero would lie outside what was ever seen


def test_a_bystander_stands_beside_the_person() -> None:
    x = batch()
    crowded = add_bystander(x, torch.ones(6, dtype=torch.bool), torch.Generator().manual_seed(0))
    assert torch.equal(crowded[..., 0], x[..., 0])
    apart = (crowded[:, :, 0, 0, 1] - crowded[:, :, 0, 0, 0]).norm(dim=1)
    assert ((apart > 0.3) & (apart < 2.5)).all()
