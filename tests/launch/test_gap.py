"""`data draw` and `data gap`: everybody in their own slot, frame by frame; tables, numbers and a picture of the gap."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from skelstream.encoder.layout import NTU25
from skelstream.launch.extract import draw_and_extract, in_slots
from skelstream.launch.gap import measure_gap
from skelstream.stream.actor import Script
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.wire import Tracks
from skelstream.train.drawn import DrawnCamera, read_cameras, write_cameras
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store

BASE = NTU25.index("SpineBase")


def store(path: Path, joints: dict[str, np.ndarray]) -> Store:
    recordings = [
        Recording(name=name, subject=f"actor/{'test' if '3' in name else 'train'}", view="", trimmed=False,
                  times_s=np.arange(len(x)) / 30, joints=x, labels=np.zeros(len(x), np.int16))
        for name, x in joints.items()
    ]  # fmt: skip
    return write_store(path, recordings, dataset="actor", classes=("a",), licence="ours", source="recorded")


def acted(seed: int, frames: int) -> np.ndarray:
    script = Script(seed=seed, duration_s=60)
    return np.stack([script.pose(5 + i / 30) for i in range(frames)]).astype(np.float32)


def tracks(joints: np.ndarray, pixels: np.ndarray) -> Tracks:
    return Tracks(
        camera="drawn", t=0.0, captured_at=0.0, seq=0, size=(640, 480), ids=tuple(range(len(joints))), joints=joints,
        pixels=pixels, confidence=np.ones((len(joints), 25), np.float32),
    )  # fmt: skip


def test_who_is_found_takes_the_slot_of_the_nearest() -> None:
    joints = np.stack([np.full((25, 3), k, np.float32) for k in (1, 2)])
    pixels = np.stack([np.full((25, 2), at, np.float32) for at in (400, 100)])
    trunks = np.stack([np.full((4, 2), at, float) for at in (110, 390)])
    both, nobody = np.ones(2, bool), np.zeros(2, bool)
    np.testing.assert_array_equal(in_slots(tracks(joints, pixels), trunks, both)[:, 0, 0], [2, 1])
    np.testing.assert_array_equal(in_slots(tracks(joints[:1], pixels[:1]), trunks, both)[:, 0, 0], [0, 1])
    np.testing.assert_array_equal(in_slots(tracks(joints, pixels), trunks, np.array([True, False]))[:, 0, 0], [2, 0])
    assert not in_slots(tracks(joints, pixels), trunks, nobody).any()
    assert not in_slots(tracks(joints[:0], pixels[:0]), trunks, both).any()
    # Two may not share a slot, even where one slot is the nearest to both.
    near = np.stack([np.full((25, 2), at, np.float32) for at in (120, 100)])
    np.testing.assert_array_equal(in_slots(tracks(joints, near), trunks, both)[:, 0, 0], [2, 1])


def test_two_people_are_drawn_and_seen_in_their_own_slots(tmp_path: Path) -> None:
    try:
        ensure_pose_model("lite")
    except RuntimeError as error:
        pytest.skip(str(error))
    aside = np.array([0.7, 0, 0])
    two = np.stack([acted(1, 24) - aside, acted(2, 24) + aside], axis=1).astype(np.float32)
    store(tmp_path / "recorded", {"actor/1": two})
    drawn = draw_and_extract(
        tmp_path / "recorded", tmp_path / "drawn", variant="lite", subjects=None, every=1, stride=1, seed=0,
        processes=1, people=2,
    )  # fmt: skip
    assert drawn.frames == 48 and drawn.seen >= 40 and not drawn.left_out
    seen = np.asarray(drawn.store.joints(drawn.store.entries[0]))
    assert len(seen) == 24
    _, cameras = read_cameras(tmp_path / "drawn")
    true = cameras["actor/1"].sees(two)
    for slot in (0, 1):
        there = seen[:, slot].any(axis=(1, 2))
        apart = [np.abs(seen[there, slot, BASE, 0] - true[there, k, BASE, 0]).mean() for k in (slot, 1 - slot)]
        assert apart[0] < 0.5 * apart[1]


def test_the_gap_is_told_in_numbers_and_in_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    true = {f"actor/{n}": acted(n, 160)[:, None] for n in range(11, 25)} | {
        f"actor/3{n}": acted(30 + n, 160)[:, None] for n in range(2)
    }
    store(tmp_path / "recorded", true)
    seen = {name: (x + 0.03 * rng.normal(size=(160, 1, 25, 3))).astype(np.float32) for name, x in true.items()}
    store(tmp_path / "drawn", seen)
    where = DrawnCamera(position=np.zeros(3), axes=np.eye(3))
    write_cameras(tmp_path / "drawn", 0, 1, dict.fromkeys(true, where))
    assert measure_gap([tmp_path / "recorded"], [tmp_path / "drawn"], tmp_path / "out", profile=True) == 0
    told = json.loads((tmp_path / "out" / "gap.json").read_text())
    assert told["gap"]["pairs"] == 16
    assert np.mean(told["gap"]["noise"]) == pytest.approx(0.03 * np.sqrt(3), rel=0.1)
    picture = cv2.imread(str(tmp_path / "out" / "gap.png"))
    assert picture is not None and picture.shape[0] > 400 and picture.std() > 10
    assert (tmp_path / "out" / "camera_profile.json").is_file()
    said = capsys.readouterr().out
    assert "16 recordings" in said and "WristLeft" in said and "simulated" in said


def test_stores_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 recorded and 0 drawn stores; give one drawn store"):
        measure_gap([tmp_path], [], tmp_path / "out")
