"""The continual detector beside the windowed one: its decoder fitted, both measured on the same streams.

Both are decoded by the same code: each answer of a continual detector is handed to the decoder as a window of one
frame, with no delay besides the one that the model itself has.

Shapes: T frame, K class.
"""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

from ..encoder.bundle import Bundle, BundleConfig, DecodeParameters
from ..encoder.config import DSTEConfig
from ..encoder.continual import Continual
from ..encoder.engine.compile import compile_engine
from ..encoder.weights import load_detector
from ..train.continual import ContinualTraining, probabilities, train_continual
from ..train.continual_file import SavedContinual, load_continual, save_continual
from ..train.detection_report import DetectionReport, ScoredStream, evaluate_streams
from ..train.splits import CONTINUOUS
from ..train.store import Store
from ..train.streams import Stream, streams_of
from ..train.whole_file import write_whole
from .acted import ACTED
from .fit import fit_decoder
from .offline import Windowed, decode_stream, score_windows
from .said import say

_COLUMNS = {
    "frame_accuracy": "frame accuracy", "map_actions": "mAP@0.5 actions", "f1_10": "F1@10", "f1_25": "F1@25",
    "f1_50": "F1@50", "edit": "edit", "event_f1": "event F1@0.5",
}  # fmt: skip


def train_and_save(stores: Sequence[Path], out: Path, training: ContinualTraining, start: str) -> int:
    """Train into `out`, fit the decoder on the validation people, write the model there. ValueError as training."""
    opened = [Store(path) for path in stores]
    run = train_continual(opened, out, training, say, load_detector(Bundle.load(start)) if start else None)
    model = run.averaged()
    continuous = [store for store in opened if store.dataset in CONTINUOUS]
    validation = [answers(model, stream) for stream in streams_of(continuous, ("val",))]
    decode = fit_decoder(validation, _decoded(model), 0) if validation else DecodeParameters(delay=0)
    provenance = {**run.provenance(), "made": datetime.date.today().isoformat()}
    save_continual(out, SavedContinual(model=model, decode=decode, provenance=provenance))
    say(f"{out}: decode {asdict(decode)}")
    return 0


def answers(model: Continual, stream: Stream) -> Windowed:
    """A stream's answers (T, K), each as a window of one frame, which nothing revises."""
    logits_TK = np.log(np.maximum(probabilities(model, stream.joints), 1e-12))
    frames = len(logits_TK)
    return Windowed(stream=stream, ends=np.arange(frames), logits_WFK=logits_TK[:, None], evidence_W=np.ones(frames))


def evaluate_continual(
    run: Path, model: str, stores: Sequence[Path], out: Path, part: Literal["test", "val"], hop: int
) -> int:
    """Print what both detectors make of the same people, and write it to `out`/report.json.

    Raises ValueError if the folder holds no continual detector, the two answer different classes, or the stores hold
    nobody of this part.
    """
    saved, bundle = load_continual(run), Bundle.load_live(model)
    classes = bundle.config.classes
    if saved.model.config.classes != classes:
        raise ValueError(f"{run} and {bundle.directory} answer different classes; compare with the bundle it began as")
    streams = streams_of([Store(path) for path in stores], (part,))
    if not streams:
        raise ValueError(f"the stores hold no {part} people; prepare the sets that train/splits.py names")
    engine = compile_engine(bundle, threads=os.cpu_count())

    def windowed(stream: Stream) -> ScoredStream:
        return decode_stream(score_windows(engine, stream, hop), bundle.config, bundle.config.decode)

    def continual(stream: Stream) -> ScoredStream:
        return decode_stream(answers(saved.model, stream), _decoded(saved.model), saved.decode)

    rows: dict[str, dict[str, DetectionReport]] = {}
    kinds: dict[str, Callable[[Stream], ScoredStream]] = {bundle.name: windowed, "continual": continual}
    for kind, score in kinds.items():
        scored = [score(stream) for stream in progress(streams, description=kind, console=Console(stderr=True))]
        for name, chosen in _groups(streams).items():
            rows.setdefault(name, {})[kind] = evaluate_streams([scored[i] for i in chosen], classes)
    engine.close()
    _show(rows, f"windowed and continual on the {part} people")
    content = {name: {kind: _plain(report) for kind, report in both.items()} for name, both in rows.items()}
    told = {"model": bundle.digest, "run": dict(saved.provenance), "part": part, "hop": hop, "rows": content}
    write_whole(out / "report.json", json.dumps(told, indent=1))
    return 0


def _decoded(model: Continual) -> BundleConfig:
    """What the decoder has to know of a detector: its classes."""
    return BundleConfig(encoder=DSTEConfig.named("small"), classes=model.config.classes)


def _groups(streams: Sequence[Stream]) -> dict[str, list[int]]:
    """The rows of the table: which streams are in each."""
    groups: dict[str, list[int]] = {}
    for i, stream in enumerate(streams):
        groups.setdefault(f"{stream.dataset}, {stream.source}", []).append(i)
    for source in dict.fromkeys(stream.source for stream in streams):
        if real := [i for i, s in enumerate(streams) if s.source == source and s.dataset not in ACTED]:
            groups[f"all real, {source}"] = real
    return groups


def _show(rows: dict[str, dict[str, DetectionReport]], title: str) -> None:
    table = Table(title=title)
    for column in ("people seen how", "detector", "frames", *_COLUMNS.values()):
        table.add_column(column, justify="left" if column in ("people seen how", "detector") else "right")
    for name, both in rows.items():
        for i, (kind, report) in enumerate(both.items()):
            values = asdict(report)
            cells = (_cell(key, values[key]) for key in _COLUMNS)
            table.add_row(name if i == 0 else "", kind, f"{report.frames:,}", *cells, end_section=i == len(both) - 1)
    Console(width=160).print(table)


def _cell(key: str, value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.1f}" if key == "edit" else f"{100 * value:.1f}"


def _plain(report: DetectionReport) -> dict[str, float | None]:
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value for key, value in asdict(report).items()
    }
