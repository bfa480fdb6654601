"""The picture of `skelstream bench encoder`: time against batch size, and how well each engine uses the machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure

from ..train.whole_file import whole_file

if TYPE_CHECKING:
    from .bench_encoder import Row

matplotlib.use("Agg")


def draw_engines(rows: Sequence[Row], path: Path, title: str) -> None:
    """Draw the rows of one run into a PNG."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    ways = list(dict.fromkeys(_way(row) for row in rows))
    whole = max(row.frames for row in rows)
    for number, way in enumerate(ways):
        mine = [row for row in rows if _way(row) == way]
        style = "-o" if mine[0].frames == whole else "--s"
        label = _label(mine[0], whole)
        left.plot([r.batch for r in mine], [r.ms / r.batch for r in mine], style, label=label, color=f"C{number}")
        best = max(mine, key=lambda row: row.share_of_peak)
        right.barh(number, 100 * best.share_of_peak, color=f"C{number}")
        right.text(1, number, f"{label}: {100 * best.share_of_peak:.0f} %, batch {best.batch}", va="center", fontsize=8)
    batches = sorted({row.batch for row in rows})
    left.set_xscale("log", base=2)
    left.set_yscale("log")
    left.set_xticks(batches, [str(batch) for batch in batches])
    left.set_xlabel("windows in a batch")
    left.set_ylabel("ms a window")
    left.grid(alpha=0.3, which="both")
    left.legend(fontsize=8)
    right.set_yticks([])
    right.invert_yaxis()
    right.set_xlim(0, 100)
    right.set_xlabel("% of the peak of its precision, at its best batch")
    figure.suptitle(title, fontsize=10)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=110)


def _way(row: Row) -> tuple[str, str, int]:
    return row.engine, row.precision, row.frames


def _label(row: Row, whole: int) -> str:
    return f"{row.engine} {row.precision}" + ("" if row.frames == whole else f", last {row.frames} frames")
