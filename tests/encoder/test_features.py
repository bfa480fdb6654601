"""Engines that give features: the logits stay what they were, and the features are what the head reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelstream.encoder.bundle import Bundle
from skelstream.encoder.engine.compile import compile_engine
from skelstream.encoder.plain_weights import read_weights

torch = pytest.importorskip("torch", reason="the reference is the trained model itself; it comes with the extra train")

from skelstream.encoder.config import AnyEncoderConfig, DSTEConfig, Normalisation, STTRConfig  # noqa: E402
from skelstream.encoder.detector import Detector  # noqa: E402
from skelstream.encoder.export import save_bundle  # noqa: E402

TINY = DSTEConfig(hidden=32, layers=2)
ENCODERS: dict[str, AnyEncoderConfig] = {
    "dste": TINY, "causal": replace(TINY, causal=True), "alpha": replace(TINY, alpha=0.3, layers=1),
    "sttr": STTRConfig(hidden=32, layers=2),
}  # fmt: skip


def saved(encoder: AnyEncoderConfig, folder: Path) -> Bundle:
    torch.manual_seed(3)
    normalisation: Normalisation = "facing-causal" if encoder.causal else "facing"
    config = Detector.Config(encoder=encoder, classes=("background", "wave", "kick"), normalisation=normalisation)
    detector = Detector(config)
    for parameter in detector.parameters():  # as drawn, biases are zero and a lost one would not show
        parameter.data += 0.05 * torch.randn_like(parameter)
    return save_bundle(detector, folder)


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("frames", [None, 9])
def test_features_are_what_the_encoder_gives_and_logits_stay(kind: str, frames: int | None, tmp_path: Path) -> None:
    from skelstream.encoder.weights import load_detector

    bundle = saved(ENCODERS[kind], tmp_path / "bundle")
    windows = bundle.reference().joints
    model = load_detector(bundle)
    with torch.inference_mode():
        truth = model.encoder.dense(model.prepared(torch.tensor(windows))).numpy()
        logits = model(torch.tensor(windows)).numpy()
    last = slice(-(frames or 64), None)
    for backend in ("openvino", "torch"):
        engine = compile_engine(bundle, backend, threads=1, frames=frames, features=True, precision="fp32")
        answer = engine.infer(windows)
        engine.close()
        assert answer.shape == (len(windows), frames or 64, 3 + bundle.config.encoder.dense_width)
        np.testing.assert_allclose(answer[..., 3:], truth[:, last], atol=2e-4)
        np.testing.assert_allclose(answer[..., :3], logits[:, last], atol=2e-4)


def test_the_shipped_model_says_the_same_with_features_and_without() -> None:
    bundle = Bundle.load("small")
    windows = bundle.reference().joints
    plain = compile_engine(bundle, "openvino", threads=1, frames=36)
    wider = compile_engine(bundle, "openvino", threads=1, frames=36, features=True)
    before, after = plain.infer(windows), wider.infer(windows)
    for engine in (plain, wider):
        engine.close()
    classes = len(bundle.config.classes)
    np.testing.assert_allclose(after[..., :classes], before, atol=1e-5)
    head = read_weights(bundle, ("head.weight", "head.bias"))
    again = after[..., classes:] @ head["head.weight"].T + head["head.bias"]
    np.testing.assert_allclose(again, after[..., :classes], atol=1e-4)


def test_a_model_without_frames_gives_no_features(tmp_path: Path) -> None:
    from skelstream.encoder.recogniser import Recogniser

    recogniser = Recogniser(Recogniser.Config(encoder=TINY, classes=("a", "b")))
    bundle = save_bundle(recogniser, tmp_path / "bundle")
    for backend in ("openvino", "torch"):
        with pytest.raises(ValueError, match="features"):
            compile_engine(bundle, backend, threads=1, features=True)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda content: content[: len(content) // 2], "does not lie within"),
        (lambda content: b"\xff" * 8 + content[8:], "its table has"),
        (lambda content: content[:9] + b"!" + content[10:], "weights"),
        (lambda content: content.replace(b"head.bias", b"dead.bias", 1), "there is no 'head.bias'"),
    ],
)
def test_damaged_weights_are_one_line(damage, told: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    bundle = saved(TINY, tmp_path / "bundle")
    bundle.weights.write_bytes(damage(bundle.weights.read_bytes()))
    with pytest.raises(ValueError, match=rf"^corrupt bundle [^\n]*{told}[^\n]*$"):
        read_weights(bundle, ("head.weight", "head.bias"))
