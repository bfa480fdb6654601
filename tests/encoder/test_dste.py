"""DSTE against the authors' own numbers, its sizes, and how training differs from evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from skelstream.encoder.checkpoint import load_backbone, read_checkpoint
from skelstream.encoder.drop_path import DropPath
from skelstream.encoder.dste import DSTE, Size
from skelstream.encoder.modality import MODALITIES, Modality
from skelstream.encoder.skeleton_encoder import spatial_tokens, temporal_tokens

GOLDEN = Path(__file__).parents[1] / "golden"
CHECKPOINT = GOLDEN / "dste_ntu25_pretrained.pth.tar"


@pytest.fixture(scope="module")
def golden_encoder() -> DSTE:
    encoder = DSTE(DSTE.Config(hidden=32)).eval()
    load_backbone(encoder, read_checkpoint(CHECKPOINT))
    return encoder


@pytest.mark.parametrize("modality", ["joint", "motion", "bone"])
def test_equals_the_authors_code(golden_encoder: DSTE, modality: Modality) -> None:
    golden = np.load(GOLDEN / "dste_ntu25.npz", allow_pickle=False)
    x_BCTVM = MODALITIES[modality](torch.from_numpy(golden["x"]))
    with torch.no_grad():
        t, s = temporal_tokens(x_BCTVM), spatial_tokens(x_BCTVM)
        y_t, y_s = golden_encoder(x_BCTVM)
        clip = golden_encoder.clip(x_BCTVM)
    for name, ours in (("t", t), ("s", s), ("yt", y_t), ("ys", y_s), ("knn", clip)):
        np.testing.assert_allclose(ours.numpy(), golden[f"{modality}_{name}"], rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("size", "low", "high"), [("base", 56.5e6, 57.5e6), ("small", 3.5e6, 4e6)])
def test_sizes(size: Size, low: float, high: float) -> None:
    with torch.device("meta"):
        encoder = DSTE(DSTE.Config.named(size))
    assert low < sum(p.numel() for p in encoder.parameters()) < high


def test_dense_pools_the_spatial_tokens_onto_the_frames(golden_encoder: DSTE) -> None:
    x_BCTVM = torch.randn(2, 3, 64, 25, 2)
    with torch.no_grad():
        y_t, y_s = golden_encoder(x_BCTVM)
        dense = golden_encoder.dense(x_BCTVM)
    pooled = np.stack(
        [y_s[:, i * 50 // 64 : -(-(i + 1) * 50 // 64)].mean(dim=1).numpy() for i in range(64)], axis=1
    )  # frame i averages the tokens that its share of the token axis touches
    np.testing.assert_array_equal(dense[..., :32].numpy(), y_t.numpy())
    np.testing.assert_allclose(dense[..., 32:].numpy(), pooled, atol=1e-6)


def test_evaluation_is_deterministic_and_blind_to_the_rest_of_the_batch(golden_encoder: DSTE) -> None:
    x_BCTVM = torch.randn(4, 3, 64, 25, 2)
    with torch.no_grad():
        together, alone = golden_encoder.dense(x_BCTVM), golden_encoder.dense(x_BCTVM[2:3])
        assert torch.equal(together, golden_encoder.dense(x_BCTVM))
    torch.testing.assert_close(together[2:3], alone, atol=1e-5, rtol=0)


def test_training_drops_paths_and_reaches_every_weight() -> None:
    torch.manual_seed(0)
    encoder = DSTE(DSTE.Config(hidden=8, drop_path=0.5)).train()
    x_BCTVM = torch.randn(4, 3, 64, 25, 2)
    first = encoder.dense(x_BCTVM)
    assert not torch.equal(first, encoder.dense(x_BCTVM))
    still = DSTE(DSTE.Config(hidden=8, drop_path=0.0)).train()
    y = still.dense(x_BCTVM)
    with torch.no_grad():
        torch.testing.assert_close(still.eval().dense(x_BCTVM), y)
    y.square().sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    without = [name for name, p in still.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_drop_path_statistics() -> None:
    torch.manual_seed(1)
    p, n = 0.1, 20_000
    x_NH = torch.rand(n, 3, 2) + 1
    out = DropPath(p).train()(x_NH)
    dropped = (out == 0).flatten(1)
    assert torch.equal(dropped.any(dim=1), dropped.all(dim=1))  # a sample goes as a whole
    share = dropped[:, 0].float().mean().item()
    assert abs(share - p) < 5 * (p * (1 - p) / n) ** 0.5
    kept = ~dropped[:, 0]
    torch.testing.assert_close(out[kept], x_NH[kept] / (1 - p))
    assert torch.equal(DropPath(p).eval()(x_NH), x_NH)


def test_wrong_shapes_and_configs_are_refused() -> None:
    encoder = DSTE(DSTE.Config(hidden=8, layers=1))
    with pytest.raises(ValueError, match=r"\(B, 3, 64, 25, 2\)"):
        encoder(torch.zeros(1, 3, 64, 17, 2))
    for bad in ({"hidden": 7}, {"layers": 0}, {"alpha": 1.5}, {"drop_path": 1.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            DSTE.Config(**bad)
    with pytest.raises(ValueError, match="base, small"):
        DSTE.Config.named("huge")  # type: ignore[arg-type]


class TestCheckpoint:
    def test_another_size_is_refused_and_changes_nothing(self) -> None:
        encoder = DSTE(DSTE.Config(hidden=16))
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        with pytest.raises(ValueError, match="hidden"):
            load_backbone(encoder, read_checkpoint(CHECKPOINT))
        assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())

    def test_missing_and_unknown_weights_are_named(self) -> None:
        encoder = DSTE(DSTE.Config(hidden=32))
        state = read_checkpoint(CHECKPOINT)
        without = {key: value for key, value in state.items() if key != "backbone.t_tr1.DSA.wt2.bias"}
        with pytest.raises(ValueError, match=r"lacks 1 .*t_layers\.1\.dsa\.mix2\.bias"):
            load_backbone(encoder, without)
        with pytest.raises(ValueError, match=r"t_tr\.layers\.0\.norm1\.bias"):
            load_backbone(encoder, {**state, "backbone.t_tr.layers.0.norm1.bias": torch.zeros(32)})

    def test_what_would_execute_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "evil.pth.tar"
        torch.save({"state_dict": {"module.backbone.spe": Path("x")}}, path)
        with pytest.raises(ValueError, match="cannot read the checkpoint"):
            read_checkpoint(path)

    @pytest.mark.parametrize("content", [b"", b"no checkpoint", CHECKPOINT.read_bytes()[:1000]])
    def test_rubbish_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "x.pth.tar"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="cannot read the checkpoint"):
            read_checkpoint(path)
