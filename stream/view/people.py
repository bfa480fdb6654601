"""People of one camera as the view knows them: a letter, what they did of late, and what somebody called them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ...encoder.clock import HZ
from ..wire import UNKNOWN, Decision, Named, Tracks
from .snapshot import PersonView, RunView, Skeleton

_STEADY_TICKS = 10  # confidences are means over so many: nobody can read a number that jumps 30 times a second
_TOP = 4
_MOST_NAMES = 1024


@dataclass
class Run:
    """Ticks `first` ... `end - 1` of one label."""

    label: int
    first: int
    end: int
    confidence: float
    ticks: int = 1  # decided as this; an action begins before it is believed, so the run may be longer


@dataclass
class Person:
    """Somebody, and the runs of what they did, oldest first."""

    track: int
    index: int
    runs: deque[Run] = field(default_factory=deque)
    recent: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=_STEADY_TICKS))

    @property
    def letter(self) -> str:
        return chr(ord("A") + self.index % 26) + (str(self.index // 26 + 1) if self.index >= 26 else "")

    def decide(self, message: Decision) -> int:
        """Take a decision in; returns the tick up to which this person is decided."""
        for i, label in enumerate(message.labels):
            tick = message.first_tick + i
            run = self.runs[-1] if self.runs else None
            if run is not None and tick < run.end:
                continue  # said before
            probability = share(message.probabilities[i], label)
            if run is not None and run.end == tick and run.label == label:
                run.end, run.ticks = tick + 1, run.ticks + 1
                run.confidence += (probability - run.confidence) / run.ticks
            else:
                self.runs.append(Run(label, tick, tick + 1, probability))
            self.recent.append(message.probabilities[i])
        return self.runs[-1].end if self.runs else 0

    def began(self, label: int, tick: int) -> None:
        """Move the start of the newest run back to when the action began: it is believed only some ticks later."""
        if not self.runs or self.runs[-1].label != label or self.runs[-1].first <= tick:
            return
        now = self.runs.pop()
        now.first = tick
        while self.runs and self.runs[-1].first >= tick:
            self.runs.pop()
        if self.runs:
            self.runs[-1].end = min(self.runs[-1].end, tick)
        self.runs.append(now)

    def ended(self, label: int, tick: int) -> None:
        """Move the newest end of this label back to when the action was over: that is seen only some ticks later."""
        for run, following in reversed(list(pairwise(self.runs))):
            if run.label == label:
                if run.first < tick < run.end:
                    run.end = following.first = tick
                return

    def relabel(self, labels: Sequence[int]) -> None:
        """Class k is class `labels[k]` from now on."""
        self.recent.clear()
        for run in self.runs:
            run.label = relabelled(run.label, labels)

    def view(self, name: str) -> PersonView:
        """As it is now."""
        view = PersonView(
            track=self.track, person=self.letter, name=name, action=None, confidence=0.0, since=0.0, top=[]
        )
        if self.runs:
            now = self.runs[-1]
            view["action"], view["since"] = now.label, round(now.first / HZ, 3)
            if self.recent:
                mean_K = np.mean(list(self.recent)[-now.ticks :], axis=0)  # nothing from before the action
                likeliest = np.argsort(-mean_K, kind="stable")[:_TOP]
                view["confidence"] = round(share(mean_K, now.label), 3)
                view["top"] = [(int(k), round(float(mean_K[k]), 3)) for k in likeliest]
        return view

    def run_view(self, run: Run) -> RunView:
        """One of the runs, as the timeline draws it."""
        return RunView(
            track=self.track, person=self.letter, action=run.label, start=round(run.first / HZ, 3),
            end=round(run.end / HZ, 3), confidence=round(run.confidence, 3),
        )  # fmt: skip


class Names:
    """What people set as somebody's name, by camera and identity; of two the newer counts, and the oldest go first."""

    def __init__(self) -> None:
        self._named: dict[tuple[str, int], Named] = {}

    def take(self, named: Named) -> bool:
        """Whether this is news."""
        who = (named.camera, named.track)
        if who in self._named and named.at <= self._named[who].at:
            return False
        self._named.pop(who, None)
        self._named[who] = named
        while len(self._named) > _MOST_NAMES:
            del self._named[next(iter(self._named))]
        return True

    def of(self, camera: str, track: int) -> str:
        """The name; "" for none."""
        named = self._named.get((camera, track))
        return named.name if named is not None else ""

    def bearer(self, camera: str, name: str, among: Iterable[int]) -> int | None:
        """Who of these has this name already, upper and lower case alike."""
        return next((track for track in among if self.of(camera, track).casefold() == name.casefold()), None)

    def given(self) -> list[Named]:
        """All of them, in the order in which they were given."""
        return list(self._named.values())


def share(probabilities_K: np.ndarray, label: int) -> float:
    """How sure a label is; the unknown as sure as that it is none of the actions."""
    return float(1 - probabilities_K[1:].max() if label == UNKNOWN else probabilities_K[label])


def relabelled(label: int, labels: Sequence[int]) -> int:
    """What a label is called where class k is class `labels[k]`."""
    return labels[label] if 0 <= label < len(labels) else UNKNOWN


def skeletons(tracks: Tracks, people: Iterable[PersonView]) -> list[Skeleton]:
    """The people of a frame as they are drawn, each with what is known of them."""
    return [
        Skeleton(
            track=view["track"], person=view["person"], name=view["name"], action=view["action"],
            share=view["confidence"],
            pixels=[[round(float(x), 1), round(float(y), 1)] for x, y in pixels],
            confidence=[round(float(c), 2) for c in confidence],
        )
        for view, pixels, confidence in zip(people, tracks.pixels, tracks.confidence, strict=True)
    ]  # fmt: skip
