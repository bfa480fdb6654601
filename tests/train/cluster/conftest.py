"""Real Ray nodes on this machine as `ray start` makes them: small, on ports of their own, demanding a token."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
START_S = 60.0
STORE_BYTES = str(80 << 20)


class Machines:
    """Nodes of one cluster, each a `ray start --block` of its own. The head's `address` is known once it is up."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(32)
        self.address = ""
        # Socket names have 107 characters at most: pytest's own folders would be too long.
        self._folder = Path(tempfile.mkdtemp(prefix="sk"))
        self._started: list[subprocess.Popen[bytes]] = []

    def head(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        said = self._start(
            ["--head", "--port=0", f"--temp-dir={self._folder}", f"--ray-client-server-port={port}",
             "--include-dashboard=false"], "--address='([^']+)'",
        )  # fmt: skip
        self.address = said[1]

    def node(self, before: str = "true") -> subprocess.Popen[bytes]:
        """Join another node; `before` is what it does first in a mount namespace of its own, if it does anything."""
        self._start([f"--address={self.address}"], "block forever", before)
        return self._started[-1]

    def _start(self, options: list[str], until: str, before: str = "true") -> re.Match[str]:
        command = [*RAY, "start", "--num-cpus=1", f"--object-store-memory={STORE_BYTES}", *options, "--block"]
        if before != "true":
            command = ["unshare", "--mount", "sh", "-c", f'{before} && exec "$@"', "sh", *command]
        ours = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_worker_niceness": "0"}
        environment = {**os.environ, **ours}
        log = self._folder / f"node-{len(self._started)}.log"
        with log.open("wb") as file:
            started = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env={**environment, "RAY_AUTH_TOKEN": self.token},
                start_new_session=True,
            )  # fmt: skip
        self._started.append(started)
        end = time.monotonic() + START_S
        while time.monotonic() < end and started.poll() is None:
            if found := re.search(until, log.read_text()):
                return found
            time.sleep(0.1)
        raise RuntimeError(f"no Ray node came up: {log.read_text()}")

    def close(self) -> None:
        for node in reversed(self._started):
            if node.poll() is None:
                node.terminate()
        for node in self._started:
            try:
                node.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(node.pid, signal.SIGKILL)
                node.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """An empty place for nodes; the module starts what it needs."""
    started = Machines()
    try:
        yield started
    finally:
        started.close()


@pytest.fixture
def without_ray_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token and no address in the environment or in the home directory."""
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
