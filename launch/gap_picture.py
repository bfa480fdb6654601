"""The picture of `skelstream data gap`: where a camera errs, by joint on a body, and by joint and view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from ..encoder.layout import NTU25
from ..train.gap import VIEWS, Gap
from ..train.whole_file import whole_file

# Somebody who faces us, as a picture shows them: their left is on the right. Metres, x and y of each joint.
_BODY = np.array([
    (0, 0.95), (0, 1.2), (0, 1.52), (0, 1.68), (0.19, 1.42), (0.36, 1.17), (0.5, 0.95), (0.56, 0.87), (-0.19, 1.42),
    (-0.36, 1.17), (-0.5, 0.95), (-0.56, 0.87), (0.1, 0.93), (0.14, 0.5), (0.16, 0.1), (0.24, 0.03), (-0.1, 0.93),
    (-0.14, 0.5), (-0.16, 0.1), (-0.24, 0.03), (0, 1.44), (0.63, 0.76), (0.48, 0.82), (-0.63, 0.76), (-0.48, 0.82),
])  # fmt: skip


def draw_gap(gap: Gap, path: Path, title: str) -> None:
    """Draw a PNG, written whole or not at all.

    On the left a body: each joint's arrow is its bias up and to the side, its ellipse the noise about that: as wide as
    across the line of sight, as high as along it. On the right the rms error of each joint in each view.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    body, table = figure.subplots(1, 2, width_ratios=(1, 1.1))
    _draw_body(body, gap)
    shown = np.flatnonzero(gap.frames_by_view)
    values = 100 * gap.error_by_view[:, shown]
    image = table.imshow(values, aspect="auto", cmap="magma_r", vmin=0)
    table.set_yticks(range(len(NTU25)), NTU25.joints, fontsize=8)
    table.set_xticks(range(len(shown)), [_view(int(i), gap) for i in shown], fontsize=8)
    for (joint, view), value in np.ndenumerate(values):
        dark = value > 0.6 * np.nanmax(values)
        table.text(
            view, joint, f"{value:.0f}", ha="center", va="center", fontsize=7, color="white" if dark else "black"
        )
    figure.colorbar(image, ax=table, label="rms error, cm")
    table.set_title("error after the best turn and scale, cm", fontsize=10)
    figure.suptitle(title, fontsize=11)
    with whole_file(path) as unfinished:
        canvas.print_figure(unfinished, format="png", dpi=110)


def _draw_body(axes: Axes, gap: Gap) -> None:
    axes.add_collection(
        LineCollection([_BODY[[c, p]] for c, p in NTU25.bones], colors="#bbbbbb", linewidths=4, capstyle="round")
    )
    for joint, place in enumerate(_BODY):
        axes.add_patch(
            Ellipse(
                place, 2 * gap.across[joint], 2 * gap.along[joint], facecolor="#d4572a", alpha=0.35, edgecolor="#8a2f0f"
            )
        )
    axes.quiver(
        *_BODY.T,
        gap.bias[:, 0],
        gap.bias[:, 1],
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.006,
        color="#1f5fbf",
        zorder=3,
    )
    axes.set_xlim(-0.85, 0.85)
    axes.set_ylim(-0.15, 1.9)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title("bias (arrows); noise: width across the line of sight,\nheight along it; to scale", fontsize=10)


def _view(view: int, gap: Gap) -> str:
    name, (low, high) = list(VIEWS.items())[view]
    return f"{name}\n{low}-{high}°\n{gap.frames_by_view[view] / gap.frames_by_view.sum():.1%}"
