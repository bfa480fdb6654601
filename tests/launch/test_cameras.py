"""Several cameras in one run: what they are called, that each is detected whole, that none takes others along."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from skelstream.launch.cameras import MOST_CAMERAS, find_cameras
from skelstream.stream.camera import ActorSource, open_source
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.record import Recorder, read_recording
from skelstream.stream.settings import Settings
from skelstream.stream.wire import End, Tracks, replaced

SETTINGS = Settings(folder="", width=320, height=240)


def run(*words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "skelstream", *words], capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def pose_model() -> None:
    try:
        ensure_pose_model("lite")
    except (ValueError, RuntimeError, OSError) as error:
        pytest.skip(f"no pose model: {error}")


def acted(path: Path, seed: int, frames: int) -> Path:
    """A video of the actor."""
    source = open_source(f"actor:{seed}", width=480, height=360, duration_s=60)
    assert isinstance(source, ActorSource)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (480, 360))
    for i in range(frames):
        writer.write(source.picture(i / 30))
    writer.release()
    return path


def said_of(stdout: str, camera: str) -> list[dict[str, object]]:
    return [event for line in stdout.splitlines() if (event := json.loads(line))["camera"] == camera]


def test_each_has_a_name_of_its_own() -> None:
    cameras = find_cameras(SETTINGS, ["actor:1", "door=actor:1", "actor:2", "actor:1"])
    assert [(camera.name, camera.address) for camera in cameras] == [
        ("actor1", "actor:1"), ("door", "actor:1"), ("actor2", "actor:2"), ("actor1-2", "actor:1"),
    ]  # fmt: skip
    assert all(camera.live and camera.truth is not None for camera in cameras)
    # Of a machine that sends elsewhere the key's name tells them from other machines' cameras.
    assert [camera.name for camera in find_cameras(SETTINGS, ["actor"], whose="kitchen")] == ["kitchen"]
    names = [camera.name for camera in find_cameras(SETTINGS, ["actor:1", "sink=actor:2"], whose="kitchen")]
    assert names == ["kitchen-actor1", "sink"]


def test_a_password_in_an_address_is_in_no_representation(tmp_path: Path) -> None:
    (camera,) = find_cameras(SETTINGS, ["actor:4"])
    assert "actor:4" not in repr(camera)


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (["door=actor:1", "door=actor:2"], "two cameras are called door"),
        (["actor:1", "door=actor1.avi"], "no camera 'actor1.avi'"),
        (["actor:1", "{pictures}"], "actor1 would not wait for the files beside it"),
        (["actor"] * (MOST_CAMERAS + 1), "too many for one machine"),
    ],
)
def test_cameras_that_cannot_be_together_are_refused(asked: list[str], wrong: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=wrong):
        find_cameras(SETTINGS, [address.format(pictures=tmp_path) for address in asked])


def test_of_several_files_every_frame_is_detected_and_the_first_end_ends_nobody_else(
    tmp_path: Path, pose_model: None
) -> None:
    short, long = acted(tmp_path / "a.avi", 7, 50), acted(tmp_path / "b.avi", 7, 80)
    tape = tmp_path / "seen.skel"
    both = run(
        "live", "--camera", f"short={short}", "--camera", f"long={long}", "--json", "--no-page", "--record", str(tape)
    )  # fmt: skip
    assert both.returncode == 0, both.stderr
    assert "short: 50 captured, 50 with a person, dropped: none" in both.stderr
    assert "long: 80 captured, 80 with a person, dropped: none" in both.stderr
    assert f"{37 + 67} sent, {37 + 67} scored, dropped: none" in both.stderr
    ended = [message.camera for message in read_recording(tape) if isinstance(message, End)]
    assert set(ended) == {"short", "long"}
    assert said_of(both.stdout, "short") and said_of(both.stdout, "long")


def test_a_recording_of_several_cameras_is_played_to_the_end_of_the_last(
    record_actor: Callable[[int], Path], tmp_path: Path
) -> None:
    """The first camera is recorded for 3.5 s, the second, which begins with it, for 6."""
    one = [message for message in read_recording(record_actor(6)) if isinstance(message, Tracks)]
    tape = tmp_path / "two.skel"
    with Recorder(tape) as recorder:
        for message in one:
            if message.t < 3.5:
                recorder.write(replaced(message, camera="short"))
            recorder.write(replaced(message, camera="long"))
        for camera in ("short", "long"):
            recorder.write(End(camera=camera))
    result = run("replay", str(tape), "--json")
    assert result.returncode == 0, result.stderr
    windows = (180 - 13) + (105 - 13)  # one at each tick from the 15th on, and the last one
    assert f"{windows} sent, {windows} scored, dropped: none" in result.stderr
    assert said_of(result.stdout, "short") and said_of(result.stdout, "long")


@pytest.mark.slow  # a stage is started again five times before it is given up
def test_one_that_cannot_be_read_is_given_up_without_the_others(tmp_path: Path, pose_model: None) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for n in range(4):
        cv2.imwrite(str(pictures / f"{n}.png"), np.full((240, 320, 3), 90, np.uint8))
    (pictures / "2.png").write_bytes(b"this is no picture")
    good = acted(tmp_path / "good.avi", 6, 600)
    result = run("live", "--camera", f"good={good}", "--camera", f"bad={pictures}", "--json", "--no-page")
    assert result.returncode == 1, result.stderr
    assert "good: 600 captured, 600 with a person, dropped: none" in result.stderr
    assert "2.png is no image that can be read" in result.stderr.splitlines()[-5], result.stderr
    assert {json.loads(line)["camera"] for line in result.stdout.splitlines()} == {"good"}
