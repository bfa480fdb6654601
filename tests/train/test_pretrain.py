"""Pretraining: it learns, it resumes as if nothing had happened, its projectors are the authors'."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skelstream.encoder.config import DSTEConfig
from skelstream.train.clips import Clips
from skelstream.train.objectives.mgfd import mgfd
from skelstream.train.pretrain import Pretraining, PretrainingRun, pretrain
from skelstream.train.pretrained import Pretrained, load_pretrained
from skelstream.train.recording import Recording
from skelstream.train.store import write_store
from skelstream.train.tasks.features import whole_features

CONFIG = Pretraining(
    encoder=DSTEConfig(hidden=16), batch=8, epochs=3, lr=1e-3, schedule="cosine", checkpoint_every_s=0.0
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    rng = np.random.default_rng(0)
    t = np.arange(80) / 30

    def recording(i: int) -> Recording:
        body = rng.normal(size=(25, 3)) * 0.3 + (0, 0, 3)
        swing = np.sin(2 * np.pi * (1 + i % 3) * t)[:, None, None] * rng.normal(size=(25, 3)) * 0.2
        return Recording(
            name=str(i), subject="a", view="", trimmed=True, times_s=t, labels=np.full(80, i % 3, np.int16),
            joints=(body + swing).astype(np.float32)[:, None],
        )  # fmt: skip

    path = tmp_path_factory.mktemp("stores") / "set"
    store = write_store(
        path, (recording(i) for i in range(26)), dataset="set", classes=("a", "b", "c"), licence="", source="recorded"
    )
    return Clips([store])


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(clips: Clips, tmp_path: Path) -> None:
    whole = pretrain(clips, tmp_path / "whole", CONFIG, lambda line: None)

    class Killed(Exception):
        pass

    def kill(line: str) -> None:
        raise Killed

    # The first word comes after the log entry of step 9, the last; the checkpoint then is that of step 8.
    with pytest.raises(Killed):
        pretrain(clips, tmp_path / "killed", CONFIG, kill)
    assert torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)["step"] == 8
    resumed = pretrain(clips, tmp_path / "killed", CONFIG, lambda line: None)
    for (name, mine), theirs in zip(resumed.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name
    logs = [(tmp_path / run / "log.jsonl").read_text() for run in ("whole", "killed")]
    assert logs[0] == logs[1]
    assert (tmp_path / "whole" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((tmp_path / "whole" / "results.json").read_text())["steps"] == 9
    loaded = load_pretrained(str(tmp_path / "whole"))
    mine, theirs = (whole_features(p, clips) for p in (loaded, Pretrained(whole, "joint", "facing")))
    torch.testing.assert_close(mine, theirs)


def test_a_run_begins_where_it_is_told(clips: Clips, tmp_path: Path) -> None:
    first = pretrain(clips, tmp_path / "first", CONFIG, lambda line: None)
    start = load_pretrained(str(tmp_path / "first"))
    begun = PretrainingRun(clips, CONFIG, start, torch.device("cpu"))
    for (name, mine), theirs in zip(begun.encoder.state_dict().items(), first.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name
    pretrain(clips, tmp_path / "second", CONFIG, lambda line: None, start)
    with pytest.raises(ValueError, match="other settings"):  # the same words, begun elsewhere, are another run
        pretrain(clips, tmp_path / "second", CONFIG, lambda line: None)
    with pytest.raises(ValueError, match="not the one that was asked for"):
        PretrainingRun(clips, Pretraining(encoder=DSTEConfig(hidden=24), batch=6, epochs=1), start)
    # A causal encoder has the same weights, and may go on from one that is not.
    causal = PretrainingRun(clips, replace(CONFIG, encoder=replace(CONFIG.encoder, causal=True)), start)
    assert causal.encoder.config.causal and causal.config.scheme == "facing-causal"
    for name, weight in causal.encoder.state_dict().items():
        assert torch.equal(weight, first.state_dict()[name]), name


def test_the_loss_falls(clips: Clips) -> None:
    run = PretrainingRun(clips, Pretraining(encoder=DSTEConfig(hidden=16), batch=24, epochs=40, lr=3e-3))
    losses = [float(terms.loss) for terms in run.steps()]
    assert np.mean(losses[-5:]) < min(losses[:5])


def test_a_batch_larger_than_the_data_is_refused(clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="smaller --batch"):
        pretrain(clips, tmp_path / "run", Pretraining(batch=64), lambda line: None)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_another_run_is_refused(clips: Clips, tmp_path: Path) -> None:
    pretrain(clips, tmp_path, Pretraining(encoder=DSTEConfig(hidden=16), batch=24, epochs=1), lambda line: None)
    with pytest.raises(ValueError, match="other settings"):
        pretrain(clips, tmp_path, Pretraining(encoder=DSTEConfig(hidden=16), batch=24, epochs=2), lambda line: None)


def test_three_modalities_and_all_of_them_together(clips: Clips) -> None:
    """The multi-modal loss by hand: each view through the encoder alone, in its own modality."""
    config = Pretraining(
        encoder=DSTEConfig(hidden=16, multimodal=True, drop_path=0.0), modality="joint+motion+bone", batch=6, epochs=1,
        precision="float32",
    )  # fmt: skip
    run = PretrainingRun(clips, config, device=torch.device("cpu"))
    run.projectors.train()
    viewed = run.draw(0)
    together = run.loss(viewed).loss
    alone = []
    for view, weights in zip(viewed.chunk(4), ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1 / 3, 1 / 3, 1 / 3)), strict=True):
        alone.append(run.projectors(run.encoder.clip(view, torch.tensor([weights] * len(view)))))
    by_hand = mgfd({domain: torch.stack([view[domain] for view in alone]) for domain in alone[0]}, config.weights)
    torch.testing.assert_close(together, by_hand.loss)


def test_modality_and_encoder_go_together(clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="go together"):
        pretrain(clips, tmp_path / "run", Pretraining(modality="joint+motion+bone", batch=6), lambda line: None)
    assert not (tmp_path / "run").exists()
