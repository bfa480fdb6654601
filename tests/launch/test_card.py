"""The model card: what config.json says, in the form that hubs read, with pictures that lie beside it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import pytest

from skelstream.encoder.bundle import SHIPPED, Bundle
from skelstream.encoder.card import model_card
from skelstream.launch.cli import main


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """`small`, to be written to."""
    return Path(shutil.copytree(SHIPPED / "small", tmp_path / "mine", ignore=shutil.ignore_patterns("engines")))


def row(accuracy: float | None) -> dict[str, object]:
    return {"frames": 1234, "frame_accuracy": accuracy, "map_actions": 0.5, "map_videos": 0.25, "f1_10": 0.9,
            "f1_25": 0.8, "f1_50": 0.7, "edit": 60.0}  # fmt: skip


def report(path: Path, model: str, accuracy: float | None = 0.789) -> Path:
    path.write_text(json.dumps({"model": model, "part": "test", "rows": {"somebody, recorded": row(accuracy)}}))
    return path


def test_the_card_of_what_is_shipped_is_of_today() -> None:
    bundle = Bundle.load("small")
    text = (bundle.directory / "README.md").read_text(encoding="utf-8")
    assert text == model_card(bundle), "make it anew: skelstream card small"
    for line in bundle.config.provenance["data"]:
        name, _, licence = line.partition(": ")
        assert f"| {name} | {licence} |" in text
    assert bundle.config.metrics["rows"] and "| all real, recorded | 44,039 |" in text
    shown = re.findall(r"!\[[^]]*\]\(([^)]*)\)", text)
    assert shown
    for name in shown:
        picture = cv2.imread(str(bundle.directory / name))
        assert picture is not None and picture.std() > 20
        assert (bundle.directory / name).stat().st_size < 1_000_000


def test_hubs_read_its_head() -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the extra `hub`")
    data = hub.ModelCard.load(SHIPPED / "small" / "README.md").data
    assert data.library_name == "skelstream" and data.license == "other" and "skeleton" in data.tags


def test_a_reports_figures_go_into_the_bundle_and_its_card(copy: Path, tmp_path: Path) -> None:
    before = Bundle.load(copy)
    path = report(tmp_path / "report.json", before.digest)
    assert main(["card", str(copy), "--report", str(path)]) == 0
    after = Bundle.load(copy)
    assert after.config.metrics["rows"]["somebody, recorded"]["frame_accuracy"] == 0.789
    assert (
        "| somebody, recorded | 1,234 | 78.9 | 50.0 | 25.0 | 90.0 | 80.0 | 70.0 |" in (copy / "README.md").read_text()
    )
    assert after.config.decode == before.config.decode and after.config.provenance == before.config.provenance
    # The same report again, and one that was taken after it: both are of this model.
    for accuracy in (0.789, None):
        digest = Bundle.load(copy).digest if accuracy is None else before.digest
        assert main(["card", str(copy), "--report", str(report(path, digest, accuracy))]) == 0
    assert "| somebody, recorded | 1,234 | – | 50.0" in (copy / "README.md").read_text()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"model": "another", "part": "test", "rows": {}}', "another model"),
        ('{"rows": []}', "is no report"),
        ("no json", "is no report"),
        (None, "is no report"),
    ],
)
def test_a_report_that_is_none_changes_nothing(
    copy: Path, tmp_path: Path, content: str | None, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    assert main(["card", str(copy), "--report", str(path)]) == 2
    said = capsys.readouterr().err
    assert complaint in said and len(said.strip().splitlines()) == 1
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before


def test_a_video_must_say_what_is_done_in_it(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(copy), "--videos", "clip.mp4"]) == 2
    assert "what is done in clip.mp4?" in capsys.readouterr().err


@pytest.mark.slow
def test_the_picture_of_failures_is_drawn_anew(copy: Path) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra `plot`")
    (copy / "where_it_fails.jpg").unlink(missing_ok=True)
    assert main(["card", str(copy), "--failures"]) == 0
    picture = cv2.imread(str(copy / "where_it_fails.jpg"))
    assert picture is not None and picture.shape[0] > 300 and picture.std() > 20
    assert "(where_it_fails.jpg)" in (copy / "README.md").read_text()
