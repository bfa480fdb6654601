"""A data set of four actions that differ in which limb moves, small enough to be learnt in seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from skelstream.encoder.dste import DSTE
from skelstream.encoder.layout import NTU25
from skelstream.train.clips import Clips
from skelstream.train.pretrained import Pretrained, random_encoder
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store

LIMBS = (("WristLeft", "HandLeft"), ("WristRight", "HandRight"), ("AnkleLeft", "FootLeft"), ("AnkleRight", "FootRight"))
MakeStore = Callable[..., Store]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """`make_store(name, limbs, labels, subjects)`: a clip for each, in which that limb waves in its own way.

    Clips of one limb and one of the `takes` are frame by frame the same.
    """

    def make(
        name: str, limbs: Sequence[int], labels: Sequence[int], subjects: Sequence[str],
        takes: Sequence[int] | None = None,
    ) -> Store:  # fmt: skip
        body = np.random.default_rng(1).normal(0, 0.3, (25, 3)).astype(np.float32)
        for joint in ("Shoulder", "Hip"):  # who faces the camera is not turned
            body[NTU25.index(f"{joint}Left")], body[NTU25.index(f"{joint}Right")] = (0.2, 0.3, 0), (-0.2, 0.3, 0)
        body[NTU25.index("SpineBase")], body[NTU25.index("SpineShoulder")] = 0, (0, 0.5, 0)
        recordings = []
        for i, (limb, label, subject) in enumerate(zip(limbs, labels, subjects, strict=True)):
            rng = np.random.default_rng((5, i if takes is None else takes[i]))
            frames = int(rng.integers(24, 48))
            joints = np.tile(body, (frames, 1, 1)) + rng.normal(0, 0.01, (frames, 25, 3)).astype(np.float32)
            moving = [NTU25.index(joint) for joint in LIMBS[limb]]
            wave = 0.6 * np.sin(np.arange(frames) * 0.5 + rng.uniform(0, 6))
            joints[:, moving] += wave[:, None, None].astype(np.float32) * np.array([1, 0.5, 0], np.float32)
            joints += np.array([rng.normal(0, 0.3), 0.2, 3.0], np.float32)
            recordings.append(
                Recording(
                    name=f"{name}/{i}", subject=subject, view="1", trimmed=True, times_s=np.arange(frames) / 30,
                    joints=joints[:, None], labels=np.full(frames, label, np.int16),
                )
            )  # fmt: skip
        classes = ("wave left", "wave right", "kick left", "kick right")
        return write_store(tmp_path / name, recordings, dataset=name, classes=classes, licence="ours", source="drawn")

    return make


@pytest.fixture
def split(make_store: MakeStore) -> tuple[Clips, Clips]:
    """48 training and 24 test clips of other people."""
    labels = [i % 4 for i in range(72)]
    store = make_store("limbs", labels, labels, ["a"] * 48 + ["b"] * 24)
    return Clips([store], lambda _, entry: entry.subject == "a"), Clips([store], lambda _, entry: entry.subject == "b")


@pytest.fixture
def tiny() -> Pretrained:
    """A random encoder of 16 frames and hidden 16."""
    return random_encoder(DSTE.Config(hidden=16, frames=16), seed=3)
