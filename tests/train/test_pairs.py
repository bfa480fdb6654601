"""Two people: who does it, and the stream of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.train.datasets import READERS
from skelstream.train.pairs import acts, turned
from skelstream.train.recording import Recording
from skelstream.train.store import write_store
from skelstream.train.streams import streams_of
from skelstream.train.vocabulary import CLASSES, IGNORE


def two_people(frames: int = 45) -> NDArray[np.float32]:
    """They face one another, 1.2 m apart, and stand still."""
    body = np.random.default_rng(0).normal(scale=0.2, size=(25, 3)).astype(np.float32)
    joints = np.zeros((frames, 2, 25, 3), np.float32)
    joints[:, 0] = body + np.array([-0.6, 0, 3])
    joints[:, 1] = body * np.array([-1, 1, 1]) + np.array([0.6, 0, 3])
    return joints


def reach(joints: NDArray[np.float32], slot: int, limb: str) -> NDArray[np.float32]:
    moved = joints.copy()
    towards = 1 if slot == 0 else -1
    moved[:, slot, NTU25.index(limb), 0] += towards * 0.7 * np.sin(np.linspace(0, np.pi, len(joints))) ** 4
    return moved


@pytest.mark.parametrize("slot", [0, 1])
def test_whoever_reaches_out_does_it_and_whoever_walks_walks(slot: int) -> None:
    who = (slot == 0, slot == 1)
    assert acts(reach(two_people(), slot, "WristRight"), "push") == who
    assert acts(reach(two_people(), slot, "WristLeft"), "punch") == who
    assert acts(reach(two_people(), slot, "AnkleLeft"), "kick") == who
    walking = two_people()
    walking[:, slot, :, 0] += np.linspace(0, 0.8, len(walking))[:, None] * (1 if slot == 0 else -1)
    assert acts(walking, "walk") == who
    assert acts(turned(walking), "walk") == who[::-1]
    # Somebody who is pushed away moves fast too, but not towards the other.
    pushed = reach(two_people(), slot, "WristRight")
    pushed[20:, 1 - slot, :, 0] += (1 if slot == 0 else -1) * np.linspace(0, 1.5, len(pushed) - 20)[:, None]
    assert acts(pushed, "push") == who
    # ... and jerks the arms forward from behind, faster than the push was, without reaching anybody.
    for side in ("Left", "Right"):
        jerk = np.interp(np.arange(len(pushed)), [0, 20, 23], [0.4, 0.4, 0.0])
        pushed[:, 1 - slot, NTU25.index(f"Wrist{side}"), 0] += (1 if slot == 0 else -1) * jerk
    assert acts(pushed, "push") == who


def test_what_two_do_together_is_done_by_both() -> None:
    assert acts(reach(two_people(), 0, "WristRight"), "hug") == (True, True)


def test_each_of_two_people_has_a_stream(tmp_path: Path) -> None:
    def clip(number: int, label: str, joints: NDArray[np.float32]) -> Recording:
        return Recording(
            name=f"sbu/s01s02/{number}", subject="sbu/s01s02", view="", setup="0", trimmed=True,
            times_s=np.arange(len(joints)) / 30, joints=joints,
            labels=np.full(len(joints), READERS["sbu"].classes.index(label), np.int16),
        )  # fmt: skip

    clips = [
        clip(1, "kicking", reach(two_people(), 1, "AnkleRight")),
        clip(2, "hugging", two_people()),
    ]
    store = write_store(
        tmp_path / "s", clips, dataset="sbu", classes=READERS["sbu"].classes, licence="", source="recorded"
    )
    first, second = streams_of([store], ("train",))
    kick, hug = CLASSES.index("kick"), CLASSES.index("hug")
    assert list(dict.fromkeys(first.labels.tolist())) == [IGNORE, hug]
    assert list(dict.fromkeys(second.labels.tolist())) == [kick, IGNORE, hug]
    np.testing.assert_array_equal(first.joints[:45, 0], second.joints[:45, 1])
    np.testing.assert_array_equal(first.joints[:45, 1], second.joints[:45, 0])
    assert first.name != second.name and first.subject == second.subject


def test_a_part_of_sbu_is_whole_people() -> None:
    from skelstream.train.datasets.sbu import FOLDS
    from skelstream.train.splits import part_of

    parts = {pair: part_of("sbu", f"sbu/{pair}") for fold in FOLDS for pair in fold}
    tested = {p[i : i + 3] for p, part in parts.items() if part == "test" for i in (0, 3)}
    trained = {p[i : i + 3] for p, part in parts.items() if part == "train" for i in (0, 3)}
    assert "s06" in tested and "s06" not in trained and "s05" not in trained
