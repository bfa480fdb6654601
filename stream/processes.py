"""The stages as processes.

    camera -> frames -> pose -> people -> track -> tracks -> window -> windows -> decode <-> work <-> detect
    everybody -> bus-in -> (the bus, in the supervisor) -> bus-out -> view, teach, record, robot, your program

Each stage is a process that the supervisor starts (`launch/supervisor.py`); what it needs to know comes on stdin, in
two lines: the settings to get ready with, and, when its turn comes, its name and, if others, the settings to work with.

    python -m skelstream.stream.processes camera now /tmp/x 0 <<< '{"folder": "/tmp/x", "camera": "actor"}
    camera'
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .deciding import run_decode
from .detecting import load_detect, run_detect
from .listening import run_gate_stage, run_record, run_robot_stage, run_ros_stage, run_teach_stage, run_view
from .retry import StuckCamera
from .seeing import load_pose, run_camera, run_pose, run_replay, run_track, run_window
from .settings import Settings
from .stage import Stage

if TYPE_CHECKING:
    from .pose_model import Say

STAGES: dict[str, Callable[..., None]] = {
    "camera": run_camera, "pose": run_pose, "track": run_track, "replay": run_replay, "window": run_window,
    "detect": run_detect, "decode": run_decode, "teach": run_teach_stage, "view": run_view, "record": run_record,
    "gate": run_gate_stage, "robot": run_robot_stage, "ros": run_ros_stage,
}  # fmt: skip

# What some of them must load first, for seconds, and can have loaded before their turn comes.
LOADS: dict[str, Callable[[Settings, Say], Any]] = {"pose": load_pose, "detect": load_detect}

# The socket files that stages make where others meet: whoever ends a stage that cannot clean up removes these.
SOCKETS: dict[str, tuple[str, ...]] = {"decode": ("windows", "work")}


def main(kind: str, when: str, settings: Settings, turn: Callable[[], tuple[str, Settings]]) -> int:
    """Run a stage until it is told to stop. `when` is "now", or "spare": it gets ready and waits for its turn.

    `turn` returns the stage's name, "" if its turn will never come, and the settings to work with, which ask for the
    same models. Returns 0 when the stage ended well, 2 when its settings were wrong, 75 when only a new process can go
    on.
    """
    load = LOADS.get(kind)
    try:
        loaded = [load(settings, lambda line: None)] if load is not None and when == "spare" else []
        name, settings = turn()
        if not name:
            return 0
        with Stage(name, settings.place) as stage:
            stage.stop_on_signals()
            if load is not None and not loaded:
                loaded = [load(settings, stage.warn)]
            STAGES[kind](stage, settings, *loaded)
    except StuckCamera:
        return 75
    except ValueError as error:
        print(f"skelstream {kind} failed: {error}", file=sys.stderr)
        return 2
    return 0


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to end this process when the one that started it is gone, however it went (Linux)."""
    pr_set_pdeathsig = 1
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
        # It may have gone while we were starting, before the kernel was asked.
        if parent is not None and os.getppid() != parent:
            sys.exit(1)


if __name__ == "__main__":
    kind, when, _, parent = sys.argv[1:]
    die_with_parent(int(parent) or None)
    if not (asked := sys.stdin.readline()):
        sys.exit(1)
    first = Settings(**json.loads(asked))

    def turn() -> tuple[str, Settings]:
        name, _, others = sys.stdin.readline().strip().partition(" ")
        return name, Settings(**json.loads(others)) if others else first

    code = main(kind, when, first, turn)
    sys.stdout.flush()
    os._exit(code)  # a thread that hangs in a camera's driver keeps nobody here
