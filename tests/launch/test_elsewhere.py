"""Two machines, as far as one can be two: a pipeline behind a gate, and a camera, a detector and a viewer that only
know its address and have a key, as processes of their own in folders of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import pytest

from skelstream.launch.cli import main
from skelstream.stream.camera import ActorSource, open_source
from skelstream.stream.elsewhere import PORTS
from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.record import read_recording
from skelstream.stream.wire import Decision, End, Tracks


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "skelstream", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def acted(path: Path) -> Path:
    """A video of three seconds: of a file, every frame is detected."""
    source = open_source("actor:5", width=480, height=360, duration_s=4)
    assert isinstance(source, ActorSource)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (480, 360))
    for i in range(90):
        writer.write(source.picture(i / 30))
    writer.release()
    return path


def five_free_ports() -> int:
    for port in range(20000 + os.getpid() % 20000, 60000, 7):
        try:
            with ExitStack() as opened:
                for n in PORTS.values():
                    opened.enter_context(socket.socket()).bind(("127.0.0.1", port + n))
            return port
        except OSError:
            continue
    raise AssertionError("no ports")


def test_camera_detector_and_recorder_work_from_elsewhere(tmp_path: Path) -> None:
    try:
        ensure_pose_model("lite")
    except RuntimeError as error:
        pytest.skip(str(error))
    place = tempfile.mkdtemp(prefix="skel-")
    keys, port = str(tmp_path / "keys"), five_free_ports()
    for name, role in (("eye", "camera"), ("box", "detector"), ("tape", "viewer")):
        key = str(tmp_path / f"{name}.key")
        assert main(["keys", "new", name, "--role", role, "--out", key, "--keys", keys]) == 0

    def there(name: str) -> list[str]:
        return ["--to", f"127.0.0.1:{port}", "--key", str(tmp_path / f"{name}.key")]

    tape = tmp_path / "tape.skel"
    with ExitStack() as started:
        start = started.enter_context
        start(running("decode", "--lossless", "--at", place))
        start(running("gate", "--host", "127.0.0.1", "--port", str(port), "--keys", keys, "--at", place))
        start(running("detect", "--hop", "1", "--at", tempfile.mkdtemp(prefix="skel-"), *there("box")))
        with running("record", str(tape), "--at", tempfile.mkdtemp(prefix="skel-"), *there("tape")):
            time.sleep(5.0)
            camera = start(running("pose", "--camera", str(acted(tmp_path / "acted.avi")), *there("eye")))
            said, _ = camera.communicate(timeout=200)
            assert camera.returncode == 0, said  # it was told that the last of it was decided
    heard = list(read_recording(tape))
    decided = [n for d in heard if isinstance(d, Decision) for n in range(d.first_tick, d.first_tick + len(d.labels))]
    assert decided == list(range(90))
    assert any(isinstance(m, Tracks) for m in heard) and any(isinstance(m, End) for m in heard)


def test_without_a_key_another_machine_is_refused_in_a_line(tmp_path: Path) -> None:
    for words, complaint in (
        (["--to", "robot.local"], "give --key FILE"),
        (["--to", "robot.local", "--key", str(tmp_path / "no.key")], "cannot read"),
    ):
        result = subprocess.run(
            [sys.executable, "-m", "skelstream", "detect", *words, "--at", str(tmp_path)], capture_output=True,
            text=True, timeout=120,
        )  # fmt: skip
        assert result.returncode == 2 and complaint in result.stderr and "Traceback" not in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    (tmp_path / "bad.key").write_text(json.dumps({"public": "x"}))
    (tmp_path / "bad.key").chmod(0o600)
    for to in ("robot.local:99999", ":", "robot:x"):
        assert main(["detect", "--to", to, "--key", str(tmp_path / "bad.key"), "--at", str(tmp_path)]) == 2
