"""What came of a sweep: every trial with its parameters and how it ended, as a table, as numbers and as a picture.

sweep.md     a row a trial, the best first, the failed ones last with their reason
sweep.json   the same, with the curves
sweep.png    the metric over the steps of every trial, and over the values of every parameter
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ..whole_file import whole_file, write_whole
from .sweep_space import Parameters, Value

End = Literal["finished", "stopped early", "failed"]

_COLUMNS = 3
_INCHES = (4.0, 3.0)
_DPI = 110
_MARKS: dict[End, tuple[str, str]] = {"finished": ("o", "#2b6cb0"), "stopped early": ("v", "#a0aec0")}
_BEST = "#dd6b20"
_WIDE = 300.0  # an axis over more than this factor has room for the powers of ten alone


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial ended. `curve` is (step, metric) each time it was probed; the last is its `value`.

    `reason` says in one line why it failed.
    """

    number: int
    parameters: Parameters
    end: End
    curve: tuple[tuple[int, float], ...]
    reason: str = ""

    @property
    def steps(self) -> int:
        """Steps done when it was last probed."""
        return self.curve[-1][0] if self.curve else 0

    @property
    def value(self) -> float | None:
        """The metric when it was last probed; None if it never was."""
        return self.curve[-1][1] if self.curve else None


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The best first; those that failed last; equals by their number."""
    return sorted(outcomes, key=lambda o: (o.end == "failed", math.inf if o.value is None else -o.value, o.number))


def best_of(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The best of those that went through; None if none did."""
    return next((outcome for outcome in ranked(outcomes) if outcome.end == "finished"), None)


def write_report(
    outcomes: Sequence[Outcome], metric: str, total: int, ranges: Sequence[str], about: str, command: str, out: Path
) -> None:
    """Write sweep.md, sweep.json and sweep.png to `out`.

    `metric` names what was measured, `total` is how many steps a whole trial has, `ranges` are the parameters whose
    axis is logarithmic, `about` is one line on what was measured, `command` trains with the best parameters ("" if no
    trial went through).
    """
    write_whole(out / "sweep.md", as_markdown(outcomes, metric, total, about, command))
    told = [{**asdict(outcome), "steps": outcome.steps, "value": outcome.value} for outcome in ranked(outcomes)]
    best = best_of(outcomes)
    summary = {"metric": metric, "total": total, "about": about, "best": best and best.number, "command": command}
    write_whole(out / "sweep.json", json.dumps({**summary, "trials": told}, indent=1))
    draw_sweep(outcomes, metric, ranges, out / "sweep.png")


def as_markdown(outcomes: Sequence[Outcome], metric: str, total: int, about: str, command: str) -> str:
    """The table, the metric in per cent, and the command for the best."""
    names = _names(outcomes)
    head = ["trial", metric, "steps", "ended", *names]
    rows = [
        [
            str(o.number), "–" if o.value is None else f"{100 * o.value:.1f}", f"{o.steps}/{total}",
            f"{o.end}: {_cell(o.reason)}" if o.reason else o.end,
            *(_written(o.parameters[name]) if name in o.parameters else "" for name in names),
        ]
        for o in ranked(outcomes)
    ]  # fmt: skip
    table = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    best = ["The best, on all of the training part:", "", "```", command, "```", ""] if command else []
    return "\n".join([about, "", *table, "", *best])


def draw_sweep(outcomes: Sequence[Outcome], metric: str, ranges: Sequence[str], path: Path) -> None:
    """Curves of all trials, and a panel for each parameter that was varied; written whole or not at all.

    The best is orange; what was stopped early is grey. Trials that were never probed are not in it. `ranges` are the
    parameters whose axis is logarithmic; the others were chosen from a few values.
    """
    probed = [outcome for outcome in outcomes if outcome.curve]
    varied = [name for name in _names(probed) if len({o.parameters.get(name) for o in probed}) > 1]
    curves = max((len(outcome.curve) for outcome in probed), default=0) > 1
    panels = max(1, curves + len(varied))
    columns, rows = min(panels, _COLUMNS), -(-panels // _COLUMNS)
    figure = Figure(figsize=(_INCHES[0] * columns, _INCHES[1] * rows + 0.5), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    best = best_of(outcomes)
    for i in range(panels):
        axes = figure.add_subplot(rows, columns, i + 1)
        if curves and i == 0:
            _draw_curves(axes, probed, best)
        elif varied:
            _draw_parameter(axes, probed, best, varied[i - curves], ranges)
        if i % columns == 0:
            axes.set_ylabel(f"{metric}, top-1 on validation, %", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    for end, (mark, colour) in _MARKS.items():
        if any(outcome.end == end for outcome in probed):
            figure.axes[0].plot([], [], mark, color=colour, markersize=5, label=end)
    if any(outcome.end == "failed" for outcome in probed):
        figure.axes[0].plot([], [], "kx", markersize=5, label="failed")
    if best is not None:
        figure.axes[0].plot([], [], "*", color=_BEST, markersize=9, label=f"best: trial {best.number}")
    if probed:
        figure.legend(fontsize=8, loc="outside upper right", ncols=4)
    with whole_file(path) as unfinished:
        canvas.print_figure(unfinished, format="png")


def _draw_curves(axes: Axes, probed: Sequence[Outcome], best: Outcome | None) -> None:
    for outcome in sorted(probed, key=lambda o: (o.end == "finished", o is best)):  # the best on top
        steps, values = zip(*outcome.curve, strict=True)
        mark, colour = _look(outcome, best)
        axes.plot(steps, [100 * value for value in values], color=colour, linewidth=2.0 if outcome is best else 1.0)
        axes.plot(steps[-1], 100 * values[-1], mark, color=colour, markersize=9 if mark == "*" else 4)
    axes.set_title("curves", fontsize=9)
    axes.set_xlabel("step", fontsize=8)


def _draw_parameter(
    axes: Axes, probed: Sequence[Outcome], best: Outcome | None, name: str, ranges: Sequence[str]
) -> None:
    chosen = [outcome for outcome in probed if name in outcome.parameters]
    values = sorted({outcome.parameters[name] for outcome in chosen})
    for outcome in sorted(chosen, key=lambda o: (o.end == "finished", o is best)):
        own = outcome.parameters[name]
        # Choices stand side by side, and the trials of one a little apart, so that none hides another.
        at = own if name in ranges else values.index(own) + 0.08 * (outcome.number % 7 - 3)
        mark, colour = _look(outcome, best)
        axes.plot(
            at, 100 * outcome.curve[-1][1], mark, color=colour, markersize=12 if outcome is best else 5, alpha=0.9
        )
    if name in ranges:
        axes.set_xscale("log")
        wide = float(values[-1]) > _WIDE * float(values[0])
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=8))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xticks(range(len(values)), [_written(value) for value in values])
        axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_title(name.replace("_", " "), fontsize=9)


def _look(outcome: Outcome, best: Outcome | None) -> tuple[str, str]:
    if outcome is best:
        return "*", _BEST
    return _MARKS.get(outcome.end, ("x", "black"))


def _names(outcomes: Sequence[Outcome]) -> list[str]:
    """The parameters' names in the order of the space."""
    return list(dict.fromkeys(name for outcome in outcomes for name in outcome.parameters))


def _written(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
