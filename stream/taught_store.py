"""What people have taught: a file for every action, in a folder of the user's own, whatever model is used.

    ~/.local/share/skelstream/taught/1795324282365.npz       (under $XDG_DATA_HOME, if that is set)

Each holds the action's name, the showings themselves, and for every model that has learnt it its row and the frames
that this was learnt from. A model that has not learns it from the showings. Nothing is unpickled or believed; a file is
written whole or not at all, and only its owner may read the folder: it shows people.

N frame, W feature.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..encoder.arrays import read_arrays, write_arrays
from ..encoder.taught import Row
from .showing import Showing

F32 = NDArray[np.float32]

LONGEST_NAME = 40
_LARGEST = 64 << 20
_MOST_FILES = 256
_MODELS = 4  # that keep what they have learnt, the newest
_DIGEST = 16  # letters of a model's that tell it from others


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What one model has learnt: a row for its head, and the features that it was learnt from (N, W)."""

    row: Row
    features_NW: F32


@dataclass(frozen=True, kw_only=True)
class TaughtAction:
    """An action, as it was shown at `at` (Unix seconds), and what each model, by its weights' digest, made of it."""

    name: str
    at: float
    showings: tuple[Showing, ...]
    lessons: Mapping[str, Lesson] = field(default_factory=dict)

    def learnt_by(self, weights: str) -> Lesson | None:
        """What this model has learnt of it, if it has."""
        return self.lessons.get(weights[:_DIGEST])

    def with_lesson(self, weights: str, lesson: Lesson) -> Self:
        """The same, learnt by one model more; those that learnt it long ago forget it."""
        others = [(model, kept) for model, kept in self.lessons.items() if model != weights[:_DIGEST]]
        return replace(self, lessons=dict([*others[-_MODELS + 1 :], (weights[:_DIGEST], lesson)]))


def default_taught() -> Path:
    """The folder of the user's own."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "skelstream" / "taught"


class TaughtStore:
    """The folder. `look` reads what has changed; `troubles` are the lines about files that cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.actions: tuple[TaughtAction, ...] = ()
        self.troubles: tuple[str, ...] = ()
        self._known: dict[str, tuple[tuple[int, int], TaughtAction | str]] = {}
        self.look()

    def look(self) -> bool:
        """Whether anything is new; costs next to nothing where it is not."""
        found: dict[str, tuple[tuple[int, int], TaughtAction | str]] = {}
        for path in sorted(self.folder.glob("*.npz"))[:_MOST_FILES]:
            try:
                about = path.stat()
            except OSError:  # it was forgotten this moment
                continue
            state = (about.st_mtime_ns, about.st_size)
            known = self._known.get(path.name)
            found[path.name] = known if known is not None and known[0] == state else (state, _read_or_say(path))
        if found == self._known:
            return False
        self._known = found
        actions: dict[str, TaughtAction] = {}
        for _, what in found.values():
            if isinstance(what, TaughtAction):
                actions.setdefault(what.name, what)
        self.actions = tuple(actions.values())
        self.troubles = tuple(what for _, what in found.values() if isinstance(what, str))
        return True

    def named(self, name: str) -> TaughtAction | None:
        """The action of this name, if there is one."""
        return next((action for action in self.actions if action.name == name), None)

    def check_new(self, name: str, classes: Sequence[str]) -> None:
        """Raise ValueError unless an action may be called so."""
        short = 0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()
        if not short:
            raise ValueError(f"{name!r} is no name for an action; give 1 to {LONGEST_NAME} letters that can be shown")
        if name in classes or name == "unknown":
            raise ValueError(f"the model has an action called {name!r} of its own; choose another name")
        if self.named(name) is not None:
            raise ValueError(f"an action called {name!r} has been taught already; forget it first, or choose another")

    def keep(self, action: TaughtAction) -> None:
        """Write an action, in place of what was known of the same moment's."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._path(action), action)
        self.look()

    def forget(self, name: str) -> None:
        """Remove an action. Raises ValueError if there is none."""
        self._path(self._asked(name)).unlink(missing_ok=True)
        self.look()

    def rename(self, name: str, to: str, classes: Sequence[str]) -> None:
        """Call an action otherwise. Raises ValueError if there is none, or it cannot be called so."""
        action = self._asked(name)
        self.check_new(to, classes)
        self.keep(replace(action, name=to))

    def _asked(self, name: str) -> TaughtAction:
        if (action := self.named(name)) is None:
            known = ", ".join(action.name for action in self.actions) or "none"
            raise ValueError(f"no action called {name!r} has been taught; there are: {known}")
        return action

    def _path(self, action: TaughtAction) -> Path:
        return self.folder / f"{round(1000 * action.at):013d}.npz"


def now() -> float:
    """The moment of a new action, by which its file is called."""
    return round(time.time(), 3)


def _write(path: Path, action: TaughtAction) -> None:
    lengths = [len(showing.joints_TVC) for showing in action.showings]
    about = {
        "format": 1, "name": action.name, "at": action.at,
        "showings": [[n, s.first, s.last] for n, s in zip(lengths, action.showings, strict=True)],
        "models": list(action.lessons),
    }  # fmt: skip
    arrays: dict[str, NDArray[Any]] = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "joints": np.concatenate([showing.joints_TVC for showing in action.showings]).astype(np.float32),
    }
    for i, lesson in enumerate(action.lessons.values()):
        arrays[f"row{i}"] = np.append(lesson.row.weights_W, np.float32(lesson.row.bias)).astype(np.float32)
        arrays[f"features{i}"] = lesson.features_NW.astype(np.float16)
    write_arrays(path, arrays)


def _read_or_say(path: Path) -> TaughtAction | str:
    try:
        return _read(path)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        return f"{path} is no taught action ({error}); remove it, and teach it again"


def _read(path: Path) -> TaughtAction:
    held = read_arrays(path, largest=_LARGEST)
    about = json.loads(held["about"].tobytes())
    name, at = about["name"], float(about["at"])
    if about["format"] != 1 or not (isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()):
        raise ValueError("it is of another version of this program")
    joints = held["joints"]
    if joints.dtype != np.float32:
        raise ValueError("its joints are no float32")
    showings, begin = [], 0
    for length, first, last in about["showings"]:
        showings.append(Showing(joints_TVC=joints[begin : begin + length], first=int(first), last=int(last)))
        begin += length
    lessons: dict[str, Lesson] = {}
    for i, model in enumerate(about["models"]):
        row, features = held[f"row{i}"], held[f"features{i}"]
        fits = row.ndim == 1 and features.ndim == 2 and len(row) == features.shape[1] + 1
        if not fits or row.dtype != np.float32 or features.dtype != np.float16:
            raise ValueError("what was learnt has other sizes")
        if not (np.isfinite(row).all() and np.isfinite(features).all()):
            raise ValueError("what was learnt holds numbers that are not finite")
        learnt = Row(weights_W=row[:-1], bias=float(row[-1]))
        lessons[str(model)] = Lesson(row=learnt, features_NW=features.astype(np.float32))
    if not showings:
        raise ValueError("it holds no showing")
    return TaughtAction(name=name, at=at, showings=tuple(showings), lessons=lessons)
