"""Decode: the overlapping scores of a person's windows become one decision a frame, and decisions become events.

A frame is seen by many windows, and the later one knows better: it has seen more of what came after. So all that was
said of a frame is averaged, every window counting twice as much as the one before it, and goes on being revised while
the frame is within `LOOK` ticks of the newest: a *look* back. What is decided of a frame `delay` ticks after it was
seen is final; when an action began, and how sure it is, is read off the whole look.

An action began, if at all, at the frame of the look from which its probability has gathered most above `enter` up to
the newest that is decided (as CUSUM has it). It is believed when that is `belief` at least: at once where the detector
is sure, later where it is not; and when it has lasted `min_frames`. It ends in the same way when `doubt` has gathered
below `leave`, or another action is believed in its place. What is none of the classes, or hardly seen, is unknown.

Pure: no clock of its own, no sockets. The same scores give the same decisions, live or from a file.

Shapes: W look, L tick of a look (`LOOK`), n tick, K class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..encoder.bundle import LOOK, DecodeParameters, of_class
from ..encoder.clock import HZ
from ..encoder.taught import grown
from .wire import UNKNOWN, Decision, Event, EventKind, Glimpse, Scores

F64 = NDArray[np.float64]

_OLDER = 0.5  # what a window still counts when the next one has said something of the same frame
_KEPT = 64 + LOOK  # ticks: whatever is not decided yet, and the look before it


class Standing(NamedTuple):
    """How a decoder stands: what another one of the same person must know to go on without telling anything twice."""

    camera: str
    track: int
    t: float  # of the newest frame that was heard of, which was captured at `captured_at`
    captured_at: float
    end: int  # one past the newest tick
    label: int  # what holds, since tick `since`
    since: int
    told: int = 0  # the tick at which the action that goes on was last told of, and its confidence so far
    total: float = 0.0
    frames: int = 0
    taught: tuple[str, ...] = ()  # the actions behind the bundle's own classes


class Decoder:
    """The decoder of one person. Call `push` with the person's `Scores` in the order of their index.

    `delay` ticks pass between a frame and its decision.
    """

    def __init__(self, classes: Sequence[str], parameters: DecodeParameters) -> None:
        self.classes, self.parameters = tuple(classes), parameters
        self._own = len(classes)  # the classes that are not taught
        self._hindsight = Hindsight(len(classes), parameters.delay, parameters.temperature)
        self._segmenter = Segmenter(len(classes), parameters)
        self._running: _Running | None = None
        self._newest: _Newest | None = None
        self._label = 0

    @property
    def standing(self) -> Standing | None:
        """How it stands; None before the first scores."""
        if self._newest is None:
            return None
        running = self._running
        standing = Standing(*self._newest, *self._segmenter.holds, taught=self.classes[self._own :])
        if running is None:
            return standing
        return standing._replace(told=running.told, total=running.total, frames=running.frames)

    def go_on(self, standing: Standing) -> None:
        """Take over from a decoder that is no more. ValueError if it had other classes."""
        taught = tuple(standing.taught)
        if taught != self.classes[self._own :]:
            own = self.classes[: self._own]
            self._know((*own, *taught), grown(self.parameters, len(own), len(taught)), frozenset())
        if not UNKNOWN <= standing.label < len(self.classes):
            raise ValueError(f"what holds is class {standing.label}, and there are {len(self.classes)}")
        self._newest = _Newest(
            standing.camera, standing.track, standing.t, standing.captured_at, standing.end
        )  # fmt: skip
        self._label = standing.label
        if standing.label != 0:
            self._running = _Running(
                standing.label, standing.since / HZ, standing.told, standing.total, standing.frames
            )
        self._segmenter.go_on(standing.label, standing.since)

    def tune(self, parameters: DecodeParameters, silent: frozenset[int]) -> None:
        """Go by these thresholds from now on, and never say the classes that are `silent`. What is known stays."""
        assert (parameters.delay, parameters.temperature) == (self.parameters.delay, self.parameters.temperature)
        self.parameters = parameters
        self._segmenter.tune(parameters, silent)

    def learn(
        self, classes: Sequence[str], parameters: DecodeParameters, silent: frozenset[int], now: float
    ) -> Iterator[Event]:  # fmt: skip
        """From now on the scores are of these classes: the bundle's own, and what is taught now. What is known of
        those that stay is kept; an action that is none of them any more ends."""
        names = tuple(classes)
        if self._label > 0 and self.classes[self._label] not in names:
            yield from self.finish(now)
            self._segmenter.go_on(0, self._segmenter.holds[1])
            self._label = 0
        self._know(names, parameters, silent)

    def _know(self, names: tuple[str, ...], parameters: DecodeParameters, silent: frozenset[int]) -> None:
        """The classes are these; what holds is one of them."""
        was = [self.classes.index(name) if name in self.classes else None for name in names]
        if self._label > 0:
            self._label = names.index(self.classes[self._label])
            self._segmenter.go_on(self._label, self._segmenter.holds[1])
            if self._running is not None:
                self._running.label = self._label
        self.classes, self.parameters = names, parameters
        self._hindsight.learn(was)
        self._segmenter.learn(len(names), parameters, silent)

    @property
    def delay(self) -> int:
        """Ticks between a frame and its decision."""
        return self.parameters.delay

    def push(self, scores: Scores, now: float) -> Iterator[Decision | Event]:
        """What these scores decide; `now` is the Unix time that goes into the messages."""
        end = scores.first_tick + len(scores.logits)
        self._newest = _Newest(scores.camera, scores.track, scores.t, scores.captured_at, end)
        look = self._hindsight.push(scores)
        if look is not None:
            first, end = int(look.first_W[0]), int(look.end_W[0])
            probabilities_nK = self._hindsight.probabilities(range(first, end))
            labels = [self._label] * (end - first)
            turns = [turn for _, turn in self._segmenter.push(look)]
            for turn in turns:
                self._label = turn.label
                from_ = max(turn.tick - first, 0)
                labels[from_:] = [turn.label] * (len(labels) - from_)
            yield Decision(
                camera=scores.camera, t=scores.t, captured_at=scores.captured_at, track=scores.track, first_tick=first,
                labels=tuple(labels), probabilities=probabilities_nK.astype(np.float32), decided_at=now,
            )  # fmt: skip
            for turn in turns:
                yield from self._close(turn.tick / HZ, now)
                if turn.label != 0:
                    self._running = _Running(turn.label, turn.tick / HZ, told=end)
                    self._running.see(look.probabilities_WLK[0, max(turn.tick - end, -LOOK) :])
                    yield self._event("start", self._running, None, now)
            if self._running is not None and not turns:
                self._running.see(probabilities_nK)
                if end - self._running.told >= HZ:  # once a second, for whoever came late
                    self._running.told = end
                    yield self._event("update", self._running, None, now)
        if scores.last:
            yield from self.finish(now)

    def glimpse(self, scores: Scores) -> Glimpse:
        """What these scores say of their newest frame, before anything is decided."""
        shares_1K, _ = _softmax(scores.logits[-1:].astype(np.float64) / self.parameters.temperature)
        return Glimpse(
            camera=scores.camera, t=scores.t, captured_at=scores.captured_at, track=scores.track,
            tick=scores.first_tick + len(scores.logits) - 1, probabilities=shares_1K[0].astype(np.float32),
            evidence=scores.evidence,
        )  # fmt: skip

    def finish(self, now: float) -> Iterator[Event]:
        """The person is gone: what they did ended with the last frame that was heard of."""
        if self._newest is not None:
            yield from self._close(self._newest.end / HZ, now)

    def _close(self, t_end: float, now: float) -> Iterator[Event]:
        running, self._running = self._running, None
        if running is not None:
            yield self._event("end", running, max(t_end, running.t_start), now)

    def _event(self, kind: EventKind, running: _Running, t_end: float | None, now: float) -> Event:
        assert self._newest is not None
        newest = self._newest
        return Event(
            camera=newest.camera, t=newest.t, captured_at=newest.captured_at, kind=kind, track=newest.track,
            action="unknown" if running.label == UNKNOWN else self.classes[running.label], t_start=running.t_start,
            t_end=t_end, confidence=running.confidence, decided_at=now,
        )  # fmt: skip


class _Newest(NamedTuple):
    """What was heard of last."""

    camera: str
    track: int
    t: float
    captured_at: float
    end: int


@dataclass
class _Running:
    label: int
    t_start: float
    told: int  # the tick at which it was last told of
    total: float = 0.0
    frames: int = 0

    def see(self, probabilities_nK: NDArray[np.floating]) -> None:
        # The unknown is as likely as that none of the actions is meant.
        of_it = 1 - probabilities_nK[:, 1:].max(axis=1) if self.label == UNKNOWN else probabilities_nK[:, self.label]
        self.total += float(of_it.sum())
        self.frames += len(of_it)

    @property
    def confidence(self) -> float:
        return self.total / max(self.frames, 1)


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Looks back, one a window: what is known by then of the `LOOK` ticks that end before tick `end`.

    `probabilities_WLK` and `energy_WL`; the ticks `first` ... `end - 1` were not decided by the look before.
    `seen_W` is the newest tick that had been seen, `evidence_W` how much of the person was.
    """

    probabilities_WLK: NDArray[np.float32]
    energy_WL: NDArray[np.float32]
    first_W: NDArray[np.int64]
    end_W: NDArray[np.int64]
    seen_W: NDArray[np.int64]
    evidence_W: NDArray[np.float64]

    @classmethod
    def stacked(cls, looks: Sequence[Looks]) -> Looks:
        """Those of a whole stream as one; ValueError for none."""
        if not looks:
            raise ValueError("a stream without windows decides nothing; give one of at least one frame")
        names = ("probabilities_WLK", "energy_WL", "first_W", "end_W", "seen_W", "evidence_W")
        return cls(**{name: np.concatenate([getattr(look, name) for look in looks]) for name in names})


class Hindsight:
    """What all windows that have come say of the newest ticks, and which of these are decided."""

    def __init__(self, classes: int, delay: int, temperature: float) -> None:
        self._classes, self._delay, self._temperature = classes, delay, temperature
        self._sum = np.zeros((_KEPT, classes + 1))  # of the probabilities and the energy, each tick's newest last
        self._weight = np.zeros((_KEPT, 1))
        self._end: int | None = None  # one past the newest tick
        self._decided_to = 0

    def learn(self, was: Sequence[int | None]) -> None:
        """From now on these are the classes, by the number that each had; None: it is new, and nothing is known of it
        but that nobody thought of it."""
        kept = np.zeros((_KEPT, len(was) + 1))
        for k, before in enumerate(was):
            if before is not None:
                kept[:, k] = self._sum[:, before]
        kept[:, -1] = self._sum[:, -1]
        self._sum, self._classes = kept, len(was)

    def push(self, scores: Scores) -> Looks | None:
        """The look back that these scores allow, with W = 1; None while they decide nothing."""
        end = scores.first_tick + len(scores.logits)
        if self._end is None:
            self._end, self._decided_to = end, end - scores.valid
        self._advance(end - self._end)
        self._end = end
        # The first columns, up to `valid`, show no frame of their own but the repeated first.
        said_FK = scores.logits[len(scores.logits) - scores.valid :].astype(np.float64)
        shares_FK, _ = _softmax(said_FK / self._temperature)
        _, energy_F1 = _softmax(said_FK)
        self._sum *= _OLDER
        self._weight *= _OLDER
        self._sum[-len(said_FK) :] += np.concatenate((shares_FK, energy_F1), axis=1)
        self._weight[-len(said_FK) :] += 1

        decides_to = end if scores.last else end - self._delay
        if decides_to <= self._decided_to:
            return None
        known = self._rows(range(decides_to - LOOK, decides_to))
        look = Looks(
            probabilities_WLK=known[None, :, :-1].astype(np.float32), energy_WL=known[None, :, -1].astype(np.float32),
            first_W=np.array([self._decided_to]), end_W=np.array([decides_to]), seen_W=np.array([end - 1]),
            evidence_W=np.array([scores.evidence]),
        )  # fmt: skip
        self._decided_to = decides_to
        return look

    def probabilities(self, ticks: range) -> F64:
        """The probabilities (n, K) of these ticks, as far as they are known now."""
        return self._rows(ticks)[:, :-1]

    def _advance(self, ticks: int) -> None:
        if ticks > 0:
            for kept in (self._sum, self._weight):
                kept[:-ticks] = kept[ticks:]
                kept[-ticks:] = 0

    def _rows(self, ticks: range) -> F64:
        """The mean of what was said of each tick (n, K + 1); an even guess where no window has shown it."""
        assert self._end is not None
        columns = np.arange(ticks.start, ticks.stop) - self._end + _KEPT
        inside = columns >= 0
        rows = np.full((len(ticks), self._classes + 1), 1 / self._classes)
        rows[:, -1] = np.inf  # of what nobody has shown nothing is strange
        weight_n1 = np.where(inside[:, None], self._weight[np.maximum(columns, 0)], 0)
        np.divide(self._sum[np.maximum(columns, 0)], weight_n1, out=rows, where=weight_n1 > 0)
        return rows


def _softmax(logits_FK: F64) -> tuple[F64, F64]:
    """The shares of the classes (F, K), and the logarithm of the sum of exponentials (F, 1) that divides them."""
    largest_F1 = logits_FK.max(axis=1, keepdims=True)
    powers_FK = np.exp(logits_FK - largest_F1)
    sum_F1 = powers_FK.sum(axis=1, keepdims=True)
    return powers_FK / sum_F1, largest_F1 + np.log(sum_F1)


class Turn(NamedTuple):
    """From tick `tick` on, the label is `label`."""

    label: int
    tick: int


class Segmenter:
    """Which label holds from when on, look after look: `push` them in order, one by one or many at once."""

    def __init__(self, classes: int, parameters: DecodeParameters) -> None:
        self._classes = classes
        self._label, self._since = 0, 0  # what holds, from which tick on
        self._met = False
        self.tune(parameters)

    def tune(self, parameters: DecodeParameters, silent: frozenset[int] = frozenset()) -> None:
        """Go by these thresholds from the next look on; `silent` classes are never said."""
        p = self.parameters = parameters
        actions = range(1, self._classes)  # A: K without the background
        self._enter_A = np.array([np.inf if k in silent else of_class(p.enter, k) for k in actions], np.float32)
        self._belief_A = np.array([of_class(p.belief, k) for k in actions], np.float32)
        self._least_A = np.array([of_class(p.min_frames, k) for k in actions], np.int64)
        self._silent = silent

    def learn(self, classes: int, parameters: DecodeParameters, silent: frozenset[int]) -> None:
        """From the next look on there are so many classes."""
        self._classes = classes
        self.tune(parameters, silent)

    @property
    def holds(self) -> tuple[int, int]:
        """The label that holds, and since which tick."""
        return self._label, self._since

    def go_on(self, label: int, since: int) -> None:
        """Take over from a segmenter that is no more: this label holds since that tick."""
        self._met, self._label, self._since = True, label, since

    def push(self, looks: Looks) -> Iterator[tuple[int, Turn]]:
        """The turns that these looks bring, each with the index of its look."""
        if not self._met:
            self._met, self._since = True, int(looks.first_W[0])
        gain_WLA = looks.probabilities_WLK[:, ::-1, 1:] - self._enter_A  # the newest first
        surplus_WA = np.cumsum(gain_WLA, axis=1).max(axis=1) - self._belief_A
        dark_W = looks.evidence_W < self.parameters.min_evidence
        strange_W = self._strange(looks.energy_WL)
        idle_W = ~(dark_W | strange_W | (surplus_WA >= 0).any(axis=1))
        for w in range(len(idle_W)):
            if self._label != 0 or not idle_W[w]:
                if dark_W[w]:
                    turns = self._hidden(int(looks.first_W[w]))
                else:
                    turns = self._seen(looks, w, surplus_WA[w], bool(strange_W[w]))
                yield from ((w, turn) for turn in turns)

    def _hidden(self, first: int) -> Iterator[Turn]:
        """Of whom too little is seen, nobody can say what they do."""
        if self._label != UNKNOWN:
            yield self._to(UNKNOWN, first)

    def _seen(self, looks: Looks, w: int, surplus_A: NDArray[np.float32], strange: bool) -> Iterator[Turn]:
        p, end, rows_LK = self.parameters, int(looks.end_W[w]), looks.probabilities_WLK[w]
        if self._label in self._silent:
            yield self._to(0, int(looks.first_W[w]))
        elif self._label > 0:
            loss_n = of_class(p.leave, self._label) - self._recent(rows_LK[:, self._label], end)
            doubt, frames = _most(loss_n)
            if doubt > 0 and doubt >= of_class(p.doubt, self._label):
                yield self._to(0, self._edge(rows_LK, end - frames, end))
        elif self._label == UNKNOWN and not self._strange(looks.energy_WL[w], every=False):
            yield self._to(0, int(looks.first_W[w]))
        believed = self._believed(rows_LK, end, surplus_A)
        if believed is not None:
            yield self._to(*believed)
        elif strange and self._label == 0 and end - self._since >= p.unknown_frames:
            yield self._to(UNKNOWN, end - p.unknown_frames)

    def _believed(self, rows_LK: NDArray[np.float32], end: int, surplus_A: NDArray[np.float32]) -> Turn | None:
        """The action that is surest, from when on, if what came since the last turn is enough to believe it."""
        for a in np.argsort(-surplus_A, kind="stable").tolist():
            if surplus_A[a] < 0 or a + 1 == self._label:
                return None
            belief, frames = _most(self._recent(rows_LK[:, a + 1], end) - self._enter_A[a])
            if belief > 0 and belief >= self._belief_A[a] and frames >= self._least_A[a]:
                return Turn(a + 1, self._edge(rows_LK, end - frames, end))
        return None

    def _recent(self, values_L: NDArray[np.float32], end: int) -> NDArray[np.float32]:
        """Of values a tick those since the last turn, the newest first."""
        return values_L[::-1][: max(end - self._since, 0)]

    def _strange(self, energy: NDArray[np.float32], *, every: bool = True) -> NDArray[np.bool_]:
        """Whether the last frames' energy (..., L) is too low for what was learned: that of every one, or of any."""
        if self.parameters.unknown is None:
            return np.zeros(energy.shape[:-1], np.bool_)
        low = energy[..., -self.parameters.unknown_frames :] < self.parameters.unknown
        return np.asarray(low.all(axis=-1) if every else low.any(axis=-1))

    def _edge(self, rows_LK: NDArray[np.float32], tick: int, end: int) -> int:
        """Where, within `boundary` of `tick`, one movement passes into another, whatever they are: the largest
        Hellinger distance between the mean probabilities of as many frames just before and just after."""
        reach = self.parameters.boundary
        middle = tick - end + LOOK
        places = range(max(middle - reach, 1), min(middle + reach, LOOK - 1) + 1)
        if reach == 0 or not places:
            return tick
        before_PK, after_PK = (
            np.sqrt([rows_LK[max(i + side, 0) : i + side + reach].mean(axis=0) for i in places]) for side in (-reach, 0)
        )
        return places[int(np.square(after_PK - before_PK).sum(axis=1).argmax())] + end - LOOK

    def _to(self, label: int, tick: int) -> Turn:
        """Note the turn: no earlier than the last one, and an event has a frame at least."""
        self._label, self._since = label, max(tick, self._since + int(self._label != 0))
        return Turn(label, self._since)


def _most(gain_n: NDArray[np.float32]) -> tuple[float, int]:
    """The most that gains, the newest first, gather from the newest backwards, and over how many frames."""
    if not gain_n.size:
        return -np.inf, 0
    gathered_n = np.cumsum(gain_n)
    last = int(gathered_n.argmax())
    return float(gathered_n[last]), last + 1
