"""One encoder for joint, motion and bone: weights decide whose embedding goes into which sample."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.encoder.build import build_encoder
from skelstream.encoder.config import DSTEConfig
from skelstream.encoder.detector import Detector
from skelstream.encoder.modality import MODALITIES, SINGLE
from skelstream.encoder.skeleton_encoder import SkeletonEncoder


@pytest.fixture(scope="module")
def encoder() -> SkeletonEncoder:
    torch.manual_seed(5)
    made = build_encoder(DSTEConfig(hidden=8, layers=1, multimodal=True)).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


def single(encoder: SkeletonEncoder, modality: str) -> SkeletonEncoder:
    """The encoder of one modality that has the same layers and this modality's embeddings."""
    alone = build_encoder(DSTEConfig(hidden=8, layers=1)).eval()
    kept = {}
    for name, value in encoder.state_dict().items():
        stream, _, rest = name.partition("_embedding.")
        if not rest:
            kept[name] = value
        elif rest.startswith(f"{modality}."):
            kept[f"{stream}_embedding.{rest.removeprefix(f'{modality}.')}"] = value
    alone.load_state_dict(kept)
    return alone


def test_one_pass_over_four_views_equals_four_encoders(encoder: SkeletonEncoder) -> None:
    x_BCTVM = torch.randn(4, 3, 64, 25, 2)
    weights_BK = torch.cat((torch.eye(3), torch.full((1, 3), 1 / 3)))
    with torch.no_grad():
        together = encoder.clip(x_BCTVM, weights_BK)
        for k, name in enumerate(SINGLE):
            alone = single(encoder, name).clip(MODALITIES[name](x_BCTVM[k : k + 1]))
            torch.testing.assert_close(together[k : k + 1], alone, atol=1e-5, rtol=0)
        torch.testing.assert_close(together[3:], encoder.clip(x_BCTVM[3:]), atol=1e-5, rtol=0)  # what is deployed


@settings(max_examples=20, deadline=None)
@given(shares=st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_embeddings_meet_in_their_weighted_sum(encoder: SkeletonEncoder, shares: list[float]) -> None:
    x_BCTVM = torch.randn(1, 3, 64, 25, 2, generator=torch.Generator().manual_seed(0))
    seen: list[torch.Tensor] = []
    hook = encoder.t_layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        encoder.temporal(x_BCTVM, torch.tensor([shares]))
        expected = encoder.t_position_TH.clone()[None]
        for share, name in zip(shares, SINGLE, strict=True):
            tokens = MODALITIES[name](x_BCTVM).permute(0, 2, 4, 3, 1).flatten(2)
            expected = expected + share * encoder.t_embedding.get_submodule(name)(tokens)
    hook.remove()
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-5)


def test_only_the_embeddings_are_threefold() -> None:
    with torch.device("meta"):
        one, three = (build_encoder(DSTEConfig(multimodal=multimodal)) for multimodal in (False, True))
    count = {id(e): sum(p.numel() for p in e.parameters()) for e in (one, three)}
    embeddings = sum(p.numel() for e in (one.t_embedding, one.s_embedding) for p in e.parameters())
    assert count[id(three)] - count[id(one)] == 2 * embeddings


def test_weights_that_do_not_fit_are_refused(encoder: SkeletonEncoder) -> None:
    x_BCTVM = torch.zeros(2, 3, 64, 25, 2)
    with pytest.raises(ValueError, match=r"modality weights of shape \(2, 3\), not \(1, 3\)"):
        encoder(x_BCTVM, torch.ones(1, 3))
    with pytest.raises(ValueError, match="takes no weights"):
        single(encoder, "joint")(x_BCTVM, torch.ones(2, 3))


def test_a_model_states_all_three_modalities_or_none() -> None:
    classes = ("background", "wave")
    for multimodal, modality in ((True, "joint"), (False, "joint+motion+bone")):
        encoder = DSTEConfig(hidden=8, multimodal=multimodal)
        with pytest.raises(ValueError, match="go together"):
            Detector.Config(encoder=encoder, classes=classes, modality=modality)  # type: ignore[arg-type]
