"""The pipeline as a person runs it: real processes, real sockets, real signals, the shipped model."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from skelstream.launch.supervisor import Supervisor
from skelstream.stream.camera import open_source
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.settings import Settings
from skelstream.stream.wire import Decision, End, Report, Subscriber

COMMAND = [sys.executable, "-m", "skelstream"]


def run(*arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout)


def stage_processes(folder: str) -> list[int]:
    """The processes whose command line names this folder of sockets."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"skelstream.stream.processes" in words and any(folder.encode() in word for word in words):
            found.append(int(path.parent.name))
    return found


@pytest.fixture(scope="module")
def recording(record_actor: Callable[[int], Path]) -> Path:
    """Twenty seconds of the actor."""
    return record_actor(20)


@pytest.fixture
def folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="skel-") as path:
        yield path


@pytest.fixture(scope="module")
def pose_model() -> None:
    """MediaPipe's model, or a skip where it can be had from nowhere."""
    try:
        ensure_pose_model("lite")
    except (ValueError, RuntimeError, OSError) as error:
        pytest.skip(f"no pose model: {error}")


def test_a_recording_gives_the_same_events_twice_and_every_window_is_scored(recording: Path) -> None:
    first, second = (run("replay", str(recording), "--json") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    events = [json.loads(line) for line in first.stdout.splitlines()]
    assert {event["event"] for event in events} <= {"start", "update", "end"}
    # 600 ticks, a window at each from the 15th on, and the last one.
    assert "587 sent, 587 scored" in first.stderr


class Pipeline:
    """decode and window processes around a recording, with detectors that the test starts and kills."""

    def __init__(self, recording: Path) -> None:
        self.supervisor = Supervisor(Settings(folder="", replay=str(recording), lossless=True))
        self.decided: list[int] = []
        self.scored_by: dict[int, int] = {}
        self.ended = threading.Event()
        self.supervisor.start("decode")
        self.bus = Subscriber(self.supervisor.settings.place.link("bus-out"), (Decision, Report, End))
        self.supervisor.start("window")
        self.wait_for({"decode", "window"})

    def wait_for(self, stages: set[str]) -> None:
        ready: set[str] = set()
        deadline = time.monotonic() + 60
        while not stages <= ready:
            assert time.monotonic() < deadline, f"only {ready} got ready"
            message = self.bus.receive(0.5)
            if isinstance(message, Report) and message.state == "ready":
                ready.add(message.stage)

    def listen(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.ended.is_set():
            message = self.bus.receive(0.1)
            if isinstance(message, Decision):
                self.decided += range(message.first_tick, message.first_tick + len(message.labels))
            elif isinstance(message, Report) and message.stage.startswith("detect"):
                self.scored_by[message.pid] = message.counters.get("scored", 0)
            elif isinstance(message, End):
                self.ended.set()

    def close(self) -> None:
        self.supervisor.stop()
        self.bus.close()


@pytest.fixture
def pipeline(recording: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(recording)
    yield pipeline
    pipeline.close()


def test_two_detectors_share_the_load_and_one_may_be_killed(pipeline: Pipeline) -> None:
    pipeline.supervisor.start("detect", "0")
    pipeline.supervisor.start("detect", "1")
    pids: set[int] = set()
    deadline = time.monotonic() + 60
    while len(pids) < 2:
        assert time.monotonic() < deadline
        message = pipeline.bus.receive(30)
        assert message is not None
        if isinstance(message, Report) and message.stage.startswith("detect") and message.state == "ready":
            pids.add(message.pid)
    pipeline.supervisor.start("replay")
    while len([n for n in pipeline.scored_by.values() if n > 10]) < 2:
        pipeline.listen(0.2)
        assert not pipeline.ended.is_set(), pipeline.scored_by
    os.kill(min(pids), signal.SIGKILL)
    pipeline.listen(60)
    assert pipeline.ended.is_set()
    assert pipeline.decided == list(range(600))  # every frame once, in order


def test_a_detector_may_come_late(pipeline: Pipeline) -> None:
    pipeline.supervisor.start("replay")
    pipeline.listen(3)
    assert not pipeline.decided
    pipeline.supervisor.start("detect")
    pipeline.listen(60)
    assert pipeline.ended.is_set() and pipeline.decided == list(range(600))


def video(path: Path, pictures: list[np.ndarray]) -> Path:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def test_every_frame_of_a_file_is_detected(tmp_path: Path, pose_model: None) -> None:
    source = open_source("actor:5", width=480, height=360, duration_s=4)
    path = video(tmp_path / "actor.avi", [source.picture(i / 30) for i in range(90)])  # type: ignore[attr-defined]
    record = tmp_path / "seen.skel"
    result = run("live", "--camera", str(path), "--json", "--no-page", "--record", str(record))
    assert result.returncode == 0, result.stderr
    assert "90 captured, 90 with a person, dropped: none" in result.stderr
    assert "77 sent, 77 scored" in result.stderr
    assert [p.name for p in tmp_path.iterdir() if p.suffix in (".skel", ".part")] == ["seen.skel"]
    # What was recorded says the same again.
    assert run("replay", str(record), "--json").stdout == result.stdout


def test_a_camera_joins_a_decoder_that_stays(folder: str, tmp_path: Path, pose_model: None) -> None:
    source = open_source("actor:5", width=480, height=360, duration_s=2)
    path = video(tmp_path / "actor.avi", [source.picture(i / 30) for i in range(40)])  # type: ignore[attr-defined]
    with Supervisor(Settings(folder=folder, lossless=True)) as supervisor:
        supervisor.start("decode")
        supervisor.start("detect")
        for _ in range(2):  # the first one must not take the decoder's sockets with it
            result = run("pose", "--camera", str(path), "--at", folder)
            assert result.returncode == 0, result.stderr
            supervisor.watch()
        assert {p.name for p in Path(folder).iterdir() if p.is_socket()} == {"windows", "work", "bus-in", "bus-out"}
    assert not [p for p in Path(folder).iterdir() if p.is_socket()]


def test_a_video_with_nobody_in_it_says_so(tmp_path: Path, pose_model: None) -> None:
    path = video(tmp_path / "empty.avi", [np.full((240, 320, 3), 90, np.uint8)] * 30)
    result = run("live", "--camera", str(path), "--no-page")
    assert result.returncode == 0, result.stderr
    assert "nobody was seen" in result.stderr


def test_ctrl_c_ends_everything_within_two_seconds(folder: str, pose_model: None) -> None:
    at = f"{folder}/here"
    process = subprocess.Popen(
        [*COMMAND, "live", "--camera", "actor", "--no-page", "--at", at, "--width", "320", "--height", "240"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 90
    while not any(b"camera" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in stage_processes(at)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    time.sleep(1.0)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    took = time.monotonic() - began
    assert process.returncode == 0 and "frames " in said
    assert not stage_processes(at)
    assert not [path for path in Path(at).iterdir() if path.is_socket()]
    # The promise is 2 s; the rest is for an interpreter to end on a busy machine.
    assert took < 4


def test_stages_do_not_outlive_a_launcher_that_was_killed(folder: str, recording: Path) -> None:
    at = f"{folder}/here"
    process = subprocess.Popen([*COMMAND, "decode", "--at", at], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.kill()
    process.wait()
    launcher = (
        "import sys, time; from skelstream.launch.supervisor import Supervisor;"
        "from skelstream.stream.settings import Settings;"
        f"s = Supervisor(Settings(folder={at!r})); s.start('window'); print('up', flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE)
    assert parent.stdout is not None and parent.stdout.readline()
    time.sleep(1.0)
    assert stage_processes(at)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while stage_processes(at):
        assert time.monotonic() < deadline, "a stage outlived its launcher"
        time.sleep(0.1)


def corrupt_bundle(tmp_path: Path) -> str:
    import shutil

    from skelstream.encoder.bundle import SHIPPED

    shutil.copytree(SHIPPED / "small", tmp_path / "bundle")
    data = bytearray((tmp_path / "bundle" / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bundle" / "model.onnx").write_bytes(data)
    return str(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--camera", "77"), "camera 77 does not exist"),
        (("--camera", "no/such.mp4"), "no camera 'no/such.mp4'"),
        (("--camera", "{text}"), "is no video"),
        (("--camera", "{empty}"), "holds no images"),
        (("--camera", "rtsp://user:secret@127.0.0.1:9/x"), "cannot be read"),
        (("--camera", "actor:x"), "seed is a number"),
        (("--camera", "skeletons:none.npz"), "no skeleton file"),
        (("--camera", "actor", "--model", "nothing"), "nothing"),
        (("--camera", "actor", "--model", "{corrupt}"), "corrupt"),
        (("--camera", "actor", "--port", "{port}"), "is in use"),
        (("--camera", "actor", "--detectors", "0"), "detectors"),
        (("--camera", "actor", "--delay", "70"), "delay"),
    ],
)
def test_a_wrong_request_gets_one_clear_line(arguments: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is no video")
    (tmp_path / "empty").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        values = {
            "text": tmp_path / "text.mp4", "empty": tmp_path / "empty", "port": taken.getsockname()[1],
            "corrupt": corrupt_bundle(tmp_path) if "{corrupt}" in arguments else "",
        }  # fmt: skip
        result = run("live", *(word.format(**values) for word in arguments), timeout=60)
    assert result.returncode == 2, result.stderr
    assert complaint in result.stderr and "Traceback" not in result.stderr and "secret" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stdout == ""
