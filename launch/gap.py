"""`skelstream data gap`: what a camera makes of a Kinect's joints, in numbers, as a picture, and as a profile to train
with.

    skelstream data gap --recorded STORES/utkinect --drawn STORES/utkinect-lite --out runs/gap
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from ..encoder.layout import NTU25
from ..stream.camera import open_source
from ..stream.pose import PoseEstimator
from ..stream.pose_model import Variant
from ..stream.track import Tracker
from ..train.camera_fit import fit_profile
from ..train.camera_noise import CameraProfile
from ..train.drawn_pairs import Pair, drawn_pairs
from ..train.gap import Gap, measure
from ..train.gap_report import Likeness, likeness
from ..train.splits import part_of
from ..train.steadiness import Steadiness, steadiness
from ..train.store import Store
from ..train.whole_file import write_whole
from .gap_picture import draw_gap

_WIDTH = 150


def measure_gap(
    recorded: Sequence[Path], drawn: Sequence[Path], out: Path, videos: Sequence[str] = (), pose: Variant = "lite",
    profile: bool = False,
) -> int:  # fmt: skip
    """Print the tables, and write gap.json and gap.png to `out`; each `drawn` store was made of its `recorded` one.

    With `profile` the training people's part becomes camera_profile.json, and how well it stands for the camera is told
    on the others (without it, how well the shipped profile does). `videos` are looked at by MediaPipe's `pose`.
    Raises ValueError if the stores do not belong together, or show too little.
    """
    if not recorded or len(recorded) != len(drawn):
        raise ValueError(
            f"{len(recorded)} recorded and {len(drawn)} drawn stores; give one drawn store for each recorded one"
        )
    pairs = [pair for r, d in zip(recorded, drawn, strict=True) for pair in drawn_pairs(Store(r), Store(d))]
    gap = measure(pairs)
    kept = [pair for pair in pairs if part_of(pair.dataset, pair.subject) != "train"]
    chosen = fit_profile(_training(pairs)) if profile else CameraProfile.shipped()
    alike = likeness(kept, chosen) if len(kept) > 1 else None
    steady = {video: _watch(video, pose) for video in progress(videos, description="watching", console=_to_stderr())}

    _show(gap)
    if alike is not None:
        _show_likeness(alike)
    if steady:
        _show_steadiness(steady)
    out.mkdir(parents=True, exist_ok=True)
    told = {
        "recorded": [str(path) for path in recorded], "drawn": [str(path) for path in drawn], "joints": NTU25.joints,
        "gap": _plain(gap), "likeness": _plain(alike), "videos": {name: _plain(one) for name, one in steady.items()},
    }  # fmt: skip
    write_whole(out / "gap.json", json.dumps(told, indent=1) + "\n")
    draw_gap(gap, out / "gap.png", f"what the camera makes of {gap.pairs} recordings")
    if profile:
        write_whole(out / "camera_profile.json", chosen.to_json())
    return 0


def _training(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of people whom a detector trains on: nothing that training sees may be measured on others."""
    return [pair for pair in pairs if part_of(pair.dataset, pair.subject) == "train"]


def _watch(video: str, pose: Variant) -> Steadiness:
    """How steady the person is whom the tracker knows longest, from their first frame to their last."""
    source, tracker = open_source(video), Tracker()
    times_s: list[float] = []
    seen: dict[int, dict[int, NDArray[np.float32]]] = {}
    with PoseEstimator(PoseEstimator.Config(variant=pose)) as estimator:
        for frame in source.frames():
            tracks = tracker.push(estimator.estimate(frame))
            for person, joints in zip(tracks.ids, tracks.joints, strict=True):
                seen.setdefault(person, {})[len(times_s)] = joints
            times_s.append(frame.t)
    source.close()
    if not seen:
        raise ValueError(f"nobody was found in {video}; give a video that shows somebody")
    longest = max(seen.values(), key=len)
    first, last = min(longest), max(longest) + 1
    joints_TVC = np.zeros((last - first, len(NTU25), 3), np.float32)
    for i, joints in longest.items():
        joints_TVC[i - first] = joints
    return steadiness(np.array(times_s[first:last]), joints_TVC)


def _show(gap: Gap) -> None:
    table = Table(title=f"{gap.pairs} recordings, {gap.frames:,} frames, {gap.found:.2%} found")
    table.add_column("joint")
    columns = (
        "bias left, up, front, cm", "differs by, cm", "noise, cm", "drift", "jitter", "along", "across", "gain along",
        "gain across", "lag, ms", "missing, %",
    )  # fmt: skip
    for name in columns:
        table.add_column(name, justify="right")
    for joint, name in enumerate(NTU25.joints):
        table.add_row(
            name, " ".join(f"{100 * x:+.1f}" for x in gap.bias[joint]),
            f"{100 * float(np.linalg.norm(gap.bias_spread[joint])):.1f}",
            *(f"{100 * x[joint]:.1f}" for x in (gap.noise, gap.drift, gap.jitter, gap.along, gap.across)),
            *(_number(x[joint], ".2f") for x in (gap.gain_along, gap.gain_across)), _number(gap.lag_ms[joint], ".0f"),
            f"{100 * gap.missing[joint]:.1f}",
        )  # fmt: skip
    console = Console(width=_WIDTH)
    console.print(table)
    console.print(
        f"true size over seen size {gap.scale:.2f} ± {gap.scale_spread:.2f}; pitched by {gap.tilt_deg:.1f}°; the way "
        f"through the room strays {100 * gap.place_along:.1f} cm along the line of sight, "
        f"{100 * gap.place_across:.1f} cm across"
    )


def _show_likeness(alike: Likeness) -> None:
    table = Table(title=f"the simulated camera on people it was not measured on, {alike.windows} windows")
    for name in ("", "recorded", "seen", "simulated"):
        table.add_column(name, justify="left" if not name else "right")
    error = [100 * float(np.sqrt(np.square(x).mean())) for x in (alike.error_seen, alike.error_simulated)]
    table.add_row("rms deviation from what was recorded, cm", "0", *(f"{x:.1f}" for x in error))
    kinds = ("recorded", "seen", "simulated")
    table.add_row("rms speed, m/s", *(f"{alike.speed[kind]:.2f}" for kind in kinds))
    table.add_row("rms second difference, cm", *(f"{100 * alike.jerk[kind]:.2f}" for kind in kinds))
    for told, areas in alike.told_apart.items():
        table.add_row(f"told from seen by {told}, AUROC", f"{areas['recorded']:.3f}", "", f"{areas['simulated']:.3f}")
    Console(width=_WIDTH).print(table)


def _show_steadiness(steady: dict[str, Steadiness]) -> None:
    table = Table(title="real videos")
    for name in ("video", "frames", "found, %", "missing, %", "jitter at rest, cm: wrist", "ankle", "swaps a minute"):
        table.add_column(name, justify="left" if name == "video" else "right")
    for name, one in steady.items():
        jitter = [
            100 * float(one.jitter_m[[NTU25.index(f"{part}{side}") for side in ("Left", "Right")]].mean())
            for part in ("Wrist", "Ankle")
        ]
        table.add_row(
            Path(name).name, f"{one.frames:,}", f"{100 * one.found:.1f}", f"{100 * one.missing:.1f}",
            *(_number(x, ".1f") for x in jitter), f"{one.swaps_a_minute:.1f}",
        )  # fmt: skip
    Console(width=_WIDTH).print(table)


def _number(value: float, spec: str) -> str:
    return format(value, spec) if np.isfinite(value) else "–"


def _to_stderr() -> Console:
    return Console(stderr=True)


def _plain(told: Any) -> Any:
    """A dataclass as JSON can hold it; what could not be measured is null."""
    if told is None:
        return None

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        if isinstance(value, (np.ndarray, list, tuple)):
            return [plain(one) for one in value]
        if isinstance(value, (float, np.floating)):
            return round(float(value), 5) if np.isfinite(value) else None
        return value.item() if isinstance(value, np.generic) else value

    return plain(asdict(told))
