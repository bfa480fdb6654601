"""`skelstream.detect`: what the command says of a video, as numbers; from scripts, threads and a bare interpreter."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import skelstream
from skelstream.launch.detections import Detections
from skelstream.stream.camera import open_source
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.record import read_recording
from skelstream.stream.wire import Decision, Tracks


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of the actor as a video; a skip where MediaPipe's model can be had from nowhere."""
    try:
        ensure_pose_model("lite")
    except (ValueError, RuntimeError, OSError) as error:
        pytest.skip(f"no pose model: {error}")
    source = open_source("actor:7", width=480, height=360, duration_s=6)
    path = tmp_path_factory.mktemp("clip") / "actor.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (480, 360))
    for i in range(180):
        writer.write(source.picture(i / 30))  # type: ignore[attr-defined]
    writer.release()
    return path


@pytest.fixture(scope="module")
def found(clip: Path) -> Detections:
    """What `detect` says, asked from a thread that is not the main one, as a notebook or a server may."""
    answers: list[Detections] = []
    thread = threading.Thread(target=lambda: answers.append(skelstream.detect(clip)))
    thread.start()
    thread.join(120)
    assert answers
    return answers[0]


def test_it_says_what_the_command_says(clip: Path, found: Detections, tmp_path: Path) -> None:
    record = tmp_path / "seen.skel"
    command = [sys.executable, "-m", "skelstream", "live", "--camera", str(clip), "--json", "--no-page"]
    done = subprocess.run([*command, "--record", str(record)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [(e["person"], e["action"], e["t_start"], e["t_end"], e["confidence"]) for e in said if e["event"] == "end"]
    assert ends, "a clip in which nothing happens compares nothing"
    spans = [(e.person, e.action, round(e.t_start, 3), round(e.t_end, 3), round(e.confidence, 3)) for e in found.events]
    assert spans == ends
    # And frame by frame, against what was recorded.
    (person,) = found.people.values()
    messages = list(read_recording(record))
    decisions = [m for m in messages if isinstance(m, Decision)]
    np.testing.assert_array_equal(person.probabilities, np.concatenate([d.probabilities for d in decisions]))
    assert person.labels.tolist() == [label for d in decisions for label in d.labels]
    seen = [m for m in messages if isinstance(m, Tracks) and m.ids]
    np.testing.assert_array_equal(person.joints, np.concatenate([m.joints for m in seen]))
    np.testing.assert_array_equal(person.seen_s, [m.t for m in seen])


def test_arrays_fit_together(found: Detections) -> None:
    assert found.frames == 180 and found.size == (480, 360)
    (person,) = found.people.values()
    frames = len(person.times_s)
    assert person.probabilities.shape == (frames, len(found.classes)) and person.labels.shape == (frames,)
    np.testing.assert_allclose(np.diff(person.times_s), 1 / 30)
    np.testing.assert_allclose(person.probabilities.sum(axis=1), 1, atol=1e-5)
    edges = [t for event in found.events for t in (event.t_start, event.t_end)]
    assert edges == sorted(edges) and edges[0] >= person.times_s[0] and edges[-1] <= person.times_s[-1] + 1 / 30


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_picture_shows_the_events_the_people_and_frames(found: Detections, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra `plot`")
    path = found.plot(tmp_path / f"clip{suffix}")
    assert [p.name for p in tmp_path.iterdir()] == [f"clip{suffix}"]
    if suffix == ".png":
        picture = cv2.imread(str(path))
        assert picture is not None and picture.std() > 10
    else:
        drawn = path.read_text()
        assert found.events
        for word in ("person 1", *(event.action for event in found.events)):
            assert f"<!-- {word}" in drawn, f"{word} is nowhere in the picture"  # matplotlib's note above its outlines
        assert "<image" in drawn


def test_a_picture_that_cannot_be_drawn_is_refused_in_a_line(found: Detections, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs the extra `plot`")
    with pytest.raises(ValueError, match=r"\.png"):
        found.plot(tmp_path / "clip.gif")
    with pytest.raises(ValueError, match="no folder"):
        found.plot(tmp_path / "nowhere" / "clip.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("video", "more", "complaint"),
    [
        ("no/such.mp4", {}, "no camera 'no/such.mp4'"),
        ("actor", {}, "live camera"),
        ("{clip}", {"model": "nothing"}, "no model 'nothing'"),
        ("{clip}", {"people": 0}, "people"),
        ("{clip}", {"hop": 0}, "hop"),
        ("{clip}", {"delay": 70}, "delay"),
    ],
)
def test_a_wrong_request_is_an_exception_of_one_line(
    clip: Path, video: str, more: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        skelstream.detect(video.format(clip=clip), **more)  # type: ignore[arg-type]
    assert len(str(caught.value).splitlines()) == 1


def test_a_plain_script_without_a_guard_detects_and_ctrl_c_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    script = tmp_path / "five_lines.py"
    script.write_text(
        textwrap.dedent(f"""
        import skelstream
        print("go", flush=True)
        while True:
            result = skelstream.detect({str(clip)!r})
            print(len(result.events), flush=True)
        """)
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    assert int(process.stdout.readline()) > 0
    deadline = time.monotonic() + 60
    while not (stages := _children(process.pid)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert said.strip().endswith("KeyboardInterrupt")
    while any(Path(f"/proc/{pid}").exists() for pid in stages):  # one that was only just made ends by itself
        assert time.monotonic() < deadline, "a stage outlived the script"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    listed = [Path(f"/proc/{pid}/task/{task.name}/children") for task in Path(f"/proc/{pid}/task").iterdir()]
    return [int(word) for path in listed if path.exists() for word in path.read_text().split()]


def test_the_package_imports_at_once_and_without_anything_heavy() -> None:
    ask = "import sys, skelstream; assert 'detect' in dir(skelstream); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert not {"numpy", "cv2", "torch", "zmq", "huggingface_hub", "mediapipe"} & set(done.stdout.split())
    with pytest.raises(AttributeError, match="nonsense"):
        _ = skelstream.nonsense
