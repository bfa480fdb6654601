"""The picture of `skelstream bench streams`: latency against the number of streams, and where it breaks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..train.whole_file import whole_file

if TYPE_CHECKING:
    from .bench_streams import Row

matplotlib.use("Agg")


def draw_streams(rows: Sequence[Row], hop_ms: float, broken: int | None, path: Path, title: str) -> None:
    """Draw the rows of one run into a PNG: latency above, the share of windows lost below.

    From `broken` streams on, if there is such a number, the ground is shaded.
    """
    figure = Figure(figsize=(8, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    numbers = [row.streams for row in rows]
    for name, style, color in (("p50_ms", "-o", "C0"), ("p95_ms", "-s", "C1"), ("p99_ms", "--^", "C2")):
        known = [(row.streams, ms) for row in rows if (ms := getattr(row, name)) is not None]
        above.plot([n for n, _ in known], [ms for _, ms in known], style, color=color, label=name.removesuffix("_ms"))
    above.axhline(hop_ms, color="black", linestyle=":", label=f"one hop, {hop_ms:.0f} ms")
    above.set_yscale("log")
    above.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    above.yaxis.set_major_formatter("{x:g}")
    above.yaxis.set_minor_formatter(NullFormatter())
    low, high = above.get_ylim()
    above.set_ylim(low / 1.5, 1.5 * high)
    above.set_ylabel("due to decided, ms")
    width = 0.5 * min((b - a for a, b in pairwise(numbers)), default=1)
    below.bar(numbers, [100 * row.lost for row in rows], width, color="C3")
    below.axhline(1, color="black", linestyle=":")
    below.set_yscale("symlog", linthresh=1)  # none, one in a hundred and half of them: all three can be told apart
    below.set_ylim(0, 100)
    below.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    below.set_ylabel("windows lost, %")
    below.set_xlabel("streams")
    below.set_xticks(numbers)
    for axes in (above, below):
        axes.grid(alpha=0.3, which="both")
        if broken is not None:
            axes.axvspan(broken, numbers[-1] + width, color="C3", alpha=0.12, label=f"breaks at {broken}")
    above.legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=110)
