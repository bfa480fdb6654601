"""`skelstream evaluate`: a bundle on people it never saw, through the live path's own windows, engine and decoder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from ..encoder.bundle import Bundle
from ..encoder.engine.compile import EngineChoice, compile_engine
from ..train.confusion import draw_confusion
from ..train.detection_report import DetectionReport, ScoredStream, evaluate_streams
from ..train.metrics import confusion_matrix
from ..train.store import Store
from ..train.streams import Stream, streams_of
from ..train.whole_file import write_whole
from .acted import ACTED
from .offline import decode_stream, score_windows

_COLUMNS = {
    "frames": "frames", "frame_accuracy": "frame accuracy", "map_actions": "mAP@0.5 actions",
    "map_videos": "mAP@0.5 videos", "f1_10": "F1@10", "f1_25": "F1@25", "f1_50": "F1@50", "edit": "edit",
    "event_f1": "event F1@0.5",
}  # fmt: skip


def evaluate_bundle(
    model: str, stores: Sequence[Path], out: Path, part: Literal["test", "val"], backend: EngineChoice, hop: int
) -> int:
    """Print the table and write report.json and the confusion matrices to `out`.

    Raises ValueError if a store is none, or holds nobody of this part.
    """
    bundle = Bundle.load_live(model)
    streams = streams_of([Store(path) for path in stores], (part,))
    if not streams:
        raise ValueError(f"the stores hold no {part} people; prepare the sets that train/splits.py names")
    engine = compile_engine(bundle, backend, threads=os.cpu_count())
    scored = [
        (stream, decode_stream(score_windows(engine, stream, hop), bundle.config, bundle.config.decode))
        for stream in progress(streams, description="scoring", console=Console(stderr=True))
    ]
    engine.close()
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, DetectionReport] = {}
    for source, chosen in _by_source(scored).items():
        for dataset in dict.fromkeys(stream.dataset for stream, _ in chosen):
            rows[f"{dataset}, {source}"] = _report([s for stream, s in chosen if stream.dataset == dataset], bundle)
        real = [pair for pair in chosen if pair[0].dataset not in ACTED]
        if real:
            rows[f"all real, {source}"] = _report([s for _, s in real], bundle)
            _picture(
                [s for _, s in real], bundle, out / f"confusion-{_slug(source)}.png", f"{bundle.name}, {part}, {source}"
            )
    if pairs := _seen_both_ways(scored):
        rows["same recordings, recorded"] = _report([pair[0] for pair in pairs], bundle)
        rows["same recordings, drawn and seen"] = _report([pair[1] for pair in pairs], bundle)
    _show(rows, f"{bundle.name} on the {part} people")
    content = {name: _plain(report) for name, report in rows.items()}
    write_whole(out / "report.json", json.dumps({"model": bundle.digest, "part": part, "rows": content}, indent=1))
    return 0


def _by_source(scored: list[tuple[Stream, ScoredStream]]) -> dict[str, list[tuple[Stream, ScoredStream]]]:
    sources = dict.fromkeys(stream.source for stream, _ in scored)
    return {source: [pair for pair in scored if pair[0].source == source] for source in sources}


def _seen_both_ways(scored: list[tuple[Stream, ScoredStream]]) -> list[tuple[ScoredStream, ScoredStream]]:
    """The streams that are there as recorded and as seen, so that the two can be compared."""
    recorded = {s.name: (s, r) for s, r in scored if s.source == "recorded"}
    return [
        (recorded[stream.name][1], result)
        for stream, result in scored
        # A stream of trimmed clips, some of which were not drawn, is another stream.
        if stream.source != "recorded" and stream.name in recorded and _alike(recorded[stream.name][0], stream)
    ]


def _alike(a: Stream, b: Stream) -> bool:
    return abs(len(a.labels) - len(b.labels)) < 0.02 * len(a.labels)


def _report(streams: list[ScoredStream], bundle: Bundle) -> DetectionReport:
    return evaluate_streams(streams, bundle.config.classes)


def _picture(streams: list[ScoredStream], bundle: Bundle, path: Path, title: str) -> None:
    classes = bundle.config.classes
    matrix = sum(
        (confusion_matrix(s.decided, s.truth, len(classes)) for s in streams), np.zeros((len(classes),) * 2, int)
    )
    draw_confusion(matrix, classes, path, title)


def _show(rows: dict[str, DetectionReport], title: str) -> None:
    table = Table(title=title)
    table.add_column("people seen how")
    for column in _COLUMNS.values():
        table.add_column(column, justify="right")
    for name, report in rows.items():
        values = asdict(report)
        table.add_row(name, *(_cell(key, values[key]) for key in _COLUMNS))
    Console(width=160).print(table)


def _cell(key: str, value: float) -> str:
    if key == "frames":
        return f"{value:,}"
    if math.isnan(value):
        return "–"
    return f"{value:.1f}" if key == "edit" else f"{100 * value:.1f}"


def _plain(report: DetectionReport) -> dict[str, float | None]:
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value for key, value in asdict(report).items()
    }


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-")
