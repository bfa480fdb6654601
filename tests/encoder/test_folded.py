"""The folded form computes what the trained model computes, for every model there is, whole and in part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from skelstream.encoder.config import AnyEncoderConfig, DSTEConfig, Modality, STTRConfig, suited_normalisation
from skelstream.encoder.deployed import Deployed
from skelstream.encoder.detector import Detector
from skelstream.encoder.folded import fold
from skelstream.encoder.recogniser import Recogniser
from skelstream.encoder.representer import Representer

CLASSES = ("background", "wave", "bow", "fall")
ENCODERS: dict[str, AnyEncoderConfig] = {
    "DSTE": DSTEConfig(hidden=32),
    "three layers, gap 3, alpha 0.3": DSTEConfig(hidden=16, layers=3, gap=3, alpha=0.3),
    "causal DSTE": DSTEConfig(hidden=32, causal=True),
    "multi-modal DSTE": DSTEConfig(hidden=16, multimodal=True),
    "2D DSTE": DSTEConfig(hidden=16, joints=17),
    "as many frames as joints": DSTEConfig(hidden=16, frames=50),
    "STTR": STTRConfig(hidden=32),
    "causal STTR": STTRConfig(hidden=16, causal=True),
}


def model_of(kind: type[Deployed], encoder: AnyEncoderConfig) -> Deployed:
    """A model whose every number is at random, so that none of them can be forgotten."""
    torch.manual_seed(3)
    classes = () if kind is Representer else CLASSES
    modality: Modality = "joint+motion+bone" if encoder.multimodal else "joint"
    config = kind.Config(
        encoder=encoder, classes=classes, modality=modality, normalisation=suited_normalisation(encoder)
    )
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return model.eval()


def people(encoder: AnyEncoderConfig, batch: int = 3) -> torch.Tensor:
    """Two at random; the second is absent from some frames, and from the last window altogether."""
    rng = np.random.default_rng(5)
    x = rng.normal(scale=0.4, size=(batch, 3, encoder.frames, encoder.joints, 2)).astype(np.float32)
    x[..., 1] *= rng.random((batch, 1, encoder.frames, 1)) > 0.4
    x[-1, ..., 1] = 0
    return torch.from_numpy(x)


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("kind", [Detector, Recogniser, Representer])
def test_it_equals_the_model_to_1e_5(kind: type[Deployed], encoder: AnyEncoderConfig) -> None:
    model, x = model_of(kind, encoder), people(encoder)
    with torch.inference_mode():
        expected, folded = model(x), fold(model)(x)
    assert expected.std() > 0.05  # there is something to get wrong
    assert (folded - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
@given(frames=st.integers(1, 50))
@settings(max_examples=6, deadline=None)
def test_of_the_last_frames_it_equals_the_end_of_the_whole(encoder: AnyEncoderConfig, frames: int) -> None:
    x = people(encoder)
    for kind in (Detector, Representer):
        model = model_of(kind, encoder)
        with torch.inference_mode():
            expected, folded = model(x)[:, -frames:], fold(model, frames)(x)
        assert folded.shape == expected.shape
        assert (folded - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


def test_the_model_stays_as_it_was() -> None:
    model, x = model_of(Detector, ENCODERS["DSTE"]), people(ENCODERS["DSTE"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        expected = model(x)
        folded = fold(model)
        for parameter in folded.parameters():
            parameter.zero_()
        torch.testing.assert_close(model(x), expected, rtol=0, atol=0)
    assert model.state_dict().keys() == before.keys()


def test_frames_that_there_are_not_are_refused() -> None:
    for frames in (0, 65):
        with pytest.raises(ValueError, match=f"does not give the last {frames} frames; ask for 1 to 64"):
            fold(model_of(Detector, ENCODERS["DSTE"]), frames)
    with pytest.raises(ValueError, match="does not give the last 8 frames"):
        fold(model_of(Recogniser, ENCODERS["DSTE"]), 8)


def test_the_work_is_what_the_docstring_says() -> None:
    """Products of H x H a token, counted by PyTorch where H is so large that nothing else counts."""

    def products(forward: torch.nn.Module, config: DSTEConfig) -> float:
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            forward(torch.zeros(1, 3, config.frames, config.joints, config.people))
        tokens = config.frames + config.joints * config.people
        return float(counter.get_total_flops()) / (2 * tokens * config.hidden**2)

    # Two encoders that differ in one layer alone: what a layer that is not the last costs.
    def layer(fold_it: bool) -> float:
        found = []
        for layers in (1, 2):
            config = DSTEConfig(hidden=1024, layers=layers, frames=8, joints=25, people=1)
            model = Detector(Detector.Config(encoder=config, classes=CLASSES)).eval()
            found.append(products(fold(model) if fold_it else model, config))
        return found[1] - found[0]

    assert layer(fold_it=False) == pytest.approx(25, abs=0.3)
    assert layer(fold_it=True) == pytest.approx(17, abs=0.3)
