"""PKU-MMD: the genuine labels of part I where they are at hand, and hand-made files in the set's own form."""

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.train.datasets.pku_mmd import CLASSES, items_1, items_2, read_1, read_2, read_labels, read_split
from skelstream.train.recording import labels_of

LABELS = Path(__file__).parents[2].parent / "shared" / "data" / "raw" / "pku_mmd_v1_labels.zip"


def lay(folder: Path, name: str, frames: int, labels: str) -> np.ndarray:
    """Write a skeleton and its labels; returns the joints (T, 2, 25, 3)."""
    rng = np.random.default_rng(len(name))
    joints = rng.normal(size=(frames, 2, 25, 3)).round(4)
    joints[: frames // 2, 1] = 0  # the second person comes later
    for room in ("skeleton", "label"):
        (folder / room).mkdir(exist_ok=True)
    np.savetxt(folder / "skeleton" / f"{name}.txt", joints.reshape(frames, 150), fmt="%.6f", delimiter=" ")
    (folder / "label" / f"{name}.txt").write_text(labels)
    return joints


def test_a_recording_comes_out_with_its_segments_and_splits(tmp_path: Path) -> None:
    truth = lay(tmp_path, "0002-L", 120, "14,10,40,2\r\n34,30,60,1\r\n1,100,130,0\r\n")
    lay(tmp_path, "0003-M", 40, "2,0,39,2\n")
    (tmp_path / "cross-subject.txt").write_text("Training videos: \n0002-L, 0002-M, \n\nValidataion videos: \n0003-M\n")
    (tmp_path / "cross-view.txt").write_text("Training videos: \n0003-M\nValidataion videos: \n0002-L, \n")
    items = items_1(tmp_path)
    assert [item[0].name for item in items] == ["0002-L.txt", "0003-M.txt"]
    (recording,) = read_1(items[0])
    np.testing.assert_allclose(recording.joints, truth, atol=1e-6)
    assert (recording.name, recording.subject, recording.view) == ("pku_mmd1/0002-L", "pku_mmd1/0002", "L")
    assert recording.setup.split() == ["xsub-train", "xview-test"] and not recording.trimmed
    assert recording.segments == ((14, 10, 40), (34, 30, 60), (1, 100, 119))
    assert recording.labels[[9, 10, 29, 30, 40, 60, 61, 119]].tolist() == [0, 14, 14, 34, 34, 34, 0, 1]
    joints, labels = recording.at_30_hz()
    np.testing.assert_array_equal(joints, recording.joints)
    np.testing.assert_array_equal(labels, recording.labels)
    assert recording.segments_at_30_hz() == recording.segments


def test_part_two_has_names_and_split_files_of_its_own(tmp_path: Path) -> None:
    lay(tmp_path, "A01N02-R", 30, "5,3,20,2\n")
    (tmp_path / "cross_subject_v2.txt").write_text("Training videos:\nA02N01-L\nValidation videos:\nA01N02-R")
    (recording,) = read_2(items_2(tmp_path)[0])
    assert (recording.view, recording.setup) == ("R", "xsub-test")
    with pytest.raises(ValueError, match="no skeletons"):
        items_1(tmp_path)


def test_odd_segments_are_mended_and_told(tmp_path: Path) -> None:
    path = tmp_path / "0043-L.txt"
    path.write_text("51,5,40,1\n1,90,30,2\n3,200,300,2\n")
    segments, mended = read_labels(path, 100)
    assert segments == ((51, 5, 40), (1, 30, 90))
    assert mended == "line 2: start and end exchanged; line 3: after the last frame, left out"


@pytest.mark.parametrize("line", ["1,2", "52,1,9,2", "0,1,9,2", "1,-4,9,2", "bow,1,9,2", "1,2.5,9,2"])
def test_a_label_that_is_none_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "0002-L.txt"
    path.write_text(f"3,1,9,2\n{line}\n")
    with pytest.raises(ValueError, match=r"0002-L\.txt, line 2"):
        read_labels(path, 100)


def test_bad_skeletons_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, "0002-L", 10, "1,2,9,2\n")
    (item,) = items_1(tmp_path)
    whole = item[0].read_text()
    # Cut in a line, three people short of a joint, words, nothing: each is named.
    for spoilt in (whole[:-700], whole.replace("\n", " 0.5\n", 1), whole.replace("0.000000", "none", 1), ""):
        item[0].write_text(spoilt)
        with pytest.raises(ValueError, match=r"0002-L\.txt") as refused:
            read_1(item)
        assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="no label file"):
        read_1((item[0],))
    (tmp_path / "cross-view.txt").write_text("0002-L, 0003-L")
    with pytest.raises(ValueError, match="no split file"):
        read_split(tmp_path / "cross-view.txt")


def test_an_unknown_joint_makes_its_person_absent(tmp_path: Path) -> None:
    lay(tmp_path, "0002-L", 10, "1,2,9,2\n")
    (item,) = items_1(tmp_path)
    lines = item[0].read_text().split("\n")
    lines[3] = "nan " + lines[3].split(" ", 1)[1]
    item[0].write_text("\n".join(lines))
    (recording,) = read_1(item)
    absent = ~recording.joints[:, 0].any(axis=(1, 2))
    assert np.flatnonzero(absent).tolist() == [3] and len(recording.joints) == 10


@given(st.lists(st.tuples(st.integers(1, 51), st.integers(0, 99), st.integers(0, 99)), max_size=8))
def test_a_frame_has_the_label_of_the_latest_start_that_covers_it(drawn: list[tuple[int, int, int]]) -> None:
    segments = [(kind, min(a, b), max(a, b)) for kind, a, b in drawn]
    labels = labels_of(segments, 100)
    for frame in range(100):
        over = [(first, kind) for kind, first, last in segments if first <= frame <= last]
        latest = {kind for first, kind in over if first == max(over)[0]} if over else {0}
        assert labels[frame] in latest


@pytest.mark.skipif(not LABELS.is_file(), reason="the genuine labels are not beside the repository")
def test_the_genuine_labels_of_part_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(LABELS) as archive:
        archive.extractall(tmp_path)
    paths = sorted(tmp_path.rglob("*.txt"))
    read = {path.stem: read_labels(path, 20_000) for path in paths}
    assert len(read) == 1076
    assert sum(len(segments) for segments, _ in read.values()) == 21_545
    assert {name: mended for name, (_, mended) in read.items() if mended} == {
        "0043-L": "line 21: start and end exchanged"
    }
    kinds = Counter(kind for segments, _ in read.values() for kind, _, _ in segments)
    assert set(kinds) == set(range(1, len(CLASSES)))
    # What two people do was recorded half as often as what one does, so the names are in the right order.
    together = {name for name, count in ((CLASSES[k], n) for k, n in kinds.items()) if count < 250}
    assert together == {
        "giving something to other person", "handshaking", "hugging other person", "kicking other person",
        "pat on back of other person", "point finger at the other person", "punching/slapping other person",
        "pushing other person",
    }  # fmt: skip
