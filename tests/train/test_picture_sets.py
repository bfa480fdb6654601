"""Sets of key points in pictures (NTU-2D, UAV-Human): what the files say comes out, or one clear line."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.train.datasets import FILES_READERS, READERS
from skelstream.train.datasets.picture import in_picture
from skelstream.train.datasets.uav_human import TRAIN_SUBJECTS_V1, TRAIN_SUBJECTS_V2, items, read_item
from skelstream.train.recording import Recording


@given(st.floats(-500, 2500), st.floats(-500, 1500), st.floats(0.01, 1), st.integers(100, 4000), st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_a_picture_of_another_size_shows_the_same(x: float, y: float, score: float, height: int, times: int) -> None:
    width = 2 * height
    pixels, scores = np.array([[x, y]]), np.array([score])
    once = in_picture(pixels, scores, width, height)
    np.testing.assert_allclose(once, in_picture(pixels * times, scores, width * times, height * times), rtol=1e-5)
    np.testing.assert_allclose(once[0], [x / height - 1, 0.5 - y / height, score], rtol=1e-4, atol=1e-6)


def test_what_was_not_found_is_zero() -> None:
    pixels = np.array([[10.0, 10], [np.nan, 10], [10, np.inf], [10, 10]])
    joints = in_picture(pixels, np.array([1.0, 1, 1, 0]), 100, 100)
    assert joints[0].any() and not joints[1:].any()
    with pytest.raises(ValueError, match="size must be positive"):
        in_picture(pixels, np.ones(4), 100, 0)


# --- NTU-2D ---------------------------------------------------------------------------------------------------------


def annotation(people: int = 1, frames: int = 6, **other: Any) -> dict[str, Any]:
    rng = np.random.default_rng(people)
    return {
        "frame_dir": "S003C002P007R001A042", "label": 41, "img_shape": (1080, 1920), "original_shape": (1080, 1920),
        "total_frames": frames, "keypoint": rng.uniform(100, 900, (people, frames, 17, 2)).astype(np.float16),
        "keypoint_score": rng.uniform(0.5, 1, (people, frames, 17)).astype(np.float16), **other,
    }  # fmt: skip


def from_pickle(folder: Path, *annotations: Any) -> list[Recording]:
    content = {"split": {"xsub_train": ["S003C002P007R001A042"]}, "annotations": list(annotations)}
    (folder / "ntu60_hrnet.pkl").write_bytes(pickle.dumps(content, protocol=4))
    return list(READERS["ntu60_2d"].read(folder))


def test_a_sample_of_pyskls_schema(tmp_path: Path) -> None:
    told = annotation(people=2)
    (recording,) = from_pickle(tmp_path, told)
    assert (recording.name, recording.subject) == ("ntu60_2d/S003C002P007R001A042", "ntu60_2d/7")
    assert (recording.view, recording.setup, recording.layout, recording.trimmed) == ("2", "3", "coco17", True)
    assert recording.joints.shape == (6, 2, 17, 3) and recording.labels.tolist() == [41] * 6
    np.testing.assert_allclose(np.diff(recording.times_s), 1 / 30)
    # Either order of the two people is fine; here the surer one comes first.
    surer = int(told["keypoint_score"][1].astype(float).sum() > told["keypoint_score"][0].astype(float).sum())
    x, y = np.moveaxis(told["keypoint"][surer].astype(float), -1, 0)
    np.testing.assert_allclose(recording.joints[:, 0, :, 0], (x - 960) / 1080, atol=1e-5)
    np.testing.assert_allclose(recording.joints[:, 0, :, 1], (540 - y) / 1080, atol=1e-5)
    np.testing.assert_allclose(recording.joints[:, 0, :, 2], told["keypoint_score"][surer], atol=1e-5)


def test_of_three_people_the_two_surest_stay_and_empty_frames_go(tmp_path: Path) -> None:
    told = annotation(people=3, frames=9)
    told["keypoint_score"][1] *= np.float16(0.1)
    told["keypoint"][:, 4], told["keypoint_score"][:, 4] = 0, 0  # nobody
    told["keypoint"][0, 5, 3] = np.nan
    (recording,) = from_pickle(tmp_path, told)
    assert recording.joints.shape == (8, 2, 17, 3) and np.isfinite(recording.joints).all()
    np.testing.assert_allclose(recording.times_s * 30, [0, 1, 2, 3, 5, 6, 7, 8])
    assert recording.joints[..., 2].max() <= 1 and recording.joints[..., 2].mean() > 0.5
    assert (~recording.joints.any(axis=-1)).sum() == 1  # the one joint that was NaN


def test_hardly_anybody_is_no_recording(tmp_path: Path) -> None:
    assert from_pickle(tmp_path, annotation(frames=4), annotation(people=0), annotation(frames=5))[0].joints.any()
    assert len(from_pickle(tmp_path, annotation(frames=4), annotation(people=0), annotation(frames=5))) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"frame_dir": "walking"}, "is no name of an NTU"),
        ({"label": 60}, "not one of 60 classes"),
        ({"label": -1}, "not one of 60 classes"),
        ({"keypoint": np.zeros((1, 6, 25, 2), np.float16)}, "has key points"),
        ({"keypoint_score": np.zeros((1, 5, 17), np.float16)}, "has key points"),
        ({"keypoint": None}, "lacks a part"),
        ({"original_shape": (0, 0)}, "size must be positive"),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"annotation 1.*{said}"):
        from_pickle(tmp_path, annotation(), annotation(**wrong))


def test_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ntu120_hrnet.pkl").write_bytes(pickle.dumps([annotation()]))
    with pytest.raises(ValueError, match="not of pyskl's schema"):
        list(READERS["ntu120_2d"].read(tmp_path))
    with pytest.raises(ValueError, match=r"ntu60_hrnet\.pkl does not exist"):
        list(READERS["ntu60_2d"].read(tmp_path))


# --- UAV-Human ------------------------------------------------------------------------------------------------------

NAME = "P012S03G10B10H10UC022000LC021000A154R1_08241716.txt"


def text(frames: list[list[np.ndarray[Any, Any]]]) -> str:
    """Bodies (17, 2) of each frame, in the set's form."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body in bodies:
            lines += ["000 0 0 0 0 0 0 0 0 0", "17", *(f"{x:.4f} {y:.4f} 0 0 0 0 0 0 0 0 0 0" for x, y in body)]
    return "\n".join(lines) + "\n"


def from_text(folder: Path, content: str, name: str = NAME) -> list[Recording]:
    (folder / name).write_text(content)
    return read_item((folder / name,))


def test_a_sample_with_people_who_come_and_go(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    still, runner, walker = (rng.uniform(300, 500, (17, 2)) for _ in range(3))
    frames = [[still, runner + 40 * t, walker + 20 * t] for t in range(8)]
    frames[2], frames[3] = [], frames[3][:2]  # nobody; the third is out of sight
    (recording,) = from_text(tmp_path, text(frames))
    assert recording.name == f"uav_human/{NAME[:-4]}" and recording.subject == "uav_human/P012"
    assert (recording.setup, recording.layout, set(recording.labels.tolist())) == ("03", "coco17", {154})
    np.testing.assert_allclose(recording.times_s * 30, [0, 1, 3, 4, 5, 6, 7])
    # The two who move most, the most moving first.
    assert recording.joints.shape == (7, 2, 17, 3)
    moved = runner + 40 * 7
    np.testing.assert_allclose(recording.joints[-1, 0, :, 0], (moved[:, 0] - 960) / 1080, atol=1e-5)
    np.testing.assert_allclose(recording.joints[-1, 0, :, 1], (540 - moved[:, 1]) / 1080, atol=1e-5)
    assert (recording.joints[-1, :, :, 2] == 1).all()
    assert not recording.joints[2, 1].any() and recording.joints[3, 1].any()


def test_missing_joints_and_empty_samples(tmp_path: Path) -> None:
    body = np.full((17, 2), 400.0)
    body[3], body[4] = 0, np.nan
    (recording,) = from_text(tmp_path, text([[body]] * 6))
    assert np.isfinite(recording.joints).all()
    assert np.flatnonzero(~recording.joints[0, 0].any(axis=-1)).tolist() == [3, 4]
    for nobody in ("0\n", text([[]] * 9), text([[body]] * 4), text([[np.zeros((17, 2))]] * 9)):
        assert from_text(tmp_path, nobody) == []


def test_a_cut_or_wrong_file_is_named(tmp_path: Path) -> None:
    whole = text([[np.full((17, 2), 400.0)]] * 6)
    lines = whole.rstrip("\n").split("\n")
    for kept in range(len(lines)):  # cut after any line
        with pytest.raises(ValueError, match="is no UAV-Human skeleton"):
            from_text(tmp_path, "\n".join(lines[:kept]))
    for wrong in (
        "", "x", "-1\n", "999999999999\n1\n", whole.replace("17\n", "25\n"), whole.replace("400.0000", "4OO"),
        "1\n-3\n", "1\n999999999\n", "1\n1\n000\n17\n" + "5\n" * 17,
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"{NAME} is no UAV-Human skeleton"):
            from_text(tmp_path, wrong)
    (tmp_path / NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no UAV-Human skeleton"):
        read_item((tmp_path / NAME,))
    with pytest.raises(ValueError, match="is no name of a UAV-Human sample"):
        from_text(tmp_path, whole, NAME.replace("A154", "A155"))


def test_the_samples_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no UAV-Human samples"):
        items(tmp_path)
    (tmp_path / "Skeleton").mkdir()
    for name in (NAME, NAME.replace("P012", "P001")):
        (tmp_path / "Skeleton" / name).write_text("0\n")
    assert [item[0].name[:4] for item in items(tmp_path)] == ["P001", "P012"]
    assert len(FILES_READERS["uav_human"].classes) == 155


def test_the_official_protocols_have_89_of_119_people_train() -> None:
    for train in (TRAIN_SUBJECTS_V1, TRAIN_SUBJECTS_V2):
        assert len(train) == 89 and train <= set(range(119))
