"""Causal encoders and the detectors around them: nothing that happens later changes a bit of what was said."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.encoder.build import build_encoder
from skelstream.encoder.config import AnyEncoderConfig, DSTEConfig, STTRConfig, suited_normalisation
from skelstream.encoder.detector import Detector
from skelstream.encoder.dste import TokenMix
from skelstream.encoder.skeleton_encoder import SkeletonEncoder

CONFIGS: dict[str, AnyEncoderConfig] = {
    "dste": DSTEConfig(hidden=8, causal=True, gap=3),
    "sttr": STTRConfig(hidden=8, causal=True),
}
kinds = pytest.mark.parametrize("kind", list(CONFIGS))


@cache
def encoder(kind: str) -> SkeletonEncoder:
    torch.manual_seed(1)
    made = build_encoder(CONFIGS[kind]).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


@cache
def detector(joints: int) -> Detector:
    torch.manual_seed(2)
    config = DSTEConfig(hidden=8, causal=True, joints=joints)
    return Detector(
        Detector.Config(encoder=config, classes=("background", "wave"), normalisation=suited_normalisation(config))
    ).eval()


@kinds
@settings(max_examples=30, deadline=None)
@given(frame=st.integers(0, 63), seed=st.integers(0, 1000), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_no_frame_sees_a_later_one(kind: str, frame: int, seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x_BCTVM = torch.randn(1, 3, 64, 25, 2, generator=generator)
    other = x_BCTVM.clone()
    other[:, :, frame + 1 :] = scale * torch.randn(1, 3, 63 - frame, 25, 2, generator=generator)
    with torch.no_grad():
        first, second = encoder(kind).dense(x_BCTVM), encoder(kind).dense(other)
    assert torch.equal(first[:, : frame + 1], second[:, : frame + 1])


@kinds
@settings(max_examples=10, deadline=None)
@given(frame=st.integers(0, 63), seed=st.integers(0, 1000))
def test_gradients_reach_back_and_never_forward(kind: str, frame: int, seed: int) -> None:
    x_BCTVM = torch.randn(1, 3, 64, 25, 2, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    encoder(kind).dense(x_BCTVM)[0, frame].sum().backward()  # type: ignore[no-untyped-call]
    assert x_BCTVM.grad is not None
    reached_T = x_BCTVM.grad.abs().sum(dim=(0, 1, 3, 4))
    assert (reached_T[: frame + 1] > 0).all() and (reached_T[frame + 1 :] == 0).all()


@pytest.mark.parametrize("joints", [25, 17])
@settings(max_examples=20, deadline=None)
@given(frame=st.integers(0, 63), seed=st.integers(0, 1000), from_frame=st.integers(0, 40))
def test_the_whole_detector_is_causal(joints: int, frame: int, seed: int, from_frame: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x_BCTVM = torch.rand(1, 3, 64, joints, 2, generator=generator)
    x_BCTVM[:, :, :from_frame, :, 0] = 0  # the first person comes later than the second
    other = x_BCTVM.clone()
    other[:, :, frame + 1 :] = 5 * torch.rand(1, 3, 63 - frame, joints, 2, generator=generator)
    with torch.no_grad():
        first, second = detector(joints)(x_BCTVM), detector(joints)(other)
    assert torch.isfinite(first).all()
    assert torch.equal(first[:, : frame + 1], second[:, : frame + 1])


def test_masking_attention_alone_would_leak() -> None:
    """The reason for the masks on DSA's token mixing: without them the same encoder sees later frames."""
    leaky = build_encoder(CONFIGS["dste"]).eval()
    leaky.load_state_dict(encoder("dste").state_dict())
    for module in leaky.modules():
        if isinstance(module, TokenMix):
            module.past_NN = None
    x_BCTVM = torch.randn(1, 3, 64, 25, 2)
    other = x_BCTVM.clone()
    other[:, :, 40:] += 1
    with torch.no_grad():
        assert not torch.equal(leaky.dense(x_BCTVM)[:, :40], leaky.dense(other)[:, :40])


def test_widths_and_weights_are_those_of_the_encoder_that_looks_ahead() -> None:
    both = build_encoder(DSTEConfig(hidden=8))
    assert both.dense_width == 16 and encoder("dste").dense_width == 8
    assert encoder("dste").dense(torch.zeros(1, 3, 64, 25, 2)).shape == (1, 64, 8)
    assert encoder("dste").clip(torch.zeros(1, 3, 64, 25, 2)).shape == (1, 16)
    both.load_state_dict(encoder("dste").state_dict())  # pretrained weights start a causal encoder, and the reverse


def test_what_looks_ahead_around_a_causal_encoder_is_refused() -> None:
    causal, classes = DSTEConfig(hidden=8, causal=True), ("background", "wave")
    with pytest.raises(ValueError, match="torso looks ahead; a causal encoder takes facing-causal"):
        Detector.Config(encoder=causal, classes=classes)
    with pytest.raises(ValueError, match="motion looks a frame ahead"):
        Detector.Config(encoder=causal, classes=classes, modality="motion", normalisation="torso-causal")
