"""From a store to a trained continual detector, its row beside the windowed one, and what a frame costs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from skelstream.encoder.bundle import DecodeParameters
from skelstream.encoder.continual import Continual, ContinualConfig
from skelstream.launch.cli_bench import bench_continual
from skelstream.launch.cli_continual import continual, continual_evaluate
from skelstream.launch.continual import _decoded, answers
from skelstream.launch.offline import decode_stream
from skelstream.train.continual import ContinualTraining, probabilities
from skelstream.train.continual_file import SavedContinual, load_continual, save_continual
from skelstream.train.recording import Recording
from skelstream.train.store import write_store
from skelstream.train.streams import Stream
from skelstream.train.vocabulary import CLASSES


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three people who stand and wave, one for each part."""
    body = np.random.default_rng(0).normal(size=(25, 3)) * 0.3 + [0, 0, 3]

    def person(subject: str) -> Recording:
        times = np.arange(150) / 30
        joints = np.zeros((150, 1, 25, 3)) + body
        joints[60:, 0, 6:8, 1] += 1 + 0.3 * np.sin(12 * times[60:])[:, None]
        return Recording(
            name=f"actor/{subject}", subject=f"actor/{subject}", view="", trimmed=False, times_s=times,
            joints=joints.astype(np.float32), labels=np.where(times < 2, 0, 1).astype(np.int16),
        )  # fmt: skip

    people = [person("train"), person("val"), person("test")]
    write_store(tmp_path / "store", people, dataset="actor", classes=CLASSES, licence="ours", source="recorded")
    return tmp_path / "store"


@pytest.mark.parametrize("frames", [1, 20, 64, 65, 200])
def test_the_decoder_is_handed_every_answer_once_and_in_its_place(frames: int) -> None:
    torch.manual_seed(0)
    model = Continual(ContinualConfig(classes=CLASSES, hidden=16, layers=1, reach=8)).eval()
    with torch.no_grad():
        model.head.weight.mul_(200)  # surer than random weights are
    joints = np.random.default_rng(1).normal(size=(frames, 2, 25, 3)).astype(np.float32).cumsum(axis=0)
    stream = Stream(
        name="n", dataset="actor", subject="actor/test", source="recorded", joints=joints,
        labels=np.zeros(frames, np.int16),
    )  # fmt: skip
    parameters = DecodeParameters(delay=0, enter=0.3, leave=0.2, min_frames=2)
    decoded = decode_stream(answers(model, stream), _decoded(model), parameters)
    np.testing.assert_allclose(decoded.probabilities, probabilities(model, joints), atol=1e-6)


def test_trained_then_measured_beside_the_shipped_detector(store: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "evaluation"
    training = ContinualTraining(steps=2, batch=2, frames=32, warmup=1)
    assert continual(stores=[store], out=run, start="small", config=training) == 0
    saved = load_continual(run)
    assert saved.decode.delay == 0 and saved.model.delay == 8
    assert saved.provenance["data"] == ["actor (recorded): ours"]
    assert continual_evaluate(run, stores=[store], out=out, hop=16) == 0
    rows = json.loads((out / "report.json").read_text())["rows"]
    assert set(rows) == {"actor, recorded"}
    for kind in ("small", "continual"):
        assert rows["actor, recorded"][kind]["frames"] == 150
    with pytest.raises(ValueError, match="no whole continual detector"):
        continual_evaluate(tmp_path / "nowhere", stores=[store])


def test_detectors_of_other_classes_are_not_compared(store: Path, tmp_path: Path) -> None:
    other = Continual(ContinualConfig(classes=("background", "wave"), hidden=16))
    save_continual(tmp_path, SavedContinual(model=other, decode=DecodeParameters(delay=0), provenance={}))
    with pytest.raises(ValueError, match="answer different classes"):
        continual_evaluate(tmp_path, stores=[store])


@pytest.mark.slow
def test_what_a_frame_costs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Continual(ContinualConfig(classes=CLASSES, hidden=32))
    save_continual(tmp_path, SavedContinual(model=model, decode=DecodeParameters(delay=0), provenance={}))
    assert bench_continual(tmp_path, streams=(1, 2), rounds=1) == 0
    told = capsys.readouterr().out
    assert "operations: a window" in told and "a frame" in told
