"""Detection and segmentation on streams in which a raised hand is the action: learnt, resumed, frozen, measured."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from skelstream.encoder.dste import DSTE
from skelstream.encoder.layout import NTU25
from skelstream.train import fine_tune_frames
from skelstream.train.fine_tune_frames import FrameModel, FrameTraining, varied
from skelstream.train.frozen_windows import frozen_windows
from skelstream.train.native_streams import NativeStreams, native_streams
from skelstream.train.pretrained import Pretrained, load_pretrained, random_encoder
from skelstream.train.recording import Recording
from skelstream.train.store import write_store
from skelstream.train.streams import Stream
from skelstream.train.tasks.dense import Answers, frame_cross_entropy
from skelstream.train.tasks.detection import (
    DetectionTask,
    detect_actions,
    detect_actions_leaving_one_out,
    measured,
)
from skelstream.train.tasks.segmentation import (
    SegmentationTask,
    segment_actions,
    segment_actions_leaving_one_out,
    smoothed,
)
from skelstream.train.vocabulary import IGNORE
from skelstream.train.windows import Windows

CLASSES = ("background", "left", "right")
FRAMES = 16
SHORT = FrameTraining(epochs=2, batch=16, checkpoint_every_s=0.0)
LEARN = FrameTraining(epochs=12, batch=16, optimiser="adamw", lr=3e-3, schedule="cosine")


def silent(_: str) -> None:
    pass


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def start() -> Pretrained:
    return random_encoder(DSTE.Config(hidden=16, layers=1, frames=FRAMES), seed=3)


@pytest.fixture
def streams(tmp_path: Path) -> NativeStreams:
    """Three people, two recordings each, who raise the left or the right hand now and then."""
    body = np.random.default_rng(1).normal(0, 0.3, (25, 3)).astype(np.float32)
    body[NTU25.index("SpineBase")], body[NTU25.index("SpineShoulder")] = 0, (0, 0.5, 0)

    def recording(i: int) -> Recording:
        rng = np.random.default_rng((7, i))
        labels = np.concatenate([np.full(int(rng.integers(20, 40)), k) for k in (0, 1, 0, 2, 0, 2, 0, 1, 0)])
        joints = np.tile(body, (len(labels), 1, 1)) + rng.normal(0, 0.01, (len(labels), 25, 3))
        for k, side in ((1, "Left"), (2, "Right")):
            hand = [NTU25.index(f"{part}{side}") for part in ("Wrist", "Hand", "HandTip", "Thumb")]
            joints[np.ix_(labels == k, hand)] += [0, 0.8, 0]
        joints += np.array([rng.normal(0, 0.3), 0.2, 3.0])
        return Recording(
            name=f"hands/{i}", subject=f"hands/{i // 2}", view="", trimmed=False, times_s=np.arange(len(labels)) / 30,
            joints=joints[:, None].astype(np.float32), labels=labels.astype(np.int16),
        )  # fmt: skip

    store = write_store(
        tmp_path / "hands", map(recording, range(6)), dataset="hands", classes=CLASSES, licence="ours", source="drawn"
    )
    return native_streams([store])


def parted(streams: NativeStreams) -> tuple[NativeStreams, NativeStreams]:
    """All but the last person, and the last person."""
    *_, (_, train, test) = streams.leaving_one_out()
    return train, test


def test_detection_learns_and_finds_the_edges(start: Pretrained, streams: NativeStreams, tmp_path: Path) -> None:
    config = DetectionTask(training=LEARN, train_hop=8, test_hop=8, rerank=0.1, threshold=0.3)
    train, test = parted(streams)
    results = detect_actions(start, train, test, config, tmp_path / "run", silent)
    assert results["streams"] == 2 and results["segments"] == 8
    assert results["frame_accuracy"] > 0.9
    for ranking in ("plain", "reranked"):
        assert results[ranking]["iou 0.5"]["exact"]["map_actions"] > 0.8
    told = json.loads((tmp_path / "run" / "results.json").read_text())
    assert told == results


def test_segmentation_learns(start: Pretrained, streams: NativeStreams, tmp_path: Path) -> None:
    config = SegmentationTask(training=LEARN, train_hop=8, test_hop=4, smoothing=5)
    train, test = parted(streams)
    results = segment_actions(start, train, test, config, tmp_path / "run", silent)
    assert results["frames"] == sum(len(stream.labels) for stream in test.streams)
    assert results["frame_accuracy"] > 0.9 and results["f1_50"] > 0.8 and results["edit"] > 80


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_run_that_was_stopped_ends_where_the_uninterrupted_one_ends(
    schedule: Literal["constant", "cosine"],
    start: Pretrained,
    streams: NativeStreams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = replace(SHORT, vary=True, drop_path=True, schedule=schedule)
    config = DetectionTask(training=training, test_hop=FRAMES, train_hop=FRAMES, speed=(0.8, 1.2), rerank=0.1)
    train, test = parted(streams)
    whole = detect_actions(start, train, test, config, tmp_path / "whole", silent)

    class Stopped(Exception):
        pass

    advance = fine_tune_frames._Run.advance

    def stop_at_three(self: fine_tune_frames._Run) -> float:
        if self.step == 3:
            raise Stopped
        return advance(self)

    monkeypatch.setattr(fine_tune_frames._Run, "advance", stop_at_three)
    with pytest.raises(Stopped):
        detect_actions(start, train, test, config, tmp_path / "stopped", silent)
    monkeypatch.setattr(fine_tune_frames._Run, "advance", advance)
    said: list[str] = []
    assert detect_actions(start, train, test, config, tmp_path / "stopped", said.append) == whole
    assert said[0] == "going on from step 3"
    ends = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "stopped")]
    for part in ("encoder", "heads"):
        for name, weight in ends[0][part].items():
            assert torch.equal(weight, ends[1][part][name]), name


def test_a_frozen_encoder_stays_as_it_was_and_an_unfrozen_one_does_not(
    start: Pretrained, streams: NativeStreams, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in start.encoder.state_dict().items()}
    train, test = parted(streams)
    for frozen in (True, False):
        task = DetectionTask(training=replace(SHORT, frozen=frozen), train_hop=FRAMES, test_hop=FRAMES)
        detect_actions(start, train, test, task, tmp_path / str(frozen), silent)
        after = load_pretrained(str(tmp_path / str(frozen))).encoder.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items()) == frozen
        heads = torch.load(tmp_path / str(frozen) / "checkpoint.pt", weights_only=True)["heads"]
        assert heads["head.bias"].abs().sum() > 0  # it began at zero
    assert all(torch.equal(start.encoder.state_dict()[name], value) for name, value in before.items())


def test_a_frozen_encoders_features_are_computed_once(
    start: Pretrained, streams: NativeStreams, tmp_path: Path
) -> None:
    model, run = FrameModel(start, 3), tmp_path / "run"
    run.mkdir()
    windows = whole_windows(streams, speed=(0.8, 1.25))
    config = replace(SHORT, frozen=True, draws=3, vary=True)
    with frozen_windows(model, windows, config, run, silent) as frozen:
        assert len(frozen) == len(windows)
        some = np.array([4, 0, 7])
        drawn = [frozen.draw(some, np.random.default_rng(i)) for i in range(100)]
    assert not list(run.iterdir())
    of_window_4 = {features[0].numpy().tobytes(): labels[0] for features, labels, _ in drawn}
    assert len(of_window_4) == 3  # however often it is asked for

    # The first draw, by hand.
    joints, labels, _ = windows.draw(np.arange(min(64, len(windows))), np.random.default_rng((config.seed, 0, 0)))
    with torch.no_grad():
        varied_joints = varied(joints, torch.Generator().manual_seed(config.seed * 1_000_003 * 1_000_003))
        features = model(model.prepared(varied_joints)).half().float()
    assert torch.equal(of_window_4[features[4].numpy().tobytes()], labels[4])


def test_features_that_no_disk_holds_are_refused(start: Pretrained, streams: NativeStreams, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    config = replace(SHORT, frozen=True, draws=10**9)
    model, windows = FrameModel(start, 3), whole_windows(streams, speed=(1, 1))
    with (
        pytest.raises(ValueError, match="GB left; start windows further apart"),
        frozen_windows(model, windows, config, run, silent),
    ):
        raise AssertionError("there is no such disk")
    assert not list(run.iterdir())


def whole_windows(streams: NativeStreams, speed: tuple[float, float]) -> Windows:
    """Windows laid end to end, without boundaries."""
    targets = [np.zeros((len(stream.labels), 2), np.float32) for stream in streams.streams]
    return Windows(streams.streams, targets, frames=FRAMES, hop=FRAMES, speed=speed)


def test_leaving_one_out_measures_everybody_once(start: Pretrained, streams: NativeStreams, tmp_path: Path) -> None:
    training = replace(SHORT, epochs=1)
    task = DetectionTask(training=training, train_hop=FRAMES, test_hop=FRAMES)
    results = detect_actions_leaving_one_out(start, streams, task, tmp_path / "detection", silent)
    assert (results["streams"], results["segments"]) == (6, 24)
    assert set(results["people"]) == {"hands/0", "hands/1", "hands/2"}
    frames = {p: sum(len(s.labels) for s in streams.streams if s.subject == p) for p in streams.people()}
    pooled = sum(frames[p] * results["people"][p]["frame_accuracy"] for p in frames) / sum(frames.values())
    assert results["frame_accuracy"] == pytest.approx(pooled)
    # Each fold is what the same people give without the others being asked.
    train, test = parted(streams)
    assert detect_actions(start, train, test, task, tmp_path / "one", silent) == results["people"]["hands/2"]

    segmentation = SegmentationTask(training=training, train_hop=FRAMES, test_hop=FRAMES)
    results = segment_actions_leaving_one_out(start, streams, segmentation, tmp_path / "segmentation", silent)
    assert results["frames"] == sum(frames.values())


def test_a_folder_holds_one_run_of_one_encoder(start: Pretrained, streams: NativeStreams, tmp_path: Path) -> None:
    train, test = parted(streams)
    task = DetectionTask(training=replace(SHORT, epochs=1), train_hop=FRAMES, test_hop=FRAMES)
    detect_actions(start, train, test, task, tmp_path / "run", silent)
    with pytest.raises(ValueError, match="other settings"):
        detect_actions(
            random_encoder(DSTE.Config(hidden=16, layers=1, frames=FRAMES), seed=4),
            train,
            test,
            task,
            tmp_path / "run",
            silent,
        )
    with pytest.raises(ValueError, match="other classes"):
        other = replace(test, classes=("background", "up", "down"))
        detect_actions(start, train, other, task, tmp_path / "run", silent)
    with pytest.raises(ValueError, match="at least 1"):
        FrameTraining(epochs=0)
    with pytest.raises(ValueError, match="drops no paths"):
        FrameTraining(frozen=True, drop_path=True)
    with pytest.raises(ValueError, match="odd number"):
        SegmentationTask(smoothing=4)


def test_perfect_answers_score_one_and_unknown_frames_make_no_detection() -> None:
    labels = np.array([0] * 5 + [1] * 6 + [IGNORE] * 4 + [2] * 5, np.int16)
    joints = np.zeros((20, 2, 25, 3), np.float32)
    stream = Stream(name="a", dataset="d", subject="d/1", source="recorded", joints=joints, labels=labels)
    sure = np.eye(3)[np.where(labels == IGNORE, 1, labels)]  # it goes on with 1 where nobody knows
    results = measured(
        [Answers(stream=stream, probabilities=sure, boundaries=np.ones((20, 2)))], DetectionTask(rerank=0.1)
    )
    for ranking in ("plain", "reranked"):
        for kind in ("script", "exact"):
            assert set(results[ranking]["iou 0.5"][kind].values()) == {1.0}
    assert results["frame_accuracy"] == 1
    blank = measured([Answers(stream=stream, probabilities=np.eye(3)[[0] * 20], boundaries=None)], DetectionTask())
    assert blank["plain"]["iou 0.5"]["exact"]["f1"] == 0
    nothing = replace(stream, labels=np.zeros(20, np.int16))
    empty = measured([Answers(stream=nothing, probabilities=sure, boundaries=None)], DetectionTask())
    assert math.isnan(empty["plain"]["iou 0.5"]["script"]["map_actions"])


def test_the_loss_is_the_mean_over_known_frames() -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, IGNORE, 2, IGNORE], [IGNORE, 1, 1, IGNORE, 0]])
    log_p = logits.double() - logits.double().exp().sum(-1, keepdim=True).log()
    each = [-log_p[b, t, labels[b, t]] for b in range(2) for t in range(5) if labels[b, t] >= 0]
    assert float(frame_cross_entropy(logits, labels)) == pytest.approx(float(sum(each) / len(each)), rel=1e-5)
    assert float(frame_cross_entropy(logits, torch.full((2, 5), IGNORE))) == 0


@hypothesis_settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 20), st.integers(0, 4), st.integers(0, 2**31))
def test_smoothing_is_the_mean_of_the_frames_about(length: int, half: int, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(size=(length, 3))
    expected = np.stack([values[max(t - half, 0) : t + half + 1].mean(axis=0) for t in range(length)])
    np.testing.assert_allclose(smoothed(values, 2 * half + 1), expected, atol=1e-12)
