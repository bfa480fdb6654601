"""One exported bundle for all of the encoder's tests: exporting is what takes the time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from skelstream.encoder.bundle import Bundle
from skelstream.encoder.detector import Detector
from skelstream.encoder.dste import DSTE
from skelstream.encoder.export import save_bundle


@pytest.fixture(scope="session")
def tiny() -> Detector:
    """A detector with random weights, large enough in its logits for a wrong engine to show."""
    torch.manual_seed(7)
    encoder = DSTE.Config(hidden=16, layers=1)
    detector = Detector(Detector.Config(encoder=encoder, classes=("background", "wave", "fall")))
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return detector.eval()


@pytest.fixture(scope="session")
def exported(tiny: Detector, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of `tiny`; tests that write take `bundle`, a copy."""
    directory = tmp_path_factory.mktemp("exported") / "tiny"
    return save_bundle(tiny, directory, metrics={"mAP": 0.5}, provenance={"seed": 7})


@pytest.fixture
def bundle(exported: Bundle, tmp_path: Path) -> Bundle:
    directory = tmp_path / "tiny"
    shutil.copytree(exported.directory, directory, ignore=shutil.ignore_patterns("engines"))
    return Bundle.load(directory)


@pytest.fixture
def reseal() -> Callable[[Path], None]:
    """Rewrite the digests in a bundle's config to fit its files: what somebody with bad intentions would do."""

    def rewrite(directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text())
        for name in config["files"]:
            content = (directory / name).read_bytes()
            config["files"][name] = {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
        (directory / "config.json").write_text(json.dumps(config))

    return rewrite
