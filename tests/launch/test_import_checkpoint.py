"""`skelstream import`: the authors' files, pretraining and downstream, DSTE and STTR, 3D and 2D, and nothing else."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from skelstream.encoder.bundle import Bundle
from skelstream.encoder.checkpoint import encoder_of, load_backbone, read_checkpoint
from skelstream.encoder.config import DSTEConfig, STTRConfig
from skelstream.encoder.detector import Detector
from skelstream.encoder.recogniser import Recogniser
from skelstream.encoder.representer import Representer
from skelstream.encoder.sttr import STTR
from skelstream.encoder.weights import load_model
from skelstream.launch.import_checkpoint import import_checkpoint

GOLDEN = Path(__file__).parents[1] / "golden"
CHECKPOINT = GOLDEN / "dste_ntu25_pretrained.pth.tar"
H = 16


class AuthorsSTTR(nn.Module):
    """The authors' module tree, under their names, put together from PyTorch's own parts."""

    def __init__(self, joints: int, classes: int) -> None:
        super().__init__()
        tokens = 2 * joints
        backbone, embedding, positions = nn.Module(), nn.Module(), nn.Module()
        for name, inputs in (("t_embedding", 3 * tokens), ("s_embedding", 64 * 3)):
            embedding.add_module(
                name, nn.Sequential(nn.Linear(inputs, H), nn.LayerNorm(H), nn.ReLU(True), nn.Linear(H, H))
            )
        at, width = np.arange(200)[:, None], 10000.0 ** -(np.arange(0, H, 2) / H)
        pe = np.stack((np.sin(at * width), np.cos(at * width)), axis=-1).reshape(1, 200, H)
        positions.register_buffer("pe", torch.from_numpy(pe).float())
        backbone.add_module("ske_emb", embedding)
        backbone.add_module("tpe", positions)
        backbone.spe = nn.Parameter(0.1 * torch.randn(1, tokens, H))
        for name in ("t_tr", "s_tr"):
            layer = nn.TransformerEncoderLayer(H, 1, H, dropout=0.0, batch_first=True)
            backbone.add_module(name, nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
        self.backbone = backbone
        self.fc = nn.Linear(2 * H, classes)

    def forward(self, x_BCTVM: Tensor) -> Tensor:
        """Clip logits (B, K)."""
        b = self.backbone
        t = b.ske_emb.t_embedding(x_BCTVM.permute(0, 2, 4, 3, 1).flatten(2))  # type: ignore[union-attr, operator]
        s = b.ske_emb.s_embedding(x_BCTVM.permute(0, 4, 3, 2, 1).flatten(3).flatten(1, 2))  # type: ignore[union-attr, operator]
        y_t = b.t_tr(t + b.tpe.pe[:, :64])  # type: ignore[union-attr, operator, index]
        y_s = b.s_tr(s + b.spe)  # type: ignore[operator]
        logits: Tensor = self.fc(torch.cat((y_t.amax(dim=1), y_s.amax(dim=1)), dim=-1))
        return logits

    def write(self, path: Path) -> Path:
        state = {f"module.{name}": value for name, value in self.state_dict().items()}
        torch.save({"epoch": 150, "state_dict": state, "optimizer": {}}, path)
        return path


def authors(joints: int = 25, classes: int = 60) -> AuthorsSTTR:
    torch.manual_seed(joints)
    return AuthorsSTTR(joints, classes).eval()


def test_the_golden_pretraining_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_checkpoint(CHECKPOINT, tmp_path / "imported") == 0
    assert "left out: i_proj, s_proj, t_proj" in capsys.readouterr().err
    bundle = Bundle.load(tmp_path / "imported")
    assert bundle.config.encoder == DSTEConfig(hidden=32) and bundle.config.task == "encode"
    model = load_model(bundle)
    assert isinstance(model, Representer)
    golden = np.load(GOLDEN / "dste_ntu25.npz", allow_pickle=False)
    with torch.no_grad():
        dense = model(torch.from_numpy(golden["x"])).numpy()
    # The bundle's weights have 11 bits: each of some dozen sums after another is off by about 2^-11 of its terms.
    np.testing.assert_allclose(dense[..., :32], golden["joint_yt"], atol=16 * 2**-11 * np.abs(golden["joint_yt"]).max())


@pytest.mark.parametrize("joints", [25, 17])
def test_a_downstream_sttr_gives_the_logits_of_the_authors_modules(tmp_path: Path, joints: int) -> None:
    theirs = authors(joints, classes=60)
    state = read_checkpoint(theirs.write(tmp_path / "sttr.pth.tar"))
    assert encoder_of(state) == STTRConfig(hidden=H, joints=joints)
    ours = Recogniser(
        Recogniser.Config(
            encoder=STTRConfig(hidden=H, joints=joints), classes=tuple(f"A{i}" for i in range(60)), normalisation="none"
        )
    ).eval()
    load_backbone(ours.encoder, state)
    ours.head.load_state_dict({"weight": state["fc.weight"], "bias": state["fc.bias"]})
    x_BCTVM = torch.randn(3, 3, 64, joints, 2)
    with torch.no_grad():
        torch.testing.assert_close(ours(x_BCTVM), theirs(x_BCTVM), atol=2e-5, rtol=0)


def test_a_head_of_pku_mmd_is_a_detectors(tmp_path: Path) -> None:
    theirs = authors(classes=52)
    path = theirs.write(tmp_path / "pku.pth.tar")
    import_checkpoint(path, tmp_path / "out", modality="bone")
    model = load_model(Bundle.load(tmp_path / "out"))
    assert isinstance(model, Detector) and model.config.modality == "bone"
    assert model.config.classes[:3] == ("background", "A1", "A2") and len(model.config.classes) == 52
    assert torch.equal(model.head.weight, theirs.fc.weight.half().float())
    assert isinstance(model.encoder, STTR)


class TestRefusals:
    def refused(self, state: dict[str, Tensor], tmp_path: Path, complaint: str) -> None:
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "x.pth.tar")
        with pytest.raises(ValueError, match=complaint):
            import_checkpoint(tmp_path / "x.pth.tar", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_every_key_without_a_place_is_named(self, tmp_path: Path) -> None:
        strange = {"backbone.t_tr.graph": torch.zeros(1), "decoder.weight": torch.zeros(1)}
        state = {**read_checkpoint(CHECKPOINT), **strange}
        self.refused(state, tmp_path, r"2 keys .*backbone\.t_tr\.graph, decoder\.weight")

    def test_a_missing_weight_is_named(self, tmp_path: Path) -> None:
        state = read_checkpoint(CHECKPOINT)
        del state["backbone.s_tr.DSA.wt1.weight"]
        self.refused(state, tmp_path, r"lacks 1 .*s_layers\.0\.dsa\.mix1\.weight")

    @pytest.mark.parametrize(
        ("key", "shape", "complaint"),
        [
            ("spe", (50, 32), "missing or misshapen"),
            ("spe", (1, 51, 32), "do not fit together"),
            ("spe", (1, 50, 8192), "is the hidden size the same"),
            ("spe", (1, 50, 10**6), r"hidden must be even, in 2\.\.8192"),
            ("ske_emb.t_embedding.0.weight", (32, 149), "do not fit together"),
            ("ske_emb.s_embedding.0.weight", (32, 3 * 128), "s_embedding|t_layers|s_layers"),
        ],
    )
    def test_shapes_that_lie(self, tmp_path: Path, key: str, shape: tuple[int, ...], complaint: str) -> None:
        state = {**read_checkpoint(CHECKPOINT), f"backbone.{key}": torch.zeros(1).expand(shape)}
        with pytest.raises(ValueError, match=complaint):
            encoder_of(state)

    def test_heads(self, tmp_path: Path) -> None:
        state = authors().state_dict()
        self.refused({**state, "fc.weight": torch.zeros(60, H)}, tmp_path, r"head is \(60, 16\), not \(K, 32\)")
        with pytest.raises(ValueError, match=r"no head .*--task detect"):
            import_checkpoint(CHECKPOINT, tmp_path / "out", task="detect")

    def test_a_compressed_file_is_not_unfolded(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.pth.tar"
        with zipfile.ZipFile(CHECKPOINT) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for entry in source.namelist():
                target.writestr(entry, source.read(entry))
        with pytest.raises(ValueError, match=r"cannot read the checkpoint .*compressed"):
            import_checkpoint(path, tmp_path / "out")

    def test_2d_bones_of_the_authors_are_others(self, tmp_path: Path) -> None:
        path = authors(joints=17).write(tmp_path / "coco.pth.tar")
        with pytest.raises(ValueError, match="2D bone differs from ours"):
            import_checkpoint(path, tmp_path / "out", modality="bone")
