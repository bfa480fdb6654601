"""The simulated robot: MuJoCo's humanoid in real time, in a thread of its own, performing `behaviours.py`."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .behaviours import BEHAVIOURS
from .humanoid import BONES
from .puppet import ROUND_S, Puppet
from .robot import Command, Reading

_LATE_S = 0.25  # a machine that was asleep does not catch up on it all at once


class SimulatedRobot:
    """A `Robot` without a robot."""

    name = "mujoco"

    def __init__(self) -> None:
        self._puppet = Puppet()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="robot", daemon=True)
        self._command, self._began, self._safe = Command(), time.monotonic(), True
        self._stood = self._puppet.stands()
        self._reading = Reading("safe", 0, False, 0.0, self._points(), BONES)

    def connect(self) -> None:
        self._thread.start()

    def perform(self, command: Command) -> None:
        for name in command.behaviours:
            if name not in BEHAVIOURS:
                raise ValueError(f"the robot {self.name} cannot {name!r}; it can {', '.join(BEHAVIOURS)}")
        with self._lock:
            self._safe = False
            if command.number != self._command.number:
                self._began, self._stood = time.monotonic(), self._puppet.stands()
                self._reading = replace(self._reading, number=command.number, moved_at=0.0)
            self._command = command
            self._note(self._doing())

    def stop(self) -> None:
        with self._lock:
            self._safe = True
            self._note(())

    def state(self) -> Reading:
        with self._lock:
            return self._reading

    def close(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _live(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            with self._lock:
                doing = self._doing()
                t = time.monotonic() - self._began
                self._puppet.round(doing, t, self._command.person, safe=self._safe)
                self._reading = replace(self._reading, points=self._points())
                self._note(doing)
                if doing and not self._reading.moved_at and self._puppet.has_moved(self._stood, doing):
                    self._reading = replace(self._reading, moved_at=time.time())
            due = max(due + ROUND_S, time.monotonic() - _LATE_S)
            self._ended.wait(max(due - time.monotonic(), 0))

    def _doing(self) -> tuple[str, ...]:
        """What is asked and not over yet."""
        t = time.monotonic() - self._began
        lasts_s = {name: BEHAVIOURS[name].lasts_s for name in (() if self._safe else self._command.behaviours)}
        return tuple(name for name, most_s in lasts_s.items() if most_s is None or t < most_s)

    def _note(self, doing: tuple[str, ...]) -> None:
        state: Literal["safe", "acting", "ready"] = "safe" if self._safe else "acting" if doing else "ready"
        self._reading = replace(self._reading, state=state, busy=bool(doing))

    def _points(self) -> NDArray[np.float32]:
        return self._puppet.body.points().astype(np.float32)
