"""A folder of videos: every frame of each, a file of events for each, on from where it was stopped, and no video that
cannot be read takes the others along."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from skelstream.launch.accounts import Frames
from skelstream.launch.cli import main
from skelstream.launch.videos_index import Index, identity
from skelstream.stream.camera import ActorSource, open_source
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.wire import Event

SAID_BY = {"model": "m", "hop": 1}
FRAMES = Frames(captured=9, with_people=8, seen=9, dropped=Counter())


def event(t_start: float, action: str = "wave") -> Event:
    return Event(
        camera="1", t=t_start + 1, captured_at=1.0, kind="end", track=1, action=action, t_start=t_start,
        t_end=t_start + 1, confidence=0.5, decided_at=1.0,
    )  # fmt: skip


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "videos" / "a.mp4"
    path.parent.mkdir()
    path.write_bytes(b"some video")
    return path


def test_what_was_done_is_known_again_until_the_video_or_its_events_change(tmp_path: Path, video: Path) -> None:
    out = tmp_path / "out"
    index = Index(out, SAID_BY)
    assert not index.has("sub/a.mp4", identity(video))
    index.add("sub/a.mp4", identity(video), FRAMES, [event(5.0, "bow"), event(1.0)])
    index.fail("b.mp4", "it is none")
    assert [json.loads(line)["action"] for line in (out / "sub/a.mp4.jsonl").read_text().splitlines()] == [
        "wave",
        "bow",
    ]
    again = Index(out, SAID_BY)
    assert again.has("sub/a.mp4", identity(video)) and not again.failed("sub/a.mp4")
    assert again.failed("b.mp4") and not again.has("b.mp4", identity(video))
    video.write_bytes(b"another video")
    assert not again.has("sub/a.mp4", identity(video))
    index.add("sub/a.mp4", identity(video), FRAMES, [])
    (out / "sub/a.mp4.jsonl").unlink()
    assert not Index(out, SAID_BY).has("sub/a.mp4", identity(video))
    assert [path.name for path in out.rglob("*") if path.name.startswith(".")] == []  # nothing half-written


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    Index(out, SAID_BY).fail("a.mp4", "x")
    with pytest.raises(ValueError, match="said with another hop"):
        Index(out, {**SAID_BY, "hop": 4})
    for text in ("", "[1, 2]", '{"said_by": {}}', '{"said_by": 3, "videos": {}}', '{"said_by": {}, "videos": {"a": 3}}',
                 '{"said_by": {}, "videos": {"a": {"events": 3}}}'):  # fmt: skip
        (out / "index.json").write_text(text)
        with pytest.raises(ValueError, match="is no index of videos"):
            Index(out, SAID_BY)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letters.txt").write_text("dear")
    with pytest.raises(ValueError, match="holds something else"):
        Index(tmp_path / "mine", SAID_BY)
    with pytest.raises(ValueError, match="holds something else"):
        Index(tmp_path / "mine" / "letters.txt", SAID_BY)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--videos", "{empty}", "--out", "{empty}/out"], "there is no video in"),
        (["--videos", "{empty}/none", "--out", "{empty}/out"], "is no folder"),
        (["--videos", "{videos}", "--out", "{videos}"], "holds something else"),
        (["--videos", "{videos}", "--out", "{empty}/out", "--at-once", "0"], "0 videos at once"),
        (["--videos", "{videos}", "--out", "{empty}/out", "--detectors", "0"], "0 detectors"),
        (["--videos", "{videos}", "--out", "{empty}/out", "--delay", "70"], "delay"),
        (["--videos", "{videos}", "--out", "{empty}/out", "--model", "none"], "none"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    words: list[str], wrong: str, tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["live", "offline", *(word.format(empty=empty, videos=video.parent) for word in words)]) == 2
    said = capsys.readouterr().err
    assert wrong in said and len(said.splitlines()) == 1, said
    assert list(empty.iterdir()) == [] and list(video.parent.iterdir()) == [video]


def acted(path: Path, frames: int) -> Path:
    source = open_source("actor:7", width=480, height=360, duration_s=60)
    assert isinstance(source, ActorSource)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (480, 360))
    for i in range(frames):
        writer.write(source.picture(i / 30))
    writer.release()
    return path


@pytest.mark.slow  # the pipeline starts four times
def test_a_folder_is_gone_through_stopped_gone_on_with_and_a_broken_video_is_one_line(tmp_path: Path) -> None:
    try:
        ensure_pose_model("lite")
    except RuntimeError as error:
        pytest.skip(str(error))
    videos, out = tmp_path / "videos", tmp_path / "out"
    (videos / "sub").mkdir(parents=True)
    for name in ("a.avi", "sub/b c.avi", "c.avi"):
        acted(videos / name, 60)
    acted(videos / "long.avi", 900)
    (videos / "bad.mp4").write_bytes(np.random.default_rng(1).bytes(5000))
    command = [sys.executable, "-m", "skelstream", "live", "offline", "--videos", str(videos), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (out / "a.avi.jsonl").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "the same command goes on from here" in said
    done = {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl")}
    assert out / "long.avi.jsonl" not in done

    second = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert second.returncode == 1, second.stderr
    assert f"5 videos in {videos}, {len(done)} of them done before" in second.stderr
    assert sum("bad.mp4 is no video that can be read" in line for line in second.stderr.splitlines()) == 1
    assert all(path.stat().st_mtime_ns == at for path, at in done.items())  # what was done was not done again
    settled = json.loads((out / "index.json").read_text())["videos"]
    assert {name: one.get("frames") for name, one in settled.items()} == {
        "a.avi": 60, "sub/b c.avi": 60, "c.avi": 60, "long.avi": 900, "bad.mp4": None,
    }  # fmt: skip
    texts = [(out / f"{name}.jsonl").read_text() for name in ("a.avi", "sub/b c.avi", "c.avi")]
    assert texts[0] == texts[1] == texts[2] != ""  # beside others or alone: the same video, the same events

    (videos / "bad.mp4").unlink()
    third = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert third.returncode == 0 and "4 videos are done, 0 could not be" in third.stderr, third.stderr
