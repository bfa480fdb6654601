"""Draw every recording of a store as a person, and see it through a camera: store -> drawn -> MediaPipe -> store.

    skelstream data draw STORES/utkinect STORES/utkinect-lite

What a detector meets live are MediaPipe's joints, not a Kinect's. Drawing the recorded people gives pixels with known
truth, and what MediaPipe makes of them goes through the same lifting and smoothing as a live camera's people.
"""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track as progress

from ..encoder.clock import HZ
from ..stream.draw import Look, View, background, draw_scene
from ..stream.pose import PoseEstimator
from ..stream.pose_model import Variant
from ..stream.track import Tracker
from ..stream.wire import U8, Frame
from ..train.recording import Recording
from ..train.store import Entry, Store, write_store

_WIDTH, _HEIGHT = 640, 480
_MIN_FOUND = 0.8  # a recording of which MediaPipe sees less is left out, and counted


@dataclass(frozen=True, kw_only=True)
class DrawnStore:
    """`seen` of `frames` drawn frames were found; `left_out` names the recordings that were seen too little."""

    store: Store
    frames: int
    seen: int
    left_out: tuple[str, ...]


def draw_and_extract(
    source: Path,
    out: Path,
    *,
    variant: Variant,
    subjects: frozenset[str] | None,
    every: int,
    stride: int,
    seed: int,
    processes: int,
) -> DrawnStore:
    """Write the store `out` of the recordings in `source` as MediaPipe's `variant` sees them when drawn.

    `subjects` limits it to those people (None: all), `every` to each n-th recording; a camera of 30 / `stride` frames a
    second looks on; `seed` chooses bodies, clothes, rooms and cameras. Raises ValueError if `source` is no store or
    `out` exists.
    """
    store = Store(source)
    entries = [e for e in store.entries if subjects is None or e.subject in subjects][::every]
    found = seen = 0
    left_out: list[str] = []

    def recordings() -> Iterator[Recording]:
        nonlocal found, seen
        jobs = [(source, entry, variant, stride, seed) for entry in entries]
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for entry, recording in progress(
                zip(entries, pool.imap(_extract, jobs), strict=True),
                total=len(entries),
                description=f"drawing {store.dataset}",
            ):
                found += -(-entry.length // stride)
                seen += 0 if recording is None else len(recording.times_s)
                if recording is None:
                    left_out.append(entry.name)
                else:
                    yield recording

    drawn = write_store(
        out, recordings(), dataset=store.dataset, classes=store.classes, licence=store.licence,
        source=f"drawn, seen by MediaPipe {variant}",
    )  # fmt: skip
    return DrawnStore(store=drawn, frames=found, seen=seen, left_out=tuple(left_out))


_estimators: dict[Variant, PoseEstimator] = {}
_clock_s = 0.0  # a VIDEO-mode landmarker wants one growing clock for all that it sees


def _extract(job: tuple[Path, Entry, Variant, int, int]) -> Recording | None:
    """One recording, in a process that keeps its landmarker."""
    source, entry, variant, stride, seed = job
    cv2.setNumThreads(1)
    store = Store(source)
    if variant not in _estimators:
        _estimators[variant] = PoseEstimator(PoseEstimator.Config(variant=variant))
    rng = np.random.default_rng((seed, zlib.crc32(entry.name.encode())))
    joints = np.asarray(store.joints(entry))[:, 0]
    view = View.framing(joints, width=_WIDTH, height=_HEIGHT, rng=rng)
    look = Look.random(rng)
    backdrop = background(int(rng.integers(1 << 31)), _WIDTH, _HEIGHT)
    estimator, tracker = _estimators[variant], Tracker()
    # An empty picture in between makes the landmarker forget the person before.
    estimator.estimate(_picture(backdrop, stride))
    kept, seen = [], []
    for i in range(0, len(joints), stride):
        picture = draw_scene([(joints[i], look)], view, backdrop)
        tracks = tracker.push(estimator.estimate(_picture(picture, stride)))
        if len(tracks.ids):
            kept.append(i)
            seen.append(tracks.joints[0])
    if len(kept) < max(_MIN_FOUND * len(joints) / stride, 5):
        return None
    at = np.array(kept)
    return Recording(
        name=entry.name, subject=entry.subject, view=entry.view, setup=entry.setup, trimmed=entry.trimmed,
        times_s=at / HZ,
        joints=np.stack(seen)[:, None], labels=np.asarray(store.frame_labels(entry))[at],
    )  # fmt: skip


def _picture(image: U8, stride: int) -> Frame:
    global _clock_s
    _clock_s += stride / HZ
    return Frame(camera="drawn", t=_clock_s, captured_at=0.0, seq=0, image=image)
