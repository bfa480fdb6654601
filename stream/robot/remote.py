"""A robot that somebody else moves: what it is to do is told on the bus (`RobotState`), and that is all.

`zmq`: any program that listens (docs/protocol.md has one of ten lines); `ros`: whatever listens to ROS 2's topics.
"""

from __future__ import annotations

import numpy as np

from .robot import Command, Reading


class RemoteRobot:
    """Says what is asked of it. It has no points, and when it has moved nobody knows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._command = Command()
        self._safe = False

    def connect(self) -> None:
        pass

    def perform(self, command: Command) -> None:
        self._command, self._safe = command, False

    def stop(self) -> None:
        self._safe = True

    def state(self) -> Reading:
        acting = bool(self._command.behaviours) and not self._safe
        return Reading(
            state="safe" if self._safe else "acting" if acting else "ready", number=self._command.number, busy=False,
            moved_at=0.0, points=np.zeros((0, 3), np.float32), bones=(),
        )  # fmt: skip

    def close(self) -> None:
        pass
