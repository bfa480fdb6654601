"""The check finds what is wrong with a store, and its picture shows the people the right way round."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from skelstream.encoder.layout import NTU25
from skelstream.launch.check import check, examine
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store

CLASSES = ("background", "wave", "bow")


def standing(frames: int = 30) -> np.ndarray:
    """Somebody facing the camera (T, 1, 25, 3): bones below half a metre, all else at the spine."""
    at = {
        "SpineBase": (0, 0), "SpineMid": (0, 0.3), "SpineShoulder": (0, 0.5), "Neck": (0, 0.6), "Head": (0, 0.75),
        "HipLeft": (-0.1, 0), "KneeLeft": (-0.1, -0.4), "AnkleLeft": (-0.1, -0.8), "FootLeft": (-0.1, -0.85),
        "HipRight": (0.1, 0), "KneeRight": (0.1, -0.4), "AnkleRight": (0.1, -0.8), "FootRight": (0.1, -0.85),
    }  # fmt: skip
    points = [(*at.get(joint, (-0.2 if "Left" in joint else 0.2, 0.45)), 2.5) for joint in NTU25.joints]
    return np.tile(np.array(points, np.float32), (frames, 1, 1, 1))


def recording(name: str, joints: np.ndarray, label: int = 1, **about: object) -> Recording:
    told = {"subject": "s/1", "view": "2", "setup": "17", "trimmed": True} | about
    return Recording(
        name=name, times_s=np.arange(len(joints)) / 30, joints=joints, labels=np.full(len(joints), label, np.int16),
        **told,  # type: ignore[arg-type]
    )  # fmt: skip


def prepared(path: Path, *recordings: Recording) -> Store:
    return write_store(path, recordings, dataset="ntu60", classes=CLASSES, licence="", source="recorded")


def test_a_sound_store_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    untrimmed = recording(
        "c", standing(), 0, trimmed=False, subject="s/2", segments=((2, 3, 9), (1, 5, 12), (2, 20, 29))
    )
    store = prepared(tmp_path / "s", recording("a", standing(20)), recording("b", standing(25), 2), untrimmed)
    found = examine(store)
    assert not found.failed and found.frames == 75 and not found.long_bones
    assert found.class_frames == {0: 30, 1: 20, 2: 25}
    np.testing.assert_allclose([found.low, found.high], [(-0.2, -0.85, 2.5), (0.2, 0.75, 2.5)], atol=1e-6)
    assert check(store.path, None, 0) == 0
    said = {tuple(line.replace("│", " ").replace("┃", " ").split()) for line in capsys.readouterr().out.splitlines()}
    assert {("bow", "25", "3"), ("wave", "20", "2"), ("s/1", "2"), ("17", "3"), ("sound",)} <= said


def test_each_fault_is_found(tmp_path: Path) -> None:
    jump, nobody, gap = standing(), standing(40) * 0, standing()
    jump[6:8, 0, NTU25.index("HandLeft")] += 1
    gap[10:13] = 0
    gap[20, 0, 5] = 0
    pair = np.concatenate([standing(), standing() + 1], axis=1)
    store = prepared(
        tmp_path / "s", recording("nan", standing()), recording("jump", jump), recording("nobody", nobody),
        recording("gap", gap), recording("pair", pair, label=7),
    )  # fmt: skip
    np.load(store.path / "frames.npy", mmap_mode="r+")[4, 0, 3] = np.nan
    found = examine(store)
    assert found.not_finite == 1 and found.nobody == ("nobody",) and found.foreign_labels == 30
    assert found.empty == 40 + 3 and found.second_person == 30 and found.at_origin == 1
    assert found.long_bones == {"jump": 2, "gap": 1}  # a joint at the origin is 2.5 m from its parent
    assert found.failed and check(store.path, None, 0) == 1


@pytest.mark.parametrize("bad", ["nan", "nobody", "label"])
def test_each_grave_fault_alone_fails_the_check(bad: str, tmp_path: Path) -> None:
    joints = standing()
    if bad != "label":
        joints[...] = np.nan if bad == "nan" else 0
    assert check(prepared(tmp_path / "s", recording("a", joints, 3 if bad == "label" else 1)).path, None, 0) == 1


def test_the_contact_sheet_shows_people_unmirrored(tmp_path: Path) -> None:
    store = prepared(tmp_path / "s", *(recording(str(n), standing()) for n in range(20)))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert check(store.path, tmp_path / f"{name}.png", seed) == 0
    sheets = {name: (tmp_path / f"{name}.png").read_bytes() for name in "abc"}
    assert sheets["a"] == sheets["b"] != sheets["c"]  # the seed chooses
    picture = imread(tmp_path / "a.png")[..., :3]
    blue = (picture[..., 2] > picture[..., 0] + 0.3).any(axis=0)
    red = (picture[..., 0] > picture[..., 2] + 0.3).any(axis=0)
    # They face the camera: the left side, blue, is the one farther right of the first person in a row.
    assert np.flatnonzero(red)[0] < np.flatnonzero(blue)[0] and np.flatnonzero(red)[-1] < np.flatnonzero(blue)[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png", "s"]


def test_key_points_in_pictures_are_drawn_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    joints = rng.uniform(-0.5, 0.5, (12, 1, 17, 3)).astype(np.float32)
    store = prepared(tmp_path / "s", recording("a", joints, layout="coco17"))
    assert store.layout == "coco17" and check(store.path, tmp_path / "a.png", 0) == 0
    assert imread(tmp_path / "a.png")[..., :3].min() < 0.5
    assert not examine(store).long_bones  # pixels have no metres


def test_an_empty_store_has_nothing_to_draw(tmp_path: Path) -> None:
    store = prepared(tmp_path / "s")
    with pytest.raises(ValueError, match="no recording to draw"):
        check(store.path, tmp_path / "a.png", 0)
    assert not (tmp_path / "a.png").exists()
