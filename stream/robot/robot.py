"""What every robot is asked: to perform behaviours for somebody, again and again, and to stop.

Positions are in the robot's own world: metres, x ahead of where it stood at the start, y to its left, z up from the
floor. Where the camera stands in it says the policy.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
ROBOTS = ("mujoco", "ros", "zmq")
NEEDS = {"mujoco": ("mujoco", "gymnasium")}  # what is not among the package's own requirements


@dataclass(frozen=True)
class Person:
    """Whom a behaviour is for: NTU RGB+D's 25 joints (25, 3) in metres, and which of them are seen (25,)."""

    joints: F64
    seen: NDArray[np.bool_]

    def joint(self, index: int) -> F64 | None:
        """Where a joint is, if it is seen."""
        return self.joints[index] if self.seen[index] else None


@dataclass(frozen=True)
class Command:
    """What a robot is to do now, all at the same time. `number` grows when it is something new; `person` moves on."""

    number: int = 0
    behaviours: tuple[str, ...] = ()
    person: Person | None = None


@dataclass(frozen=True)
class Reading:
    """How a robot is. `points` (P, 3) metres and the `bones` between them; a robot that does not know has none.

    `moved_at` is the Unix time at which it first moved for the command `number`; 0 if it has not. `busy`: some of
    the behaviours are not over yet.
    """

    state: Literal["ready", "acting", "safe", "lost"]
    number: int
    busy: bool
    moved_at: float
    points: F32
    bones: tuple[tuple[int, int], ...]


class Robot(Protocol):
    """A robot. Everything returns at once: what takes time goes on beside it."""

    @property
    def name(self) -> str:
        """What it is called."""

    def connect(self) -> None:
        """Get ready to move. ValueError, in one line, if it is not there."""

    def perform(self, command: Command) -> None:
        """Go on with this; asked some fifty times a second, so that a robot that hears nothing knows it is alone."""

    def stop(self) -> None:
        """Go to the safe pose, and stay there until the next `perform`."""

    def state(self) -> Reading:
        """How it is."""

    def close(self) -> None:
        """Be done with it."""


def check_robot(name: str) -> None:
    """ValueError unless there is such a robot, and what it needs is installed."""
    if name not in ROBOTS:
        raise ValueError(f"no robot {name!r}; there are {', '.join(ROBOTS)}")
    missing = [module for module in NEEDS.get(name, ()) if importlib.util.find_spec(module) is None]
    if missing:
        raise ValueError(f"the robot {name} needs {' and '.join(missing)}; pip install 'skelstream[robot]'")


def open_robot(name: str) -> Robot:
    """The robot of this name, not yet connected. ValueError as `check_robot`."""
    check_robot(name)
    if name == "mujoco":
        from .simulated import SimulatedRobot

        return SimulatedRobot()
    from .remote import RemoteRobot

    return RemoteRobot(name)
