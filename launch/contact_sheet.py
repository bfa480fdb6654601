"""A contact sheet: random recordings of a store as rows of small drawn skeletons, from their start to their end.

Seen as the camera sees them, not mirrored: a person who faces the camera has the left side, drawn in blue, on the
right. A right side is red, the spine grey; a second person is drawn lighter. Drawn with matplotlib's Agg canvas
directly, so no display is needed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..encoder.layout import LAYOUTS, NTU25, Layout
from ..train.store import Entry, Store
from ..train.whole_file import whole_file

_ROWS = 16
_COLUMNS = 10  # moments of each recording
_CELL_INCHES = 1.0
_NAME_INCHES = 2.1
_DPI = 110
_BLUE, _RED, _GREY = "#1f5fbf", "#c0392b", "#555555"


def draw_contact_sheet(store: Store, path: Path, seed: int) -> None:
    """Draw random recordings of a store as a PNG at `path`, written whole or not at all.

    The same `seed` draws the same recordings. ValueError if the store holds none.
    """
    if not store.entries:
        raise ValueError(f"{store.path} holds no recording to draw; prepare it again")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(store.entries), min(_ROWS, len(store.entries)), replace=False))
    figure = Figure(
        figsize=(_NAME_INCHES + _COLUMNS * _CELL_INCHES, 0.4 + len(chosen) * _CELL_INCHES), dpi=_DPI,
        layout="constrained",
    )  # fmt: skip
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, number in enumerate(chosen):
        _draw_row(axes, store, store.entries[number], -row)
    axes.set_xlim(-_NAME_INCHES / _CELL_INCHES, _COLUMNS)
    axes.set_ylim(-len(chosen) + 0.5, 0.5)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(f"{store.dataset} ({store.source}): {len(chosen)} of {len(store.entries)} recordings", fontsize=9)

    with whole_file(path) as unfinished:
        canvas.print_figure(unfinished, format="png")


def _draw_row(axes: Axes, store: Store, entry: Entry, y: float) -> None:
    layout = LAYOUTS[store.layout]
    at = np.linspace(0, entry.length - 1, _COLUMNS).round().astype(int)
    plane = _seen(np.asarray(store.joints(entry)[at]), layout)
    labels = store.frame_labels(entry)[at]
    there = np.asarray(np.isfinite(plane).all(axis=(2, 3)) & plane.any(axis=(2, 3)))
    axes.text(-2.0, y, _told(entry, store), fontsize=6, va="center")
    if not there.any():
        return
    shown = plane[there]
    # One scale a recording: somebody who comes closer grows. Each moment is centred by itself, for people walk.
    size = max(float(np.ptp(shown[..., 1])), float(max(np.ptp(moment[..., 0]) for moment in shown))) or 1.0
    middle = float(shown[..., 1].max() + shown[..., 1].min()) / 2
    for column in range(_COLUMNS):
        if not there[column].any():
            continue
        across = plane[column][there[column]][..., 0]
        centre = np.array([(across.max() + across.min()) / 2, middle])
        scale = 0.92 / max(size, float(np.ptp(across)))
        for person in np.flatnonzero(there[column])[::-1]:
            points = (plane[column, person] - centre) * scale + np.array([column + 0.5, y])
            axes.add_collection(_skeleton(points, layout, faint=person > 0))
        name = store.classes[labels[column]] if 0 <= labels[column] < len(store.classes) else f"label {labels[column]}"
        if not entry.trimmed:
            axes.text(column + 0.5, y - 0.5, name[:16], fontsize=4, ha="center")


def _seen(joints: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """Joints (..., 3) as points (..., 2) of a picture, x to its right, y up. In space, x runs to the camera's left."""
    turned = -1.0 if layout.name == NTU25.name else 1.0  # key points are in the picture already
    return np.asarray(joints[..., :2] * np.array([turned, 1.0], np.float32))


def _skeleton(points: NDArray[np.floating], layout: Layout, *, faint: bool) -> LineCollection:
    def colour(joint: int) -> str:
        name = layout.joints[joint]
        return _BLUE if "Left" in name else _RED if "Right" in name else _GREY

    lines = [points[[child, parent]] for child, parent in layout.bones]
    colours = [colour(child) for child, _ in layout.bones]
    return LineCollection(lines, colors=colours, linewidths=0.9, alpha=0.45 if faint else 1.0)


def _told(entry: Entry, store: Store) -> str:
    told = entry.name if len(entry.name) < 44 else f"…{entry.name[-42:]}"
    labels = np.unique(store.frame_labels(entry))
    kind = store.classes[labels[-1]] if entry.trimmed and 0 <= labels[-1] < len(store.classes) else "untrimmed"
    return f"{told}\n{kind[:40]}\n{entry.length / 30:.1f} s"
