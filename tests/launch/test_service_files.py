"""The files that start skelstream as a service: systemd's own check of the units, the words that they call it with, and
what its supervisor tells systemd, over a real socket. No systemd runs here as init, and no image can be built: a
registry is needed for its base.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest
import tyro

from skelstream.launch import cli
from skelstream.launch.cli_live import live_command
from skelstream.launch.cli_stages import COMMANDS as STAGES
from skelstream.launch.supervisor import Supervisor
from skelstream.stream.settings import Settings

LAUNCH = Path(cli.__file__).parent
ROOT = LAUNCH.parent
UNITS = ("skelstream.service", "skelstream-detector@.service")


def settings_of(unit: str) -> dict[str, list[str]]:
    """The values of each setting of a unit."""
    found: dict[str, list[str]] = {}
    text = (LAUNCH / "systemd" / unit).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong_with_the_unit(unit: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here")
    program = tmp_path / "skelstream"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = (LAUNCH / "systemd" / unit).read_text().replace("/opt/skelstream/bin/skelstream", str(program))
    (tmp_path / unit).write_text(text)
    done = subprocess.run([analyze, "verify", str(tmp_path / unit)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_calls_commands_with_words_that_they_take(unit: str) -> None:
    found = settings_of(unit)
    assert found["Type"] == ["notify"] and found["WatchdogSec"] and found["Restart"] == ["always"]
    given = {}
    for line in found["Environment"]:
        for word in shlex.split(line):
            name, _, value = word.partition("=")
            given[name] = value
    (line,) = found["ExecStart"]
    program, command, *words = shlex.split(line)
    assert program == "/opt/skelstream/bin/skelstream"
    filled: list[str] = []
    for word in words:
        if (whole := re.fullmatch(r"\$(\w+)", word)) is not None:
            filled += given[whole[1]].split()
        else:
            filled.append(re.sub(r"\$\{\w+\}", "/run/x", word).replace("%i", "robot.local"))
    takes(command, filled)


def takes(command: str, words: list[str]) -> None:
    """Fail unless the command understands these words; it does nothing."""
    function: Callable[..., int] = live_command(words) if command == "live" else STAGES[command]

    @functools.wraps(function)
    def nothing(*_: object, **__: object) -> int:
        return 0

    try:
        tyro.cli(nothing, args=words)
    except SystemExit:
        pytest.fail(f"skelstream {command} {' '.join(words)}")


def test_cameras_and_compilers_still_work_in_the_unit() -> None:
    """What hardening must not take away: V4L2, machine code made at run time, files of its own, links of stages."""
    found = settings_of("skelstream.service")
    assert any("video4linux" in value for value in found["DeviceAllow"]) and "video" in found["SupplementaryGroups"]
    assert "PrivateDevices" not in found and "MemoryDenyWriteExecute" not in found
    assert "AF_UNIX" in found["RestrictAddressFamilies"][0]
    assert found["ProtectSystem"] == ["strict"] and {"CacheDirectory", "RuntimeDirectory"} <= set(found)


def test_the_supervisor_tells_systemd_how_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0.02)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        told: list[str] = []
        with Supervisor(Settings(folder="")) as supervisor:
            supervisor.start("track")
            assert not supervisor.all_ready()
            deadline = time.monotonic() + 60
            while told.count("READY=1") == 0 or told[told.index("READY=1") :].count("WATCHDOG=1") < 3:
                assert time.monotonic() < deadline, told
                ready_before = supervisor.all_ready()
                supervisor.watch()
                told += heard(systemd)
                assert ready_before or supervisor.all_ready() or "READY=1" not in told
        told += heard(systemd)
    assert told[-1] == "STOPPING=1" and told.count("READY=1") == told.count("STOPPING=1") == 1


def heard(systemd: socket.socket) -> list[str]:
    """All that has come by now."""
    found = []
    while True:
        try:
            found.append(systemd.recv(4096).decode())
        except TimeoutError:
            return found


def test_a_socket_in_no_folder_is_found_and_one_that_is_gone_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from skelstream.launch.notify import Notifier

    name = f"skelstream-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    monkeypatch.setenv("WATCHDOG_USEC", "nonsense")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}")
        systemd.settimeout(5)
        notifier = Notifier()
        notifier.turn(ready=True)
        assert systemd.recv(100) == b"READY=1"
    notifier.stopping()
    monkeypatch.delenv("NOTIFY_SOCKET")
    Notifier().turn(ready=True)


def test_the_image_starts_what_there_is_and_holds_nothing_that_tests_or_people_alone_need() -> None:
    text = (LAUNCH / "docker" / "Dockerfile").read_text()
    assert re.findall(r"^FROM .* AS (\w+)$", text, re.M) == ["wheel", "base", "gpu"]
    words = json.loads(re.search(r"^CMD (\[.*\])$", text, re.M)[1])  # type: ignore[index]
    takes(words[0], words[1:])
    # The same libraries that a person is told to install.
    needed = re.search(r"Debian needs `([^`]*)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert needed is not None
    for package in set(needed[1].split()) - {"python3-venv"}:
        assert f" {package}" in text
    left_out = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    if not kept:
        pytest.skip("no git here to say what there is")
    for name in (
        "README.md",
        "LICENSE",
        "pyproject.toml",
        "encoder/bundles/small/model.onnx",
        "stream/view/page/page.js",
    ):
        parts = Path(name).parts
        beginnings = {"/".join(parts[: i + 1]) for i in range(len(parts))}
        assert not any(fnmatch(beginning, pattern) for pattern in left_out for beginning in beginnings), name
    assert any(fnmatch("tests", pattern) for pattern in left_out) and any(fnmatch(".git", p) for p in left_out)
