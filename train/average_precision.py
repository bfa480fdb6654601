"""The detection protocol of PKU-MMD: detections with scores, their F1 and average precision, mAP_a and mAP_v.

Sources: Liu et al., "PKU-MMD: A Large Scale Benchmark for Continuous Multi-Modal Human Action Understanding" (2017),
and the `evaluate.py` that its authors published; USDRL's authors run that file too. Followed here from evaluate.py:

- a detection claims the truth of its video and class that it overlaps most, if the overlap is at least theta (0.5);
- a truth is found once, by the claim with the highest score; every other detection is a false alarm;
- precision over recall is taken down the detections sorted by score, and interpolated from the right;
- mAP_a is the mean over action classes of the AP of one class in all videos, mAP_v the mean over videos of the AP of
  all classes in one video;
- 2D-AP is the mean AP of everything over the overlaps 0.05, 0.10 ... 1.

The area under that curve comes in two kinds, which differ by one to three points of mAP_v:

- "paper": AP = integral over r of max p(r') for r' >= r, exactly: interpolated AP as it is defined (PASCAL VOC 2010).
- "script": what evaluate.py computes. It takes detections away from the lowest score upwards, looks at the precision
  only just after it took away one with a claim (and once at the full list), and weighs each step of recall with the
  best precision at the step's *lower* end and beyond. Figures published for PKU-MMD are of this kind: compare with it.

One deviation in both: evaluate.py counts a class or video without any truth as AP 0 and divides by it; here it has no
AP and is left out of the mean.

Shapes: T frames, K classes, N detections.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .metrics import Segment, claims, segment_f1

Truth = Mapping[str, Sequence[Segment]]  # video -> its true segments
Interpolation = Literal["paper", "script"]


@dataclass(frozen=True, slots=True)
class Detection(Segment):
    """A segment of a video with a score; the higher, the surer."""

    video: str
    score: float


def detections_from_probabilities(
    video: str, probabilities: NDArray[np.floating], threshold: float = 0.02, background: int = 0
) -> list[Detection]:
    """Every run of frames whose probability of a class is above `threshold`; its score is the run's mean probability.

    `probabilities` (T, K) are one video's; the background makes no detections. 0.02 is USDRL's setting. A frame that is
    not to count gets probability 0, which ends a run. Runs of different classes may overlap: that is the protocol.
    ValueError for a wrong shape, numbers outside 0..1, or a negative threshold.
    """
    if probabilities.ndim != 2:
        raise ValueError(f"probabilities of {video} must have shape (T, K), not {probabilities.shape}")
    if not ((probabilities >= 0) & (probabilities <= 1 + 1e-4)).all():
        raise ValueError(f"probabilities of {video} are not all within 0..1; apply a softmax to logits first")
    if not 0 <= threshold < 1:
        raise ValueError(f"a threshold of {threshold} is outside [0, 1)")
    found = []
    for label in range(probabilities.shape[1]):
        if label == background:
            continue
        of_class_T = probabilities[:, label].astype(np.float64)
        edges = np.flatnonzero(np.diff(of_class_T > threshold, prepend=False, append=False))
        if edges.size == 0:
            continue
        # Sums from edge to edge; every other one is a run. The 0 behind gives a run at the very end its second edge.
        total = np.add.reduceat(np.append(of_class_T, 0.0), edges)[::2]
        start, end = edges[::2], edges[1::2]
        for run in zip(start.tolist(), end.tolist(), (total / (end - start)).tolist(), strict=True):
            found.append(Detection(label, run[0], run[1], video, run[2]))
    return found


def detection_f1(detections: Sequence[Detection], truth: Truth, iou: float = 0.5) -> float:
    """PKU-MMD's F1: all detections of all videos, whatever their score; 0 to 1."""
    by_video = _by_video(detections)
    videos = sorted(by_video.keys() | truth.keys())
    return segment_f1([by_video.get(v, []) for v in videos], [truth.get(v, ()) for v in videos], iou)


def average_precision(
    detections: Sequence[Detection], truth: Truth, iou: float = 0.5, interpolation: Interpolation = "paper"
) -> float:
    """The area under interpolated precision over recall, of all these detections against all this truth; 0 to 1.

    See the top of this file for the two interpolations. Detections of equal score enter together ("paper") or in the
    order of video, class and start ("script"), so that the order in which they are given never matters.
    ValueError when there is no true segment.
    """
    n_true = sum(map(len, truth.values()))
    if n_true == 0:
        raise ValueError("there is no true segment, so no average precision; leave such a class or video out")
    ranked = sorted(detections, key=lambda d: (-d.score, d.video, str(d.label), d.start, d.end))
    claimed = _claimed(ranked, truth, iou)
    new: list[bool] = []
    seen: set[tuple[str, int] | None] = {None}
    for claim in claimed:
        new.append(claim not in seen)
        seen.add(claim)

    # Point n of the curve: the n best detections are kept. With none kept, evaluate.py calls the precision 0.
    kept = np.arange(len(ranked) + 1)
    found = np.concatenate([[0], np.cumsum(new, dtype=np.int64)])
    precision, recall = found / np.maximum(kept, 1), found / n_true
    if interpolation == "script":
        sampled = np.array([*(claim is not None for claim in claimed), True])
        best_from = np.maximum.accumulate(np.where(sampled, precision, 0.0)[::-1])[::-1]
        return float(np.sum(np.diff(recall) * best_from[:-1]))
    score = np.array([d.score for d in ranked])
    ends = np.flatnonzero(np.concatenate([[True], np.diff(score) != 0, [True]])) if ranked else np.array([0])
    best_from = np.maximum.accumulate(precision[ends][::-1])[::-1]
    return float(np.sum(np.diff(recall[ends]) * best_from[1:]))


def map_over_actions(
    detections: Sequence[Detection], truth: Truth, iou: float = 0.5, interpolation: Interpolation = "paper"
) -> float:
    """mAP_a: the mean AP over the classes that the truth has, each in all videos. NaN if the truth is empty."""
    by_label = _by_label(detections)
    true_labels = {segment.label for some in truth.values() for segment in some}
    return _mean(
        average_precision(
            by_label.get(label, []),
            {video: [s for s in some if s.label == label] for video, some in truth.items()},
            iou,
            interpolation,
        )
        for label in sorted(true_labels, key=str)
    )


def map_over_videos(
    detections: Sequence[Detection], truth: Truth, iou: float = 0.5, interpolation: Interpolation = "paper"
) -> float:
    """mAP_v: the mean AP over the videos that have true segments, each of all classes. NaN if the truth is empty."""
    by_video = _by_video(detections)
    return _mean(
        average_precision(by_video.get(video, []), {video: some}, iou, interpolation)
        for video, some in sorted(truth.items())
        if some
    )


def two_dimensional_ap(detections: Sequence[Detection], truth: Truth, interpolation: Interpolation = "paper") -> float:
    """2D-AP: the mean over the overlaps 0.05, 0.10 ... 1 of the AP of all classes in all videos; 0 to 1.

    The paper integrates over recall and overlap; evaluate.py sums over these twenty overlaps, and so does this.
    ValueError when there is no true segment.
    """
    return _mean(average_precision(detections, truth, step / 20, interpolation) for step in range(1, 21))


@dataclass(frozen=True, kw_only=True)
class ProtocolScores:
    """What PKU-MMD's evaluate.py prints, at one overlap (2D-AP over all); shares of 1, NaN without any truth."""

    f1: float
    ap: float
    map_actions: float
    map_videos: float
    ap_2d: float


def protocol_scores(
    detections: Sequence[Detection], truth: Truth, iou: float = 0.5, interpolation: Interpolation = "script"
) -> ProtocolScores:
    """PKU-MMD's whole protocol at an overlap of `iou`; by default as its script computes it, as published figures are.

    ValueError for an `iou` outside (0, 1].
    """
    if not any(truth.values()):
        nan = math.nan
        return ProtocolScores(f1=nan, ap=nan, map_actions=nan, map_videos=nan, ap_2d=nan)
    return ProtocolScores(
        f1=detection_f1(detections, truth, iou),
        ap=average_precision(detections, truth, iou, interpolation),
        map_actions=map_over_actions(detections, truth, iou, interpolation),
        map_videos=map_over_videos(detections, truth, iou, interpolation),
        ap_2d=two_dimensional_ap(detections, truth, interpolation),
    )


def _claimed(detections: Sequence[Detection], truth: Truth, iou: float) -> list[tuple[str, int] | None]:
    """Which truth (video, index) each detection claims, in the order of the detections."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, detection in enumerate(detections):
        places[detection.video].append(place)
    claimed: list[tuple[str, int] | None] = [None] * len(detections)
    for video, of_video in places.items():
        claims_of_video = claims([detections[place] for place in of_video], truth.get(video, ()), iou)
        for place, index in zip(of_video, claims_of_video, strict=True):
            claimed[place] = None if index is None else (video, index)
    return claimed


def _by_video(detections: Iterable[Detection]) -> dict[str, list[Detection]]:
    found: dict[str, list[Detection]] = defaultdict(list)
    for detection in detections:
        found[detection.video].append(detection)
    return found


def _by_label(detections: Iterable[Detection]) -> dict[int | str, list[Detection]]:
    found: dict[int | str, list[Detection]] = defaultdict(list)
    for detection in detections:
        found[detection.label].append(detection)
    return found


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else math.nan
