"""What a sweep varies: ranges and choices, and the trials that a seed draws from them. No Ray in here.

A range `(low, high)` is drawn from log-uniformly (low = high fixes the value); the others are lists of choices. The
first trials take the values that the paper or custom names, as far as the space holds them, so that every sweep says
whether searching was worth it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

Value = float | int | str
Parameters = dict[str, Value]
Range = tuple[float, float]
Solver = Literal["descent", "exact"]

_DIGITS = 3  # of what is drawn: a value that can be read and typed again, and is the same

# arXiv 2508.12586
_PAPER: Parameters = {
    "lr": 1e-4, "similarity": 5.0, "cross_correlation": 0.0, "temporal": 0.5, "spatial": 0.5, "instance": 1.0,
    "gap": 4, "alpha": 0.5,
}  # fmt: skip
# The paper's learning rate of linear probes, and the l2 that scikit-learn's C = 1 gives a thousand clips.
_CUSTOMARY: Parameters = {"lr": 0.006, "l2": 1e-3}


@dataclass(frozen=True, kw_only=True)
class PretrainingSpace:
    """Pretraining: learning rate, MG-FD's weights, DSA's gap and alpha.

    The instance domain keeps its weight of 1: with Adam only the proportions of the loss's parts count.
    """

    lr: Range = (1e-4, 1e-2)
    similarity: Range = (1.0, 25.0)
    cross_correlation: tuple[float, ...] = (0.0, 1e-3)
    temporal: Range = (0.1, 2.0)
    spatial: Range = (0.1, 2.0)
    instance: Range = (1.0, 1.0)
    gap: tuple[int, ...] = (2, 4, 8)
    alpha: tuple[float, ...] = (0.3, 0.5, 0.7)

    RANGES: ClassVar[tuple[str, ...]] = ("lr", "similarity", "temporal", "spatial", "instance")

    def __post_init__(self) -> None:
        _check(vars(self), self.RANGES)

    def trials(self, count: int, seed: int) -> list[Parameters]:
        """The parameters of `count` trials; the first takes the paper's, where the space holds them."""
        drawn = [_drawn(vars(self), self.RANGES, np.random.default_rng((seed, number))) for number in range(count)]
        return [_known(drawn[0], _PAPER, vars(self), self.RANGES), *drawn[1:]]


@dataclass(frozen=True, kw_only=True)
class ProbeSpace:
    """A linear probe: which solver, gradient descent's learning rate, the exact one's l2."""

    solver: tuple[Solver, ...] = ("descent", "exact")
    lr: Range = (1e-3, 1.0)
    l2: Range = (1e-6, 1.0)

    RANGES: ClassVar[tuple[str, ...]] = ("lr", "l2")

    def __post_init__(self) -> None:
        _check(vars(self), self.RANGES)

    def trials(self, count: int, seed: int) -> list[Parameters]:
        """The parameters of `count` trials; the solvers take turns, and the first of each takes the customary value."""
        trials = []
        for number in range(count):
            solver = self.solver[number % len(self.solver)]
            name = "lr" if solver == "descent" else "l2"
            trial = _drawn({name: vars(self)[name]}, self.RANGES, np.random.default_rng((seed, number)))
            if number < len(self.solver):
                trial = _known(trial, _CUSTOMARY, vars(self), self.RANGES)
            trials.append({"solver": solver, **trial})
        return trials


def _drawn(space: Mapping[str, Any], ranges: Sequence[str], rng: np.random.Generator) -> Parameters:
    return {
        name: _in_range(allowed, rng) if name in ranges else allowed[int(rng.integers(len(allowed)))]
        for name, allowed in space.items()
    }


def _in_range(limits: Range, rng: np.random.Generator) -> float:
    low, high = limits
    rounded = float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.{_DIGITS}g}")
    return min(max(rounded, low), high)


def _known(drawn: Parameters, known: Parameters, space: Mapping[str, Any], ranges: Sequence[str]) -> Parameters:
    """What was drawn, with the known values in place of it where the space holds them."""

    def holds(name: str) -> bool:
        allowed = space[name]
        return bool(allowed[0] <= known[name] <= allowed[1]) if name in ranges else known[name] in allowed

    return {name: known[name] if holds(name) else value for name, value in drawn.items()}


def _check(space: Mapping[str, Any], ranges: Sequence[str]) -> None:
    for name, allowed in space.items():
        if name in ranges and not 0 < allowed[0] <= allowed[1] < math.inf:
            raise ValueError(f"space.{name} is {allowed}; a range goes from above 0 to the same or more")
        if not allowed or (len(set(allowed)) != len(allowed) and name not in ranges):
            raise ValueError(f"space.{name} is {allowed}; give at least one choice, and each once")
