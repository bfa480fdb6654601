"""A picture of a run's log: one small plot a scalar, over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .whole_file import whole_file

_COLUMNS = 3
_INCHES = (4.0, 2.6)
_DPI = 110


def draw_curves(
    entries: Sequence[dict[str, float]], path: Path, title: str, marks: Sequence[tuple[int, str]] = ()
) -> None:
    """Draw the scalars of entries {"step": ..., name: value, ...} as a PNG at `path`, whole or not at all.

    `marks` (step, text) are drawn as upright lines; the first plot says what they are.
    """
    names = sorted({name for entry in entries for name in entry if name != "step"})
    if not names:
        return
    rows = -(-len(names) // _COLUMNS)
    columns = min(len(names), _COLUMNS)
    figure = Figure(figsize=(_INCHES[0] * columns, _INCHES[1] * rows + 0.4), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(title)
    for i, name in enumerate(names, start=1):
        axes = figure.add_subplot(rows, columns, i)
        points = [(entry["step"], entry[name]) for entry in entries if name in entry]
        axes.plot(*zip(*points, strict=True), linewidth=1.2)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.grid(alpha=0.3)
        for step, text in marks:
            axes.axvline(step, color="tab:red", linestyle="--", linewidth=0.8)
            if i == 1:
                axes.annotate(
                    text, (step, 1), xycoords=("data", "axes fraction"), xytext=(2, -2), textcoords="offset points",
                    rotation=90, va="top", fontsize=6, color="tab:red",
                )  # fmt: skip
    with whole_file(path) as unfinished:
        canvas.print_figure(unfinished, format="png")
