"""Training a continual detector: it learns, goes on where it was stopped, answers in time, and is read again whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skelstream.encoder.bundle import DecodeParameters
from skelstream.encoder.continual import Continual, ContinualConfig
from skelstream.train.continual import (
    ContinualRun,
    ContinualTraining,
    SequenceSampler,
    accuracy,
    probabilities,
    train_continual,
)
from skelstream.train.continual_file import SavedContinual, load_continual, save_continual
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store
from skelstream.train.streams import Stream, streams_of
from skelstream.train.vocabulary import CLASSES, IGNORE

TINY = ContinualConfig(classes=CLASSES, hidden=32, layers=1, reach=16)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two people; whoever shakes a raised hand waves."""
    body = np.random.default_rng(0).normal(size=(25, 3)) * 0.3 + [0, 0, 3]

    def person(subject: str, phase_s: float) -> Recording:
        times = np.arange(400) / 30
        waving = ((times + phase_s) % 4) > 2
        joints = np.zeros((400, 1, 25, 3)) + body
        joints[:, 0, 6:8, 1] += np.where(waving, 1 + 0.3 * np.sin(12 * times), 0)[:, None]
        return Recording(
            name=f"actor/{subject}", subject=f"actor/{subject}", view="", trimmed=False, times_s=times,
            joints=joints.astype(np.float32), labels=np.where(waving, CLASSES.index("wave"), 0).astype(np.int16),
        )  # fmt: skip

    return write_store(
        tmp_path / "store", [person("train", 0.0), person("val", 1.0)], dataset="actor", classes=CLASSES,
        licence="ours", source="recorded",
    )  # fmt: skip


def numbered(frames: int) -> Stream:
    """A stream that tells its frame's number: in the joints, and as the label 1 + number mod 19."""
    joints = np.zeros((frames, 2, 25, 3), np.float32)
    joints[:, 0] = np.arange(1, frames + 1)[:, None, None]
    labels = (1 + np.arange(frames) % 19).astype(np.int16)
    return Stream(name="n", dataset="actor", subject="actor/train", source="recorded", joints=joints, labels=labels)


def test_sequences_run_past_the_end_by_the_delay_and_no_label_with_them() -> None:
    sampler = SequenceSampler([numbered(60)], frames=40, delay=8)
    sampler.speed = (1.0, 1.0)
    past_the_end = 0
    for seed in range(20):
        joints, labels = sampler.draw(np.random.default_rng(seed), 16)
        assert joints.shape == (16, 3, 40, 25, 2) and labels.shape == (16, 40)
        number = joints[:, 0, :, 0, 0] - 1
        known = labels != IGNORE
        # A label is that of the frame shown (between two frames, the nearer's), and what repeats has none.
        shown = torch.where(number % 1 == 0.5, number.floor(), number.round())
        right = 1 + shown % 19
        either = (labels == right) | (labels == 1 + (shown + 1) % 19)
        assert either[known].all()
        assert (number[~known] == 59).all()
        assert ((~known).sum(dim=1) <= 8).all()
        past_the_end += int((~known).any())
    assert past_the_end > 0


def test_of_a_short_stream_a_sequence_shows_all_from_its_beginning() -> None:
    sampler = SequenceSampler([numbered(20)], frames=64, delay=8)
    joints, labels = sampler.draw(np.random.default_rng(0), 8)
    assert (joints[:, 0, 0, 0, 0] == 1).all() and (joints[:, 0, -1, 0, 0] == 20).all()
    assert (labels[:, -8:] == IGNORE).all()
    with pytest.raises(ValueError, match="at a delay of 8"):
        SequenceSampler([numbered(20)], frames=8, delay=8)


def test_an_answer_is_held_against_the_frame_it_is_about(store: Store) -> None:
    """A model that says at t what the label was at t - delay has the least loss there is."""
    run = ContinualRun([store], ContinualTraining(batch=2, frames=40, smoothing=0, label_smoothing=0), shape=TINY)
    delay = run.model.delay
    labels = torch.randint(0, len(CLASSES), (2, 40))

    class Knows(torch.nn.Module):
        def __init__(self, late: int) -> None:
            super().__init__()
            self.late = late

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            said = torch.zeros(2, 40, len(CLASSES))
            said[:, self.late :] = 30 * torch.nn.functional.one_hot(labels[:, : 40 - self.late], len(CLASSES))
            return said

    losses = {}
    for late in (0, delay - 1, delay, delay + 1):
        run.model.head = Knows(late)  # type: ignore[assignment]
        losses[late] = float(run.loss(torch.randn(2, 3, 40, 25, 2), labels))
    assert losses[delay] < 1e-6 and min(loss for late, loss in losses.items() if late != delay) > 1


def test_probabilities_are_those_said_so_much_later() -> None:
    model = Continual(TINY).eval()
    joints = np.random.default_rng(0).normal(size=(50, 2, 25, 3)).astype(np.float32)
    said = probabilities(model, joints)
    with torch.inference_mode():
        logits = model(torch.from_numpy(joints).permute(3, 0, 2, 1)[None])[0]
    assert said.shape == (50, len(CLASSES))
    np.testing.assert_allclose(said[:42], logits[8:].softmax(-1).numpy(), atol=1e-5)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-5)


def test_it_learns_to_tell_waving_from_standing(store: Store, tmp_path: Path) -> None:
    settings = ContinualTraining(steps=120, batch=8, frames=64, lr=3e-3, warmup=10, average=0.9)
    run = train_continual([store], tmp_path / "run", settings, lambda line: None, shape=TINY)
    assert accuracy(run.averaged(), streams_of([store], ("val",))) > 0.8
    assert run.provenance()["data"] == ["actor (recorded): ours"] and run.provenance()["start"] == "random"


def test_a_run_that_was_stopped_ends_where_the_uninterrupted_one_ends(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ContinualTraining(steps=6, batch=4, frames=32, checkpoint_every_s=0.0)
    whole = train_continual([store], tmp_path / "whole", settings, lambda line: None, shape=TINY)

    class Stopped(Exception):
        pass

    advance = ContinualRun.advance

    def stop_at_four(self: ContinualRun) -> torch.Tensor:
        if self.step == 4:
            raise Stopped
        return advance(self)

    monkeypatch.setattr(ContinualRun, "advance", stop_at_four)
    with pytest.raises(Stopped):
        train_continual([store], tmp_path / "stopped", settings, lambda line: None, shape=TINY)
    monkeypatch.setattr(ContinualRun, "advance", advance)
    resumed = train_continual([store], tmp_path / "stopped", settings, lambda line: None, shape=TINY)
    for name, weight in whole.averaged().state_dict().items():
        torch.testing.assert_close(resumed.averaged().state_dict()[name], weight, msg=name)


def test_what_was_saved_is_read_again_and_what_was_altered_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Continual(replace(TINY, delay=5)).eval()
    decode = DecodeParameters(delay=0, enter=0.4, leave=0.2, min_frames=9)
    saved = save_continual(tmp_path, SavedContinual(model=model, decode=decode, provenance={"seed": 0}))
    again = load_continual(tmp_path)
    assert again.decode == decode and again.provenance == {"seed": 0} and again.model.config == model.config
    joints = torch.randn(1, 3, 20, 25, 2)
    with torch.inference_mode():
        assert torch.equal(again.model(joints), saved.model(joints))
        torch.testing.assert_close(again.model(joints), model(joints), atol=1e-2, rtol=1e-2)

    weights = tmp_path / "continual.safetensors"
    content = weights.read_bytes()
    for wrong in (content[:-10], content[:-1] + bytes([content[-1] ^ 1])):
        weights.write_bytes(wrong)
        with pytest.raises(ValueError, match="is not the one"):
            load_continual(tmp_path)
    with pytest.raises(ValueError, match="no whole continual detector"):
        load_continual(tmp_path / "nowhere")
