"""A picture of the confusion matrix: which class is taken for which, row by row.

The numbers come from `metrics.confusion_matrix`. Drawn with matplotlib's Agg canvas directly, so no display and no
global state is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .whole_file import whole_file

_CELL_INCHES = 0.42  # holds "100" at the font below
_MARGIN_INCHES = 2.6  # class names and the title
_FONT_POINTS = 7
_DPI = 150


def draw_confusion(matrix: NDArray[np.integer], classes: Sequence[str], path: Path, title: str) -> None:
    """Draw counts (K, K), row = truth, column = prediction, as a PNG at `path`.

    Each row is shown in per cent of its own frames, so that rare classes are as readable as common ones; the count
    stands beside the name. A class that never occurs has a grey row. The picture grows with K. The file is written
    whole or not at all. ValueError for a matrix that is not (K, K) counts of these classes.
    """
    if matrix.shape != (len(classes), len(classes)) or matrix.size == 0 or matrix.min() < 0:
        raise ValueError(f"{len(classes)} classes need counts of shape (K, K), none negative, not {matrix.shape}")
    side = _CELL_INCHES * len(classes) + _MARGIN_INCHES
    figure = Figure(figsize=(side, side), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()

    count_K1 = matrix.sum(axis=1, keepdims=True)
    share_KK = np.ma.masked_array(matrix / np.maximum(count_K1, 1), mask=np.broadcast_to(count_K1 == 0, matrix.shape))
    axes.set_facecolor("0.85")  # shows through where a row is masked
    axes.imshow(share_KK, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        share = float(share_KK[row, column])
        # Below half a per cent the number would read 0 and only hide the cells that matter.
        if share >= 0.005:
            colour = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=_FONT_POINTS)

    ticks = range(len(classes))
    axes.set_xticks(ticks, list(classes), rotation=60, ha="right", rotation_mode="anchor", fontsize=_FONT_POINTS)
    rows = [f"{name} ({count})" for name, count in zip(classes, count_K1[:, 0], strict=True)]
    axes.set_yticks(ticks, rows, fontsize=_FONT_POINTS)
    axes.set_xlabel("predicted", fontsize=_FONT_POINTS + 1)
    axes.set_ylabel("truth (frames)", fontsize=_FONT_POINTS + 1)
    axes.set_title(f"{title}\nper cent of each row", fontsize=_FONT_POINTS + 2)

    with whole_file(path) as unfinished:
        canvas.print_figure(unfinished, format="png")
