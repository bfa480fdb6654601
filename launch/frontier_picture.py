"""The picture of `skelstream evaluate --online`: what each model gains by waiting, with a decision layer or without."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..encoder.clock import HZ
from ..train.online_report import OnlineReport
from ..train.whole_file import whole_file

if TYPE_CHECKING:
    from .evaluate_online import Line

matplotlib.use("Agg")

_PALE = 0.35
_STYLES = {"decision layer": "-o", "most probable": "--s"}
_CAPTION = (
    "Beside a point of the first: the delay in frames (33 ms each). Times are of the stream; what the live path takes "
    "to compute comes on top."
)


def draw_frontier(lines: Sequence[Line], path: Path, title: str, *, group: str, background: str) -> None:
    """Draw the lines of one run into a PNG: those of `group`, and the false events of the group `background`.

    Where there are people seen through a camera ("drawn, seen by ..."), theirs, for that is what a user has; else as
    recorded. Without the one group or the other, another of that source takes its place.
    ValueError for no lines.
    """
    if not lines:
        raise ValueError("there is nothing to draw; give at least one line")
    source = max((line.source for line in lines), key=lambda source: source != "recorded")
    seen = [line for line in lines if line.source == source]
    mine = [line for line in seen if line.group == group] or [line for line in seen if line.group == seen[0].group]
    quiet = [line for line in seen if line.group == background] or mine

    figure = Figure(figsize=(15, 8.6), layout="constrained")
    (soon, sure, ranked), (late, vain, restless) = figure.subplots(2, 3)
    _plot(soon, mine, lambda r: 100 * r.event_f1, x=lambda r: r.times.median_ms, numbered=True)
    soon.set_xlabel("median time to detection, ms after the true start")
    soon.set_ylabel("event F1@0.5, %")
    soon.set_ylim(bottom=0)
    figure.legend(handles=soon.lines, loc="outside upper left", ncols=2, fontsize=8)
    _plot(sure, mine, lambda r: 100 * r.frame_accuracy)
    sure.set_ylabel("frames decided right, %")
    # Both are of the probabilities, before anything is decided: one curve a model.
    _plot(ranked, [line for line in mine if line.decided == mine[0].decided], lambda r: 100 * r.frame_cap)
    _plot(ranked, [line for line in mine if line.decided == mine[0].decided], lambda r: 100 * r.frame_map, alpha=_PALE)
    ranked.set_ylabel("per-frame calibrated cAP (pale: mAP), %")
    _plot(late, mine, lambda r: r.times.median_ms)
    _plot(late, mine, lambda r: r.times.p90_ms, alpha=_PALE)
    late.set_ylabel("median (pale: p90) time to detection, ms")
    _plot(vain, quiet, lambda r: r.false_per_hour)
    vain.set_ylabel(f"false events an hour, {quiet[0].group}")
    vain.set_yscale("symlog", linthresh=10)
    vain.set_ylim(bottom=0)
    _plot(restless, mine, lambda r: r.switches_per_minute)
    restless.axhline(mine[0].report.true_switches_per_minute, color="0.4", linestyle=":", label="the truth's own")
    restless.set_ylabel("switches a minute")
    restless.set_ylim(bottom=0)
    restless.legend(handles=restless.lines[-1:], fontsize=8)
    for axes in (sure, ranked, late, vain, restless):
        axes.set_xlabel("delay, ms")
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    figure.suptitle(f"{title}: {mine[0].group}, {source}", fontsize=11)
    figure.supxlabel(_CAPTION, fontsize=8)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=110)


def _plot(
    axes: Axes,
    lines: Sequence[Line],
    y: Callable[[OnlineReport], float],
    *,
    x: Callable[[OnlineReport], float] | None = None,
    alpha: float = 1.0,
    numbered: bool = False,
) -> None:
    """One curve a model and decoder, over its delays; without `x`, against the delay in ms."""
    models = list(dict.fromkeys(line.model for line in lines))
    for model, decided in dict.fromkeys((line.model, line.decided) for line in lines):
        curve = sorted((r for r in lines if (r.model, r.decided) == (model, decided)), key=lambda line: line.delay)
        points = [(1000 * line.delay / HZ if x is None else x(line.report), y(line.report), line) for line in curve]
        seen = [point for point in points if math.isfinite(point[0]) and math.isfinite(point[1])]
        axes.plot(
            [point[0] for point in seen], [point[1] for point in seen], _STYLES[decided], alpha=alpha, markersize=5,
            color=f"C{models.index(model)}", label=f"{model}, {decided}",
        )  # fmt: skip
        for at_x, at_y, line in seen if numbered else ():
            axes.annotate(str(line.delay), (at_x, at_y), textcoords="offset points", xytext=(5, 5), fontsize=7)
