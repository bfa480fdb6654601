"""The bundle to measure engines on: its head tells classes apart that differ, and its graph is calibrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skelstream.encoder.bundle import Bundle
from skelstream.encoder.graph.int8 import is_calibrated
from skelstream.encoder.layout import NTU25
from skelstream.launch.random_base import random_base
from skelstream.train.recording import Recording
from skelstream.train.store import write_store

NATIVE = ("background", "waveHands", "sitDown")
FRAMES = 300


def recording(person: str, seed: int) -> Recording:
    """Somebody who stands, raises the hands and sinks, two seconds each, in turns; the joints tremble."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(FRAMES) // 60 % 3).astype(np.int16)
    body = np.random.default_rng(9).normal(scale=0.2, size=(25, 3)) + np.array([0, 1, 3])  # of all of them
    joints = np.repeat(body[None], FRAMES, axis=0) + rng.normal(scale=0.005, size=(FRAMES, 25, 3))
    hands, head = [NTU25.index("HandLeft"), NTU25.index("HandRight")], NTU25.index("Head")
    joints[np.ix_(labels == 1, hands, [1])] += 0.6
    joints[np.ix_(labels == 2, [head], [1])] -= 0.5
    return Recording(
        name=f"utkinect/{person}", subject=f"utkinect/{person}", view="", trimmed=False,
        times_s=np.arange(FRAMES) / 30, joints=joints[:, None].astype(np.float32), labels=labels,
    )  # fmt: skip


@pytest.mark.slow
def test_its_head_is_trained_and_its_graph_calibrated(tmp_path: Path) -> None:
    people = [recording(person, seed) for seed, person in enumerate(("1", "2", "6", "7"))]
    store = write_store(
        tmp_path / "s", people, dataset="utkinect", classes=NATIVE, licence="", source="recorded"
    )  # fmt: skip
    random_base([store.path], tmp_path / "run", hidden=64, windows=60, seed=0)
    bundle = Bundle.load(tmp_path / "run")
    assert bundle.config.encoder.hidden == 64 and bundle.config.normalisation == "facing"
    assert is_calibrated(bundle.graph) and "not to use" in bundle.config.provenance["purpose"]
    assert bundle.config.metrics["test"]["frame_accuracy"] > 0.6  # a guess is right a third of the time


def test_no_windows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--windows must be at least 1"):
        random_base([], tmp_path, hidden=64, windows=0, seed=0)
