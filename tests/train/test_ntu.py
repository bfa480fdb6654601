"""NTU RGB+D, from hand-made files in its own text: who is read, who is furniture, and which file is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.layout import NTU25
from skelstream.train.datasets.ntu import items_60, items_120, parse, read_60, read_120
from skelstream.train.datasets.ntu_bodies import Body, people
from skelstream.train.datasets.ntu_names import CLASSES_60, CLASSES_120, MISSING_SKELETONS, sample

Frame = list[tuple[str, NDArray[np.float64]]]  # id and joints (25, 3) of each body
# Kinect's ids lie beyond 2^53: read as floating point, these two would be one.
FIRST, SECOND, THIRD = "72057594037931101", "72057594037931102", "72057594037931691"


def person(t: float, *, x: float = 0.0, moves: float = 0.05) -> NDArray[np.float64]:
    """25 joints of somebody upright, 1.6 m tall and 0.5 m wide, who sways by `moves` metres."""
    i = np.arange(25)
    y = np.linspace(-0.8, 0.8, 25)
    return np.stack([x + 0.25 * np.cos(i) + moves * np.sin(t), y, np.full(25, 2.5)], axis=1)


def chair(t: float) -> NDArray[np.float64]:
    """What Kinect takes for a body: wider than high, and it flickers a lot."""
    i = np.arange(25)
    return np.stack([1 + np.cos(i) + 2 * np.sin(9 * t), 0.2 * np.sin(i), np.full(25, 3.0)], axis=1)


def write(path: Path, frames: list[Frame]) -> Path:
    lines = [str(len(frames))]
    for frame in frames:
        lines.append(str(len(frame)))
        for body, joints in frame:
            lines += [f"{body} 0 1 1 0 1 0 -0.26 -0.03 2", str(len(joints))]
            lines += [f"{x:.6f} {y:.6f} {z:.6f} 254.1 203.4 954.3 515.1 0.1 0.2 0.9 0.1 2" for x, y, z in joints]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_one_person_is_read_as_written(tmp_path: Path) -> None:
    truth = np.stack([person(t / 10) for t in range(20)])
    path = write(tmp_path / "S017C002P008R001A060.skeleton", [[(FIRST, joints)] for joints in truth])
    (recording,) = read_60((path,))
    np.testing.assert_allclose(recording.joints[:, 0], truth, atol=1e-5)
    assert not recording.joints[:, 1].any()
    np.testing.assert_allclose(recording.times_s, np.arange(20) / 30)
    assert (recording.name, recording.subject) == ("ntu60/S017C002P008R001A060", "ntu60/8")
    assert (recording.view, recording.setup, recording.trimmed) == ("2", "17", True)
    assert set(recording.labels) == {59} and CLASSES_60[59] == "walking apart from each other"


def test_two_people_stay_apart_though_their_ids_differ_in_the_last_digit(tmp_path: Path) -> None:
    frames: list[Frame] = [
        [(FIRST, person(t / 10, x=-0.5)), (SECOND, person(t / 10, x=0.5, moves=0.3))] for t in range(30)
    ]
    (recording,) = read_120((write(tmp_path / "S018C001P041R001A110.skeleton", frames),))
    # The one who moves most comes first.
    assert recording.joints[:, 0, :, 0].mean() > 0.3 > -0.3 > recording.joints[:, 1, :, 0].mean()


def test_furniture_and_moments_are_no_people(tmp_path: Path) -> None:
    frames: list[Frame] = []
    for t in range(40):
        frame: Frame = [(THIRD, chair(t / 10)), (FIRST, person(t / 10))]
        frames.append([*frame, (SECOND, person(t, x=0.7, moves=1.0))] if t < 11 else frame)
    (recording,) = read_60((write(tmp_path / "S001C001P001R001A001.skeleton", frames),))
    np.testing.assert_allclose(recording.joints[:, 0], np.stack([person(t / 10) for t in range(40)]), atol=1e-5)
    assert not recording.joints[:, 1].any()


def test_somebody_who_comes_back_under_a_new_id_is_the_same_person(tmp_path: Path) -> None:
    frames: list[Frame] = [
        [(FIRST if t < 25 else THIRD, person(t / 10))] if not 20 <= t < 25 else [] for t in range(60)
    ]
    (recording,) = read_60((write(tmp_path / "S001C001P001R001A001.skeleton", frames),))
    assert len(recording.joints) == 55 and not recording.joints[:, 1].any()
    seen = [t for t in range(60) if not 20 <= t < 25]
    np.testing.assert_allclose(recording.times_s, np.array(seen) / 30)
    np.testing.assert_allclose(recording.joints[:, 0], np.stack([person(t / 10) for t in seen]), atol=1e-5)
    assert len(recording.at_30_hz()[0]) == 60


def test_of_three_people_the_two_who_move_most_are_kept(tmp_path: Path) -> None:
    frames: list[Frame] = [
        [
            (FIRST, person(t / 10, x=-1, moves=0.02)),
            (SECOND, person(t / 10, x=0, moves=0.2)),
            (THIRD, person(t / 10, x=1, moves=0.4)),
        ]
        for t in range(50)
    ]
    (recording,) = read_60((write(tmp_path / "S001C001P001R001A055.skeleton", frames),))
    assert recording.joints[:, 0, :, 0].mean() == pytest.approx(1, abs=0.3)
    assert recording.joints[:, 1, :, 0].mean() == pytest.approx(0, abs=0.3)


def test_the_same_id_twice_in_a_frame_is_two_bodies(tmp_path: Path) -> None:
    frames: list[Frame] = [[(FIRST, person(t / 10, x=-0.5)), (FIRST, person(t / 10, x=0.5))] for t in range(20)]
    count, bodies = parse(write(tmp_path / "S001C001P001R001A050.skeleton", frames))
    assert count == 20 and [len(body.frames) for body in bodies] == [20, 20]
    assert bodies[0].joints[..., 0].mean() < 0 < bodies[1].joints[..., 0].mean()


def test_an_unknown_joint_makes_the_body_absent_in_its_frame(tmp_path: Path) -> None:
    truth = np.stack([person(t / 10) for t in range(20)])
    truth[3, 7] = np.nan
    truth[9] = 0
    (recording,) = read_60(
        (write(tmp_path / "S001C001P001R001A001.skeleton", [[(FIRST, joints)] for joints in truth]),)
    )
    assert np.isfinite(recording.joints).all()
    assert sorted({*range(20)} - set(np.rint(recording.times_s * 30).astype(int))) == [3, 9]


WHOLE = [[(FIRST, person(t / 10))] for t in range(15)]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: "", "empty"),
        (lambda text: "0\n", "nobody"),
        (lambda text: "3\n0\n0\n0\n", "nobody"),
        (lambda text: text[: len(text) // 2].rsplit("\n", 1)[0], "truncated"),
        (lambda text: text.replace("15\n", "1000000000\n", 1), "truncated"),
        (lambda text: text.replace("\n25\n", "\n24\n", 1), "24 joints"),
        (lambda text: text.replace("254.1", "254.1", 1).replace("2.500000", "2,5", 1), "no readable"),
        (lambda text: "\x00\x01" + text, "no readable"),
        (lambda text: text.replace("2.500000 254.1 203.4 954.3 515.1 0.1 0.2 0.9 0.1 2", "", 1), "no readable"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(spoil: object, says: str, tmp_path: Path) -> None:
    path = write(tmp_path / "S001C001P001R001A001.skeleton", [*WHOLE])
    assert callable(spoil)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(ValueError, match=says) as refused:
        read_60((path,))
    assert "\n" not in str(refused.value)


def test_the_samples_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "nturgb+d_skeletons").mkdir()
    (tmp_path / "nturgb+d_skeletons120").mkdir()
    (tmp_path / "again").mkdir()
    good, late, missing = "S002C001P003R002A009", "S018C001P041R001A110", "S001C002P005R002A008"
    for place in ("nturgb+d_skeletons", "again"):
        for name in (good, missing):
            (tmp_path / place / f"{name}.skeleton").touch()
    (tmp_path / "nturgb+d_skeletons120" / f"{late}.skeleton").touch()
    (tmp_path / "again" / "S1.skeleton").touch()
    assert [[path.stem for path in item] for item in items_60(tmp_path)] == [[good]]
    assert [item[0].stem for item in items_120(tmp_path)] == [good, late]
    with pytest.raises(ValueError, match="no NTU samples"):
        items_60(tmp_path / "nturgb+d_skeletons120")


def test_the_official_numbers() -> None:
    setups = [sample(name).setup for name in MISSING_SKELETONS]
    assert (len(setups), sum(setup <= 17 for setup in setups)) == (535, 302)
    assert all(sample(name).action <= 60 for name in MISSING_SKELETONS if sample(name).setup <= 17)
    assert all(60 < sample(name).action <= 120 for name in MISSING_SKELETONS if sample(name).setup > 17)
    assert (len(CLASSES_60), len(set(CLASSES_120))) == (60, 120)
    assert (CLASSES_120[42], CLASSES_120[111]) == ("falling", "high-five")  # A43, A112


@settings(max_examples=40, deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=6),
    seed=st.integers(0, 1 << 16),
)
def test_whatever_bodies_there_are_at_most_two_people_come_out_and_nothing_is_made_up(
    spans: list[tuple[int, int]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bodies = [
        Body(
            frames=np.arange(start, start + length),
            joints=rng.normal(i + 1, 0.2, (length, len(NTU25), 3)).astype(np.float32),
        )
        for i, (start, length) in enumerate(spans)
    ]
    joints = people(bodies, 100)
    assert joints.shape == (100, 2, 25, 3) and joints.any()
    rows = {body.joints[i].tobytes(): (n, int(t)) for n, body in enumerate(bodies) for i, t in enumerate(body.frames)}
    for t, m in zip(*np.nonzero(joints.any(axis=(2, 3))), strict=True):
        assert rows[joints[t, m].tobytes()][1] == t  # each is a body's own frame, in its place
    # Whoever is second overlaps in time with somebody who moves more.
    assert joints[:, 0].any()
