"""The decoders of everybody, and a journal of how they stand, so that no event is told twice.

When the process that decides dies, the next one reads from the journal what had been told, and goes on from there: an
action that goes on is not begun again, one that is over does not come back, and one whose person has gone meanwhile is
ended. What is told is noted before it is told: a process that dies in between leaves something untold, but nothing
doubled.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from ..encoder.bundle import DecodeParameters
from .decode import Decoder, Standing
from .wire import Decision, Event, Glimpse, Scores

Message = TypeVar("Message", Event, Decision | Event)
Person = tuple[str, int]  # camera, track


class Decoders:
    """A decoder for everybody who is seen. `journal` is a file that outlives this process.

    Whoever has not been heard of for `patience_s` is gone: what they did is over.
    """

    def __init__(self, new: Callable[[], Decoder], journal: Path, *, patience_s: float) -> None:
        self._new, self._journal, self._patience_s = new, journal, patience_s
        self._people: dict[Person, Decoder] = {}
        self._heard: dict[Person, float] = {}
        for standing in self._read():
            self._of((standing.camera, standing.track)).go_on(standing)

    def tune(self, parameters: DecodeParameters, silent: frozenset[int]) -> None:
        """Let every decoder go by these thresholds from now on."""
        for decoder in self._people.values():
            decoder.tune(parameters, silent)

    def learn(
        self, classes: Sequence[str], parameters: DecodeParameters, silent: frozenset[int]
    ) -> Iterator[Event]:  # fmt: skip
        """From now on the scores are of these classes: the ends of what is none of them any more."""
        said = [
            event
            for decoder in self._people.values()
            for event in decoder.learn(classes, parameters, silent, time.time())
        ]
        yield from self._noted(said)

    def push(self, scores: Scores) -> Iterator[Decision | Event]:
        """What these scores decide."""
        person = (scores.camera, scores.track)
        yield from self._noted(list(self._of(person).push(scores, time.time())))
        if scores.last:
            self._drop(person)

    def glimpse(self, scores: Scores) -> Glimpse:
        """What these scores say of their newest frame, before anything is decided."""
        return self._of((scores.camera, scores.track)).glimpse(scores)

    def forget(self) -> Iterator[Event]:
        """The ends of what people did who are gone."""
        now = time.monotonic()
        for person in [person for person, heard in self._heard.items() if now - heard > self._patience_s]:
            yield from self._finish(person)

    def close(self, camera: str) -> Iterator[Event]:
        """The ends of what was done before this camera: its stream is over."""
        for person in [person for person in self._people if person[0] == camera]:
            yield from self._finish(person)

    def _finish(self, person: Person) -> Iterator[Event]:
        said = list(self._people[person].finish(time.time()))
        self._drop(person)
        yield from self._noted(said)

    def _of(self, person: Person) -> Decoder:
        self._heard[person] = time.monotonic()
        return self._people.setdefault(person, self._new())

    def _drop(self, person: Person) -> None:
        del self._people[person], self._heard[person]

    def _noted(self, said: list[Message]) -> list[Message]:
        if any(isinstance(message, Event) for message in said):
            stand = [decoder.standing for decoder in self._people.values()]
            unfinished = self._journal.with_suffix(f".{os.getpid()}")
            unfinished.write_text(json.dumps([one for one in stand if one is not None]))
            unfinished.replace(self._journal)
        return said

    def _read(self) -> list[Standing]:
        """How the last ones stood, if there were any: a process of ours wrote it, into a folder of our own."""
        return [Standing(*fields) for fields in json.loads(self._journal.read_text())] if self._journal.exists() else []
