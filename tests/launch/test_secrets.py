"""A camera's address may hold a password. It is in no log, no page, no message, no file and no other process's
arguments, whatever happens to the camera."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.wire import SHOWN, Lost, Subscriber, Tracks, encode

SERVER = Path(__file__).parents[1] / "bench" / "camera_server.py"
SENTINEL = "SENTINEL-pa55word"


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        port: int = link.getsockname()[1]
        return port


def test_the_password_of_a_camera_appears_nowhere(tmp_path: Path) -> None:
    try:
        ensure_pose_model("lite")
    except RuntimeError as error:
        pytest.skip(str(error))
    camera, page, place = free_port(), free_port(), tmp_path / "place"
    address = f"http://guard:{SENTINEL}@127.0.0.1:{camera}/door?token={SENTINEL}"
    with ExitStack() as opened:
        server = subprocess.Popen(
            [sys.executable, str(SERVER), str(camera), str(tmp_path / "pictures"), "160", "120"]
        )  # fmt: skip
        opened.callback(server.kill)
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", camera)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        # As an argument it could be read by everybody; a program can take it from elsewhere.
        live = subprocess.Popen(
            [sys.executable, "-c", "import os, sys; from skelstream.launch.cli import main; sys.exit(main(["
             f"'live', '--camera', os.environ.pop('DOOR'), '--at', {str(place)!r}, '--port', '{page}', '--log-json',"
             f" '--record', {str(tmp_path / 'tape.skel')!r}]))"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "DOOR": address, "TMPDIR": str(tmp_path)},
        )  # fmt: skip
        opened.callback(live.kill)
        heard: list[bytes] = []
        with Subscriber(f"ipc://{place}/bus-out", SHOWN) as bus:
            lost, frames, deadline = False, 0, time.monotonic() + 90
            while not lost:
                assert time.monotonic() < deadline
                if (message := bus.receive(0.5)) is not None:
                    heard.append(encode(message))
                    lost = isinstance(message, Lost)
                    frames += isinstance(message, Tracks)
                if frames > 5 and server.poll() is None:  # the page is there before the camera is started
                    seen = everything_there_is(tmp_path, page, live.pid)
                    server.kill()  # and now everybody has something to say about the camera
                    server.wait()
        seen += everything_there_is(tmp_path, page, live.pid)
        live.send_signal(signal.SIGINT)
        out, err = live.communicate(timeout=30)
    told = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert any("is lost" in line["message"] and line["stage"] == "camera" for line in told), err
    for where in (*heard, *seen, out.encode(), err.encode(), (tmp_path / "tape.skel").read_bytes()):
        assert SENTINEL.encode() not in where and b"guard" not in where


def everything_there_is(folder: Path, page: int, parent: int) -> list[bytes]:
    """Files, pages, and the arguments of the stages."""
    found = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for path in ("", "healthz", "readyz", "metrics"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{page}/{path}", timeout=5) as answer:
                found.append(answer.read())
        except urllib.error.HTTPError as error:  # not ready is an answer too
            found.append(error.read())
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    assert children
    return found + [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
