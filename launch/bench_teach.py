"""`skelstream bench teach`: how well a model learns what it never knew, against how often it was shown.

    skelstream bench teach --stores STORES/msr_action3d STORES/nw_ucla STORES/kinder_gator STORES/precog2016

The classes are the sets' own that the vocabulary (`train/vocabulary.py`) has no word for: `unnamed` ones, of whose
frames no label was ever told, and those that were told as `background`, which the model has learnt to keep quiet about.
The people are those whom no training saw (`train/splits.py`), both those who show and those who are asked about, be it
the same person or another. What is learnt is asked about through the live windows and decoder, and so is what it costs:
how often the new action is said where it is not, and how well the old ones are said before and after.

Beside the model's encoder two rivals learn the same from the same: one of the same shape that was never trained, and
the nearest neighbour of raw joints (`teach_rivals.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ..encoder.bundle import Bundle
from ..train.store import Store
from ..train.whole_file import write_whole
from .said import say
from .teach_picture import draw_shots
from .teach_rivals import METHODS, Learner, learners
from .teach_trials import Asked, Exam, exams

_SHOWERS = ("same", "other")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One lesson and what came of it; see `Asked` for the measures."""

    dataset: str
    action: str
    told: str  # what the model was told of this class: "unnamed" or "background"
    shower: str  # "same" or "other": whether whoever is asked about has shown it
    shots: int
    method: str
    seconds: float  # of learning
    asked: Asked


def bench_teach(
    model: str, stores: Sequence[Path], shots: Sequence[int], draws: int, classes: int, out: Path, seed: int
) -> int:
    """Print the table and write report.json and teach.png to `out`. ValueError if the stores hold nothing to learn."""
    bundle = Bundle.load_live(model)
    out.mkdir(parents=True, exist_ok=True)
    trials: list[Trial] = []
    with learners(bundle, [Store(path) for path in stores], seed) as methods:
        for path in stores:
            for exam in exams(bundle, Store(path), methods, classes, seed):
                trials += _sat(exam, methods, shots, draws, seed)
                say(f"{exam.dataset}: {exam.action} ({exam.told}), {len(trials)} lessons so far")
    if not trials:
        raise ValueError("the stores hold no classes that could be taught: none that the vocabulary has no word for")
    rows = summed(trials)
    _show(rows, bundle.name)
    told = {"model": bundle.digest, "rows": rows, "trials": [asdict(trial) for trial in trials]}
    write_whole(out / "report.json", json.dumps(told, indent=1))
    draw_shots(rows, out / "teach.png")
    return 0


def _sat(
    exam: Exam, methods: Sequence[Learner], shots: Sequence[int], draws: int, seed: int
) -> Iterator[Trial]:  # fmt: skip
    """The lessons in one class: every number of shots, by either shower, several draws of who and what."""
    for shower in _SHOWERS:
        for count in shots:
            for draw in range(draws):
                chosen = exam.drawn(shower == "same", count, np.random.default_rng((seed, draw, count)))
                if chosen is None:
                    continue
                shown, subject = chosen
                for method in methods:
                    began = time.perf_counter()
                    scorer = method.learn([exam.showing(clip) for clip in shown])
                    seconds = time.perf_counter() - began
                    yield Trial(
                        dataset=exam.dataset, action=exam.action, told=exam.told, shower=shower, shots=count,
                        method=method.name, seconds=seconds, asked=exam.ask(method.name, scorer, subject, shown),
                    )  # fmt: skip


def summed(trials: Sequence[Trial]) -> list[dict[str, object]]:
    """A row for each kind of class, shower, method and number of shots: means, and the spread between lessons."""
    rows: list[dict[str, object]] = []
    keys = dict.fromkeys((t.told, t.shower, t.method, t.shots) for t in trials)
    for told, shower, method, shots in sorted(keys, key=lambda k: (k[0] != "unnamed", k[1], METHODS.index(k[2]), k[3])):
        some = [t for t in trials if (t.told, t.shower, t.method, t.shots) == (told, shower, method, shots)]
        row: dict[str, object] = {
            "told": told, "shower": shower, "method": method, "shots": shots, "lessons": len(some),
            "classes": len({(t.dataset, t.action) for t in some}), "seconds": float(np.mean([t.seconds for t in some])),
        }  # fmt: skip
        for name in Asked.__dataclass_fields__:
            values = [getattr(t.asked, name) for t in some]
            row[name], row[f"{name}_spread"] = float(np.mean(values)), float(np.std(values))
        rows.append(row)
    return rows


def _show(rows: Sequence[dict[str, object]], model: str) -> None:
    table = Table(title=f"{model}: actions that were held out of its training, taught")
    columns = (
        "told", "shower", "method", "shots", "lessons", "frames", "events", "false/h", "taken", "accuracy before",
        "after", "event F1 before", "after", "learning",
    )  # fmt: skip
    for column in columns:
        table.add_column(column, justify="left" if column in columns[:3] else "right")
    for row in rows:
        table.add_row(
            *(str(row[name]) for name in ("told", "shower", "method", "shots", "lessons")),
            f"{row['frames']:.2f} ± {row['frames_spread']:.2f}", f"{row['events']:.2f} ± {row['events_spread']:.2f}",
            f"{row['false_an_hour']:.0f}", f"{row['taken']:.3f}", f"{row['accuracy_before']:.3f}",
            f"{row['accuracy_after']:.3f}", f"{row['f1_before']:.3f}", f"{row['f1_after']:.3f}",
            f"{row['seconds']:.1f} s",
        )  # fmt: skip
    Console(width=180).print(table)
