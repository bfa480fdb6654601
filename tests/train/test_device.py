"""Training follows its device and its precision, as far as a machine without a GPU can tell.

A fake tensor knows its shape, type and device and holds no data: where one on the CPU meets one that is elsewhere, the
operation raises, as it does on a real GPU. Elsewhere is "meta", because a build of torch without CUDA does not even
slice what it believes to be on one. What only a GPU can tell is left to the last tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from skelstream.encoder.config import AnyEncoderConfig, DSTEConfig, Modality, STTRConfig
from skelstream.train import fine_tune_frames
from skelstream.train.clips import Clips
from skelstream.train.detect import DetectorRun, Training, train_detector
from skelstream.train.device import Precision, computed_in, device_of, encoded, training_device
from skelstream.train.fine_tune_frames import FrameModel, FrameTraining
from skelstream.train.native_streams import native_streams
from skelstream.train.pretrain import Pretraining, PretrainingRun, pretrain
from skelstream.train.pretrained import load_pretrained, random_encoder, weights_digest
from skelstream.train.probes import Exact, GradientDescent
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store
from skelstream.train.tasks.dense import dense_loss, window_answers
from skelstream.train.tasks.detection import DetectionTask, detect_actions
from skelstream.train.tasks.early_prediction import (
    EarlyPrediction,
    early_loss,
    first_part,
    frame_log_probabilities,
    predict_early,
    shown,
)
from skelstream.train.tasks.features import whole_features
from skelstream.train.tasks.fine_tune import FineTuning, FineTuningRun, fine_tune, logits
from skelstream.train.tasks.linear import LinearProbe, linear_probe
from skelstream.train.views import Views
from skelstream.train.vocabulary import CLASSES

CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")
SMALL = DSTEConfig(hidden=16, layers=1)
MULTIMODAL = replace(SMALL, multimodal=True)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here; fake tensors stand in above")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """24 recordings of two people who sway, in two classes that differ in pace."""
    rng, t = np.random.default_rng(0), np.arange(40) / 30

    def recording(i: int) -> Recording:
        body = rng.normal(size=(25, 3)) * 0.3 + (0, 0, 3)
        swing = np.sin(2 * np.pi * (1 + i % 2) * t)[:, None, None] * rng.normal(size=(25, 3)) * 0.2
        subject = f"actor/{'train' if i % 3 else 'val'}"
        return Recording(
            name=f"actor/{i}", subject=subject, view="", trimmed=False, times_s=t,
            joints=(body + swing).astype(np.float32)[:, None], labels=np.full(40, i % 2, np.int16),
        )  # fmt: skip

    path = tmp_path_factory.mktemp("stores") / "actor"
    return write_store(path, map(recording, range(24)), dataset="actor", classes=CLASSES, licence="", source="recorded")


@pytest.fixture(scope="module")
def clips(store: Store) -> Clips:
    return Clips([store])


@contextmanager
def fake() -> Iterator[None]:
    """What is moved to a device is there, in name; what meets something on another device raises."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def test_a_fake_tensor_left_behind_is_noticed(clips: Clips) -> None:
    encoder = random_encoder(SMALL, 0).encoder
    joints = clips.whole(np.arange(2), SMALL.frames)
    with fake():
        encoder.to(ELSEWHERE)
        assert encoder.clip(joints.to(ELSEWHERE)).device == ELSEWHERE
        with pytest.raises(RuntimeError, match="cpu"):
            encoder.clip(joints)


@pytest.mark.parametrize("encoder", [SMALL, MULTIMODAL, STTRConfig(hidden=16)])
def test_pretraining_is_where_its_encoder_is(clips: Clips, encoder: AnyEncoderConfig) -> None:
    config = Pretraining(
        encoder=encoder, modality="joint+motion+bone" if encoder.multimodal else "bone", batch=4, epochs=1,
        views=Views(yaw_deg=30),
    )  # fmt: skip
    run = PretrainingRun(clips, config, device=CPU)
    drawn = run.draw(0)
    with fake():
        run.encoder.to(ELSEWHERE)
        run.projectors.to(ELSEWHERE)
        terms = run.loss(run.viewed(drawn, torch.Generator().manual_seed(0)))
        terms.loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert drawn.device == CPU and terms.loss.device == ELSEWHERE
    assert {part.device for part in terms.domains.values()} == {ELSEWHERE}


def test_fine_tuning_is_where_its_model_is(clips: Clips) -> None:
    config = FineTuning(batch=4, views=Views(yaw_deg=30))
    run = FineTuningRun(random_encoder(SMALL, 0), clips, np.arange(len(clips)), CLASSES, config, CPU)
    drawn = run.draw(0)
    with fake():
        run.model.to(ELSEWHERE)
        loss, accuracy = run.loss(*drawn, torch.Generator().manual_seed(0))
        asked = logits(run.model, run.model.prepared(drawn[0].to(ELSEWHERE)), "auto")
    assert loss.device == accuracy.device == asked.device == ELSEWHERE


def test_features_come_back_to_the_cpu(clips: Clips) -> None:
    pretrained = random_encoder(SMALL, 0)
    with fake():
        pretrained.encoder.to(ELSEWHERE)
        features = whole_features(pretrained, clips, ELSEWHERE)
    assert features.shape == (len(clips), 32) and features.device == CPU


@pytest.mark.parametrize("vary", [False, True])
def test_frames_are_learnt_and_answered_where_the_model_is(store: Store, vary: bool) -> None:
    model = FrameModel(random_encoder(SMALL, 0), len(CLASSES), boundaries=True)
    run = fine_tune_frames._Run(model, _Nothing(), partial(dense_loss, model), FrameTraining(vary=vary))
    drawn = (torch.randn(2, 3, 64, 25, 2), torch.zeros(2, 64, dtype=torch.int64), torch.zeros(2, 64, 2))
    with fake():
        model.to(ELSEWHERE)
        value = run.value(drawn, torch.Generator().manual_seed(0))
        answers = window_answers(model, drawn[0])
    assert value.device == answers.device == ELSEWHERE
    assert answers.shape == (2, 64, len(CLASSES) + 2)


def test_early_prediction_is_where_its_model_is(clips: Clips) -> None:
    model = FrameModel(random_encoder(replace(SMALL, causal=True), 0), len(CLASSES))
    run = fine_tune_frames._Run(model, _Nothing(), partial(early_loss, model), FrameTraining())
    joints, seen = first_part(clips, np.arange(3), 64, np.array([0.2, 0.5, 1.0]))
    with fake():
        model.to(ELSEWHERE)
        value = run.value((joints, torch.zeros(3, dtype=torch.int64), seen), torch.Generator())
        asked = (
            frame_log_probabilities(model, joints.to(ELSEWHERE), seen.to(ELSEWHERE))
            * shown(seen.to(ELSEWHERE), 64)[..., None]
        )
    assert value.device == asked.device == ELSEWHERE


def test_a_detector_is_trained_where_it_is(store: Store) -> None:
    run = DetectorRun([store], Training(batch=4), random_encoder(SMALL, 0), CPU)
    drawn = run.sampler.draw(np.random.default_rng(0), 4)
    with fake():
        run.detector.to(ELSEWHERE)
        loss = run.loss(*drawn, slice(0, 4))
    assert loss.device == ELSEWHERE


class _Nothing:
    """Samples for a run that is given what it learns from."""

    def __len__(self) -> int:
        return 1

    def draw(self, indices: object, rng: np.random.Generator) -> tuple[Tensor, ...]:
        raise NotImplementedError


def test_auto_is_bfloat16_where_the_processor_has_units_for_it() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file() or "flags" not in (told := cpuinfo.read_text()):
        pytest.skip("only Linux on x86 tells what the processor has by another way")
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("this torch does not tell what the processor has")
    has = bool({"amx_bf16", "avx512_bf16"} & set(told.split()))
    assert computed_in(CPU, "auto") == (torch.bfloat16 if has else torch.float32)


def test_what_is_asked_for_is_computed_in_and_comes_out_as_float32() -> None:
    seen = []

    def product(x: Tensor) -> Tensor:
        seen.append((x @ x).dtype)
        return x @ x

    asked: tuple[Precision, ...] = ("float32", "bfloat16")
    outputs = [encoded(product, precision, torch.randn(3, 3)) for precision in asked]
    assert seen == [torch.float32, torch.bfloat16]
    assert {output.dtype for output in outputs} == {torch.float32}


def _pretraining(clips: Clips, precision: Precision) -> tuple[Tensor, Tensor, PretrainingRun]:
    """The loss of a first step, the gradient of every weight as one vector, and the run."""
    config = Pretraining(encoder=DSTEConfig(hidden=32), batch=24, epochs=2, precision=precision)
    run = PretrainingRun(clips, config, device=CPU)
    viewed = run.viewed(run.draw(0), torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    run.encoder.train()
    run.projectors.train()
    loss = run.loss(viewed).loss
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return loss.detach(), _gradient([*run.encoder.parameters(), *run.projectors.parameters()]), run


def _fine_tuning(clips: Clips, precision: Precision) -> tuple[Tensor, Tensor, FineTuningRun]:
    config = FineTuning(batch=24, precision=precision)
    start = random_encoder(DSTEConfig(hidden=32), 0)
    run = FineTuningRun(start, clips, np.arange(len(clips)), CLASSES, config, CPU)
    torch.manual_seed(1)
    loss, _ = run.loss(*run.draw(0), torch.Generator().manual_seed(0))
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return loss.detach(), _gradient([*run.model.parameters()]), run


def _gradient(parameters: list[torch.nn.Parameter]) -> Tensor:
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in parameters if p.grad is not None)
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])


@pytest.mark.parametrize("step", [_pretraining, _fine_tuning])
def test_a_step_in_bfloat16_is_that_in_float32_but_for_rounding(
    clips: Clips, step: Callable[[Clips, Precision], tuple[Tensor, Tensor, PretrainingRun | FineTuningRun]]
) -> None:
    exact, exact_gradient, _ = step(clips, "float32")
    rounded, rounded_gradient, run = step(clips, "bfloat16")
    assert rounded != exact  # it was another computation
    assert rounded.dtype == torch.float32
    assert float(rounded) == pytest.approx(float(exact), rel=0.02)
    assert float(torch.cosine_similarity(rounded_gradient, exact_gradient, dim=0)) > 0.98
    run.optimizer.step()
    kept = [value for state in run.optimizer.state.values() for value in state.values()]
    assert {value.dtype for value in kept} == {torch.float32}


@needs_gpu
def test_the_same_seed_shows_the_same_views_on_a_gpu(clips: Clips) -> None:
    config = Pretraining(encoder=SMALL, batch=24, epochs=1, precision="float32", views=Views(yaw_deg=30))
    on_cpu, on_gpu = (PretrainingRun(clips, config, device=device) for device in (CPU, training_device()))
    assert weights_digest(on_cpu.encoder) == weights_digest(on_gpu.encoder)
    here, there = (run.viewed(run.draw(0), torch.Generator().manual_seed(3)) for run in (on_cpu, on_gpu))
    torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=1e-4)
    for run in (on_cpu, on_gpu):
        run.encoder.eval()  # DropPath is drawn where it is
    torch.testing.assert_close(on_gpu.loss(there).loss.cpu(), on_cpu.loss(here).loss, rtol=1e-2, atol=0)


@needs_gpu
def test_every_task_runs_on_a_gpu_and_hands_back_what_is_on_the_cpu(store: Store, clips: Clips, tmp_path: Path) -> None:
    def quiet(_: str) -> None:
        pass

    for encoder in (SMALL, MULTIMODAL):
        modality: Modality = "joint+motion+bone" if encoder.multimodal else "joint"
        config = Pretraining(encoder=encoder, modality=modality, batch=8, epochs=4, checkpoint_every_s=0.0)
        assert device_of(pretrain(clips, tmp_path / modality, config, quiet)) == CPU
    start = load_pretrained(str(tmp_path / "joint"))
    before = weights_digest(start.encoder)
    for solver in (GradientDescent(epochs=3), Exact()):
        linear_probe(start, clips, clips, LinearProbe(solver=solver), tmp_path / type(solver).__name__, quiet)
    fine_tune(start, clips, clips, FineTuning(steps=12, batch=8, checkpoint_every_s=0.0), tmp_path / "tuned", quiet)
    short = FrameTraining(epochs=2, batch=8, vary=True)
    predict_early(start, clips, clips, EarlyPrediction(training=short), tmp_path / "early", quiet)
    streams = native_streams([store])
    detect_actions(start, streams, streams, DetectionTask(training=short, rerank=0.1), tmp_path / "actions", quiet)
    settings = Training(steps=4, batch=4, checkpoint_every_s=0.0)
    trained = train_detector([store], tmp_path / "detector", settings, quiet, start)
    assert device_of(trained.detector) == CPU
    # Checkpoints that a GPU wrote are read, and gone on from.
    assert device_of(load_pretrained(str(tmp_path / "tuned")).encoder) == CPU
    again = train_detector([store], tmp_path / "detector", settings, quiet, start)
    assert weights_digest(again.detector) == weights_digest(trained.detector)
    assert device_of(start.encoder) == CPU and weights_digest(start.encoder) == before
