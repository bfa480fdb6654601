"""Tuning: how easily an action is believed, as somebody who watches has asked for it (`Tuned`), while decoders run.

The newest wish counts. It is kept in a file that outlives the process that decides, so that the next one goes on with
it. Nobody's wish, or one that shifts nothing, leaves what the bundle was fitted with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..encoder.bundle import LOOK, DecodeParameters, of_class
from .wire import Tuned

_LEAST, _MOST = 0.01, 0.99  # thresholds stay probabilities, whatever they are shifted by


class Thresholds(NamedTuple):
    """What decoders go by, and the classes that they never say."""

    parameters: DecodeParameters
    silent: frozenset[int]


def tuned(parameters: DecodeParameters, classes: Sequence[str], wish: Tuned) -> Thresholds:
    """These parameters as the wish has them. Actions that are none of `classes` (not yet) change nothing."""
    shifts = [wish.enter + wish.actions.get(action, 0.0) for action in classes]
    enter = tuple(_shifted(of_class(parameters.enter, k), shift) for k, shift in enumerate(shifts))
    leave = tuple(min(_shifted(of_class(parameters.leave, k), shift), enter[k]) for k, shift in enumerate(shifts))
    belief = tuple(min(wish.belief * of_class(parameters.belief, k), float(LOOK)) for k in range(len(classes)))
    silent = frozenset(k for k, action in enumerate(classes) if k and wish.actions.get(action, 0.0) >= 1)
    return Thresholds(replace(parameters, enter=enter, leave=leave, belief=belief), silent)


def _shifted(threshold: float, shift: float) -> float:
    return min(max(threshold + shift, _LEAST), _MOST) if shift else threshold


class Tuning:
    """The wish that counts, kept in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.wish = Tuned(**json.loads(file.read_text())) if file.exists() else Tuned(at=0.0)

    def take(self, wish: Tuned) -> bool:
        """Whether this wish is newer than the one that counts; from now on it counts."""
        if wish.at <= self.wish.at:
            return False
        self.wish = wish
        told = {"at": wish.at, "enter": wish.enter, "belief": wish.belief, "actions": wish.actions}
        unfinished = self._file.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(told))
        unfinished.replace(self._file)
        return True
