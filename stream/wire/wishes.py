"""Wishes: what people ask of a pipeline that runs, on its page or from a command, and what its robot makes of people.

They travel on the bus of one machine; the gate lets none of them in from elsewhere.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from .sound import LATEST_S, LONGEST_NAME, MOST_COUNTED, array_of, named, require, within

_MOST_POINTS, _MOST_TUNED = 256, 4096


class Named(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Somebody's name, as a person has set it; an empty one takes it back. `at` is Unix seconds."""

    camera: str
    track: int
    name: str
    at: float

    def __post_init__(self) -> None:
        named("camera", self.camera)
        within("track", self.track, 0, MOST_COUNTED)
        short = len(self.name) <= LONGEST_NAME and (not self.name or self.name.isprintable())
        require(short, f"a name of {len(self.name)} letters, or with some that cannot be shown")
        within("at", self.at, 0, LATEST_S)


class Tuned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How easily an action is believed, from now on: what is added to every class's `enter` and `leave`, by what its
    `belief` is multiplied, and what is added for one action alone (1 and more: it is never said).
    """

    at: float
    enter: float = 0.0
    belief: float = 1.0
    actions: dict[str, float] = {}

    def __post_init__(self) -> None:
        within("at", self.at, 0, LATEST_S)
        within("enter", self.enter, -1, 1)
        within("belief", self.belief, 0.05, 20)
        require(len(self.actions) <= _MOST_TUNED, f"{len(self.actions)} actions")
        for action, shift in self.actions.items():
            named("action", action)
            within(action, shift, -1, 1)


class Recording(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Begin a recording, or end the one that runs. Where it goes is not the asker's to say."""

    at: float
    op: Literal["start", "stop"]

    def __post_init__(self) -> None:
        within("at", self.at, 0, LATEST_S)


class RobotState(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Where a robot is, and what it does and why, some twenty times a second.

    `points` (P, 3) float32: its joints in metres, x forward, y to its left, z up from the floor; `bones` are the pairs
    of them that are joined. `behaviour` is what it performs ("" for nothing) and `because` what brought it about, in
    words; it answers person `track` (None: nobody) before `camera` ("" for none). `reacted_ms` is how long the last
    behaviour took from the person's action, as far back as it is known to have begun, to the robot's first motion
    (None before there was one), and `moved_at` when that was, in Unix seconds. `safe`: it keeps still in its safe
    pose, because nothing is seen or it was told to.
    """

    robot: str
    at: float
    state: Literal["ready", "acting", "safe", "lost"]
    behaviour: str
    because: str
    camera: str
    track: int | None
    reacted_ms: float | None
    moved_at: float | None
    points: np.ndarray
    bones: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        named("robot", self.robot)
        within("at", self.at, 0, LATEST_S)
        for what, text in (("behaviour", self.behaviour), ("because", self.because), ("camera", self.camera)):
            if text:
                named(what, text)
        if self.track is not None:
            within("track", self.track, 0, MOST_COUNTED)
        if self.reacted_ms is not None:
            within("reacted_ms", self.reacted_ms, 0, 1e7)
        if self.moved_at is not None:
            within("moved_at", self.moved_at, 0, LATEST_S)
        array_of("f", 2, "points", self.points)
        count = len(self.points)
        require(self.points.shape == (count, 3) and count <= _MOST_POINTS, f"points {self.points.shape}")
        require(len(self.bones) <= _MOST_POINTS, f"{len(self.bones)} bones")
        for bone in self.bones:
            for point in bone:
                within("a bone's end", point, 0, count - 1)


class Teach(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Teach a new action, by somebody who shows it a few times; or forget one, or give it another name.

    `begin`: from now on person `track` (None: whoever is nearest) before `camera` ("": any) shows `action`, `shots`
    times. `again` throws the last showing away, `cancel` all of them. `rename` calls `action` `to`.
    """

    at: float
    op: Literal["begin", "again", "cancel", "forget", "rename"]
    action: str = ""
    to: str = ""
    camera: str = ""
    track: int | None = None
    shots: int = 5

    def __post_init__(self) -> None:
        within("at", self.at, 0, LATEST_S)
        for what, text in (("action", self.action), ("to", self.to), ("camera", self.camera)):
            if text:
                named(what, text)
        if self.track is not None:
            within("track", self.track, 0, MOST_COUNTED)
        within("shots", self.shots, 1, 100)


class Taught(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What has been taught, and how far a lesson is: once a second, and whenever it changes.

    `actions` are all the taught ones: from the moment this is told they stand, in this order, behind the bundle's own
    classes. While a lesson runs `action` is shown for the `shown + 1`th time of `shots`; `message` tells people, in a
    line, what to do next, what came of it, or why it could not be.
    """

    at: float
    actions: tuple[str, ...]
    state: Literal["idle", "get ready", "show it", "seen", "learning", "failed"] = "idle"
    action: str = ""
    shown: int = 0
    shots: int = 0
    message: str = ""

    def __post_init__(self) -> None:
        within("at", self.at, 0, LATEST_S)
        require(len(self.actions) <= _MOST_TUNED, f"{len(self.actions)} actions")
        for action in (*self.actions, *((self.action,) if self.action else ())):
            named("action", action)
        within("shots", self.shots, 0, 100)
        within("shown", self.shown, 0, self.shots)
        require(len(self.message) <= LONGEST_NAME, f"a message of {len(self.message)} letters")
