"""Acclaim motion capture, as the CMU database has it: a skeleton (ASF), motions of it (AMC), and where its bones are.

A bone has a direction and a length in the space of the whole skeleton at rest, and an axis: its own frame there, about
whose axes its few degrees of freedom turn. A motion names a frame by its number, then one line a bone with its angles.
The skeleton's unit of length is `length` of an inch.

Shapes: T frame, V bone, 3 coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .rotation import fixed_xyz

F64 = NDArray[np.float64]

_INCH_M = 0.0254
_ROOT = "root"
_ROOT_VALUES = 6  # tx ty tz rx ry rz, the order that CMU's files all have


@dataclass(frozen=True, kw_only=True)
class Bone:
    """One bone at rest: `offset` (3,) from its start to its end, in metres; `axis_deg` (3,); its free axes of "xyz"."""

    name: str
    offset: F64
    axis_deg: F64
    free: str


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """The bones, a parent before its children, with the index of each one's parent (-1 the root)."""

    bones: tuple[Bone, ...]
    parents: tuple[int, ...]
    metres: float

    def ends(self, motion: dict[str, F64]) -> F64:
        """Where the root and then each bone's end is (T, 1 + V, 3), in metres.

        `motion` gives the root's (T, 6) and, of each bone that moves, (T, freedoms): what `read_amc` returns.
        Raises ValueError if a bone's values are not as many as its freedoms.
        """
        root = motion[_ROOT]
        at = [root[:, :3] * self.metres]
        turned = [fixed_xyz(root[:, 3:])]
        for bone, parent in zip(self.bones, self.parents, strict=True):
            angles = np.zeros((len(root), 3))
            values = motion.get(bone.name, np.zeros((len(root), 0)))
            if values.shape != (len(root), len(bone.free)):
                raise ValueError(f"bone {bone.name} moves about {bone.free or 'nothing'}, its motion has another form")
            for d, axis in enumerate(bone.free):
                angles[:, "xyz".index(axis)] = values[:, d]
            own = fixed_xyz(bone.axis_deg)
            turn = turned[parent + 1] @ own @ fixed_xyz(angles) @ own.T
            turned.append(turn)
            at.append(at[parent + 1] + turn @ bone.offset)
        return np.stack(at, axis=1)

    @property
    def names(self) -> tuple[str, ...]:
        """The root and the bones, as `ends` orders them."""
        return (_ROOT, *(bone.name for bone in self.bones))


def read_asf(path: Path) -> Skeleton:
    """Read a skeleton. Raises ValueError, naming the file, where it is not ASF or is cut off."""
    try:
        return _skeleton(path.read_text())
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise ValueError(f"{path} cannot be read as ASF ({error}); fetch it again") from error


def read_amc(path: Path, skeleton: Skeleton) -> dict[str, F64]:
    """Read a motion: of the root (T, 6), of each bone that it names (T, freedoms), in degrees and the skeleton's unit.

    Raises ValueError, naming the file, where it is not AMC, is cut off or moves other bones than the skeleton has.
    """
    try:
        return _motion(path.read_text(), skeleton)
    except (ValueError, IndexError, OSError) as error:
        raise ValueError(f"{path} cannot be read as AMC ({error}); fetch it again") from error


def _sections(text: str) -> dict[str, list[list[str]]]:
    """The words of each line below each ":name" line."""
    sections: dict[str, list[list[str]]] = {}
    lines: list[list[str]] = []
    for line in text.split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            lines = sections.setdefault(words[0][1:], [])
        else:
            lines.append(words)
    return sections


def _skeleton(text: str) -> Skeleton:
    sections = _sections(text)
    missing = [name for name in ("units", "bonedata", "hierarchy") if not sections.get(name)]
    if missing:
        raise ValueError(f"it has no :{missing[0]}")
    units = {words[0]: words[1] for words in sections["units"]}
    if units.get("angle", "deg") != "deg":
        raise ValueError("its angles are not in degrees")
    metres = _INCH_M / float(units["length"])

    bones: dict[str, Bone] = {}
    entry: dict[str, list[str]] = {}
    for words in sections["bonedata"]:
        if words[0] == "begin":
            entry = {}
        elif words[0] == "end":
            bone = _bone(entry, metres)
            bones[bone.name] = bone
        else:
            entry.setdefault(words[0], words[1:])  # further `limits` lines have no name and matter to nobody here

    parent_of: dict[str, str] = {}
    for words in sections["hierarchy"]:
        if words[0] not in ("begin", "end"):
            parent_of |= dict.fromkeys(words[1:], words[0])
    ordered: list[str] = []
    waiting = list(bones)
    while waiting:
        ready = [name for name in waiting if parent_of.get(name) in (_ROOT, *ordered)]
        if not ready:
            raise ValueError(f"bone {waiting[0]} does not hang on the root")
        ordered += ready
        waiting = [name for name in waiting if name not in ready]
    return Skeleton(
        bones=tuple(bones[name] for name in ordered),
        parents=tuple(-1 if parent_of[n] == _ROOT else ordered.index(parent_of[n]) for n in ordered), metres=metres,
    )  # fmt: skip


def _bone(entry: dict[str, list[str]], metres: float) -> Bone:
    direction = np.array([float(value) for value in entry["direction"]])
    axis = np.array([float(value) for value in entry["axis"][:3]])
    if direction.shape != (3,) or axis.shape != (3,) or entry["axis"][3:] not in ([], ["XYZ"]):
        raise ValueError(f"bone {entry['name'][0]} has no direction and axis of three values in the order XYZ")
    free = "".join(freedom[1] for freedom in entry.get("dof", []))
    if set(free) - set("xyz") or any(freedom[0] != "r" for freedom in entry.get("dof", [])):
        raise ValueError(f"bone {entry['name'][0]} moves otherwise than by turning")
    return Bone(name=entry["name"][0], offset=direction * float(entry["length"][0]) * metres, axis_deg=axis, free=free)


def _motion(text: str, skeleton: Skeleton) -> dict[str, F64]:
    freedoms = {bone.name: len(bone.free) for bone in skeleton.bones} | {_ROOT: _ROOT_VALUES}
    values: dict[str, list[list[float]]] = {}
    frames = 0
    for line in text.split("\n"):
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdigit():
            frames += 1
            if int(words[0]) != frames:
                raise ValueError(f"frame {words[0]} stands where frame {frames} belongs")
        elif freedoms.get(words[0]) != len(words) - 1:
            raise ValueError(
                f"frame {frames} gives {words[0]!r} {len(words) - 1} values; the skeleton has it otherwise"
            )
        else:
            values.setdefault(words[0], []).append([float(word) for word in words[1:]])
    if frames == 0 or _ROOT not in values:
        raise ValueError("it has no frame")
    short = [name for name, rows in values.items() if len(rows) != frames]
    if short:
        raise ValueError(f"bone {short[0]} is in {len(values[short[0]])} of {frames} frames")
    return {name: np.array(rows) for name, rows in values.items()}
