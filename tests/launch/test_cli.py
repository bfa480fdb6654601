"""The commands around the model: prepare, draw, evaluate, models. Run in this process; the live path has its own."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from skelstream.launch.cli import main
from skelstream.stream.actor import Script
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.train.recording import Recording
from skelstream.train.store import Store, write_store
from skelstream.train.vocabulary import CLASSES


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Ten seconds of the actor, as the test subject."""
    script = Script(seed=3000, duration_s=10)
    times = np.arange(150) / 15
    recording = Recording(
        name="actor/3000", subject="actor/test", view="", trimmed=False, times_s=times,
        joints=np.stack([script.pose(t) for t in times])[:, None],
        labels=np.array([CLASSES.index(script.truth(t)) for t in times], np.int16),
    )  # fmt: skip
    write_store(tmp_path / "actor", [recording], dataset="actor", classes=CLASSES, licence="ours", source="recorded")
    return tmp_path / "actor"


def test_evaluate_writes_the_report_and_the_pictures(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "evaluation"
    assert main(["evaluate", "--stores", str(store), "--out", str(out)]) == 0
    rows = json.loads((out / "report.json").read_text())["rows"]
    assert rows["actor, recorded"]["frames"] == 299
    assert 0 <= rows["actor, recorded"]["frame_accuracy"] <= 1
    assert "frame accuracy" in capsys.readouterr().out


def test_a_store_without_test_people_is_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--stores", str(store), "--part", "val"]) == 2
    assert capsys.readouterr().err.startswith("skelstream: the stores hold no val people")


def test_a_drawn_store_holds_what_mediapipe_sees(store: Path, tmp_path: Path) -> None:
    try:
        ensure_pose_model("lite")
    except (ValueError, RuntimeError, OSError) as error:
        pytest.skip(f"no pose model: {error}")
    assert main(["data", "draw", str(store), str(tmp_path / "drawn"), "--stride", "2", "--processes", "1"]) == 0
    drawn, recorded = Store(tmp_path / "drawn"), Store(store)
    assert drawn.source == "drawn, seen by MediaPipe lite"
    (a,), (b,) = drawn.entries, recorded.entries
    assert abs(a.length - b.length) <= 4 and a.subject == b.subject
    np.testing.assert_array_equal(drawn.frame_labels(a)[5:200:2], recorded.frame_labels(b)[5:200:2])
    # About where he stood, and left is left: the joints agree once each has its own hips taken off.
    n = min(a.length, b.length)
    seen, true = (s.joints(e)[:n, 0] - s.joints(e)[:n, 0, :1] for s, e in ((drawn, a), (recorded, b)))
    arms, other_arms = [4, 5, 6, 8, 9, 10], [8, 9, 10, 4, 5, 6]
    apart, swapped = (np.median(np.linalg.norm(seen[:, arms] - true[:, pick], axis=-1)) for pick in (arms, other_arms))
    assert apart < 0.25 and apart < swapped


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["data", "prepare", "nonsense", ".", "out"], "no reader for data set 'nonsense'"),
        (["data", "prepare", "utkinect", "{empty}", "{empty}/out"], "does not exist"),
        (["data", "draw", "{empty}", "{empty}/out"], "is no store"),
        (["train", "detect", "--stores", "{empty}", "--out", "{empty}/run"], "is no store"),
        (["evaluate", "--stores", "{empty}", "--model", "nothing"], "nothing"),
        (["replay", "{empty}/none.skel"], "cannot read"),
        (["record", "{empty}"], "exists already"),
    ],
)
def test_a_wrong_request_gets_one_line_and_leaves_nothing(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    if arguments[0] == "record":
        arguments = [*arguments, "--at", str(tmp_path / "at")]
    assert main([word.format(empty=empty) for word in arguments]) == 2
    said = capsys.readouterr().err
    assert complaint in said and len(said.strip().splitlines()) == 1
    assert not list(empty.iterdir())


def test_models_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "raise_hand" in capsys.readouterr().out


def test_a_picture_of_the_confusion_is_a_picture(store: Path, tmp_path: Path) -> None:
    # The actor alone makes no picture (it is no real person): the file of a real set's name does.
    opened = Store(store)
    (entry,) = opened.entries
    real = Recording(
        name="utkinect/x", subject="utkinect/7", view="", trimmed=False, times_s=np.arange(entry.length) / 30,
        joints=opened.joints(entry)[:, :1], labels=np.zeros(entry.length, np.int16),
    )  # fmt: skip
    path = tmp_path / "utkinect"
    write_store(path, [real], dataset="utkinect", classes=("background", "walk"), licence="", source="recorded")
    assert main(["evaluate", "--stores", str(path), "--out", str(tmp_path / "out")]) == 0
    picture = cv2.imread(str(tmp_path / "out" / "confusion-recorded.png"))
    assert picture is not None and picture.std() > 5
