"""Every kind of model as a bundle: saved, loaded, and the same numbers from PyTorch and from the exported graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from skelstream.encoder.bundle import Bundle, BundleConfig
from skelstream.encoder.config import DSTEConfig, STTRConfig, encoder_config
from skelstream.encoder.deployed import Deployed
from skelstream.encoder.detector import Detector
from skelstream.encoder.engine.compile import compile_engine
from skelstream.encoder.export import save_bundle
from skelstream.encoder.recogniser import Recogniser
from skelstream.encoder.representer import Representer
from skelstream.encoder.weights import load_detector, load_model

ACTIONS = ("wave", "fall", "sit")
MODELS: dict[str, Callable[[], Deployed]] = {
    "recognise, STTR, 2D bones": lambda: Recogniser(
        Recogniser.Config(
            encoder=STTRConfig(hidden=16, layers=1, joints=17), classes=ACTIONS, modality="bone", normalisation="image"
        )
    ),
    "encode, DSTE, three modalities": lambda: Representer(
        Representer.Config(
            encoder=DSTEConfig(hidden=16, layers=1, multimodal=True), modality="joint+motion+bone",
            normalisation="facing",
        )
    ),
    "detect, causal DSTE": lambda: Detector(
        Detector.Config(
            encoder=DSTEConfig(hidden=16, layers=1, causal=True), classes=("background", *ACTIONS),
            normalisation="facing-causal",
        )
    ),
    "detect, causal STTR, 2D, short, one person": lambda: Detector(
        Detector.Config(
            encoder=STTRConfig(hidden=16, layers=1, causal=True, joints=17, frames=16, people=1),
            classes=("background", *ACTIONS), normalisation="image-causal",
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_survives_as_a_bundle(name: str, tmp_path: Path) -> None:
    torch.manual_seed(11)
    model = MODELS[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    bundle = save_bundle(model, tmp_path / "model")
    assert Bundle.load(bundle.directory) == bundle and bundle.config.task == name.partition(",")[0]

    loaded = load_model(bundle)
    assert type(loaded) is type(model) and loaded.config == model.config
    joints = bundle.reference().joints.copy()
    joints[:3] += 0.01 * np.random.default_rng(0).normal(size=joints[:3].shape).astype(np.float32)
    with torch.no_grad():
        expected = loaded(torch.from_numpy(joints)).numpy()
    assert expected.shape == (4, *bundle.config.output_shape) and np.abs(expected).max() > 0.5
    for backend in ("openvino", "torch"):
        engine = compile_engine(bundle, backend, threads=1, precision="fp32")
        for windows in (slice(None), slice(1, 2)):
            scale = 1e-3 if engine.precision == "fp32" else 5e-2
            tolerance = scale * max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(engine.infer(joints[windows]), expected[windows], atol=tolerance)
        engine.close()
    (output,) = onnx.load(bundle.graph).graph.output
    assert output.name == ("representation" if bundle.config.task == "encode" else "logits")
    if bundle.config.task != "detect":
        with pytest.raises(ValueError, match=f"for the task {bundle.config.task}; give one for detect"):
            load_detector(bundle)
    if (bundle.config.task, bundle.config.layout) != ("detect", "ntu25"):
        with pytest.raises(ValueError, match=f"{bundle.config.task} on {bundle.config.layout}; the live path needs"):
            Bundle.load_live(bundle.directory)
    else:
        assert Bundle.load_live(bundle.directory) == bundle


def written(config: BundleConfig) -> dict[str, Any]:
    from dataclasses import asdict

    data: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return data


def test_an_encoder_is_told_by_its_kind_and_is_dste_where_none_is_given() -> None:
    config = BundleConfig(encoder=STTRConfig(hidden=8), classes=("a", "b"), task="recognise")
    assert BundleConfig.from_dict(written(config)) == config
    older = written(BundleConfig(encoder=DSTEConfig(hidden=8), classes=("background", "b")))
    for younger in ("kind", "causal", "multimodal"):
        older["encoder"].pop(younger)
    assert BundleConfig.from_dict(older).encoder == DSTEConfig(hidden=8)
    assert encoder_config(older["encoder"]) == DSTEConfig(hidden=8)
    assert encoder_config({"kind": "sttr", "hidden": 8}) == STTRConfig(hidden=8)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"encoder": {"kind": "gcn"}}, "no encoder kind 'gcn'; there are 'dste' and 'sttr'"),
        ({"encoder": {"kind": "sttr", "gap": 4}}, "config.encoder has unknown fields: gap"),
        ({"encoder": {"causal": 1}}, "config.encoder.causal must be bool"),
        ({"encoder": "dste"}, "no encoder kind"),
        ({"encoder": {"joints": 20}}, "encoder.joints must be 25 .ntu25. or 17 .coco17."),
        ({"encoder": {"joints": 17}, "normalisation": "image"}, "layout must be coco17, as encoder.joints"),
        ({"layout": "coco17"}, "layout must be ntu25"),
        (
            {"normalisation": "image"},
            "normalisation of ntu25 must be one of torso, torso-causal, facing, facing-causal, none",
        ),
        ({"task": "encode"}, "classes must be empty for the task encode"),
        ({"task": "recognise", "classes": ["one"]}, "2 to 4096 names"),
        ({"task": "guess"}, "config.task must be one of 'detect', 'recognise', 'encode'"),
        ({"modality": "joint+motion+bone"}, "go together"),
    ],
)
def test_a_config_whose_parts_do_not_fit(change: dict[str, Any], complaint: str) -> None:
    data: dict[str, Any] = {"encoder": {"hidden": 8}, "classes": ["background", "wave"]}
    for key, value in change.items():
        data[key] = data[key] | value if isinstance(value, dict) else value
    with pytest.raises(ValueError, match=complaint):
        BundleConfig.from_dict(data)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [({"hidden": 8, "wings": 2}, "no encoder's settings: .*wings"), ({"kind": "gcn"}, "no encoder kind 'gcn'")],
)
def test_settings_of_no_encoder(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        encoder_config(values)
