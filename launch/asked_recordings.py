"""Recordings that are asked for while everything runs (`Recording`, from the page): begun and ended by the supervisor.

Each is a file of its own in `recordings/`, in the folder where skelstream was started, called by the time at which it
was begun. Whoever asks has no say in where it goes. What goes wrong with one is told, and ends nothing else.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from ..stream.recording_file import PART
from ..stream.wire import Recording
from .supervisor import Supervisor

FOLDER = Path("recordings")
KIND, INSTANCE = "record", "@page"


class AskedRecordings:
    """Starts and ends the stage that writes them; one at a time."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def take(self, wish: Recording) -> None:
        """Begin a recording, or end the one that runs; what is so already stays so."""
        name = KIND + INSTANCE
        runs = self._supervisor.runs(name)
        if wish.op == "stop" and runs:
            self._supervisor.end(name)
        elif wish.op == "start" and not runs:
            try:
                FOLDER.mkdir(exist_ok=True)
            except OSError as error:
                self._supervisor.say_failed(name, f"cannot write {FOLDER}: {error.strerror}; mend that, and try again")
                return
            settings = replace(
                self._supervisor.settings, record=str(_unused(FOLDER)), record_most_mb=None, record_most_minutes=None
            )
            self._supervisor.start(KIND, INSTANCE, settings=settings, needed=False)


def _unused(folder: Path) -> Path:
    """A name that nothing in the folder has: two may be begun within one second."""
    now = time.strftime("%Y-%m-%d-%H%M%S")
    for name in (now, *(f"{now}-{n}" for n in range(2, 100))):
        path = folder / f"{name}.skel"
        if not path.exists() and not path.with_name(path.name + PART).exists():
            return path
    raise AssertionError(f"a hundred recordings within {now}")
