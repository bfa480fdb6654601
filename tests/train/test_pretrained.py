"""What a task starts from: any encoder of a pretraining run, or a bundle's, with what it takes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from skelstream.encoder.build import build_encoder
from skelstream.encoder.config import AnyEncoderConfig, DSTEConfig, STTRConfig
from skelstream.encoder.detector import Detector
from skelstream.encoder.export import save_bundle
from skelstream.encoder.modality import MODALITIES, Modality
from skelstream.encoder.normalise import NORMALISATIONS, Normalisation
from skelstream.train.pretrained import load_pretrained, random_encoder


@pytest.mark.parametrize(
    ("config", "modality", "scheme"),
    [
        (STTRConfig(hidden=8), "motion", "torso"),
        (DSTEConfig(hidden=8, layers=1, multimodal=True), "joint+motion+bone", "torso"),
        (DSTEConfig(hidden=8, layers=1, causal=True), "bone", "torso-causal"),
        (STTRConfig(hidden=8, joints=17), "bone", "image"),
    ],
)
def test_a_runs_encoder(tmp_path: Path, config: AnyEncoderConfig, modality: Modality, scheme: Normalisation) -> None:
    encoder = build_encoder(config).eval()
    torch.save(
        {"encoder": encoder.state_dict(), "config": asdict(config), "modality": modality, "normalisation": scheme},
        tmp_path / "checkpoint.pt",
    )
    loaded = load_pretrained(str(tmp_path))
    assert type(loaded.encoder) is type(encoder) and loaded.encoder.config == config and not loaded.encoder.training
    joints = torch.randn(2, 3, 64, config.joints, 2)
    prepared = loaded.prepared(joints)
    assert torch.equal(prepared, MODALITIES[modality](NORMALISATIONS[scheme](joints)))
    with torch.no_grad():
        assert torch.equal(loaded.encoder.clip(prepared), encoder.clip(prepared))


def test_a_run_from_before_there_were_kinds(tmp_path: Path) -> None:
    encoder = build_encoder(DSTEConfig(hidden=8, layers=1))
    old = {
        "hidden": 8, "layers": 1, "gap": 4, "alpha": 0.5, "frames": 64, "joints": 25, "people": 2, "coords": 3,
        "drop_path": 0.1,
    }  # fmt: skip
    torch.save(
        {"encoder": encoder.state_dict(), "config": old, "modality": "joint", "normalisation": "torso"},
        tmp_path / "checkpoint.pt",
    )
    assert load_pretrained(str(tmp_path)).encoder.config == DSTEConfig(hidden=8, layers=1)


@pytest.mark.parametrize("normalisation", ["torso", pytest.param("facing", marks=pytest.mark.slow)])
def test_a_bundles_encoder_keeps_the_bundles_normalisation(tmp_path: Path, normalisation: Normalisation) -> None:
    encoder = DSTEConfig(hidden=16, layers=1)
    config = Detector.Config(encoder=encoder, classes=("background", "wave"), normalisation=normalisation)
    save_bundle(Detector(config).eval(), tmp_path / "bundle")
    loaded = load_pretrained(str(tmp_path / "bundle"))
    assert (loaded.modality, loaded.normalisation) == ("joint", normalisation)
    assert loaded.encoder.config == encoder


@pytest.mark.parametrize("state", [{"step": 1}, {"encoder": {}, "config": {}, "modality": "joint"}])
def test_what_is_neither_is_refused(tmp_path: Path, state: dict[str, object]) -> None:
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="no pretraining run's"):
        load_pretrained(str(tmp_path))
    with pytest.raises(ValueError, match="no model"):
        load_pretrained(str(tmp_path / "nothing"))


def test_a_random_encoder_is_its_seeds() -> None:
    first, again, other = (random_encoder(STTRConfig(hidden=8), seed).encoder.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["s_position_NH"], other["s_position_NH"])
