"""Draw every recording of a store as people, and see them through a camera: store -> drawn -> MediaPipe -> store.

    skelstream data draw STORES/utkinect STORES/utkinect-lite

What a detector meets live are MediaPipe's joints, not a Kinect's. Drawing the recorded people gives pixels with known
truth, and what MediaPipe makes of them goes through the same lifting and smoothing as a live camera's people. A frame
in which somebody was not found stays in the store, without them; so the two stores agree frame by frame.

Shapes: T frame, M person, V joint (NTU25), 3 coordinates in metres, 2 pixels.
"""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track as progress

from ..encoder.assignment import assign
from ..encoder.clock import HZ
from ..encoder.layout import NTU25
from ..stream.draw import Look, View, background, draw_scene
from ..stream.pose import PoseEstimator
from ..stream.pose_model import Variant
from ..stream.track import Tracker
from ..stream.wire import F32, U8, Frame, Tracks
from ..train.drawn import DrawnCamera, write_cameras
from ..train.recording import Recording
from ..train.store import PEOPLE, Entry, Store, write_store

_WIDTH, _HEIGHT = 640, 480
_MIN_FOUND = 0.8  # a recording of whose people MediaPipe sees less is left out, and counted
_FEWEST = 5  # frames
_TRUNK = [NTU25.index(name) for name in ("ShoulderLeft", "ShoulderRight", "HipLeft", "HipRight")]


@dataclass(frozen=True, kw_only=True)
class DrawnStore:
    """`seen` of `frames` drawn bodies (one a person and frame) were found; `left_out` names the recordings that were
    seen too little."""

    store: Store
    frames: int
    seen: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Job:
    source: Path
    entry: Entry
    variant: Variant
    people: int
    stride: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class _Seen:
    recording: Recording | None
    camera: DrawnCamera
    frames: int
    seen: int


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
    people: int = 1,
) -> DrawnStore:
    """Write the store `out` of the recordings in `source` as MediaPipe's `variant` sees them when drawn.

    `subjects` limits it to those people (None: all), `every` to each n-th recording; a camera of 30 / `stride` frames a
    second looks on; `seed` chooses bodies, clothes, rooms and cameras. Of a recording's people the first `people` are
    drawn, and whoever is found takes the slot of the one whose trunk is nearest in the picture. Where the cameras stood
    is told beside the store (`train/drawn.py`). Raises ValueError if `source` is no store, `out` exists, or it holds
    other joints.
    """
    store = Store(source)
    if not 1 <= people <= PEOPLE:
        raise ValueError(f"people is {people}; a recording holds {PEOPLE} at most: draw 1 or {PEOPLE}")
    if store.layout != NTU25.name:
        raise ValueError(f"{source} holds {store.layout} joints, which cannot be drawn; give a store of {NTU25.name}")
    entries = [e for e in store.entries if subjects is None or e.subject in subjects][::every]
    told: list[_Seen] = []
    left_out: list[str] = []

    def recordings() -> Iterator[Recording]:
        jobs = [
            _Job(source=source, entry=entry, variant=variant, people=people, stride=stride, seed=seed)
            for entry in entries
        ]
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for entry, seen in progress(
                zip(entries, pool.imap(_extract, jobs), strict=True),
                total=len(entries),
                description=f"drawing {store.dataset}",
            ):
                told.append(seen)
                if seen.recording is None:
                    left_out.append(entry.name)
                else:
                    yield seen.recording

    drawn = write_store(
        out, recordings(), dataset=store.dataset, classes=store.classes, licence=store.licence,
        source=f"drawn, seen by MediaPipe {variant}",
    )  # fmt: skip
    write_cameras(out, seed, stride, {e.name: seen.camera for e, seen in zip(entries, told, strict=True)})
    return DrawnStore(
        store=drawn, frames=sum(s.frames for s in told), seen=sum(s.seen for s in told), left_out=tuple(left_out)
    )


_estimators: dict[tuple[Variant, int], PoseEstimator] = {}
_clock_s = 0.0  # a VIDEO-mode landmarker wants one growing clock for all that it sees


def _extract(job: _Job) -> _Seen:
    """One recording, in a process that keeps its landmarkers."""
    cv2.setNumThreads(1)
    store, entry = Store(job.source), job.entry
    kind = (job.variant, job.people)
    if kind not in _estimators:
        _estimators[kind] = PoseEstimator(PoseEstimator.Config(variant=job.variant, people=job.people))
    rng = np.random.default_rng((job.seed, zlib.crc32(entry.name.encode())))
    true_TMVC = np.asarray(store.joints(entry))[:, : job.people]
    view = View.framing(true_TMVC, width=_WIDTH, height=_HEIGHT, rng=rng)
    looks = [Look.random(rng) for _ in range(job.people)]
    backdrop = background(int(rng.integers(1 << 31)), _WIDTH, _HEIGHT)
    estimator, tracker = _estimators[kind], Tracker()
    # An empty picture in between makes the landmarkers forget the people before.
    estimator.estimate(_picture(backdrop, job.stride))
    at = np.arange(0, len(true_TMVC), job.stride)
    there_TM: NDArray[np.bool_] = np.asarray((true_TMVC[at] != 0).any(axis=(2, 3)))
    seen_TMVC = np.zeros((len(at), *true_TMVC.shape[1:]), np.float32)
    for i, true_MVC in enumerate(true_TMVC[at]):
        picture = draw_scene(list(zip(true_MVC, looks, strict=True)), view, backdrop)
        tracks = tracker.push(estimator.estimate(_picture(picture, job.stride)))
        seen_TMVC[i] = in_slots(tracks, view.project(true_MVC[:, _TRUNK]), there_TM[i])
    found_TM = (seen_TMVC != 0).any(axis=(2, 3)) & there_TM
    position = np.array(view.position)
    enough = found_TM.sum() >= max(_MIN_FOUND * there_TM.sum(), _FEWEST)
    return _Seen(
        recording=Recording(
            name=entry.name, subject=entry.subject, view=entry.view, setup=entry.setup, trimmed=entry.trimmed,
            times_s=at / HZ, joints=seen_TMVC, labels=np.asarray(store.frame_labels(entry))[at],
        ) if enough else None,
        camera=DrawnCamera(position=position, axes=view.to_camera(position + np.eye(3)).T),
        frames=int(there_TM.sum()), seen=int(found_TM.sum()),
    )  # fmt: skip


def in_slots(tracks: Tracks, trunks_MP2: NDArray[np.floating], there_M: NDArray[np.bool_]) -> F32:
    """The joints (M, 25, 3) of the found people, each in the slot of the true person whose trunk is nearest.

    `trunks_MP2` are shoulders and hips of the true people in pixels, `there_M` who is there at all. Nobody takes two
    slots, and all together lie as near as they can; whoever is not found is zero.
    """
    joints_MVC = np.zeros((len(there_M), len(NTU25), 3), np.float32)
    slots = np.flatnonzero(there_M & np.isfinite(trunks_MP2).all(axis=(1, 2)))
    if len(tracks.ids) and len(slots):
        apart = tracks.pixels[:, None, _TRUNK] - trunks_MP2[None, slots]
        for person, slot in assign(np.linalg.norm(apart, axis=-1).mean(axis=-1)):
            joints_MVC[slots[slot]] = tracks.joints[person]
    return joints_MVC


def _picture(image: U8, stride: int) -> Frame:
    global _clock_s
    _clock_s += stride / HZ
    return Frame(camera="drawn", t=_clock_s, captured_at=0.0, seq=0, image=image)
