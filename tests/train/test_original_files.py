"""The sets' original files: read as their .npz is where both are at hand, and damage is one clear line."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from skelstream.encoder.layout import KINECT20, NTU25, SBU15
from skelstream.train.datasets import READERS
from skelstream.train.datasets.kinder_gator import MOVEMENTS
from skelstream.train.recording import Recording

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
genuine = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside the repository")
Numbers = NDArray[np.float64]
RNG = np.random.default_rng(0)


def read(name: str, folder: Path) -> dict[str, Recording]:
    return {r.name: r for r in READERS[name].read(folder)}


def body(frames: int, joints: int = 20) -> Numbers:
    """Somebody who moves a little (T, V, 3)."""
    return np.round(RNG.uniform(0.5, 1.5, (1, joints, 3)) + RNG.normal(0, 0.02, (frames, joints, 3)), 6)


def unpacked(folder: Path, archive: str, wanted: str) -> Path:
    with zipfile.ZipFile(SHARED / "raw" / archive) as file:
        file.extractall(folder, [name for name in file.namelist() if wanted in name])
    return folder


@genuine
@pytest.mark.parametrize(
    ("name", "wanted"),
    [("utkinect", ""), ("msr_action3d", "_s01_"), ("nw_ucla", "a01_s0"), ("sbu", "s01s02")],
)
def test_genuine_files_are_read_as_the_npz_is(tmp_path: Path, name: str, wanted: str) -> None:
    unpacked(tmp_path, f"{name}.zip", wanted)
    if name == "msr_action3d":
        unpacked(tmp_path, f"{name}.zip", "files_used")
    prepared, original = read(name, SHARED / "npz"), read(name, tmp_path)
    assert set(original) == {key for key in prepared if wanted in key} and len(original) > 10
    for key, r in original.items():
        expected = prepared[key]
        np.testing.assert_allclose(r.joints, expected.joints, atol=1e-5)
        np.testing.assert_allclose(r.times_s, expected.times_s, atol=1e-9)
        assert np.array_equal(r.labels, expected.labels)
        assert (r.subject, r.view, r.setup, r.trimmed) == (
            expected.subject, expected.view, expected.setup, expected.trimmed,
        )  # fmt: skip


@genuine
def test_genuine_kinder_gator_csv_is_read_as_the_npz_is() -> None:
    prepared, original = read("kinder_gator", SHARED / "npz"), read("kinder_gator", SHARED / "raw" / "samples")
    assert set(original) == {"kinder_gator/103_01", "kinder_gator/565_05"}
    for key, r in original.items():
        np.testing.assert_allclose(r.joints, prepared[key].joints, atol=1e-3)  # the npz is rounded to 0.2 mm
        np.testing.assert_allclose(r.times_s, prepared[key].times_s, atol=1e-6)
        assert np.array_equal(r.labels, prepared[key].labels)


@genuine
def test_genuine_kimore_stands_before_the_camera() -> None:
    (recording,) = read("kimore", SHARED / "raw" / "samples" / "kimore_25_joints").values()
    person = recording.joints[:, 0]
    assert len(person) == 1423 and set(recording.labels.tolist()) == {0}
    assert 2 < person[..., 2].mean() < 3
    assert 1.2 < np.median(person[:, NTU25.index("Head"), 1] - person[:, NTU25.index("FootLeft"), 1]) < 1.8
    assert (person[:, NTU25.index("ShoulderLeft"), 0] < person[:, NTU25.index("ShoulderRight"), 0]).all()


@genuine
def test_genuine_sbu_people_are_of_human_size_and_face_one_another() -> None:
    recordings = read("sbu", SHARED / "npz")
    assert len(recordings) == 282 and len({r.subject for r in recordings.values()}) == 21
    with np.load(SHARED / "npz" / "sbu.npz") as data:
        assert [r.setup for r in recordings.values()] == [str(fold) for fold in data["fold"]]
        assert [int(r.labels[0]) for r in recordings.values()] == data["label"].tolist()
    for recording in (r for key, r in recordings.items() if "/05/" in key):  # shaking hands
        joints = np.median(recording.joints, axis=0)
        at = {name: joints[:, NTU25.index(name)] for name in ("Head", "SpineBase", "ShoulderLeft", "ShoulderRight")}
        assert (np.linalg.norm(at["Head"] - at["SpineBase"], axis=1) > 0.4).all()
        assert (np.linalg.norm(at["Head"] - at["SpineBase"], axis=1) < 0.9).all()
        # Left, up and ahead of somebody are right-handed, as camera space is.
        ahead = np.cross(at["ShoulderLeft"] - at["ShoulderRight"], at["Head"] - at["SpineBase"])
        towards = at["Head"][1] - at["Head"][0]
        assert ahead[0] @ towards > 0 > ahead[1] @ towards


# --- UTKinect -------------------------------------------------------------------------------------------------------


def write_utkinect(folder: Path, rows: Numbers, labels: str) -> None:
    np.savetxt(folder / "joints_s03_e02.txt", rows, fmt="%g")
    (folder / "actionLabel.txt").write_text("s03_e02\nwalk: 1 2\n")
    (folder / "actionLabel_modified.txt").write_text(labels)


def test_utkinect_labels_repeated_frames_and_nan(tmp_path: Path) -> None:
    joints = body(9)
    joints[7] = np.nan
    numbered = [10, 12, 12, 14, 20, 22, 24, 26, 28]
    rows = np.column_stack([numbered, joints.reshape(9, 60)])
    write_utkinect(tmp_path, rows, "s03_e02\nwalk: 12 22 \ncarry: NaN NaN\npush: 20 24\n")
    (recording,) = read("utkinect", tmp_path).values()
    assert (recording.name, recording.subject, recording.trimmed) == ("utkinect/s03_e02", "utkinect/3", False)
    np.testing.assert_allclose(recording.times_s * 60, [10, 12, 14, 20, 22, 24, 28])  # one 12; NaN left out
    walk, push = (READERS["utkinect"].classes.index(name) for name in ("walk", "push"))
    assert recording.labels.tolist() == [0, walk, walk, push, push, push, 0]
    kept = recording.joints[:, 0, NTU25.index("Head")]
    np.testing.assert_allclose(kept, joints[[0, 1, 3, 4, 5, 6, 8], KINECT20.index("Head")], atol=1e-5)


def test_damaged_utkinect_is_named(tmp_path: Path) -> None:
    rows = np.column_stack([np.arange(9.0), body(9).reshape(9, 60)]).astype(np.float64)
    for labels, said in (
        ("s03_e01\nwalk: 1 2\n", "says nothing of s03_e02"), ("s03_e02\nwalk: 1\n", "line 2"),
        ("s03_e02\nfly: 1 2\n", "line 2"), ("s03_e02\nwalk: one 2\n", "actionLabel_modified"), ("", "says nothing"),
    ):  # fmt: skip
        write_utkinect(tmp_path, rows, labels)
        with pytest.raises(ValueError, match=said):
            read("utkinect", tmp_path)
    write_utkinect(tmp_path, rows, "s03_e02\n")
    whole = (tmp_path / "joints_s03_e02.txt").read_text()
    for wrong in ("", "\n", whole[: whole.index("\n") - 20], whole.replace("\n", " x\n").replace(" ", " y ", 3)):
        (tmp_path / "joints_s03_e02.txt").write_text(wrong)
        with pytest.raises(ValueError, match=r"joints_s03_e02\.txt"):
            read("utkinect", tmp_path)


# --- MSR-Action3D ---------------------------------------------------------------------------------------------------


def write_msr(folder: Path, joints: Numbers, name: str = "a20_s10_e01") -> Path:
    lines = np.column_stack([joints.reshape(-1, 3), np.ones(joints.size // 3)])
    np.savetxt(folder / f"{name}_skeleton3D.txt", lines, fmt="%f")
    (folder / "files_used_in_cvpr12_paper.txt").write_text("a20_s10_e01\n")
    return folder / f"{name}_skeleton3D.txt"


def test_msr_action3d_drops_zero_frames_and_unused_clips(tmp_path: Path) -> None:
    joints = body(8)
    joints[2:4] = 0
    write_msr(tmp_path, body(8), "a20_s10_e02")
    write_msr(tmp_path, joints)
    (recording,) = read("msr_action3d", tmp_path).values()
    assert (recording.name, recording.subject) == ("msr_action3d/a20_s10_e01", "msr_action3d/10")
    np.testing.assert_allclose(recording.times_s * 15, [0, 1, 4, 5, 6, 7])
    assert set(recording.labels.tolist()) == {19}
    # The head is the last of its joints, the left shoulder the first.
    for joint, index in (("Head", 19), ("ShoulderLeft", 0), ("SpineBase", 6)):
        np.testing.assert_allclose(
            recording.joints[:, 0, NTU25.index(joint)], joints[[0, 1, 4, 5, 6, 7], index], atol=1e-5
        )
    joints[:] = 0
    write_msr(tmp_path, joints)
    assert read("msr_action3d", tmp_path) == {}


def test_damaged_msr_action3d_is_named(tmp_path: Path) -> None:
    path = write_msr(tmp_path, body(6))
    whole = path.read_text()
    for wrong, said in (
        ("", "holds no frame"), (whole[: whole.rindex("\n", 0, -2) + 1], "ends within a frame"),
        (whole.replace(".", "?", 1), "damaged"), (whole + "1.0\n", "damaged"),
    ):  # fmt: skip
        path.write_text(wrong)
        with pytest.raises(ValueError, match=f"{path.name}.*{said}"):
            read("msr_action3d", tmp_path)


# --- NW-UCLA --------------------------------------------------------------------------------------------------------


def write_frames(clip: Path, joints: Numbers) -> None:
    clip.mkdir(parents=True)
    for t, frame in enumerate(joints):
        lines = ["1", *(",".join(f"{v:.6f}" for v in joint) + ",2" for joint in frame)]
        (clip / f"frame_{t}_tc_{t * 66}_skeletons.txt").write_text("\n".join(lines) + "\n")


def test_nw_ucla_frames_in_folders(tmp_path: Path) -> None:
    joints = body(12)
    clip = tmp_path / "multiview_action" / "view_3" / "a12_s09_e02"
    write_frames(clip, joints)
    (clip / "fileList.txt").write_text("0 0\n")
    (clip / "frame_3_tc_198_skeletons.txt").write_text("")  # nobody
    (clip / "frame_4_tc_264_skeletons.txt").write_text("0\n")
    second = (clip / "frame_5_tc_330_skeletons.txt").read_text()
    (clip / "frame_5_tc_330_skeletons.txt").write_text(second + second.replace(".", "9."))  # a second person after
    (recording,) = read("nw_ucla", tmp_path).values()
    assert (recording.name, recording.subject, recording.view) == ("nw_ucla/a12_s09_e02_v03", "nw_ucla/9", "3")
    assert set(recording.labels.tolist()) == {9}
    seen = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11]  # frame 10 comes after frame 9, not after 1
    np.testing.assert_allclose(recording.times_s * 15, seen)
    np.testing.assert_allclose(recording.joints[:, 0, NTU25.index("Head")], joints[seen, 3], atol=1e-5)


@pytest.mark.parametrize("wrong", ["1\n0,0,0,2\n", "1\n" + "0,0,x,2\n" * 20, "1\n" + "0,0\n" * 20])
def test_a_damaged_nw_ucla_frame_is_named(tmp_path: Path, wrong: str) -> None:
    write_frames(tmp_path / "view_1" / "a01_s01_e00", body(6))
    (tmp_path / "view_1" / "a01_s01_e00" / "frame_2_tc_132_skeletons.txt").write_text(wrong)
    with pytest.raises(ValueError, match=r"frame_2_tc_132_skeletons\.txt"):
        read("nw_ucla", tmp_path)


@pytest.mark.parametrize(
    "wrong", ["", "{}", "[]", '{"skeletons": []}', '{"skeletons": [[[1, 2]]]}', '{"skeletons": "x"}']
)
def test_a_damaged_nw_ucla_clip_is_named(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "a01_s01_e00_v01.json").write_text(wrong)
    with pytest.raises(ValueError, match=r"a01_s01_e00_v01\.json"):
        read("nw_ucla", tmp_path)


def test_an_action_that_nw_ucla_does_not_have(tmp_path: Path) -> None:
    write_frames(tmp_path / "view_1" / "a07_s01_e00", body(6))
    with pytest.raises(ValueError, match=r"a07_s01_e00_v01.*is no name of an NW-UCLA clip"):
        read("nw_ucla", tmp_path)


# --- Kinder-Gator ---------------------------------------------------------------------------------------------------

WAVE = "POSE-p103_07-Wave-your-hand-1455370152780.csv"


def write_kinder_gator(folder: Path, t_ms: list[float], joints: Numbers, name: str = WAVE) -> None:
    lines = ["Timestamp," + ",".join(f"{j}{a}" for j in KINECT20.joints for a in "XYZ") + ",User-ID,Action,"]
    for t, frame in zip(t_ms, joints.reshape(-1, 60), strict=True):
        lines.append(f"{t}," + ",".join(f"{v:.6f}" for v in frame) + ",103,Wave,")
    (folder / name).write_text("\n".join(lines) + "\n")


def test_kinder_gator_time_stamps_and_movement(tmp_path: Path) -> None:
    still = np.repeat(body(1), 40, axis=0)
    still[15:25, [7, 6]] += 0.5  # both arms, as one joint alone is the sensor's jump
    stamps = [36868922.9 + 33.0 * t for t in range(40)]
    stamps[3] = stamps[2]  # the same moment twice
    write_kinder_gator(tmp_path, stamps, still)
    (recording,) = read("kinder_gator", tmp_path).values()
    assert (recording.name, recording.subject) == ("kinder_gator/103_07", "kinder_gator/103")
    assert len(recording.times_s) == 39 and (np.diff(recording.times_s) > 0).all() and recording.times_s[0] == 0
    assert set(recording.labels.tolist()) == {0, 1 + MOVEMENTS.index("Wave-your-hand")}
    assert recording.labels[18] != 0 and recording.labels[0] == recording.labels[-1] == 0


def test_damaged_kinder_gator_is_named(tmp_path: Path) -> None:
    write_kinder_gator(tmp_path, [0.0, 33], body(2))
    whole = (tmp_path / WAVE).read_text()
    for wrong in ("", whole.split("\n")[0], whole[:-900], whole.replace("0.", "zero.", 1)):
        (tmp_path / WAVE).write_text(wrong)
        with pytest.raises(ValueError, match="POSE-p103_07"):
            read("kinder_gator", tmp_path)
    (tmp_path / WAVE).unlink()
    write_kinder_gator(tmp_path, [0.0], body(1), WAVE.replace("Wave", "Bite"))
    with pytest.raises(ValueError, match="does not name a person, an order and a movement"):
        read("kinder_gator", tmp_path)


# --- SBU ------------------------------------------------------------------------------------------------------------


def write_sbu(folder: Path, values: Numbers, clip: str = "s04s06/03/001") -> Path:
    path = folder / clip / "skeleton_pos.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, np.column_stack([np.arange(len(values)), values.reshape(len(values), -1)]), "%.6f", delimiter=",")
    return path


def test_sbu_by_the_authors_formula(tmp_path: Path) -> None:
    values = np.stack([body(9, 15), body(9, 15)], axis=1)
    values[2] = 0  # nobody
    values[4, 0], values[5, 1, 3, 2] = 0, np.nan  # one of them is not seen
    write_sbu(tmp_path, values)
    (recording,) = read("sbu", tmp_path).values()
    assert (recording.name, recording.subject, recording.setup) == ("sbu/s04s06/03/001", "sbu/s04s06", "4")
    assert READERS["sbu"].classes[recording.labels[0]] == "kicking" and recording.trimmed
    np.testing.assert_allclose(recording.times_s * 15, [0, 1, 3, 4, 5, 6, 7, 8])
    x, y, z = np.moveaxis(values[:, :, SBU15.index("HandLeft")], -1, 0)
    metres = np.stack([1280 - 2560 * x, 960 - 1920 * y, z * 10000 / 7.8125], axis=-1) / 1000
    hand = recording.joints[:, :, NTU25.index("HandLeft")]
    np.testing.assert_allclose(hand[[0, 1, 2, 5, 6, 7]], metres[[0, 1, 3, 6, 7, 8]], atol=1e-4)
    assert not recording.joints[3, 0].any() and recording.joints[3, 1].any()
    assert not recording.joints[4, 1].any() and recording.joints[4, 0].any()


def test_an_sbu_clip_of_hardly_anybody_is_left_out(tmp_path: Path) -> None:
    write_sbu(tmp_path, np.stack([body(4, 15)] * 2, axis=1))
    write_sbu(tmp_path, np.zeros((20, 2, 15, 3)), "s01s02/01/001")
    assert read("sbu", tmp_path) == {}


def test_damaged_sbu_is_named(tmp_path: Path) -> None:
    path = write_sbu(tmp_path, np.stack([body(6, 15)] * 2, axis=1))
    whole = path.read_text()
    for wrong in ("", whole[:-40], whole.replace("0.", "o.", 1)):
        path.write_text(wrong)
        with pytest.raises(ValueError, match=r"skeleton_pos\.txt"):
            read("sbu", tmp_path)
    path.unlink()
    for clip, said in (
        ("s04s06/09/001", "PAIR/CLASS/TAKE"),
        ("here/001", "PAIR/CLASS/TAKE"),
        ("s01s04/01/001", "no pair"),
    ):
        path = write_sbu(tmp_path, np.stack([body(6, 15)] * 2, axis=1), clip)
        with pytest.raises(ValueError, match=said):
            read("sbu", tmp_path)
        path.unlink()


# --- KIMORE ---------------------------------------------------------------------------------------------------------


def write_kimore(path: Path, joints: Numbers, states: Numbers) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate([joints, states[..., None]], axis=-1).reshape(len(joints), -1)
    path.write_text("".join(",".join(f"{v:g}" for v in row) + ",\n" for row in rows))


def test_kimore_exercises_people_and_tracking_states(tmp_path: Path) -> None:
    joints, states = body(9, 25), np.full((9, 25), 2)
    states[1], states[4, 7] = 1, 0
    joints[6, 3] = np.nan
    write_kimore(tmp_path / "CG" / "E_ID1" / "Es4" / "Raw" / "JointPosition1.csv", joints, states)
    write_kimore(tmp_path / "input.csv", joints, states)  # not the release's: not read where that is
    (recording,) = read("kimore", tmp_path).values()
    assert recording.subject == "kimore/CG/E_ID1" and READERS["kimore"].classes[recording.labels[0]] == "Es4"
    np.testing.assert_allclose(recording.times_s * 30, [0, 1, 2, 3, 5, 7, 8])
    np.testing.assert_allclose(recording.joints[:, 0], joints[[0, 1, 2, 3, 5, 7, 8]], rtol=1e-5)


def test_damaged_kimore_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"does not exist, nor any input\.csv"):
        read("kimore", tmp_path)
    write_kimore(tmp_path / "input.csv", body(6, 25), np.full((6, 25), 2))
    whole = (tmp_path / "input.csv").read_text()
    for wrong in ("", whole[:-60], whole.replace("2,", "two,", 1)):
        (tmp_path / "input.csv").write_text(wrong)
        with pytest.raises(ValueError, match=r"input\.csv"):
            read("kimore", tmp_path)
