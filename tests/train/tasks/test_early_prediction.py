"""Early prediction: nothing after the observed part decides, and what comes late is only known late."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.encoder.dste import DSTE
from skelstream.encoder.layout import NTU25
from skelstream.encoder.modality import Modality
from skelstream.train.clips import Clips
from skelstream.train.fine_tune_frames import FrameModel, FrameTraining
from skelstream.train.gather import resized
from skelstream.train.pretrained import random_encoder
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store
from skelstream.train.tasks.early_prediction import (
    RATIOS,
    EarlyPrediction,
    decisions,
    first_part,
    frame_log_probabilities,
    predict_early,
)

FRAMES = 16
unhurried = settings(deadline=None, max_examples=30)  # a busy machine is no failure


def late_hands(path: Path, clips: int, length: int = 40) -> Store:
    """Everybody stands still for half the clip, then raises the left (class 0) or the right hand (class 1)."""
    body = np.random.default_rng(1).normal(0, 0.3, (25, 3)).astype(np.float32)
    body[NTU25.index("SpineBase")], body[NTU25.index("SpineShoulder")] = 0, (0, 0.5, 0)

    def recording(i: int) -> Recording:
        rng = np.random.default_rng((9, i))
        joints = np.tile(body, (length, 1, 1)) + rng.normal(0, 0.01, (length, 25, 3))
        side = ("Left", "Right")[i % 2]
        joints[length // 2 :, [NTU25.index(f"{part}{side}") for part in ("Wrist", "Hand", "HandTip")]] += [0, 0.8, 0]
        joints += [0.0, 0.2, 3.0]
        return Recording(
            name=f"late/{i}", subject="late/1" if i < clips * 2 // 3 else "late/2", view="", trimmed=True,
            times_s=np.arange(length) / 30, joints=joints[:, None].astype(np.float32),
            labels=np.full(length, i % 2, np.int16),
        )  # fmt: skip

    return write_store(
        path, map(recording, range(clips)), dataset="late", classes=("left", "right"), licence="ours", source="drawn"
    )


def model(causal: bool, modality: Modality = "joint") -> FrameModel:
    torch.manual_seed(0)
    multimodal = modality == "joint+motion+bone"
    config = DSTE.Config(hidden=16, layers=1, frames=FRAMES, causal=causal, multimodal=multimodal)
    return FrameModel(random_encoder(config, 0, modality), 2).eval()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("modality", ["joint", "motion", "joint+motion+bone"])
def test_no_frame_after_the_observed_part_decides(causal: bool, modality: Modality, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    store = late_hands(tmp_path / "s", 4)
    clips, ours = Clips([store]), model(causal, modality)
    some = np.arange(len(clips))
    for ratio in (0.1, 0.33, 0.5, 0.9):
        joints, seen = first_part(clips, some, FRAMES, np.full(len(some), ratio))
        answer = frame_log_probabilities(ours, joints, seen)
        changed = np.array(store.frames)
        for clip in clips.clips:
            changed[clip.start + int(clip.length * ratio) : clip.start + clip.length] = 7.0
        store.frames, original = changed, store.frames
        again, seen_again = first_part(clips, some, FRAMES, np.full(len(some), ratio))
        assert torch.equal(seen, seen_again) and torch.equal(joints, again)
        assert torch.equal(frame_log_probabilities(ours, again, seen_again), answer)
        # The change is one that matters to whoever sees it.
        assert not torch.equal(first_part(clips, some, FRAMES, np.ones(len(some)))[0], again)
        store.frames = original


@unhurried
@given(st.integers(1, FRAMES - 1), st.sampled_from(["joint", "bone"]))
def test_a_causal_encoder_says_the_same_of_a_frame_however_much_follows(seen: int, modality: Modality) -> None:
    torch.set_num_threads(1)
    ours = model(True, modality)
    joints = torch.randn(2, 3, FRAMES, 25, 2, generator=torch.Generator().manual_seed(seen))
    with torch.inference_mode():
        whole = frame_log_probabilities(ours, joints, torch.full((2,), FRAMES))
        part = joints.clone()
        part[:, :, seen:] = 0
        early = frame_log_probabilities(ours, part, torch.full((2,), seen))
    torch.testing.assert_close(early[:, :seen], whole[:, :seen], rtol=0, atol=0)


def test_the_first_part_is_the_resized_clip_cut_off(tmp_path: Path) -> None:
    store = late_hands(tmp_path / "s", 2, length=48)
    clips = Clips([store])
    whole = clips.whole(np.arange(2), FRAMES)
    for ratio, expected in ((0.1, 1), (0.5, 8), (0.99, 15), (1.0, 16), (0.01, 1)):
        joints, seen = first_part(clips, np.arange(2), FRAMES, np.full(2, ratio))
        assert seen.tolist() == [expected, expected]
        assert not joints[:, :, expected:].any()
        at = resized(np.zeros(1), np.array([48]), FRAMES)[0]
        inside = int((at[:expected] <= max(int(48 * ratio), 1) - 1).sum())  # positions that need no clamping
        torch.testing.assert_close(joints[:, :, :inside], whole[:, :, :inside])
        if ratio == 1.0:
            torch.testing.assert_close(joints, whole)


def test_what_comes_late_is_known_late(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    store = late_hands(tmp_path / "s", 48)
    train = Clips([store], lambda _, entry: entry.subject == "late/1")
    test = Clips([store], lambda _, entry: entry.subject == "late/2")
    start = random_encoder(DSTE.Config(hidden=16, layers=1, frames=FRAMES, causal=True), 0)
    training = FrameTraining(epochs=40, batch=16, optimiser="adamw", lr=3e-3, schedule="cosine")
    task = EarlyPrediction(training=training)
    results = predict_early(start, train, test, task, tmp_path / "run", lambda _: None)
    assert results["clips"] == 16
    assert list(results["accuracy"]) == [f"{p} %" for p in range(10, 101, 10)]
    assert results["accuracy"]["100 %"] == 1 and results["accuracy"]["80 %"] == 1
    assert results["accuracy"]["40 %"] < 0.9  # nobody has moved yet
    assert results["mean"] == pytest.approx(np.mean(list(results["accuracy"].values())))
    assert (tmp_path / "run" / "accuracy.png").read_bytes().startswith(b"\x89PNG")

    # The same call again trains nothing and says the same.
    again: list[str] = []
    assert predict_early(start, train, test, task, tmp_path / "run", again.append) == results
    assert len(again) == 1 and again[0].startswith("going on")


def test_decisions_are_the_class_of_the_highest_mean_over_seen_frames(tmp_path: Path) -> None:
    clips, ours = Clips([late_hands(tmp_path / "s", 6)]), model(causal=False)
    decided = decisions(ours, clips, RATIOS)
    for column, ratio in enumerate(RATIOS):
        joints, seen = first_part(clips, np.arange(6), FRAMES, np.full(6, ratio))
        with torch.inference_mode():
            log_p = frame_log_probabilities(ours, joints, seen).numpy()
        for i, n in enumerate(seen.tolist()):
            assert decided[i, column] == np.exp(log_p[i, :n]).mean(axis=0).argmax()


def test_ratios_outside_the_clip_are_refused() -> None:
    for ratios in ((), (0.0, 1.0), (1.2,)):
        with pytest.raises(ValueError, match="observed ratios"):
            EarlyPrediction(ratios=ratios)
