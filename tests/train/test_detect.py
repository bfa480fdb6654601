"""Training: it learns, it goes on as if it had never stopped, and it ends in a bundle."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from skelstream.encoder.detector import Detector
from skelstream.encoder.dste import DSTE
from skelstream.encoder.export import save_bundle
from skelstream.train.detect import NEWEST, DetectorRun, Training, train_detector
from skelstream.train.pretrained import load_pretrained, random_encoder
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store
from skelstream.train.vocabulary import CLASSES, IGNORE


@pytest.fixture(autouse=True)
def one_thread_and_a_tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(DSTE.Config, "named", classmethod(lambda cls, size: cls(hidden=64, layers=1)))


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


def test_it_learns_to_tell_waving_from_standing(store: Store, tmp_path: Path) -> None:
    said: list[str] = []
    settings = Training(steps=100, batch=16, lr=3e-3, warmup=10, average=0.9)
    trained = train_detector([store], tmp_path / "run", settings, said.append)
    validation = [line for line in said if "validation" in line]
    assert float(validation[-1].split()[-1]) > 0.8
    assert not trained.detector.training
    assert trained.provenance["data"] == ["actor (recorded): ours"]


def test_a_run_that_was_stopped_ends_where_the_uninterrupted_one_ends(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Training(steps=6, batch=4, checkpoint_every_s=0.0)
    whole = train_detector([store], tmp_path / "whole", settings, lambda line: None)

    class Stopped(Exception):
        pass

    advance = DetectorRun.advance

    def stop_at_four(self: DetectorRun) -> Tensor:
        if self.step == 4:
            raise Stopped
        return advance(self)

    monkeypatch.setattr(DetectorRun, "advance", stop_at_four)
    with pytest.raises(Stopped):
        train_detector([store], tmp_path / "stopped", settings, lambda line: None)
    monkeypatch.setattr(DetectorRun, "advance", advance)
    resumed = train_detector([store], tmp_path / "stopped", settings, lambda line: None)
    for name, weight in whole.detector.state_dict().items():
        torch.testing.assert_close(resumed.detector.state_dict()[name], weight, msg=name)


def test_a_folder_holds_one_run(store: Store, tmp_path: Path) -> None:
    train_detector([store], tmp_path / "run", Training(steps=1, batch=2), lambda line: None)
    with pytest.raises(ValueError, match="other settings"):
        train_detector([store], tmp_path / "run", Training(steps=2, batch=2), lambda line: None)


def test_a_frozen_encoder_stays_as_it_was_drawn(store: Store, tmp_path: Path) -> None:
    settings = Training(steps=3, batch=4, freeze_encoder=True)
    trained = train_detector([store], tmp_path / "run", settings, lambda line: None)
    torch.manual_seed(settings.seed)
    fresh = Detector(Detector.Config(encoder=DSTE.Config.named("small"), classes=CLASSES))
    for name, weight in fresh.encoder.state_dict().items():
        torch.testing.assert_close(trained.detector.encoder.state_dict()[name], weight, msg=name)
    assert not torch.equal(trained.detector.head.weight, fresh.head.weight)


def test_a_causal_detector_begins_as_one_that_is_not(store: Store, tmp_path: Path) -> None:
    start = random_encoder(DSTE.Config.named("small"), seed=3)
    run = DetectorRun([store], Training(steps=2, batch=4, causal=True), start)
    config = run.detector.config
    assert config.encoder.causal and config.normalisation == "facing-causal"
    for name, weight in start.encoder.state_dict().items():
        assert torch.equal(run.detector.encoder.state_dict()[name], weight), name
    run.advance()
    joints = torch.randn(1, 3, 64, 25, 2)
    changed = joints.clone()
    changed[:, :, 40:] += 1
    detector = run.averaged()
    with torch.no_grad():
        assert torch.equal(detector(joints)[:, :40], detector(changed)[:, :40])


def test_a_detector_goes_on_saying_what_it_already_says(store: Store, tmp_path: Path) -> None:
    known = Detector.Config(
        encoder=DSTE.Config.named("small"), classes=("background", "jump", "fly", "wave"), normalisation="facing"
    )
    detector = Detector(known)
    save_bundle(detector.eval(), tmp_path / "b")
    run = DetectorRun([store], Training(steps=1, batch=2), load_pretrained(str(tmp_path / "b")))
    joints = run.sampler.draw(np.random.default_rng(0), 2)[0]
    with torch.no_grad():
        before, after = detector(joints), run.averaged()(joints)
    for k, name in enumerate(known.classes):
        if name in CLASSES:  # weights travel in half precision
            torch.testing.assert_close(after[..., CLASSES.index(name)], before[..., k], atol=2e-2, rtol=0)


def test_the_newest_frames_count_more(store: Store) -> None:
    run = DetectorRun([store], Training(steps=1, batch=2, newest=3.0, label_smoothing=0.0, smoothing=0.0))
    joints, _ = run.sampler.draw(np.random.default_rng(0), 2)
    labels = torch.zeros(2, 64, dtype=torch.int64)
    labels[:, :8] = IGNORE
    run.detector.eval()
    with torch.no_grad():
        each = -run.detector(joints).log_softmax(-1)[..., 0]
        loss = run.loss(joints, labels, slice(0, 2))
    old, new = each[:, 8 : 64 - NEWEST].sum(), each[:, 64 - NEWEST :].sum()
    expected = (old + 3 * new) / (2 * (64 - NEWEST - 8) + 3 * 2 * NEWEST)
    torch.testing.assert_close(loss, expected)


def test_a_class_that_is_left_out_teaches_nothing(store: Store) -> None:
    settings = Training(steps=1, batch=8, without=("wave",))
    _, labels = DetectorRun([store], settings).sampler.draw(np.random.default_rng(0), 8)
    assert set(labels.flatten().tolist()) == {IGNORE, 0}
    with pytest.raises(ValueError, match="no action 'fly' to leave out"):
        DetectorRun([store], Training(steps=1, batch=2, without=("fly",)))
