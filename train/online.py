"""What a live user feels: how good each frame is, how soon an action is said, how often in vain, how steadily.

- per-frame average precision and its calibrated kind (De Geest et al., "Online Action Detection", ECCV 2016): classes
  are rare in a stream, so the precision c TP / (c TP + FP) weighs the negatives down to as many as the positives;
- the time to detection: how long after the true start the action was first *said*, whatever start was said then;
- false events: actions that nobody did at any moment of theirs; and changes of what is shown.

Frames whose truth is `IGNORE` count for nothing. Events and actions are `metrics.Segment`s in seconds of the stream.
Shapes: T frames, K classes, N frames of all streams. Class 0 is the background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .metrics import Labels, Segment
from .vocabulary import IGNORE

# What is said half a second after the action has ended is still an answer to it; what began half a second before the
# annotated start may be the action too, for annotators do not agree to the frame either.
GRACE_S = 0.5


def frame_average_precision(
    scores_N: NDArray[np.floating], positive_N: NDArray[np.bool_], *, calibrated: bool
) -> float:
    """The mean, over the positive frames, of the precision down to each of them in the order of falling scores; 0 to 1.

    De Geest et al. (ECCV 2016); `calibrated` with c = negatives / positives. Frames of equal score enter
    together, so that the order in which they are given does not matter. ValueError without any positive frame.
    """
    if scores_N.shape != positive_N.shape or scores_N.ndim != 1:
        raise ValueError(f"scores {scores_N.shape} and truth {positive_N.shape} must both be (N,)")
    positives = int(positive_N.sum())
    if positives == 0:
        raise ValueError("no frame is positive, so there is no average precision; leave such a class out")
    negatives = positive_N.size - positives
    if negatives == 0:
        return 1.0
    order = np.argsort(-scores_N.astype(np.float64), kind="stable")
    falling, hit = scores_N[order].astype(np.float64), positive_N[order]
    ends = np.flatnonzero(np.append(np.diff(falling) != 0, True))
    hits, seen = np.cumsum(hit)[ends], ends + 1
    weight = negatives / positives if calibrated else 1.0
    precision = weight * hits / (weight * hits + (seen - hits))
    return float((precision * np.diff(hits, prepend=0)).sum() / positives)


def frame_map(
    probabilities: Sequence[NDArray[np.floating]], truth: Sequence[Labels], *, calibrated: bool, background: int = 0
) -> float:
    """The mean over the actions that occur of `frame_average_precision`; NaN if none does.

    `probabilities` (T, K) and `truth` (T,) are of one stream each; all known frames are ranked together.
    ValueError for no streams, or shapes that disagree.
    """
    if not probabilities or len(probabilities) != len(truth):
        raise ValueError(f"{len(probabilities)} streams of probabilities but {len(truth)} of truth; give one each")
    for scores, labels in zip(probabilities, truth, strict=True):
        if scores.ndim != 2 or labels.shape != scores.shape[:1]:
            raise ValueError(f"probabilities {scores.shape} and truth {labels.shape} must be (T, K) and (T,)")
    known = [labels != IGNORE for labels in truth]
    scores_NK = np.concatenate([scores[k] for scores, k in zip(probabilities, known, strict=True)])
    labels_N = np.concatenate([labels[k] for labels, k in zip(truth, known, strict=True)])
    occurring = [int(label) for label in np.unique(labels_N) if label != background]
    found = [frame_average_precision(scores_NK[:, k], labels_N == k, calibrated=calibrated) for k in occurring]
    return sum(found) / len(found) if found else math.nan


@dataclass(frozen=True, slots=True)
class SaidEvent(Segment):
    """An event, and the second of the stream at which it was first said: the time of the newest frame seen by then."""

    said_s: float


def times_to_detection(said: Sequence[SaidEvent], truth: Sequence[Segment]) -> list[float]:
    """How many seconds after its true start each true action was first said; `inf` for one that never was.

    An event answers an action of its class if they overlap and it was said before the action's end + `GRACE_S`. Said
    before the action began, it answers only if it also starts within `GRACE_S` of it, and counts as 0 s: an event
    that had run since long before (an earlier action of the class that was never ended, a false alarm) told nobody
    that this one began. An event answers one action; actions, in the order of their starts, take the event that was
    said first. The times are in the order of `truth`.
    """
    free = sorted(said, key=lambda event: event.said_s)
    found = [math.inf] * len(truth)
    for i in sorted(range(len(truth)), key=lambda i: truth[i].start):
        answer = next((event for event in free if _answers(event, truth[i])), None)
        if answer is not None:
            free.remove(answer)
            found[i] = max(answer.said_s - truth[i].start, 0.0)
    return found


def _answers(event: SaidEvent, action: Segment) -> bool:
    overlap = min(event.end, action.end) > max(event.start, action.start)
    if event.label != action.label or not overlap or event.said_s >= action.end + GRACE_S:
        return False
    return event.said_s >= action.start or abs(event.start - action.start) <= GRACE_S


@dataclass(frozen=True, kw_only=True)
class DetectionTimes:
    """Of all true actions: the share that was said at all, and when, in ms after the true start.

    `median_ms` and `p90_ms` are over those that were said (NaN if none was); `median_of_all_ms` counts the missed as
    infinitely late, so that a system cannot look quick by staying silent about what is hard.
    """

    actions: int
    detected: float
    median_ms: float
    p90_ms: float
    median_of_all_ms: float

    @classmethod
    def of(cls, times_s: Sequence[float]) -> DetectionTimes:
        """From `times_to_detection` of any number of streams; all NaN if there was no action."""
        if not times_s:
            return cls(actions=0, detected=math.nan, median_ms=math.nan, p90_ms=math.nan, median_of_all_ms=math.nan)
        times_ms = 1000 * np.array(times_s)
        finite_ms = times_ms[np.isfinite(times_ms)]
        median, p90 = np.percentile(finite_ms, [50, 90]).tolist() if finite_ms.size else (math.nan, math.nan)
        return cls(
            actions=len(times_s), detected=finite_ms.size / len(times_s), median_ms=median, p90_ms=p90,
            median_of_all_ms=float(np.median(times_ms)),
        )  # fmt: skip


def false_events(events: Sequence[Segment], truth: Labels, hz: float) -> int:
    """How many of a stream's events name an action that nobody does at any moment of the event.

    `label`s are classes as in `truth` (T,); frame i is at i / hz seconds. Where the truth is not known nobody can say:
    an event counts as false only if more than half of its frames are known and none of them shows its action.
    """
    count = 0
    for event in events:
        first = min(max(round(event.start * hz), 0), max(len(truth) - 1, 0))
        during = truth[first : max(round(event.end * hz), first + 1)]
        known = during != IGNORE
        count += int(2 * known.sum() > during.size and not (during == event.label).any())
    return count


def switches(labels: Labels) -> int:
    """How often the label (T,) changes from one frame to the next, to and from background and unknown included."""
    return int((np.diff(labels.astype(np.int64)) != 0).sum())
