"""`skelstream evaluate --online`: how soon, how surely and how steadily a bundle says what people do, for each delay.

Every stream is scored once by the live path's own windows and engine. What came is decided as the bundle is shipped,
and in two ways for each delay: by the decision layer, its parameters fitted to that delay on the validation people of
the same stores (or, where these hold none, as the bundle has them), and without it: the most probable class of each
frame, an event being a run of it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from ..encoder.bundle import Bundle, BundleConfig, DecodeParameters
from ..encoder.clock import HZ
from ..encoder.engine import Infers
from ..encoder.engine.compile import EngineChoice, compile_engine
from ..train.detection_report import ScoredStream, spelt
from ..train.metrics import segments
from ..train.online_report import OnlineReport, online_report
from ..train.splits import CONTINUOUS
from ..train.store import Store
from ..train.streams import Stream, streams_of
from ..train.whole_file import write_whole
from .acted import ACTED
from .fit import fit_decoder
from .frontier_picture import draw_frontier
from .offline import Windowed, decode_stream, score_windows

DELAYS = (0, 4, 8, 16, 24, 32)  # frames
Decided = Literal["decision layer", "most probable", "as shipped"]
BACKGROUND = "background"  # the group of `daily`, in which hardly anything happens
ALL_REAL = "all real"  # the group of all recorded people whose recordings go on as life does

_COLUMNS = {
    "frame_accuracy": "frames", "frame_map": "mAP", "frame_cap": "cAP", "calibration_error": "ECE",
    "event_f1": "F1@0.5", "detected": "said", "median_ms": "median ms", "p90_ms": "p90 ms",
    "median_of_all_ms": "median of all", "false_per_hour": "false/h", "switches_per_minute": "switches/min",
    "true_switches_per_minute": "(true)", "unknown": "unknown",
}  # fmt: skip
_SHARES = ("frame_accuracy", "frame_map", "frame_cap", "calibration_error", "event_f1", "detected", "unknown")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table: a model with a decoder at a delay, on a group of streams that came from one source."""

    model: str
    decided: Decided
    delay: int
    group: str
    source: str
    report: OnlineReport


def evaluate_online(
    model: str,
    stores: Sequence[Path],
    out: Path,
    part: Literal["test", "val"],
    backend: EngineChoice,
    hop: int,
    delays: Sequence[int] = DELAYS,
    rivals: Sequence[str] = (),
) -> int:
    """Print the tables and write report.json and frontier.png to `out`, for `model` and each of its `rivals`.

    Raises ValueError if a store is none, none holds anybody of this part, a model is given twice, or a delay is not
    within its window.
    """
    bundles = {name: Bundle.load_live(name) for name in (model, *rivals)}
    if len(bundles) < 1 + len(rivals):
        raise ValueError("a model stands against itself; name each bundle once")
    for name, bundle in bundles.items():
        if not delays or not all(0 <= delay < bundle.config.frames for delay in delays):
            raise ValueError(f"a delay of {name} is 0 to {bundle.config.frames - 1} frames, not {list(delays)}")
    opened = [Store(path) for path in stores]
    streams = streams_of(opened, (part,))
    if not streams:
        raise ValueError(f"the stores hold no {part} people; prepare the sets that train/splits.py names")
    # Whoever is tested on the validation people must not have been fitted to them.
    held_out = [s for s in streams_of(opened, ("val",)) if s.dataset in CONTINUOUS] if part == "test" else []

    lines: list[Line] = []
    parameters: dict[str, dict[int, DecodeParameters]] = {}
    for name, bundle in bundles.items():
        engine = compile_engine(bundle, backend, threads=os.cpu_count())
        parameters[name] = _fitted(engine, bundle.config, held_out, hop, delays)
        lines += _lines(name, engine, bundle.config, streams, hop, parameters[name])
        engine.close()
    out.mkdir(parents=True, exist_ok=True)
    _show(lines, f"{part} people, a window every {hop} frames")
    content = {
        "part": part, "hop": hop, "fitted_on_validation": bool(held_out),
        "models": {
            name: {
                "digest": bundle.digest,
                "parameters": {delay: asdict(fitted) for delay, fitted in parameters[name].items()},
            }
            for name, bundle in bundles.items()
        },
        "rows": [asdict(line) for line in lines],
    }  # fmt: skip
    write_whole(out / "report.json", json.dumps(_plain(content), indent=1))
    title = f"{', '.join(name for name in bundles)} on the {part} people"
    draw_frontier(
        [line for line in lines if line.decided != "as shipped"],
        out / "frontier.png",
        title,
        group=ALL_REAL,
        background=BACKGROUND,
    )
    return 0


def _fitted(
    engine: Infers, config: BundleConfig, held_out: Sequence[Stream], hop: int, delays: Sequence[int]
) -> dict[int, DecodeParameters]:
    """The decision layer's parameters for each delay."""
    if not held_out:
        return {delay: replace(config.decode, delay=delay) for delay in delays}
    windowed = [score_windows(engine, stream, hop) for stream in _bar(held_out, "scoring the validation people")]
    return {delay: fit_decoder(windowed, config, delay) for delay in _bar(delays, "fitting")}


def _lines(
    name: str,
    engine: Infers,
    config: BundleConfig,
    streams: Sequence[Stream],
    hop: int,
    parameters: Mapping[int, DecodeParameters],
) -> list[Line]:
    scored: dict[tuple[Decided, int], list[ScoredStream]] = {}
    for stream in _bar(streams, f"scoring with {name}"):
        windowed = score_windows(engine, stream, hop)
        shipped = decode_stream(windowed, config, config.decode)
        scored.setdefault(("as shipped", config.decode.delay), []).append(shipped)
        for delay, fitted in parameters.items():
            decided = decode_stream(windowed, config, fitted)
            scored.setdefault(("decision layer", delay), []).append(decided)
            scored.setdefault(("most probable", delay), []).append(
                most_probable(windowed, decided, config.classes, delay)
            )
    return [
        Line(
            model=name, decided=how, delay=delay, group=group, source=source,
            report=online_report([of_all[i] for i in chosen], config.classes),
        )
        for (group, source), chosen in _groups(streams).items()
        for (how, delay), of_all in scored.items()
    ]  # fmt: skip


def most_probable(windowed: Windowed, decided: ScoredStream, classes: Sequence[str], delay: int) -> ScoredStream:
    """The same probabilities of each frame without a decision layer: its label is the most probable class.

    A run of one class is an event; it was said when its first frame was decided, by the first window that ends
    `delay` frames after it or later (the last window decides all that are left).
    """
    labels = decided.probabilities.argmax(axis=1)
    runs = segments(labels)
    first_frames = np.array([run.start for run in runs], np.int64)
    windows = np.searchsorted(windowed.ends, first_frames + delay).clip(max=len(windowed.ends) - 1)
    return replace(
        decided, decided=labels, events=tuple(spelt(runs, decided, classes)),
        said_s=tuple((windowed.ends[windows] / decided.hz).tolist()), unknown_s=(),
    )  # fmt: skip


def _groups(streams: Sequence[Stream]) -> dict[tuple[str, str], list[int]]:
    """Which streams each group of each source holds, by number: every set, all real ones, and the background."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i, stream in enumerate(streams):
        group = BACKGROUND if stream.dataset == "daily" else stream.dataset
        groups.setdefault((group, stream.source), []).append(i)
        if stream.dataset in CONTINUOUS and stream.dataset not in ACTED:
            groups.setdefault((ALL_REAL, stream.source), []).append(i)
    return groups


def _show(lines: Sequence[Line], title: str) -> None:
    console = Console(width=190)
    for group, source in dict.fromkeys((line.group, line.source) for line in lines):
        table = Table(title=f"{group}, {source}: {title}")
        for column in ("model", "decided by", "delay", *_COLUMNS.values()):
            table.add_column(column, justify="left" if column in ("model", "decided by") else "right")
        for line in lines:
            if (line.group, line.source) == (group, source):
                values = asdict(line.report)
                values |= values.pop("times")
                cells = (_cell(name, values[name]) for name in _COLUMNS)
                table.add_row(line.model, line.decided, f"{line.delay} ({1000 * line.delay / HZ:.0f} ms)", *cells)
        some = next(line.report for line in lines if (line.group, line.source) == (group, source))
        table.caption = (
            f"{some.streams} streams, {some.hours:.2f} h, {some.times.actions} actions. Shares in per cent; times are "
            "of the stream, from an action's true start until it is said: what a machine takes to compute comes on top"
        )
        console.print(table)


def _cell(name: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "never"
    if name in _SHARES:
        return f"{100 * value:.1f}"
    return f"{value:.0f}" if name.endswith("_ms") else f"{value:.1f}"


def _plain(value: Any) -> Any:
    """As JSON has it: what is no number, or never, becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _bar(some: Sequence[Any], what: str) -> Any:
    return progress(some, description=what, console=Console(stderr=True))
