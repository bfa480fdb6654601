"""How good decided frames are: frame accuracy, confusion, and the segment measures F1, edit score and event F1.

One segment type and one matching rule (`claims`) serve every measure here and the average precision next door
(`average_precision.py`), so that a hit means the same in all of them.

Frames whose truth is `IGNORE` (-1) count for nothing. For the segment measures a stream is *cut* there: what was
predicted on such frames is struck out (`without_ignored`), and a run ends where the known frames end, in the truth and
in the prediction alike. Taking the frames out and closing the gap instead would weld actions together that were
minutes apart.

Shapes: T frames, K classes. Class 0 is the background.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .vocabulary import IGNORE

Labels = NDArray[np.integer]
Event = tuple[str, float, float]  # action, t_start, t_end (seconds)

# A run of frames and the same run in seconds must meet a threshold alike; division by a rate costs some 1e-16.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Segment:
    """A class from `start` up to, not including, `end`: frames or seconds. ValueError unless it ends after it starts.

    (Label files do hold inverted segments; whoever reads them has to mend or drop those.)
    """

    label: int | str
    start: float
    end: float

    def __post_init__(self) -> None:
        if not self.end > self.start:  # also refuses NaN
            raise ValueError(
                f"a segment of class {self.label!r} from {self.start} to {self.end} is empty or inverted; "
                "drop it, or exchange its ends"
            )


def segments(labels: Labels, background: int = 0) -> list[Segment]:
    """The runs of equal labels (T,) in order, as half-open frame spans, without background and `IGNORE`."""
    if labels.ndim != 1:
        raise ValueError(f"labels must have shape (T,), not {labels.shape}")
    if labels.size == 0:
        return []
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), labels.size]
    runs = ((int(labels[start]), start, end) for start, end in pairwise(edges))
    return [Segment(*run) for run in runs if run[0] not in (background, IGNORE)]


def without_ignored(predicted: Labels, truth: Labels) -> Labels:
    """The predicted labels (T,) with `IGNORE` wherever the truth (T,) is `IGNORE`: the stream is cut there."""
    return np.where(truth == IGNORE, IGNORE, predicted.astype(np.int64))


def known_part(events: Sequence[Segment], truth: Labels, hz: float) -> list[Segment]:
    """Events in seconds, cut to the spans whose truth (T,) at `hz` is known; what lies outside is left out."""
    known = segments(np.where(truth == IGNORE, 0, 1))
    cut = (
        (event.label, max(event.start, span.start / hz), min(event.end, span.end / hz))
        for event in events
        for span in known
    )
    return [Segment(*part) for part in cut if part[2] > part[1]]


def frame_accuracy(
    predicted: Labels | Sequence[Labels], truth: Labels | Sequence[Labels], ignore: int = IGNORE
) -> float:
    """The share of frames (T,) labelled right, of those whose truth is not `ignore`; 0 to 1.

    Several streams are pooled: every frame weighs the same (as in MS-TCN's "Acc"). ValueError for lengths that
    disagree, or when no frame has a known truth.
    """
    predicted_N, truth_N = _known_frames(predicted, truth, ignore)
    if truth_N.size == 0:
        raise ValueError("no frame has a known truth, so there is no accuracy; evaluate streams that are labelled")
    return float(np.mean(predicted_N == truth_N))


def confusion_matrix(
    predicted: Labels | Sequence[Labels], truth: Labels | Sequence[Labels], n_classes: int
) -> NDArray[np.int64]:
    """Frames counted by class, (K, K): row = truth, column = prediction; `IGNORE`d truth is left out.

    ValueError for a label of a known frame outside 0..K-1.
    """
    predicted_N, truth_N = _known_frames(predicted, truth, IGNORE)
    for what, labels in (("predicted", predicted_N), ("truth", truth_N)):
        if labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
            raise ValueError(f"{what} labels run from {labels.min()} to {labels.max()}; classes are 0..{n_classes - 1}")
    counts = np.bincount(truth_N * n_classes + predicted_N, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def claims(predicted: Sequence[Segment], truth: Sequence[Segment], iou: float) -> list[int | None]:
    """Which truth each predicted segment claims: that of its class which it overlaps most, or None below `iou`.

    Overlap is intersection over union. A truth that several claim is found once; the other claims are false alarms and
    may not fall back on a second best. This is the rule of PKU-MMD's evaluate.py and of MS-TCN's eval.py, and it does
    not depend on the order of the predictions. Of equal overlaps the earlier truth is taken.
    ValueError for an `iou` outside (0, 1].
    """
    if not 0 < iou <= 1:
        raise ValueError(f"an overlap threshold of {iou} is outside (0, 1]; 50 % is 0.5")
    predicted_by, truth_by = _indices_by_label(predicted), _indices_by_label(truth)
    claimed: list[int | None] = [None] * len(predicted)
    for label in predicted_by.keys() & truth_by.keys():
        rows, columns = predicted_by[label], sorted(truth_by[label], key=lambda i: truth[i].start)
        start_P1, end_P1 = (np.array([[edge] for edge in edges]) for edges in _edges([predicted[i] for i in rows]))
        start_G, end_G = (np.array(edges) for edges in _edges([truth[i] for i in columns]))
        common_PG = np.minimum(end_P1, end_G) - np.maximum(start_P1, start_G)
        iou_PG = common_PG / (np.maximum(end_P1, end_G) - np.minimum(start_P1, start_G))  # < 0 where they are apart
        for row, best, overlap in zip(rows, iou_PG.argmax(axis=1), iou_PG.max(axis=1), strict=True):
            if overlap >= iou - _ROUNDING:
                claimed[row] = columns[best]
    return claimed


def segment_f1(predicted: Sequence[Sequence[Segment]], truth: Sequence[Sequence[Segment]], iou: float) -> float:
    """F1 of segments at an overlap of at least `iou`, 0 to 1; one sequence a stream.

    Hits, false alarms and misses are added over all streams before F1 = 2 hits / (predicted + true) is taken, as
    PKU-MMD's and MS-TCN's code do (Lea's original took the mean of the streams' F1). With nothing to find and nothing
    found it is 1.
    """
    if len(predicted) != len(truth):
        raise ValueError(f"predictions of {len(predicted)} streams but truth of {len(truth)}; give one each a stream")
    hits = sum(len(set(claims(p, t, iou)) - {None}) for p, t in zip(predicted, truth, strict=True))
    total = sum(map(len, predicted)) + sum(map(len, truth))
    return 2 * hits / total if total else 1.0


def f1_at_k(predicted: Sequence[Sequence[Segment]], truth: Sequence[Sequence[Segment]], k: float) -> float:
    """Segmental F1@k, k = 10, 25, 50 per cent overlap (Lea et al., CVPR 2017; Farha and Gall, CVPR 2019); 0 to 1.

    `segments` left the background out, as they do. Two deviations from MS-TCN's eval.py: its last segment of a stream
    is one frame short, ours is not; where it divides by zero, see `segment_f1`.
    """
    return segment_f1(predicted, truth, k / 100)


def event_f1(predicted: Sequence[Sequence[Event]], truth: Sequence[Sequence[Event]], iou: float = 0.5) -> float:
    """F1 of events (action, t_start, t_end) in seconds, one sequence a stream: `segment_f1` of what a consumer sees."""
    return segment_f1(
        [[Segment(*event) for event in events] for events in predicted],
        [[Segment(*event) for event in events] for events in truth],
        iou,
    )


def edit_score(predicted: Sequence[Segment], truth: Sequence[Segment]) -> float:
    """How well the *order* of one stream's actions is met, 0 to 100: 100 (1 - Levenshtein / the longer length).

    Lea et al. (ECCV 2016), as in MS-TCN's eval.py; only the labels count. A set's score is the mean over its streams.
    With no segment on either side it is 100.
    """
    longer = max(len(predicted), len(truth))
    return 100 * (1 - _levenshtein(predicted, truth) / longer) if longer else 100.0


def _levenshtein(a: Sequence[Segment], b: Sequence[Segment]) -> int:
    """Insertions, deletions and exchanges that turn a's labels into b's: one row of the table after another."""
    codes = {label: code for code, label in enumerate(dict.fromkeys(s.label for s in (*a, *b)))}
    b_N = np.array([codes[s.label] for s in b])
    column = np.arange(len(b) + 1)
    distance = column
    for segment in a:
        exchanged = distance[:-1] + (b_N != codes[segment.label])
        row = np.concatenate([distance[:1] + 1, np.minimum(distance[1:] + 1, exchanged)])
        # Inserting costs one a column: the cheapest way in from any column to the left.
        distance = np.minimum.accumulate(row - column) + column
    return int(distance[-1])


def _known_frames(
    predicted: Labels | Sequence[Labels], truth: Labels | Sequence[Labels], ignore: int
) -> tuple[Labels, Labels]:
    """The frames of one stream or of several, end to end, without those whose truth is `ignore`."""
    streams = [[x] if isinstance(x, np.ndarray) else list(x) for x in (predicted, truth)]
    shapes = [[labels.shape for labels in each] for each in streams]
    if shapes[0] != shapes[1] or any(len(shape) != 1 for shape in shapes[0]):
        raise ValueError(f"predicted and true labels must both be (T,) for every stream, not {shapes[0]}, {shapes[1]}")
    if not streams[0]:
        raise ValueError("there is no stream to evaluate; give at least one")
    # int64: labels may come as bytes, and what is computed from them would overflow.
    predicted_N, truth_N = (np.concatenate(each).astype(np.int64) for each in streams)
    return predicted_N[truth_N != ignore], truth_N[truth_N != ignore]


def _indices_by_label(some: Sequence[Segment]) -> dict[int | str, list[int]]:
    found: dict[int | str, list[int]] = defaultdict(list)
    for i, segment in enumerate(some):
        found[segment.label].append(i)
    return found


def _edges(some: Sequence[Segment]) -> tuple[list[float], list[float]]:
    return [s.start for s in some], [s.end for s in some]
