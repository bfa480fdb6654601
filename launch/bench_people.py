"""`skelstream bench people`: how well the live path tells people apart, on drawn scenes whose truth is known.

Every scene of `stream/scenes.py` is drawn frame by frame at 30 fps and goes through the very pose estimator and tracker
of the live path. A person counts where at least half of the trunk is in the picture and not behind somebody nearer;
whoever is hidden more than that may be found or not. Somebody who comes back after ten seconds is meant to be a new
person, and counts as one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ..encoder.clock import HZ
from ..stream.pose import PoseEstimator
from ..stream.pose_model import Variant
from ..stream.scenes import SCENES, TRUNK, Scene, draw_up, recorded
from ..stream.track import Tracker
from ..stream.wire import Frame, Tracks
from ..train.identities import Identities, Moment, identities
from ..train.store import Store
from .said import say

_GATE_M = 0.3  # the mean distance of the trunk's joints in the picture, at the true person's depth
_VISIBLE = 0.5  # of the trunk's joints: less may be found or missed
_FORGET_S = 5.0  # whoever was not to be seen for longer is somebody new


@dataclass(frozen=True, kw_only=True)
class Watched:
    """One scene as the live path saw it: the frames' truth and findings, and what pose took, in milliseconds."""

    scene: Scene
    moments: list[Moment]
    pose_ms: list[float]


def bench_people(
    scenes: Sequence[str],
    seeds: Sequence[int],
    variant: Variant,
    people: int,
    size: tuple[int, int],
    store: Path | None = None,
    clips: int = 3,
) -> int:
    """Print a table, a scene a row, and a row for each class of a store of recordings of two people, of which the first
    `clips` are drawn. ValueError for a scene that is not known, or a store of one person each."""
    rows = []
    for name, some in [
        *_drawn(scenes or SCENES, seeds, size),
        *(_recorded(Store(store), clips, size) if store else ()),
    ]:
        watched = []
        for scene in some:
            with PoseEstimator(PoseEstimator.Config(variant=variant, people=people), say=say) as estimator:
                watched.append(watch(scene, estimator, Tracker()))
        rows.append((name, watched))
        say(f"{name}: IDF1 {_total(watched).idf1:.3f}")
    Console().print(_table(rows, variant, people))
    return 0


def _drawn(names: Sequence[str], seeds: Sequence[int], size: tuple[int, int]) -> list[tuple[str, list[Scene]]]:
    return [(name, [draw_up(name, seed, width=size[0], height=size[1]) for seed in seeds]) for name in names]


def _recorded(store: Store, clips: int, size: tuple[int, int]) -> list[tuple[str, list[Scene]]]:
    """By class, the first clips in which two people are there from the beginning to the end."""
    scenes: dict[str, list[Scene]] = {name: [] for name in store.classes}
    for entry in store.entries:
        joints = np.asarray(store.joints(entry))
        some = scenes[store.classes[int(store.frame_labels(entry)[0])]]
        if len(some) < clips and joints.any(axis=(2, 3)).all():
            some.append(recorded(entry.name, joints, len(some), width=size[0], height=size[1]))
    if not any(scenes.values()):
        raise ValueError(f"{store.path} has no clip of two people; give a store such as that of sbu")
    return [(f"{store.dataset}: {name}", some) for name, some in scenes.items() if some]


def watch(scene: Scene, estimator: PoseEstimator, tracker: Tracker, seconds: float = math.inf) -> Watched:
    """The scene, or its beginning, through the estimator and the tracker, frame by frame."""
    names = _Names()
    moments, pose_ms = [], []
    for seq in range(int(min(scene.duration_s, seconds) * HZ)):
        t = seq / HZ
        frame = Frame(camera=scene.name, t=t, captured_at=0.0, seq=seq, image=scene.picture(t))
        began = time.perf_counter()
        people = estimator.estimate(frame)
        pose_ms.append(1000 * (time.perf_counter() - began))
        moments.append(moment(scene, t, tracker.push(people), names))
    return Watched(scene=scene, moments=moments, pose_ms=pose_ms)


def moment(scene: Scene, t: float, tracks: Tracks, names: _Names) -> Moment:
    """What is true at `t`, what was found, and how far apart they are: metres at the true person's depth."""
    truth = [person for person in scene.people(t) if person.visible > 0]
    distance = np.zeros((len(truth), len(tracks.ids)))
    for n, person in enumerate(truth):
        off_px = np.linalg.norm(tracks.pixels[:, TRUNK] - person.pixels[list(TRUNK)], axis=-1).mean(axis=-1)
        depth = float(np.median(scene.view.to_camera(person.joints)[list(TRUNK), 2]))
        distance[n] = off_px * depth / scene.view.focal_px
    visible = {person.who for person in truth if person.trunk_visible >= _VISIBLE}
    called = {person.who: names.of(person.who, t, seen=person.who in visible) for person in truth}
    return Moment(
        true=tuple(called.values()),
        found=tracks.ids,
        distance=distance,
        optional=frozenset(name for who, name in called.items() if who not in visible),
    )


class _Names:
    """What the true people are called: anew, if they were not to be seen for long."""

    def __init__(self) -> None:
        self._seen_at: dict[int, float] = {}
        self._times: dict[int, int] = {}

    def of(self, who: int, t: float, *, seen: bool) -> int:
        if seen:
            if t - self._seen_at.get(who, t) > _FORGET_S:
                self._times[who] = self._times.get(who, 0) + 1
            self._seen_at[who] = t
        return 100 * self._times.get(who, 0) + who


def _total(watched: Sequence[Watched]) -> Identities:
    return sum((identities(one.moments, _GATE_M) for one in watched), Identities())


def _table(rows: Sequence[tuple[str, list[Watched]]], variant: Variant, people: int) -> Table:
    table = Table(title=f"people told apart: pose {variant}, up to {people} people, 30 fps")
    for column in ("scene", "people", "IDF1", "switches", "missed", "false", "MOTA", "pose ms p50", "p95"):
        table.add_column(column, justify="left" if column == "scene" else "right")
    for name, watched in [*rows, ("all", [one for _, some in rows for one in some])]:
        total = _total(watched)
        number = {str(len(one.scene.looks)) for one in watched}
        p50, p95 = np.percentile([ms for one in watched for ms in one.pose_ms], [50, 95])
        table.add_row(
            name, number.pop() if len(number) == 1 else "", f"{total.idf1:.3f}", str(total.switches),
            f"{total.misses / max(total.true, 1):.1%}", f"{total.false / max(total.true, 1):.1%}",
            f"{total.mota:.3f}", f"{p50:.1f}", f"{p95:.1f}",
        )  # fmt: skip
    return table
