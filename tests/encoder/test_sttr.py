"""STTR against PyTorch's own transformer encoder, which the authors use, and against the paper's sizes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from skelstream.encoder.skeleton_encoder import sinusoids
from skelstream.encoder.sttr import STTR


def authors_stream(encoder: STTR, stream: str, x_BNI: Tensor) -> Tensor:
    """What nn.TransformerEncoder makes of a stream's tokens with the encoder's weights."""
    hidden, state = encoder.config.hidden, encoder.state_dict()
    layer = nn.TransformerEncoderLayer(hidden, 1, hidden, dropout=0.0, batch_first=True)
    theirs = nn.TransformerEncoder(layer, encoder.config.layers, enable_nested_tensor=False).eval()
    names = {
        "attention.qkv.": "self_attn.in_proj_", "attention.out.": "self_attn.out_proj.", "mlp.0.": "linear1.",
        "mlp.2.": "linear2.", "norm1.": "norm1.", "norm2.": "norm2.",
    }  # fmt: skip
    renamed = {}
    for key, value in state.items():
        if key.startswith(f"{stream}_layers."):
            number, _, rest = key.removeprefix(f"{stream}_layers.").partition(".")
            ours = next(name for name in names if rest.startswith(name))
            renamed[f"layers.{number}.{rest.replace(ours, names[ours])}"] = value
    theirs.load_state_dict(renamed)
    embedding = encoder.t_embedding if stream == "t" else encoder.s_embedding
    position = sinusoids(encoder.config.frames, hidden) if stream == "t" else state["s_position_NH"]
    result: Tensor = theirs(embedding(x_BNI) + position)
    return result


def test_equals_pytorchs_transformer_encoder_with_positions_added_once() -> None:
    torch.manual_seed(3)
    encoder = STTR(STTR.Config(hidden=16)).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        x = np.random.default_rng(0).normal(size=(2, 3, 64, 25, 2)).astype(np.float32)
        t = torch.from_numpy(x.transpose(0, 2, 4, 3, 1).reshape(2, 64, 150))
        s = torch.from_numpy(x.transpose(0, 4, 3, 2, 1).reshape(2, 50, 192))
        y_t, y_s = encoder(torch.from_numpy(x))
        torch.testing.assert_close(y_t, authors_stream(encoder, "t", t), atol=2e-5, rtol=0)
        torch.testing.assert_close(y_s, authors_stream(encoder, "s", s), atol=2e-5, rtol=0)


def test_the_papers_size_and_work() -> None:
    """28 M parameters and 3.1 GFLOP a window at hidden 1024 (arXiv 2412.09220)."""
    with torch.device("meta"):
        encoder = STTR(STTR.Config.named("base")).eval()
        x_BCTVM = torch.zeros(1, 3, 64, 25, 2)
    assert 27.5e6 < sum(p.numel() for p in encoder.parameters()) < 28.5e6
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(x_BCTVM)
    assert 3.05e9 < counter.get_total_flops() < 3.25e9  # the paper's counts multiply and add as two, attention or not


def test_every_weight_is_reached_while_training() -> None:
    torch.manual_seed(0)
    encoder = STTR(STTR.Config(hidden=8)).train()
    encoder.dense(torch.randn(4, 3, 64, 25, 2)).square().sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
