"""Exams in what was taught: a class of a data set, who may show it, and how whoever is asked about does afterwards.

W window, F frame of a window, K class, D what a learner sees of a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ..encoder.bundle import Bundle, DecodeParameters
from ..encoder.clock import HZ
from ..encoder.taught import grown
from ..stream.showing import LONGEST, Showing
from ..train.metrics import Segment, segment_f1, segments
from ..train.online import SaidEvent
from ..train.splits import part_of
from ..train.store import Entry, Store
from ..train.streams import Stream, one_stream
from ..train.vocabulary import IGNORE, class_map
from .offline import Windowed, events_in, looks_of, score_windows
from .teach_rivals import Learner, Scorer, Together

_HOP = 6  # frames between two windows; live it is 1
_AGE = 4  # of a frame when it is decided
_BEFORE, _AFTER = 64, 16  # frames around a clip that its showing keeps
_SHORTEST = 8  # frames of a clip
_QUIET = ("background", "still")  # native classes in which nothing is done


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How whoever was asked about does: the share of the clips' frames on which the new action is the likeliest, and of
    the clips that an event of it meets; how often an hour it is said where it is not; the share of the frames of known
    actions that it takes; frame accuracy and event F1 (IoU 0.5) of the old classes, before and after."""

    frames: float
    events: float
    false_an_hour: float
    taken: float
    accuracy_before: float
    accuracy_after: float
    f1_before: float
    f1_after: float


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One time that the class was done: frames `first` to `last` of a stream."""

    stream: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A stream with the set's own labels and ours; its window scores; what each learner sees in them (W, F, D)."""

    stream: Stream
    ours_T: NDArray[np.int16]
    windowed: Windowed
    seen: dict[str, NDArray[np.float16]]


class Exam:
    """One class of a set: `told` says what the model was told of it, "unnamed" or "background"."""

    def __init__(self, bundle: Bundle, scored: Sequence[Scored], store: Store, number: int, told: str) -> None:
        self._number = number
        self.dataset, self.action, self.told = store.dataset, store.classes[number], told
        self._config, self._scored = bundle.config, scored
        self.clips = [
            Clip(stream=i, first=int(run.start), last=min(int(run.end), int(run.start) + LONGEST) - 1)
            for i, one in enumerate(scored)
            for run in segments((one.stream.labels == number).astype(np.int64))
            if run.end - run.start >= _SHORTEST
        ]

    def drawn(self, same: bool, count: int, rng: np.random.Generator) -> tuple[list[Clip], str] | None:
        """So many clips to be shown, and the person who is asked about; None if there are too few."""
        people = sorted({self._who(clip) for clip in self.clips})
        for subject in rng.permutation(people).tolist():
            own = [clip for clip in self.clips if self._who(clip) == subject]
            pool = own if same else [clip for clip in self.clips if self._who(clip) != subject]
            if len(pool) >= count and len(own) > (count if same else 0):
                return [pool[i] for i in rng.permutation(len(pool))[:count]], subject
        return None

    def showing(self, clip: Clip) -> Showing:
        """A clip with what came before and after it."""
        joints_TVC = self._scored[clip.stream].stream.joints[:, 0]
        begin, end = max(clip.first - _BEFORE, 0), min(clip.last + 1 + _AFTER, len(joints_TVC))
        return Showing(joints_TVC=np.asarray(joints_TVC[begin:end]), first=clip.first - begin, last=clip.last - begin)

    def ask(self, learner: str, scorer: Scorer, subject: str, shown: Sequence[Clip]) -> Asked:
        """How this person does, by what a learner made of the clips that were shown."""
        classes, decode = len(self._config.classes), self._config.decode
        on: list[NDArray[np.bool_]] = []
        met: list[bool] = []
        false, hours = 0, 0.0
        taken, known = 0, 0
        right, counted = np.zeros(2), 0
        told: tuple[list[list[Segment]], list[list[Segment]]] = [], []
        truth: list[list[Segment]] = []
        for i, one in enumerate(self._scored):
            if one.stream.subject != subject:
                continue
            new_WF = scorer(one.seen[learner].astype(np.float32))
            logits_WFK = np.concatenate((one.windowed.logits_WFK, new_WF[..., None]), axis=-1)
            wider = replace(one.windowed, logits_WFK=logits_WFK)
            said = _events(one.windowed, decode, classes), _events(wider, grown(decode, classes, 1), classes + 1)
            at_W = one.windowed.ends - _AGE
            newest_W, known_W = logits_WFK[:, -1 - _AGE].argmax(axis=-1) == classes, one.ours_T[at_W] > 0
            taken, known = taken + int(newest_W[known_W].sum()), known + int(known_W.sum())
            of_it = [event for event in said[1] if event.label == classes]
            here = [clip for clip in self.clips if clip.stream == i]
            for clip in here:
                if clip not in shown:
                    on.append(newest_W[(at_W >= clip.first) & (at_W <= clip.last)])
                    met.append(any(_meet(event, clip) for event in of_it))
            false += sum(not any(_meet(event, clip) for clip in here) for event in of_it)
            hours += len(one.stream.labels) / HZ / 3600
            counts_T = (one.ours_T != IGNORE) & (one.stream.labels != self._number)  # it is background no more
            counted += int(counts_T.sum())
            for kind, events in enumerate(said):
                decided_T = _decided(events, len(counts_T))
                right[kind] += (decided_T[counts_T] == one.ours_T[counts_T]).sum()
                told[kind].append(_of_known(events, one.ours_T, classes))
            spans = segments(np.where(counts_T, one.ours_T, 0).astype(np.int64))
            truth.append([Segment(s.label, s.start / HZ, s.end / HZ) for s in spans])
        accuracy = right / max(counted, 1)
        return Asked(
            frames=float(np.concatenate(on).mean()), events=float(np.mean(met)), false_an_hour=false / hours,
            taken=taken / max(known, 1), accuracy_before=float(accuracy[0]), accuracy_after=float(accuracy[1]),
            f1_before=segment_f1(told[0], truth, 0.5), f1_after=segment_f1(told[1], truth, 0.5),
        )  # fmt: skip

    def _who(self, clip: Clip) -> str:
        return self._scored[clip.stream].stream.subject


def exams(bundle: Bundle, store: Store, learners: Sequence[Learner], most: int, seed: int) -> Iterator[Exam]:
    """The exams that a set has for people whom no training saw: at most so many classes of either kind."""
    to_ours = class_map(store.dataset, store.classes)
    own = np.arange(len(store.classes), dtype=np.int16)
    together = Together(learners)
    scored: list[Scored] = []
    for name, entries in _streams([e for e in store.entries if part_of(store.dataset, e.subject) != "train"]):
        stream = one_stream(store, name, entries, own)
        ours_T = np.where(stream.labels >= 0, to_ours[np.maximum(stream.labels, 0)], IGNORE).astype(np.int16)
        windowed = score_windows(together, stream, _HOP)
        logits_WFK, *seen = np.split(windowed.logits_WFK, np.cumsum(together.widths)[:-1], axis=-1)
        scored.append(
            Scored(
                stream=stream, ours_T=ours_T, windowed=replace(windowed, logits_WFK=np.ascontiguousarray(logits_WFK)),
                seen={one.name: part.astype(np.float16) for one, part in zip(learners, seen, strict=True)},
            )
        )  # fmt: skip
    rng = np.random.default_rng(seed)
    for told, value in (("unnamed", IGNORE), ("background", 0)):
        numbers = [k for k in np.flatnonzero(to_ours == value).tolist() if store.classes[k] not in _QUIET]
        made = [Exam(bundle, scored, store, number, told) for number in rng.permutation(numbers).tolist()]
        yield from [exam for exam in made if len(exam.clips) > 1][:most]


def _streams(entries: Sequence[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Untrimmed recordings by themselves, and the others of a person and view together."""
    yield from ((entry.name, [entry]) for entry in entries if not entry.trimmed)
    trimmed = sorted((e for e in entries if e.trimmed), key=lambda e: (e.subject, e.view, e.start))
    for key, group in groupby(trimmed, key=lambda e: (e.subject, e.view)):
        yield "/".join(key), list(group)


def _events(windowed: Windowed, parameters: DecodeParameters, classes: int) -> list[SaidEvent]:
    return events_in(looks_of(windowed, parameters.delay, parameters.temperature), classes, parameters)


def _meet(event: SaidEvent, clip: Clip) -> bool:
    return event.start * HZ <= clip.last and event.end * HZ >= clip.first


def _decided(events: Sequence[SaidEvent], frames: int) -> NDArray[np.int64]:
    """The label of every frame; what is unknown is no action."""
    decided_T = np.zeros(frames, np.int64)
    for event in events:
        decided_T[round(event.start * HZ) : round(event.end * HZ)] = max(event.label, 0)
    return decided_T


def _of_known(events: Sequence[SaidEvent], ours_T: NDArray[np.int16], classes: int) -> list[Segment]:
    """The events of old classes where it is known what was done."""
    return [
        Segment(e.label, e.start, e.end) for e in events
        if e.label in range(1, classes) and (ours_T[int(e.start * HZ) : int(e.end * HZ) + 1] != IGNORE).any()
    ]  # fmt: skip
