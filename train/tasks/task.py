"""What the tasks have in common: their settings as a run folder keeps them, and the classes that two sets share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...encoder.config import encoder_config
from ..clips import Clips
from ..pretrained import Pretrained, random_encoder, weights_digest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Say = Callable[[str], None]
Results = dict[str, Any]


def settings(task: str, pretrained: Pretrained, train: Clips, test: Clips, config: DataclassInstance) -> dict[str, Any]:
    """All that decides a task's result, the weights and the clips by their digests."""
    return {
        "task": task, "config": asdict(config), "modality": pretrained.modality,
        "normalisation": pretrained.normalisation,
        "encoder": asdict(pretrained.encoder.config), "weights": weights_digest(pretrained.encoder),
        "train": _clips_digest(train), "test": _clips_digest(test),
    }  # fmt: skip


def finished(folder: Path) -> Results | None:
    """The results of a run that has been through: it is not done again."""
    path = folder / "results.json"
    if not path.is_file():
        return None
    results: Results = json.loads(path.read_text())
    return results


def shared_classes(train: Clips, test: Clips) -> tuple[str, ...]:
    """The classes of all stores of both; ValueError if they differ, because labels are numbers in a set's own list."""
    lists = {store.classes for store in (*train.stores, *test.stores)}
    if len(lists) != 1:
        names = ", ".join(sorted({store.dataset for store in (*train.stores, *test.stores)}))
        raise ValueError(f"the stores ({names}) have different classes; train and test on one data set's")
    return lists.pop()


def random_twin(pretrained: Pretrained, seed: int) -> Pretrained:
    """The same encoder, taking the same input, with random weights."""
    twin = random_encoder(encoder_config(asdict(pretrained.encoder.config)), seed, pretrained.modality)
    return replace(twin, normalisation=pretrained.normalisation)


def _clips_digest(clips: Clips) -> str:
    names = [store.dataset for store in clips.stores]
    listed = [(names[clip.store], clip.start, clip.length, clip.label) for clip in clips.clips]
    return f"{len(clips)} clips of {', '.join(sorted(set(names)))}, {hashlib.sha256(repr(listed).encode()).hexdigest()}"
