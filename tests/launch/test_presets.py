"""Presets: those that come along are sound and do what their command line says, what is typed counts for more, and
whatever is wrong is one line. Their figure is drawn from them."""

import re
import subprocess
import sys
import xml.etree.ElementTree as Xml
from pathlib import Path

import cv2
import numpy as np
import pytest
import tyro

from skelstream.launch.cli import main
from skelstream.launch.cli_live import LiveOptions
from skelstream.launch.presets import options_of, read_preset, shipped
from skelstream.stream.elsewhere import FIRST_PORT

DOCS = Path(__file__).parents[2] / "docs"


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What is said of a request that is wrong, in its one line."""
    capsys.readouterr()
    assert main(list(words)) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1, said
    return said.err


@pytest.mark.parametrize("name", shipped())
def test_a_preset_is_what_its_command_line_says(name: str) -> None:
    preset = read_preset(name)
    assert preset.purpose and len(preset.words) > 1
    assert options_of(preset, LiveOptions) == tyro.cli(LiveOptions, args=preset.words)


def test_there_is_one_for_each_way_of_use_and_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert shipped() == ["box", "camera", "offline", "robot", "webcam"]
    assert main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == shipped()
    assert main(["presets", "box"]) == 0
    assert "skelstream live --gate 0.0.0.0" in capsys.readouterr().out
    told = subprocess.run(
        [sys.executable, "-m", "skelstream", "live", "--help"], capture_output=True, text=True, timeout=60
    )
    assert "box, camera, offline, robot, webcam" in re.sub(r"[\s│]+", " ", told.stdout)


def test_what_is_typed_counts_for_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('# Mine.\ncamera = ["no/such/door"]\npeople = 3\n')
    assert "'no/such/door'" in complaint(capsys, "live", str(mine), "--no-page")
    typed = complaint(capsys, "live", str(mine), "--no-page", "--camera", "no/such/hall")
    assert "'no/such/hall'" in typed and "door" not in typed
    # Of a preset that comes along, too: the box that is typed, and not the one in the file.
    assert "elsewhere.local is another machine" in complaint(capsys, "live", "camera", "--to", "elsewhere.local")
    assert "box.local is another machine" in complaint(capsys, "live", "camera")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("cameras = ['0']", "unknown options: cameras; there are camera, model"),
        ("preset = 'box'", "unknown options: preset"),
        ("people = 'two'", "people must be int, not 'two'"),
        ("people = true", "people must be int, not True"),
        ("camera = [0]", "camera[0] must be str, not 0"),
        ("pose = 'huge'", "pose must be one of 'lite', 'full', 'heavy'"),
        ("people = ", "is no TOML"),
        ("[live]\npeople = 1", "unknown options: live"),
        ("x" * 70_000, "too large"),
    ],
)
def test_a_preset_that_is_none_is_one_line(
    text: str, wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert wrong in complaint(capsys, "live", str(path))
    assert wrong in complaint(capsys, "presets", str(path))


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("nonsense",), "there is no preset 'nonsense'; there are box, camera, offline, robot, webcam"),
        (("missing.toml",), "cannot read the preset missing.toml"),
        (("../box",), "there is no preset '../box'"),
        (("--no-page", "box"), "the preset comes first: skelstream live box"),
        (("camera", "--json", "--robot", "mujoco"), "--json, --robot would do nothing with --to"),
        (("offline", "--camera", "0"), "--camera would do nothing with --videos"),
        (("offline", "--to", "box.local"), "give one of them"),
        (("--videos", "."), "give --out FOLDER"),
        (("--out", "events"), "--out does nothing without --videos"),
        (("--key", "my.key"), "--key does nothing without --to"),
        (("--keys", "keys"), "--keys does nothing without --gate"),
        (("box", "--gate", "here:x", "--no-page"), "'here:x' is no machine"),
        (("box", "--camera", "{video}", "--no-page"), "a gate is for cameras that are live"),
    ],
)
def test_what_cannot_go_together_is_one_line(
    words: tuple[str, ...], wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a.png"), np.zeros((48, 64, 3), np.uint8))
    assert wrong in complaint(capsys, "live", *(word.format(video=tmp_path / "pictures") for word in words))


def test_the_figure_is_drawn_from_them_and_the_one_in_the_docs_is_todays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "presets.svg"
    assert main(["presets", "--figure", str(drawn)]) == 0
    assert drawn.read_text() == (DOCS / "presets.svg").read_text(), "skelstream presets --figure docs/presets.svg"
    texts = [element.text or "" for element in Xml.parse(drawn).iter() if element.tag.endswith("text")]
    for name in shipped():
        assert f"live {name}" in texts and read_preset(name).purpose in texts
    for door in ("windows", "reports", "ends"):  # a camera's, and no other role's
        assert any(re.search(rf"\b{door} {FIRST_PORT}|{door} 760\d", text) for text in texts)
    assert not any(re.search(r"\b(work|events) 760\d", text) for text in texts)
    mine = tmp_path / "mine.toml"
    mine.write_text("# <Mine> & yours\ncamera = ['a=actor:1', 'rtsp://me:secret@door/x', 'c=actor:3']\npeople = 2\n")
    capsys.readouterr()
    assert main(["presets", str(mine), "--figure", str(drawn)]) == 0
    assert "secret" not in capsys.readouterr().out + drawn.read_text()
    texts = [element.text or "" for element in Xml.parse(drawn).iter() if element.tag.endswith("text")]
    assert texts.count("pose") == 3 and "<Mine> & yours" in texts
    assert "cannot write" in complaint(capsys, "presets", "--figure", str(tmp_path / "no" / "where.svg"))
