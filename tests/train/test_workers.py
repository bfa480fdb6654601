"""Workers: whoever has which rows, what is learnt is what one worker with the whole batch learns."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed

from skelstream.encoder.config import DSTEConfig
from skelstream.train.clips import Clips
from skelstream.train.detect import DetectorRun, Training
from skelstream.train.pretrain import Pretraining, PretrainingRun
from skelstream.train.pretrained import random_encoder
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store
from skelstream.train.views import Views
from skelstream.train.vocabulary import CLASSES, IGNORE
from skelstream.train.workers import ALONE, Workers

CPU = torch.device("cpu")
CONFIG = Pretraining(
    encoder=DSTEConfig(hidden=8, layers=1, drop_path=0.2), batch=384, epochs=2, lr=1e-3, views=Views(yaw_deg=30),
    precision="float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)

    def recording(i: int) -> Recording:
        joints = (rng.normal(size=(12, 25, 3)) * 0.3 + (0, 0, 3)).astype(np.float32)[:, None]
        return Recording(
            name=str(i), subject="a", view="", trimmed=True, times_s=np.arange(12) / 30, joints=joints,
            labels=np.zeros(12, np.int16),
        )  # fmt: skip

    path = tmp_path_factory.mktemp("stores") / "set"
    write_store(path, (recording(i) for i in range(400)), dataset="set", classes=("a",), licence="", source="recorded")
    return path


@pytest.fixture(scope="module")
def actors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody who waves and does not, and at times does what counts for nothing."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, CLASSES.index("wave"), IGNORE, 0, CLASSES.index("wave")], 40).astype(np.int16)
    recording = Recording(
        name="actor/train", subject="actor/train", view="", trimmed=False, times_s=np.arange(200) / 30,
        joints=(rng.normal(size=(200, 25, 3)) * 0.3 + (0, 0, 3)).astype(np.float32)[:, None], labels=labels,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("stores") / "actor"
    write_store(path, [recording], dataset="actor", classes=CLASSES, licence="ours", source="recorded")
    return path


@given(st.integers(1, 500), st.integers(1, 40))
def test_shares_are_the_batch_and_differ_by_one_row_at_most(batch: int, count: int) -> None:
    workers = [Workers(rank=rank, count=count) for rank in range(count)]
    if batch < count:
        with pytest.raises(ValueError, match="fewer workers"):
            workers[0].share(batch)
        return
    shares = [worker.share(batch) for worker in workers]
    assert [row for share in shares for row in range(batch)[share]] == list(range(batch))
    assert {share.stop - share.start for share in shares} <= {batch // count, batch // count + 1}


def learnt(
    store: Path, config: Pretraining | Training, workers: Workers, steps: int
) -> tuple[list[float], torch.Tensor]:
    """The losses of some steps, and the last gradient of every weight."""
    torch.set_num_threads(1)
    if isinstance(config, Pretraining):
        run = PretrainingRun(Clips([Store(store)]), config, device=CPU, workers=workers)
        weights = [*run.encoder.parameters(), *run.projectors.parameters()]
        losses = [float(report["loss"]) for report in islice(run.learn(), steps)]
    else:
        start = random_encoder(CONFIG.encoder, 0)
        detector = DetectorRun([Store(store)], config, start, device=CPU, workers=workers)
        weights = [*detector.detector.parameters()]
        losses = [float(report["loss"].detach()) for report in islice(detector.learn(), steps)]
    return losses, torch.cat([p.grad.flatten() for p in weights if p.grad is not None])


def work(rank: int, count: int, meeting: Path, store: Path, config: Pretraining | Training, steps: int) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{meeting}/group", rank=rank, world_size=count)
    losses, gradient = learnt(store, config, Workers.joined(), steps)
    torch.save({"losses": losses, "gradient": gradient}, meeting / f"{rank}.pt")
    distributed.barrier()
    distributed.destroy_process_group()


def together(
    count: int, meeting: Path, store: Path, config: Pretraining | Training, steps: int
) -> list[dict[str, object]]:
    """What each of `count` real processes learnt."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", __name__])
    processes = [
        context.Process(target=work, args=(rank, count, meeting, store, config, steps)) for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * count
    return [torch.load(meeting / f"{rank}.pt", weights_only=True) for rank in range(count)]


@pytest.mark.parametrize(("count", "pieces_of"), [pytest.param(8, 0, marks=pytest.mark.slow), (3, 50)])
def test_workers_learn_what_one_with_the_whole_batch_learns(
    store: Path, tmp_path: Path, count: int, pieces_of: int
) -> None:
    """Loss and gradient of 384 clips: eight workers of 48; three of 128, in pieces of 50, 50 and 28."""
    steps = 2  # the second begins with weights that the first has changed
    alone, gradient = learnt(store, CONFIG, ALONE, steps)
    for told in together(count, tmp_path, store, replace(CONFIG, pieces_of=pieces_of), steps):
        assert told["losses"] == pytest.approx(alone, rel=1e-4)
        torch.testing.assert_close(told["gradient"], gradient, rtol=1e-3, atol=1e-3 * float(gradient.abs().max()))


def test_workers_train_the_detector_that_one_trains(actors: Path, tmp_path: Path) -> None:
    """Windows of which some frames count for nothing, and shares of 3 and 4 in pieces of 2: the mean is over all."""
    config = Training(batch=7, lr=1e-3, warmup=0, precision="float32")
    alone, gradient = learnt(actors, config, ALONE, 3)
    for told in together(2, tmp_path, actors, replace(config, pieces_of=2), 3):
        assert told["losses"] == pytest.approx(alone, rel=1e-4)
        torch.testing.assert_close(told["gradient"], gradient, rtol=1e-3, atol=1e-3 * float(gradient.abs().max()))


def test_the_gradient_is_that_of_the_whole_loss(store: Path) -> None:
    """Against autograd through encoder, projectors and loss at once."""
    config = replace(CONFIG, batch=24)
    run = PretrainingRun(Clips([Store(store)]), config, device=CPU)
    run.encoder.train()
    run.projectors.train()
    viewed = run.viewed(run.draw(0), torch.Generator().manual_seed(0))
    weights = [*run.encoder.parameters(), *run.projectors.parameters()]
    torch.manual_seed(7)
    expected = run.loss(viewed).loss
    gradients = torch.autograd.grad(expected, weights)
    for pieces_of in (0, 24, 7, 1):
        pieces = PretrainingRun(Clips([Store(store)]), replace(config, pieces_of=pieces_of), device=CPU)
        pieces.encoder.train()
        pieces.projectors.train()
        loss = pieces.backward(viewed, 7).loss
        torch.testing.assert_close(loss, expected.detach())
        for weight, gradient in zip(
            [*pieces.encoder.parameters(), *pieces.projectors.parameters()], gradients, strict=True
        ):
            torch.testing.assert_close(weight.grad, gradient, rtol=1e-3, atol=1e-5)


def test_the_loss_of_a_batch_is_not_the_mean_of_its_shares_losses(store: Path) -> None:
    """What is proved above is no accident: workers that each took the loss of their own clips would learn something
    else, by more than the tolerance above."""
    run = PretrainingRun(Clips([Store(store)]), CONFIG, device=CPU)
    run.projectors.train()
    clip_NW = run.encoder.clip(run.viewed(run.draw(0), torch.Generator().manual_seed(0)))
    clip_RBW = clip_NW.view(4, CONFIG.batch, -1)
    clip_RBW = clip_RBW.detach()
    whole = float(run.loss_of(clip_RBW).loss.detach())
    shares = [float(run.loss_of(share).loss.detach()) for share in clip_RBW.chunk(8, dim=1)]
    assert np.mean(shares) != pytest.approx(whole, rel=1e-4)
