"""Several people through the pipeline as a person runs it: to each their own decisions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from skelstream.launch.bench_people import bench_people, watch
from skelstream.stream.draw import Look, View, background, draw_scene
from skelstream.stream.pose import PoseEstimator
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.record import Recorder
from skelstream.stream.scenes import Part, draw_up, perform
from skelstream.stream.track import Tracker
from skelstream.stream.wire import End, Tracks
from skelstream.train.identities import identities

SECONDS = 9.0
WAVES = Part(spot=(-0.7, 3.0), steps=(0.8, "wave", 5.0, "wave"))
CLAPS = Part(spot=(0.7, 3.0), steps=(1.5, "clap", 5.5, "clap"))
TIMES = np.arange(int(30 * SECONDS)) / 30


def need_model() -> None:
    try:
        ensure_pose_model("lite")
    except (ValueError, RuntimeError, OSError) as error:
        pytest.skip(f"no pose model: {error}")


def actions(*arguments: str) -> dict[int, set[str]]:
    """What is said of each person."""
    command = [sys.executable, "-m", "skelstream", *arguments, "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert result.returncode == 0, result.stderr
    said: dict[int, set[str]] = {}
    for line in result.stdout.splitlines():
        event = json.loads(line)
        said.setdefault(event["person"], set()).add(event["action"])
    return said


def test_two_people_who_do_different_things_have_each_their_own_events(tmp_path: Path) -> None:
    people = [perform((1, i), part, floor_y=-1.0, duration_s=SECONDS) for i, part in enumerate((WAVES, CLAPS))]
    with Recorder(tmp_path / "two.skel") as recorder:
        for seq, t in enumerate(TIMES):
            joints = np.stack([person.pose(float(t)) for person in people])
            recorder.write(
                Tracks(camera="two", t=float(t), captured_at=0.0, seq=seq, size=(640, 480), ids=(1, 2), joints=joints,
                       pixels=joints[..., :2], confidence=np.ones((2, 25), np.float32))
            )  # fmt: skip
        recorder.write(End(camera="two"))
    said = actions("replay", str(tmp_path / "two.skel"))
    assert "wave" in said[1] and "clap" not in said[1]
    assert "clap" in said[2] and "wave" not in said[2]


@pytest.mark.slow
def test_so_it_is_when_a_camera_sees_them(tmp_path: Path) -> None:
    need_model()
    people = [perform((1, i), part, floor_y=-1.0, duration_s=SECONDS) for i, part in enumerate((WAVES, CLAPS))]
    looks = [Look.random(np.random.default_rng(i)) for i in (1, 2)]
    view, backdrop = View(width=640, height=480), background(3, 640, 480)
    writer = cv2.VideoWriter(str(tmp_path / "two.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (640, 480))
    for t in TIMES:
        writer.write(draw_scene([(p.pose(float(t)), k) for p, k in zip(people, looks, strict=True)], view, backdrop))
    writer.release()
    said = actions("live", "--camera", str(tmp_path / "two.avi"), "--people", "2", "--no-page")
    waving = {track for track, names in said.items() if "wave" in names}
    clapping = {track for track, names in said.items() if "clap" in names}
    assert waving and clapping and not waving & clapping


def test_two_who_pass_are_found_and_told_apart() -> None:
    need_model()
    scene = draw_up("passing", 1)
    with PoseEstimator(PoseEstimator.Config(people=2)) as estimator:
        watched = watch(scene, estimator, Tracker(), seconds=3.0)
    assert len(watched.moments) == len(watched.pose_ms) == 90
    got = identities(watched.moments, 0.3)
    assert got.switches == 0
    assert got.idf1 > 0.8


def test_no_such_scene_to_measure_on() -> None:
    with pytest.raises(ValueError, match="crossing"):
        bench_people(("party",), (1,), "lite", 2, (640, 480))
