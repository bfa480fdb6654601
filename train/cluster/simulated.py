"""A cluster of several nodes on one machine: real Ray nodes as `ray start` makes them, small, and demanding a token.

    with Machines() as machines:
        machines.head()
        other = machines.node()
        machines.kill(other)

For benchmarks and tests: what a node's loss does cannot be seen with one.
"""

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
from pathlib import Path
from types import TracebackType
from typing import Self

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
START_S = 60.0
STORE_BYTES = str(80 << 20)


class Machines:
    """A context manager: nodes of one cluster, each a `ray start --block` of its own, with one CPU.

    Start the `head` first; then its `address` is known. Who joins needs the `token`, as RAY_AUTH_TOKEN.
    """

    def __init__(self) -> None:
        self.token = secrets.token_hex(32)
        self.address = ""
        # Socket names have 107 characters at most: pytest's own folders would be too long.
        self._folder = Path(tempfile.mkdtemp(prefix="sk"))
        self._started: list[subprocess.Popen[bytes]] = []

    def head(self) -> subprocess.Popen[bytes]:
        """Start the first node. Raises RuntimeError, as `node` does, if none comes up."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        said = self._start(
            ["--head", "--port=0", f"--temp-dir={self._folder}", f"--ray-client-server-port={port}",
             "--include-dashboard=false"], "--address='([^']+)'",
        )  # fmt: skip
        self.address = said[1]
        return self._started[-1]

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

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """End a node as the loss of its machine would: all its processes at once, with no word to anybody."""
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for node in reversed(self._started):
            if node.poll() is None:
                node.terminate()
        for node in self._started:
            try:
                node.wait(15)
            except subprocess.TimeoutExpired:
                self.kill(node)
        shutil.rmtree(self._folder, ignore_errors=True)
