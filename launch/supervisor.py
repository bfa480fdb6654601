"""The stages of one pipeline as child processes: started, watched, and stopped together.

They meet in a folder of sockets that lives as long as the pipeline, and write what they have to say to a log in it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from ..stream.processes import SOCKETS, Settings

_STOP_S = 0.8  # from asking to insisting
_DETECTOR_RESTARTS = 5


class StageFailed(RuntimeError):
    """A stage ended by itself. `wrong_request` says that its settings were the reason."""

    def __init__(self, message: str, *, wrong_request: bool) -> None:
        super().__init__(message)
        self.wrong_request = wrong_request


class Supervisor:
    """A context manager; on leaving it no process and no socket file is left."""

    def __init__(self, settings: Settings) -> None:
        self._own_folder = not settings.folder
        folder = Path(settings.folder or tempfile.mkdtemp(prefix="skelstream-"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings = replace(settings, folder=str(folder))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts = 0

    def start(self, stage: str, instance: str = "") -> None:
        """Start a stage; `instance` tells several of one kind apart."""
        name = stage + instance
        settings, parent = json.dumps(asdict(self.settings)), str(os.getpid())
        arguments = [sys.executable, "-m", "skelstream.stream.processes", stage, settings, parent]
        with self._log(name).open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is ours to hand on, in the right order.
            self._processes[name] = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def pids(self) -> dict[str, int]:
        """The process of each stage."""
        return {name: process.pid for name, process in self._processes.items()}

    def watch(self) -> None:
        """Start detectors that died again, they have nothing to lose; for any other stage raise `StageFailed`."""
        for name, process in list(self._processes.items()):
            code = process.poll()
            if code is None:
                continue
            if name.startswith("detect") and code != 2 and self._restarts < _DETECTOR_RESTARTS:
                self._restarts += 1
                self.start("detect", name.removeprefix("detect"))
                continue
            raise StageFailed(self._last_words(name, code), wrong_request=code == 2)

    def end(self, stage: str) -> None:
        """Ask one stage to stop, and go on."""
        if (process := self._processes.get(stage)) is not None:
            process.terminate()

    def stop(self) -> None:
        """Ask all stages to stop, insist after a moment, and remove the sockets.

        The bus runs in `decode`: that one goes last, so that the others' last reports still arrive.
        """
        others = [process for name, process in self._processes.items() if name != "decode"]
        for processes in (others, [p for name, p in self._processes.items() if name == "decode"]):
            for process in processes:
                process.terminate()
            deadline = time.monotonic() + _STOP_S
            for process in processes:
                try:
                    process.wait(max(deadline - time.monotonic(), 0))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        folder = Path(self.settings.folder)
        if self._own_folder:
            shutil.rmtree(folder, ignore_errors=True)
        else:  # others may meet there as well: only what ours have made goes
            for socket in (socket for name in self._processes for socket in SOCKETS.get(name, ())):
                (folder / socket).unlink(missing_ok=True)
        self._processes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _log(self, name: str) -> Path:
        return Path(self.settings.folder) / f"{name}.log"

    def _last_words(self, name: str, code: int) -> str:
        """The line that explains a stage's end: its own complaint, or the last it wrote."""
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        own = [line for line in lines if line.startswith(f"skelstream {name.rstrip('0123456789')}: ")]
        if own:
            return own[-1].partition(": ")[2]
        last = lines[-1] if lines else "it said nothing"
        return f"the stage {name} ended with code {code}: {last}"
