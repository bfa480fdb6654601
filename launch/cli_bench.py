"""`skelstream bench ...`: what is measured, one small function each. The measuring itself is in files of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from ..encoder.engine import Precision


def bench_live(
    *, seconds: float = 60.0, width: int = 1280, height: int = 720, detectors: int = 1, hop: int = 1, seed: int = 0
) -> int:
    """Capture to scored frame at 30 fps on this machine: latency, its growth, and memory over time."""
    from .bench import bench_live as run

    return run(seconds, width, height, detectors, hop, seed)


def bench_people(
    *, scenes: tuple[str, ...] = (), seeds: tuple[int, ...] = (1, 2), pose: Literal["lite", "full", "heavy"] = "lite",
    people: int = 4, width: int = 640, height: int = 480, store: Path | None = None, clips: int = 3,
) -> int:  # fmt: skip
    """How well people are told apart: IDF1, switches, misses and what pose costs, on drawn scenes of known truth.

    Args:
        scenes: by default all of `stream/scenes.py`.
        people: the pose estimator looks for at most so many.
        store: also recordings of two people, drawn (`data prepare sbu`), and of each class so many `clips`.
    """
    from .bench_people import bench_people as run

    return run(scenes, seeds, pose, people, (width, height), store, clips)


def bench_pretrain(
    *,
    store: Path,
    hidden: tuple[int, ...] = (256, 1024),
    batch: int = 16,
    seconds: float = 60.0,
    seed: int = 0,
) -> int:
    """Pretraining: clips a second beside those of the published way, in one run.

    Args:
        store: a prepared store to take clips from.
        seconds: how long each way runs, for each hidden size.
    """
    from ..train.clips import Clips
    from ..train.store import Store
    from .bench_pretrain import bench_pretrain as run

    clips = Clips([Store(store)])
    return max(run(clips, size, batch, seconds, seed) for size in hidden)


def bench_train(
    *,
    store: Path,
    hidden: int = 256,
    batch: int = 64,
    steps: int = 6,
    rounds: int = 3,
    lose_a_node: Path | None = None,
) -> int:
    """Pretraining on Ray: what it costs beside a bare loop, what a second worker gives, and the loss of a node.

    Args:
        store: a prepared store to take clips from.
        steps: steps that are timed, each way and round.
        lose_a_node: also lose one of three simulated nodes in a run whose folder this is; its curves.png shows where.
    """
    from .bench_train import bench_train as run

    return run(store, hidden, batch, steps, rounds, lose_a_node)


def bench_encoder(
    *,
    model: str = "small",
    engines: tuple[str, ...] = (),
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32),
    rounds: int = 7,
    threads: int = os.cpu_count() or 1,
    frames: int = 20,
    out: Path = Path("runs/bench"),
) -> int:
    """Engines, precisions and batch sizes against the published network in eager PyTorch, timed in turns: a table,
    OUT/encoder.json and OUT/encoder.png.

    Args:
        model: a shipped bundle's name, or a bundle's folder; `bench base` makes one of the paper's size.
        engines: BACKEND or BACKEND:PRECISION; the default is all that run here.
        frames: also of the last so many frames of each window alone, as `live` asks for; 0: not.
    """
    from .bench_encoder import bench_encoder as run

    return run(model, engines, batches, rounds, threads, frames, out)


def bench_base(
    *, stores: list[Path], out: Path = Path("runs/base"), hidden: int = 1024, windows: int = 400, seed: int = 0
) -> int:
    """A bundle of the paper's size to measure engines on: a random encoder, and a head trained on what it gives.

    Args:
        stores: prepared stores whose people the head is trained, calibrated and told of.
        windows: of training people, for the head.
    """
    from .random_base import random_base

    return random_base(stores, out, hidden, windows, seed)


def bench_streams(
    *,
    streams: tuple[int, ...] = (8, 16, 24, 32, 40, 48, 56, 64),
    hop: int = 4,
    seconds: float = 10.0,
    model: str = "small",
    threads: int = 1,
    out: Path = Path("runs/bench"),
) -> int:
    """How many live streams one detector process serves, and where it breaks: a table, OUT/streams.json and
    OUT/streams.png.

    Args:
        streams: numbers of streams to try, each with processes of its own.
        hop: frames between two windows of a stream, at 30 Hz.
        seconds: how long each number is measured, after two seconds of warm-up.
        threads: of the detector, which has as many cores to itself where there are more.
    """
    from .bench_streams import bench_streams as run

    return run(streams, hop, seconds, model, threads, out)


def bench_continual(
    run: Positional[Path],
    *,
    model: str = "small",
    streams: tuple[int, ...] = (1, 8, 32),
    hop: int = 4,
    rounds: int = 10,
    precision: Precision | None = None,
) -> int:
    """What a frame costs a continual detector beside a window of a windowed one: OpenVINO, one thread, in turns.

    Args:
        run: the folder of `train continual`.
        model: the bundle to compare with.
        streams: how many streams advance together.
        hop: frames between two windows.
        precision: of the windowed one; its best here, unless one is given.
    """
    from .bench_continual import bench_continual as bench

    return bench(run, model, streams, hop, rounds, precision)


def bench_robot(
    *, seconds: float = 300.0, seed: int = 0, width: int = 640, height: int = 480, policy: str = "",
    out: Path | None = None,
) -> int:  # fmt: skip
    """How soon the simulated robot moves after a person has (the drawn actor), and how often for nothing.

    Args:
        policy: the default is the one that comes along.
        out: write each reaction to this JSON file too.
    """
    from .bench_robot import bench_robot as run

    return run(seconds, seed, width, height, policy, out)


def bench_teach(
    *,
    stores: list[Path],
    model: str = "small",
    shots: tuple[int, ...] = (1, 2, 5, 10),
    draws: int = 3,
    classes: int = 6,
    out: Path = Path("runs/teach"),
    seed: int = 0,
) -> int:
    """How well a new action is learnt from a few showings, and what that costs the old ones, on classes and people that
    were held out of training: a table, OUT/report.json and OUT/teach.png.

    Args:
        stores: prepared sets that have classes which the vocabulary has no word for; their training people give two
            rivals something to know.
        shots: how often it is shown.
        draws: how often who shows what to whom is drawn anew.
        classes: at most so many of each set that no label was told of, and as many that were told as background.
    """
    from .bench_teach import bench_teach as run

    return run(model, stores, shots, draws, classes, out, seed)


COMMANDS: dict[str, Callable[..., int]] = {
    "live": bench_live, "robot": bench_robot, "people": bench_people, "encoder": bench_encoder, "base": bench_base,
    "streams": bench_streams, "teach": bench_teach,
    "continual": bench_continual, "pretrain": bench_pretrain, "train": bench_train,
}  # fmt: skip
