"""The bundle: what is saved is loaded, and nothing that is cut, changed or nonsensical is."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skelstream.encoder import bundle as bundle_module
from skelstream.encoder.bundle import (
    Bundle,
    BundleConfig,
    DecodeParameters,
    Reference,
    available_bundles,
)
from skelstream.encoder.detector import Detector
from skelstream.encoder.weights import load_detector, pack, unpack

FILES = ["config.json", "model.safetensors", "model.onnx", "reference.npz"]
Reseal = Callable[[Path], None]


def edit(bundle: Bundle, change: Callable[[dict[str, Any]], None]) -> Path:
    path = bundle.directory / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return bundle.directory


def test_round_trip(exported: Bundle, tiny: Detector) -> None:
    loaded = Bundle.load(exported.directory)
    assert loaded == exported
    assert loaded.config.classes == ("background", "wave", "fall")
    assert loaded.config.metrics == {"mAP": 0.5} and loaded.config.provenance == {"seed": 7}
    assert loaded.config.decode == DecodeParameters() and loaded.config.frames == 64 and loaded.config.hz == 30
    assert loaded.config.encoder == tiny.config.encoder
    detector = load_detector(loaded)
    assert detector.config == tiny.config and not detector.training
    for name, weight in tiny.state_dict().items():
        assert torch.equal(detector.state_dict()[name], weight.half().float())
    reference = loaded.reference()
    with torch.no_grad():
        logits = detector(torch.from_numpy(reference.joints.copy())).numpy()
    np.testing.assert_allclose(reference.logits, logits, atol=1e-6)
    assert not reference.joints[3].any() and reference.joints[1, ..., 1].any()  # nobody; two people


@pytest.mark.parametrize("name", FILES)
class TestDamage:
    def test_cut_short(self, bundle: Bundle, name: str) -> None:
        path = bundle.directory / name
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(ValueError, match=f"corrupt bundle .*{re.escape(name)}.*again"):
            Bundle.load(bundle.directory)

    def test_missing(self, bundle: Bundle, name: str) -> None:
        (bundle.directory / name).unlink()
        with pytest.raises(ValueError, match=f"corrupt bundle .*{re.escape(name)}"):
            Bundle.load(bundle.directory)

    def test_empty(self, bundle: Bundle, name: str) -> None:
        (bundle.directory / name).write_bytes(b"")
        with pytest.raises(ValueError, match=f"corrupt bundle .*{re.escape(name)}"):
            Bundle.load(bundle.directory)


@pytest.mark.parametrize("name", FILES[1:])
def test_one_flipped_bit(bundle: Bundle, name: str) -> None:
    path = bundle.directory / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"corrupt bundle .*{re.escape(name)} has been changed"):
        Bundle.load(bundle.directory)


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda config: config.pop(key) and None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.update(format=2), "its format is 2, this program reads 1"),
        (lambda c: c.update(surprise=1), "unknown fields: surprise"),
        (drop("classes"), "lacks classes"),
        (lambda c: c.update(classes=["wave", "fall"]), "begin with 'background'"),
        (lambda c: c.update(classes=["background", "wave", "wave"]), "differ"),
        (lambda c: c.update(classes="background"), "config.classes must be"),
        (lambda c: c.update(classes=["background", 3]), r"config.classes\[1\] must be str"),
        (lambda c: c.update(hz=0), "hz must be in"),
        (lambda c: c.update(hz=True), "config.hz must be float"),
        (lambda c: c.update(hz=float("nan")), "NaN is no number"),
        (lambda c: c.update(frames=32), "frames must equal encoder.frames"),
        (lambda c: c.update(modality="smell"), "config.modality must be one of 'joint', 'motion', 'bone'"),
        (lambda c: c["encoder"].update(hidden=10**9), "encoder.hidden"),
        (lambda c: c["encoder"].update(hidden=16.0), "config.encoder.hidden must be int"),
        (lambda c: c["decode"].update(enter=0.2), "leave <= enter"),
        (lambda c: c["decode"].update(delay=64), "shorter than the window"),
        (lambda c: c["decode"].update(enter=[0.5, 0.5]), "one entry a class"),
        (lambda c: c["decode"].update(enter=[0.5] * 3, belief=[1.0] * 4), "as many entries as one another"),
        (lambda c: c["decode"].update(enter=[0.5, 0.5, 0.2]), "leave <= enter"),
        (lambda c: c["decode"].update(enter=[0.5, "x", 0.5]), r"decode.enter\[1\] must be float"),
        (lambda c: c["decode"].update(enter=None), "decode.enter must be float"),
        (lambda c: c["decode"].update(min_frames=[6, 6.5, 6]), r"decode.min_frames\[1\] must be int"),
        (lambda c: c["decode"].update(min_frames=33), "min_frames must be in 1..32"),
        (lambda c: c["decode"].update(temperature=0), "temperature must be in"),
        (lambda c: c["decode"].update(belief=-1), "belief and doubt must be in"),
        (lambda c: c["decode"].update(boundary=16), "boundary must be in"),
        (lambda c: c["decode"].update(unknown="no"), "decode.unknown must be float"),
        (lambda c: c["decode"].update(unknown_frames=0), "unknown_frames must be in"),
        (lambda c: c["decode"].update(min_evidence=2), "min_evidence must be in 0..1"),
        (lambda c: c.update(classes=["background", "wave", "unknown"]), "may be called 'unknown'"),
        (lambda c: c["files"].update({"../../secret": c["files"]["model.onnx"]}), "files must list exactly"),
        (lambda c: c["files"].update({"/etc/passwd": c["files"].pop("model.onnx")}), "files must list exactly"),
        (lambda c: c["files"]["model.onnx"].update(bytes=1 << 50), "bytes must be in"),
        (lambda c: c["files"]["model.onnx"].update(sha256=7), "sha256 must be 64"),
        (lambda c: c["files"].update({"model.onnx": "ok"}), "must hold sha256 and bytes"),
    ],
)
def test_a_config_that_makes_no_sense(bundle: Bundle, change: Callable[[dict[str, Any]], None], complaint: str) -> None:
    directory = edit(bundle, change)
    with pytest.raises(ValueError, match=f"corrupt bundle .*{complaint}"):
        Bundle.load(directory)


def test_thresholds_of_every_class_are_loaded_as_they_were_saved(bundle: Bundle) -> None:
    decode = DecodeParameters(
        delay=4, temperature=1.5, enter=(0.5, 0.4, 0.6), leave=0.2, min_frames=(1, 2, 3), belief=(0.0, 1.5, 2.0),
        doubt=0.5, boundary=3, unknown=-1.5, min_evidence=0.25,
    )  # fmt: skip
    edited = Bundle.load(edit(bundle, lambda config: config.update(decode=asdict(decode))))
    assert edited.config.decode == decode and edited.config.decode.classes == 3
    assert hash(edited.config.decode) == hash(decode)


def test_a_bundle_of_before_there_were_such_thresholds_loads(bundle: Bundle) -> None:
    old = {"delay": 8, "enter": 0.35, "leave": 0.25, "min_frames": 20}
    loaded = Bundle.load(edit(bundle, lambda config: config.update(decode=old))).config.decode
    assert loaded == DecodeParameters(delay=8, enter=0.35, leave=0.25, min_frames=20)
    assert loaded.temperature == 1 and loaded.unknown is None and loaded.min_evidence == 0 and loaded.classes is None


@pytest.mark.parametrize("text", ["[]", "null", "{", "[" * 100_000, "\xff", '{"format": 1}', '"x"'])
def test_a_config_that_is_none(bundle: Bundle, text: str) -> None:
    (bundle.directory / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"corrupt bundle .*config\.json"):
        Bundle.load(bundle.directory)


def npz(joints: np.ndarray, logits: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, joints=joints, logits=logits)
    return file.getvalue()


def boast(content: bytes) -> bytes:
    """The same archive, its probes' headers claiming a hundred million times as many."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            body = source.read(entry)
            target.writestr(entry.filename, re.sub(rb"\(1, (.*?)\), } {8}", rb"(100000000, \1), }", body, count=1))
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        npz(np.array([{"a": 1}], dtype=object), np.zeros((1, 64, 3), np.float32)),
        npz(np.zeros((1, 3, 64, 25, 2), np.float64), np.zeros((1, 64, 3), np.float32)),
        npz(np.zeros((1, 3, 64, 17, 2), np.float32), np.zeros((1, 64, 3), np.float32)),
        npz(np.zeros((2, 3, 64, 25, 2), np.float32), np.zeros((1, 64, 3), np.float32)),
        npz(np.zeros((0, 3, 64, 25, 2), np.float32), np.zeros((0, 64, 3), np.float32)),
        npz(np.full((1, 3, 64, 25, 2), np.nan, np.float32), np.zeros((1, 64, 3), np.float32)),
        boast(npz(np.zeros((1, 3, 64, 25, 2), np.float32), np.zeros((1, 64, 3), np.float32))),
        b"PK no archive",
    ],
    ids=["object", "double", "joints", "count", "none", "nan", "boast", "rubbish"],
)
def test_a_reference_that_makes_no_sense(bundle: Bundle, reseal: Reseal, content: bytes) -> None:
    (bundle.directory / "reference.npz").write_bytes(content)
    reseal(bundle.directory)
    loaded = Bundle.load(bundle.directory)
    with pytest.raises(ValueError, match=r"corrupt bundle .*reference\.npz"):
        loaded.reference()


def test_names(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    bundle.directory.rename(shipped / "tiny")
    monkeypatch.setattr(bundle_module, "SHIPPED", shipped)
    assert available_bundles() == ("tiny",)
    assert Bundle.load("tiny").directory == shipped / "tiny"
    for unknown in ("huge", "../shipped/huge", tmp_path / "huge"):
        with pytest.raises(ValueError, match=r"no model .*tiny"):
            Bundle.load(unknown)


def test_a_run_that_holds_a_bundle(tmp_path: Path, bundle: Bundle) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(ValueError, match=r"corrupt bundle .*config\.json"):
        Bundle.load(run)
    shutil.copytree(bundle.directory, run / "bundle")
    for path in (run, str(run), run / "bundle"):
        loaded = Bundle.load(path)
        assert loaded.directory == run / "bundle" and loaded.digest == bundle.digest
    shutil.copytree(bundle.directory, run / "bundle" / "bundle")
    assert Bundle.load(run / "bundle").directory == run / "bundle"  # a bundle is itself, whatever else lies in it


def test_every_shipped_bundle_loads_and_computes_what_it_did() -> None:
    for name in available_bundles():
        bundle = Bundle.load(name)
        reference = bundle.reference()
        assert bundle.name == name and len(reference.joints) > 0
        with torch.no_grad():
            logits = load_detector(bundle)(torch.from_numpy(reference.joints.copy())).numpy()
        np.testing.assert_allclose(logits, reference.logits, atol=1e-4)


class TestSaving:
    def save(self, bundle: Bundle, directory: Path, config: BundleConfig) -> Bundle:
        return Bundle.save(
            directory,
            config,
            weights=bundle.weights.read_bytes(),
            graph=bundle.graph.read_bytes(),
            reference=bundle.reference(),
        )

    def test_replaces_an_older_bundle_whole(self, bundle: Bundle) -> None:
        newer = self.save(bundle, bundle.directory, replace(bundle.config, metrics={"mAP": 0.7}))
        assert newer.digest != bundle.digest and Bundle.load(bundle.directory).config.metrics == {"mAP": 0.7}
        assert [p.name for p in bundle.directory.parent.iterdir()] == [bundle.name]

    @pytest.mark.parametrize("metrics", [{"mAP": float("nan")}, {"mAP": np.float32(1)}])
    def test_a_failure_leaves_the_older_one(self, bundle: Bundle, metrics: dict[str, Any]) -> None:
        with pytest.raises((ValueError, TypeError)):
            self.save(bundle, bundle.directory, replace(bundle.config, metrics=metrics))
        assert Bundle.load(bundle.directory) == bundle
        assert [p.name for p in bundle.directory.parent.iterdir()] == [bundle.name]

    def test_other_directories_are_left_alone(self, bundle: Bundle, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()
        (home / "letter.txt").write_text("dear")
        with pytest.raises(ValueError, match="no model bundle"):
            self.save(bundle, home, bundle.config)
        assert (home / "letter.txt").read_text() == "dear"

    def test_a_reference_of_another_shape_is_not_saved(self, bundle: Bundle, tmp_path: Path) -> None:
        wrong = Reference(joints=bundle.reference().joints, logits=np.zeros((4, 64, 9), np.float32))
        with pytest.raises(ValueError, match="shape"):
            Bundle.save(tmp_path / "new", bundle.config, weights=b"w", graph=b"g", reference=wrong)
        assert not (tmp_path / "new").exists()


class TestWeights:
    def test_round_trip_is_half_precision(self) -> None:
        state = {"a": torch.randn(7, 3), "b": torch.tensor(0.1)}
        content = pack(state)
        assert len(content) < 7 * 3 * 4 + 200
        for name, value in unpack(content).items():
            assert value.dtype == torch.float32 and torch.equal(value, state[name].half().float())

    @pytest.mark.parametrize("value", [1e6, float("nan")])
    def test_what_does_not_fit_is_refused(self, value: float) -> None:
        with pytest.raises(ValueError, match="weight a is not finite"):
            pack({"a": torch.tensor([value])})

    def test_rubbish_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not a safetensors file"):
            unpack(b"\xff" * 64)

    def test_weights_of_another_model(self, bundle: Bundle, reseal: Reseal) -> None:
        bundle.weights.write_bytes(pack({"head.weight": torch.zeros(3, 3)}))
        reseal(bundle.directory)
        with pytest.raises(ValueError, match="weights do not fit its config"):
            load_detector(Bundle.load(bundle.directory))


def test_engines_are_cached_in_the_bundle_or_beside(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundle.engine_cache() == bundle.directory / "engines"
    monkeypatch.setattr(os, "access", lambda *_: False)  # a read-only disk; root may write anywhere else
    monkeypatch.setenv("SKELSTREAM_CACHE", str(tmp_path / "mine"))
    assert bundle.engine_cache() == tmp_path / "mine" / "engines" / bundle.digest[:16]
    monkeypatch.delenv("SKELSTREAM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert bundle.engine_cache() == tmp_path / "xdg" / "skelstream" / "engines" / bundle.digest[:16]
