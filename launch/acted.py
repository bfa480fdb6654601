"""The data sets that our own drawn people act: there are no files of them, a seed is all that it takes.

`actor` is the choreography of every action of the vocabulary; `daily` is what people do all day in a room, nearly all
of it background, and an hour of it tests for false alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..stream.acting.daily import TURN, Daily
from ..stream.actor import Performance, Script
from ..train.datasets import Reader
from ..train.recording import Recording
from ..train.vocabulary import CLASSES

_LICENCE = "Apache-2.0 (our own choreography)"
_SECONDS = 60.0  # a recording, and with it a body, a look and a camera
_HZ = 15.0  # their movements are smooth: interpolation to 30 Hz changes nothing

# Seeds that the live actor (small numbers) does not play.
TEST_SEEDS = range(3000, 3004)
_ACTOR_SEEDS = {"train": range(1000, 1014), "val": range(2000, 2002), "test": TEST_SEEDS}
_DAILY_SEEDS = {"train": range(1000, 1040), "val": range(2000, 2010), "test": range(3000, 3060)}


def _acted(
    dataset: str,
    play: Callable[[int, float], Performance],
    seeds: Mapping[str, Sequence[int]],
    classes: tuple[str, ...],
    raw: Path,
) -> Iterator[Recording]:
    """The scripts as recordings, each part with seeds of its own; `raw` is not looked at."""
    for part, of_part in seeds.items():
        for seed in of_part:
            script = play(seed, _SECONDS)
            times_s = np.arange(int(_SECONDS * _HZ)) / _HZ
            yield Recording(
                name=f"{dataset}/{seed}", subject=f"{dataset}/{part}", view="", trimmed=False, times_s=times_s,
                joints=np.stack([script.pose(t) for t in times_s])[:, None],
                labels=np.array([classes.index(script.truth(t)) for t in times_s], np.int16),
            )  # fmt: skip


def _reader(
    dataset: str,
    play: Callable[[int, float], Performance],
    seeds: Mapping[str, Sequence[int]],
    classes: tuple[str, ...],
) -> Reader:
    return Reader(classes, partial(_acted, dataset, play, seeds, classes), _LICENCE)


ACTED: dict[str, Reader] = {
    "actor": _reader("actor", Script, _ACTOR_SEEDS, CLASSES),
    "daily": _reader("daily", Daily, _DAILY_SEEDS, (*CLASSES, TURN)),
}
