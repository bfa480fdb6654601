"""Fitting the decoder: what is maximised, that it is found, and that the model stays what it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skelstream.encoder.bundle import Bundle, BundleConfig, DecodeParameters
from skelstream.encoder.config import DSTEConfig
from skelstream.launch.fit import MIN_EVIDENCE, Quality, decided_probabilities, fit_bundle, fit_decoder, with_decoder
from skelstream.launch.offline import Windowed, decode_stream, looks_of
from skelstream.train.online import SaidEvent
from skelstream.train.recording import Recording
from skelstream.train.store import write_store
from skelstream.train.streams import Stream
from skelstream.train.vocabulary import CLASSES

CONFIG = BundleConfig(encoder=DSTEConfig(hidden=16, layers=1), classes=("background", "wave", "clap"))


def synthetic(seed: int, noise: float, overconfident: float = 1.0) -> Windowed:
    """A minute of logits that are right but noisy; `overconfident` times as large as they should be."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.full(int(rng.integers(25, 60)), k % 3) for k in rng.permutation(40)])[:1800]
    ends = np.array([*range(15, len(labels), 2), len(labels) - 1])
    at = np.maximum(ends[:, None] + np.arange(-63, 1), 0)
    logits = 2.5 * np.eye(3)[labels[at]] + rng.normal(scale=noise, size=(len(ends), 64, 3))
    stream = Stream(
        name=f"s{seed}", dataset="actor", subject="actor/val", source="recorded",
        joints=np.zeros((len(labels), 2, 25, 3), np.float32), labels=labels.astype(np.int16),
    )  # fmt: skip
    logits_WFK = (overconfident * logits).astype(np.float32)
    return Windowed(stream=stream, ends=ends, logits_WFK=logits_WFK, evidence_W=np.ones(len(ends)))


def test_quality_by_hand() -> None:
    truth = np.zeros(1800, np.int64)
    truth[300:360], truth[900:960] = 1, 2  # 10 s to 12 s, 30 s to 32 s
    said = [
        SaidEvent(1, 10.0, 12.0, said_s=10.8),  # right, 0.8 s after the start
        SaidEvent(2, 50.0, 51.0, said_s=50.2),  # nobody claps then
    ]
    found = Quality.of([said], [truth])
    assert found.event_f1 == pytest.approx(2 * 1 / 4)
    assert found.late_s == pytest.approx(0.5) and found.false_per_hour == pytest.approx(60)
    assert found.needless_switches_per_minute == 0  # four, as many as the truth has
    assert found.value == pytest.approx(0.5 - 0.3 * 0.5 - 0.0005 * 60)
    perfect = [SaidEvent(1, 10.0, 12.0, said_s=10.1), SaidEvent(2, 30.0, 32.0, said_s=30.2)]
    assert Quality.of([perfect], [truth]).value == 1
    flicker = [*perfect, SaidEvent(1, 12.0, 12.5, said_s=12.1), SaidEvent(1, 13.0, 13.5, said_s=13.1)]
    assert Quality.of([flicker], [truth]).needless_switches_per_minute == pytest.approx(3)  # 12 s is one change


def test_the_temperature_is_the_one_that_was_hidden_and_streams_that_were_not_seen_decode_well() -> None:
    fitted = fit_decoder([synthetic(0, 1.0, overconfident=3.0)], CONFIG, delay=2)
    assert fitted.delay == 2 and fitted.min_evidence == MIN_EVIDENCE
    honest = fit_decoder([synthetic(0, 1.0)], CONFIG, delay=2)
    assert fitted.temperature == pytest.approx(3 * honest.temperature, rel=0.02)
    other = synthetic(1, 1.0, overconfident=3.0)
    decoded = decode_stream(other, CONFIG, fitted)
    assert np.mean(decoded.decided == other.stream.labels) > 0.95


def test_a_detector_that_raves_about_one_class_is_held_back() -> None:
    windowed = synthetic(2, 0.5)
    labels, ends = np.asarray(windowed.stream.labels), windowed.ends
    bursts = (np.arange(len(labels)) // 20 % 3 == 0) & (labels == 0)  # what looks like a clap for 20 frames
    at = np.maximum(ends[:, None] + np.arange(-63, 1), 0)
    logits = windowed.logits_WFK + 4.0 * (np.eye(3)[2] * bursts[at][..., None]).astype(np.float32)
    raving = replace(windowed, logits_WFK=logits.astype(np.float32))
    fitted = fit_decoder([raving], CONFIG, delay=0)
    truth = [np.asarray(labels, np.int64)]

    def false(parameters: DecodeParameters) -> int:
        decoded = decode_stream(raving, CONFIG, parameters)
        return sum(action == "clap" for action, *_ in decoded.events or ()) - int(
            (np.diff(truth[0] == 2, prepend=False) & (truth[0] == 2)).sum()
        )

    eager = DecodeParameters(delay=0, enter=0.5, leave=0.3, belief=1.0, min_frames=1)
    assert false(fitted) < false(eager)


def test_each_frame_has_the_probabilities_with_which_it_was_decided() -> None:
    windowed = synthetic(3, 1.0)
    decoded = decode_stream(windowed, CONFIG, DecodeParameters(delay=3, temperature=1.5))
    found = decided_probabilities(looks_of(windowed, 3, 1.5), len(windowed.stream.labels))
    np.testing.assert_allclose(found, decoded.probabilities, atol=1e-6)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A validation person who stands, and waves from the third second on."""
    body = np.random.default_rng(0).normal(size=(25, 3)) * 0.3 + [0, 0, 3]
    times = np.arange(150) / 30
    joints = np.zeros((150, 1, 25, 3)) + body
    joints[60:, 0, 6:8, 1] += 1 + 0.3 * np.sin(12 * times[60:])[:, None]
    person = Recording(
        name="actor/val", subject="actor/val", view="", trimmed=False, times_s=times,
        joints=joints.astype(np.float32), labels=np.where(times < 2, 0, 1).astype(np.int16),
    )  # fmt: skip
    write_store(tmp_path / "store", [person], dataset="actor", classes=CLASSES, licence="ours", source="recorded")
    return tmp_path / "store"


def test_a_fitted_bundle_is_the_same_model(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit_bundle("small", [store], tmp_path / "fitted", delay=3, hop=4, threads=1) == 0
    old, new = Bundle.load("small"), Bundle.load(tmp_path / "fitted")
    assert new.config.decode.delay == 3 and new.config.decode.min_evidence == MIN_EVIDENCE
    assert replace(new.config, decode=old.config.decode) == old.config
    assert new.weights.read_bytes() == old.weights.read_bytes() and new.graph.read_bytes() == old.graph.read_bytes()
    assert "calibration error" in capsys.readouterr().out
    again = with_decoder(new, DecodeParameters(delay=1), new.directory)
    assert again.config.decode == DecodeParameters(delay=1) and again.digest != new.digest


def test_without_validation_people_there_is_nothing_to_fit_on(tmp_path: Path) -> None:
    person = Recording(
        name="actor/1", subject="actor/1", view="", trimmed=False, times_s=np.arange(90) / 30,
        joints=np.ones((90, 1, 25, 3), np.float32), labels=np.zeros(90, np.int16),
    )  # fmt: skip
    write_store(tmp_path / "store", [person], dataset="actor", classes=CLASSES, licence="ours", source="recorded")
    with pytest.raises(ValueError, match="no validation people"):
        fit_bundle("small", [tmp_path / "store"], tmp_path / "fitted", delay=0, hop=4, threads=1)
    assert not (tmp_path / "fitted").exists()
