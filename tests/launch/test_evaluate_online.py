"""`evaluate --online`: table, report and picture of the shipped bundle, and what a decision layer stands against."""

import json
from pathlib import Path

import numpy as np
import pytest

from skelstream.encoder.bundle import Bundle
from skelstream.launch.acted import ACTED
from skelstream.launch.evaluate_online import evaluate_online, most_probable
from skelstream.launch.offline import Windowed
from skelstream.stream.acting.daily import Daily
from skelstream.stream.actor import Script
from skelstream.train.detection_report import ScoredStream
from skelstream.train.recording import Recording
from skelstream.train.store import write_store
from skelstream.train.streams import Stream

SECONDS = 12


@pytest.fixture
def stores(tmp_path: Path) -> list[Path]:
    """Twelve seconds each of the actor, tested and to be fitted on, and of the daily background."""
    made = []
    for dataset, play, parts in (("actor", Script, ("test", "val")), ("daily", Daily, ("test",))):
        classes = ACTED[dataset].classes
        times = np.arange(SECONDS * 15) / 15
        scripts = [(part, play(3000 + n, SECONDS)) for n, part in enumerate(parts)]
        recordings = [
            Recording(
                name=f"{dataset}/{part}", subject=f"{dataset}/{part}", view="", trimmed=False, times_s=times,
                joints=np.stack([script.pose(t) for t in times])[:, None],
                labels=np.array([classes.index(script.truth(t)) for t in times], np.int16),
            )
            for part, script in scripts
        ]  # fmt: skip
        made.append(tmp_path / dataset)
        write_store(made[-1], recordings, dataset=dataset, classes=classes, licence="ours", source="recorded")
    return made


def test_the_report_the_table_and_the_picture(
    stores: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "online"
    assert evaluate_online("small", stores, out, "test", "auto", 30, delays=(0, 8)) == 0
    report = json.loads((out / "report.json").read_text())
    rows = {(r["group"], r["decided"], r["delay"]): r["report"] for r in report["rows"]}
    ways = [(how, delay) for how in ("decision layer", "most probable") for delay in (0, 8)]
    ways.append(("as shipped", Bundle.load_live("small").config.decode.delay))
    assert set(rows) == {(group, *way) for group in ("actor", "background") for way in ways}
    assert report["fitted_on_validation"]
    assert [report["models"]["small"]["parameters"][delay]["delay"] for delay in ("0", "8")] == [0, 8]
    for (group, *_), row in rows.items():
        # A turn on the spot in the background is of no known class, and its time does not count.
        assert 0 < row["hours"] <= SECONDS / 3600
        assert group == "background" or row["hours"] == pytest.approx(SECONDS / 3600, rel=0.01)
        assert 0 <= row["frame_accuracy"] <= 1 and row["false_per_hour"] >= 0
    # The probabilities of a frame are the same, whoever decides.
    assert rows["actor", "decision layer", 8]["frame_cap"] == rows["actor", "most probable", 8]["frame_cap"]
    assert (out / "frontier.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "background, recorded" in said and "8 (267 ms)" in said


def test_what_cannot_be_evaluated_is_refused(stores: list[Path], tmp_path: Path) -> None:
    def refused(match: str, part: str = "test", **changes: object) -> None:
        with pytest.raises(ValueError, match=match):
            evaluate_online("small", stores[1:], tmp_path / "o", part, "auto", 30, **changes)  # type: ignore[arg-type]

    refused("stands against itself", rivals=("small",))
    refused("0 to 63 frames", delays=(0, 64))
    refused("0 to 63 frames", delays=())
    refused("no val people", part="val")
    assert not (tmp_path / "o").exists()


def test_without_a_decision_layer_a_run_of_the_most_probable_class_is_an_event() -> None:
    probabilities = np.full((20, 3), 0.1, np.float32)
    best = [0] * 4 + [1] * 5 + [2] * 1 + [0] * 6 + [2] * 4
    probabilities[np.arange(20), best] = 0.8
    labels = np.zeros(20, np.int64)
    decided = ScoredStream(
        name="s", probabilities=probabilities, decided=labels, truth=labels, hz=30.0, events=(("x", 0.0, 0.1),),
        said_s=(0.0,), unknown_s=((0.0, 0.1),),
    )  # fmt: skip
    windowed = Windowed(
        stream=Stream(
            name="s", dataset="d", subject="d/1", source="recorded", joints=np.zeros((20, 1, 25, 3), np.float32),
            labels=labels.astype(np.int16),
        ),
        ends=np.array([5, 8, 11, 14, 17, 19]), logits_WFK=np.zeros((6, 64, 3), np.float32), evidence_W=np.ones(6),
    )  # fmt: skip
    found = most_probable(windowed, decided, ("nothing", "x", "y"), delay=4)
    assert found.decided.tolist() == best and found.unknown_s == ()
    assert found.events == (("x", 4 / 30, 9 / 30), ("y", 9 / 30, 10 / 30), ("y", 16 / 30, 20 / 30))
    # Frames 4, 9 and 16 are decided by the first windows that end at 8, 13 and 20 or later; after 19 none comes.
    assert found.said_s == pytest.approx((8 / 30, 14 / 30, 19 / 30))
