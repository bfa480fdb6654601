"""The page's wishes in a pipeline that runs: `skelstream live` as a person starts it, and a program that asks like the
page does."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from skelstream.stream.pose_model import ensure_pose_model
from skelstream.stream.record import read_recording
from skelstream.stream.wire import Named, Tracks

PATIENCE_S = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Watching:
    """A page that a program drives; `told` is what it was told last of each kind."""

    def __init__(self, port: int, opened: contextlib.ExitStack) -> None:
        self.opened = opened
        self.client = self._connected(port)
        self.told: dict[str, Any] = {}

    def _connected(self, port: int) -> ClientConnection:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                address, origin = f"ws://127.0.0.1:{port}/live", Origin(f"http://127.0.0.1:{port}")
                return self.opened.enter_context(connect(address, origin=origin, max_size=None))
            except (OSError, WebSocketException):
                assert time.monotonic() < deadline, "the page does not come up"
                time.sleep(0.2)

    def ask(self, **request: Any) -> None:
        self.client.send(json.dumps(request))

    def until(self, true: Callable[[dict[str, Any]], Any], what: str) -> None:
        """Watch like the page does, until this is true of what was told last of each kind."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            message = self.client.recv(timeout=PATIENCE_S)
            told = {"type": "picture"} if isinstance(message, bytes) else json.loads(message)
            if told["type"] in ("picture", "state", "robot"):
                self.ask(seen=told["type"])
            self.told[told["type"]] = told
            if true(self.told):
                return
            assert time.monotonic() < deadline, f"waited for {what}"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[int, Callable[[], str]]]:
    """The drawn actor, live; its page's port, and what ends it and returns its events."""
    try:
        ensure_pose_model("lite")
    except (ValueError, RuntimeError, OSError) as error:
        pytest.skip(f"no pose model: {error}")
    port = free_port()
    command = [sys.executable, "-m", "skelstream", "live", "--camera", "actor:5", "--port", str(port), "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end() -> str:
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return out

    yield port, end
    if process.poll() is None:
        process.kill()
        process.wait()


def stage(told: dict[str, Any], name: str) -> dict[str, Any]:
    found = [one for one in told.get("stages", {}).get("stages", []) if one["stage"] == name]
    return found[-1] if found else {"state": "", "pid": 0, "gauges": {}}


@pytest.mark.slow
def test_sliders_silence_names_and_recordings_do_what_they_say(
    live: tuple[int, Callable[[], str]], tmp_path: Path
) -> None:
    port, end = live
    with contextlib.ExitStack() as opened:
        wishes_are_granted(port, opened)
    end()
    (file,) = (tmp_path / "recordings").iterdir()
    kinds = [type(message) for message in read_recording(file)]
    assert Tracks in kinds and Named in kinds
    again = [sys.executable, "-m", "skelstream", "replay", str(file), "--json"]
    replayed = subprocess.run(again, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert replayed.returncode == 0, replayed.stderr


def wishes_are_granted(port: int, opened: contextlib.ExitStack) -> None:
    page = Watching(port, opened)
    page.until(lambda told: "state" in told and told["state"]["people"], "somebody")
    actions = page.told["hello"]["classes"][1:]
    page.until(lambda told: told.get("log", {}).get("entries"), "the first action")

    # Every action is silenced: the one that goes on ends, and for ten seconds of the actor's none begins.
    page.ask(do="tune", actions=dict.fromkeys(actions, 1))
    page.until(lambda told: all(entry["t_end"] is not None for entry in told["log"]["entries"]), "its end")
    silent_since = page.told["state"]["t"]
    page.until(lambda told: told["state"]["t"] > silent_since + 5, "five seconds")
    # ... also when the process that decides dies.
    decode = stage(page.told, "decode")
    subprocess.run(["kill", "-9", str(decode["pid"])], check=True)
    page.until(lambda told: stage(told, "decode")["pid"] not in (0, decode["pid"]), "decode's successor")
    page.until(lambda told: told["state"]["t"] > silent_since + 15, "ten seconds more")
    begun = [entry["action"] for entry in page.told["log"]["entries"] if entry["t_start"] > silent_since]
    assert set(begun) <= {"unknown"}
    page.ask(do="untune")
    page.until(
        lambda told: any(e["t_start"] > silent_since and e["action"] in actions for e in told["log"]["entries"]),
        "an action after the reset",
    )

    # A recording, with a name in it; the page is started again meanwhile, and knows it.
    (person,) = page.told["state"]["people"]
    page.ask(do="name", camera=page.told["state"]["camera"], track=person["track"], name="Ann")
    page.ask(do="record", op="start")
    page.until(lambda told: stage(told, "record@page")["gauges"].get("recorded_mb", 0) > 0.05, "the recording")
    subprocess.run(["kill", "-9", str(stage(page.told, "view")["pid"])], check=True)
    page = Watching(port, opened)
    page.until(lambda told: "state" in told and any(one["name"] == "Ann" for one in told["state"]["people"]), "Ann")
    page.until(lambda told: stage(told, "record@page")["state"] == "ready", "the recording, still")
    page.ask(do="record", op="stop")
    page.until(lambda told: stage(told, "record@page")["state"] == "ended", "its end")
