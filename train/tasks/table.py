"""One call, one table: every clip task on one data set, from the pretrained encoder and from a random one.

The random encoder's column is what the pretrained one has to beat: its linear row says what the architecture alone
sees, its last rows are supervised training from scratch. A table that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..clips import Clips
from ..pretrained import Pretrained
from ..probes import Exact, GradientDescent
from ..whole_file import write_whole
from .fine_tune import FineTuning, fine_tune
from .linear import LinearProbe, linear_probe
from .retrieval import Retrieval, retrieval
from .semi_supervised import SemiSupervised, semi_supervised
from .task import Results, Say, random_twin


@dataclass(frozen=True, kw_only=True)
class Table:
    """The settings of its rows; the random encoder is drawn by `seed`."""

    linear: LinearProbe = field(default_factory=lambda: LinearProbe(solver=GradientDescent()))
    linear_exact: LinearProbe = field(default_factory=lambda: LinearProbe(solver=Exact()))
    retrieval: Retrieval = field(default_factory=Retrieval)
    semi_supervised: SemiSupervised = field(default_factory=SemiSupervised)
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    seed: int = 0


def table(pretrained: Pretrained, train: Clips, test: Clips, config: Table, out: Path, say: Say) -> Results:
    """All results, {row: {"random": ..., "pretrained": ...}}; the top-1 figures are in `out`/table.md as well."""
    encoders = {"random": random_twin(pretrained, config.seed), "pretrained": pretrained}
    # The quick rows first: they say early whether the long ones are worth it.
    tasks: dict[str, Callable[[Pretrained, Path], Results]] = {
        "linear (SGD)": lambda encoder, to: linear_probe(encoder, train, test, config.linear, to, say),
        "linear (exact)": lambda encoder, to: linear_probe(encoder, train, test, config.linear_exact, to, say),
        "retrieval": lambda encoder, to: retrieval(encoder, train, test, config.retrieval, to, say),
        "fine-tuned": lambda encoder, to: semi_supervised(encoder, train, test, config.semi_supervised, to, say),
        "fine-tuned, all": lambda encoder, to: fine_tune(encoder, train, test, config.fine_tuning, to, say),
    }
    results: Results = {}
    for task, do in tasks.items():
        for name, encoder in encoders.items():
            say(f"{task}, {name} encoder")
            for row, result in _rows(task, do(encoder, out / name / task.translate({ord(c): "-" for c in " (),"}))):
                results.setdefault(row, {})[name] = result
    write_whole(out / "results.json", json.dumps(results, indent=1))
    write_whole(out / "table.md", as_markdown(results))
    return results


def as_markdown(results: Results) -> str:
    """Top-1 in per cent, a row a task; several draws with their standard deviation."""
    lines = ["| top-1, % | random encoder | pretrained |", "|---|---|---|"]
    for row, columns in results.items():
        cells = [
            f"{100 * columns[name]['top1']:.1f}"
            + (f" ± {100 * columns[name]['deviation']:.1f}" if "deviation" in columns[name] else "")
            for name in ("random", "pretrained")
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rows(task: str, result: Results) -> list[tuple[str, Results]]:
    """A task's result as rows: some have one for each k or fraction."""
    return [(task, result)] if "top1" in result else [(f"{task}, {part}", each) for part, each in result.items()]
