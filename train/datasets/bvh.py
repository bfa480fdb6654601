"""BVH motion capture: the skeleton and its motion, and where every joint then is.

A BVH file is text: a tree of joints with their offsets from their parents and the channels (positions, rotations) that
the motion gives each of them, then one line of channel values a frame.

Shapes: T frame, V joint, D channel, 3 coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .rotation import about

F64 = NDArray[np.float64]

_CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")


@dataclass(frozen=True, kw_only=True)
class Bvh:
    """V joints in the file's order, a parent before its children (the root's is -1), and T frames of their channels.

    `offsets` (V, 3) in the file's unit of length; `channels` the names of each joint's, in order; `motion` (T, D) the
    values of all joints' channels end to end, rotations in degrees.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: F64
    channels: tuple[tuple[str, ...], ...]
    motion: F64
    frame_time_s: float

    def positions(self) -> F64:
        """Where the joints are (T, V, 3), in the file's unit of length.

        A joint with position channels is placed by them; they replace its offset. Rotations apply in the channels'
        order, each about the axes as the one before left them.
        """
        frames = len(self.motion)
        at = np.zeros((frames, len(self.joints), 3))
        turned: list[F64] = []
        first = 0
        for v, (parent, channels) in enumerate(zip(self.parents, self.channels, strict=True)):
            values = self.motion[:, first : first + len(channels)]
            first += len(channels)
            offset = np.tile(self.offsets[v], (frames, 1))
            turn = np.tile(np.eye(3), (frames, 1, 1))
            for d, channel in enumerate(channels):
                if channel.endswith("position"):
                    offset[:, "XYZ".index(channel[0])] = values[:, d]
                else:
                    turn = turn @ about(channel[0], np.radians(values[:, d]))
            if parent < 0:
                at[:, v] = offset
            else:
                at[:, v] = at[:, parent] + (turned[parent] @ offset[..., None])[..., 0]
                turn = turned[parent] @ turn
            turned.append(turn)
        return at


def read_bvh(path: Path) -> Bvh:
    """Read one file. Raises ValueError, naming the file, where it is not a BVH, is cut off or has no frame."""
    try:
        hierarchy, _, motion = path.read_text().partition("MOTION")
        return _parse(hierarchy.split(), motion.split("\n"))
    except (ValueError, IndexError, OSError) as error:
        raise ValueError(f"{path} cannot be read as BVH ({error}); fetch it again") from error


def _parse(words: list[str], lines: list[str]) -> Bvh:
    joints: list[str] = []
    parents: list[int] = []
    offsets: list[list[float]] = []
    channels: list[tuple[str, ...]] = []
    open_joints: list[int] = []  # the joints whose braces are open; -1 for an end site, which is no joint
    new, at = -1, 1
    if words[:1] != ["HIERARCHY"]:
        raise ValueError("it does not begin with HIERARCHY")
    while at < len(words):
        word = words[at]
        if word in ("ROOT", "JOINT"):
            parents.append(open_joints[-1] if open_joints else -1)
            joints.append(words[at + 1])
            offsets.append([])
            channels.append(())
            new, at = len(joints) - 1, at + 2
        elif word == "End":  # End Site
            new, at = -1, at + 2
        elif word == "{":
            open_joints.append(new)
            at += 1
        elif word == "}":
            open_joints.pop()
            at += 1
        elif word == "OFFSET":
            if open_joints[-1] >= 0:
                offsets[open_joints[-1]] = [float(value) for value in words[at + 1 : at + 4]]
            at += 4
        elif word == "CHANNELS":
            count = int(words[at + 1])
            channels[open_joints[-1]] = tuple(words[at + 2 : at + 2 + count])
            at += 2 + count
        else:
            raise ValueError(f"the hierarchy has the word {word!r}")
    if open_joints or not joints or any(len(offset) != 3 for offset in offsets):
        raise ValueError("its hierarchy is not complete")
    unknown = {name for names in channels for name in names} - set(_CHANNELS)
    if unknown:
        raise ValueError(f"it has channels called {', '.join(sorted(unknown))}")

    rows = [line for line in lines if line.strip()]
    frames = int(rows[0].removeprefix("Frames:"))
    frame_time_s = float(rows[1].removeprefix("Frame Time:"))
    width = sum(len(names) for names in channels)
    if frames < 1 or frames != len(rows) - 2 or frame_time_s <= 0:
        raise ValueError(f"it promises {frames} frames of {frame_time_s} s and has {len(rows) - 2}")
    motion = np.array([row.split() for row in rows[2:]], np.float64)  # rows of unlike length are refused here
    if motion.shape != (frames, width):
        raise ValueError(f"its frames have {motion.shape[1]} values, its joints {width} channels")
    return Bvh(
        joints=tuple(joints), parents=tuple(parents), offsets=np.array(offsets), channels=tuple(channels),
        motion=motion, frame_time_s=frame_time_s,
    )  # fmt: skip
