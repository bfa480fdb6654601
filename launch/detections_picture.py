"""A picture of `Detections`: a few frames with the skeletons on them, and for each person what they did when, above
the probabilities that it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..encoder.layout import NTU25
from ..stream.camera import open_source
from ..stream.wire import U8
from .detections import Detections, Person, Span

_FORMATS = (".png", ".svg", ".pdf")
_SHOTS = 8
_SHOT_HEIGHT = 220  # pixels
_TALLEST = 1.9  # inches
_LEAST = 0.25  # a class whose probability never gets here is not drawn
_MOST_LINES = 8
_WIDE = 10.2  # inches of 12 that the time axis gets, about
_LETTER, _LINE = 0.085, 0.17  # inches of a bar's name, in the larger of its two sizes
_CAPTION = 0.22  # inches below the frames
_UNKNOWN, _BACKGROUND = "#9aa0a6", "#d5d8dc"
_INK, _PAPER = "#202124", "#ffffff"
_HUES = (
    "#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#65a30d", "#4f46e5", "#b45309",
)  # fmt: skip


def draw_detections(found: Detections, path: Path) -> Path:
    """Draw it to `path`; ValueError for a format that there is not, or a place that cannot be written."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ValueError("a picture needs matplotlib: pip install 'skelstream[plot]'") from error

    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"a picture is {', '.join(_FORMATS)}, not {path.name}; give it such a name")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} for {path.name}; make it, or give another place")
    people = [person for person in found.people.values() if len(person.times_s)]
    shots = _shots(found, people)
    end_s = max([span.t_end for span in found.events] + [float(p.times_s[-1]) for p in people] + [0.1])
    colours = _colours(found, people)

    heights = [_shot_size(shots)[1] + _CAPTION] if shots else []
    heights += [0.65, 1.9] * max(len(people), 1)
    figure = Figure(figsize=(12, sum(heights) + 0.9), facecolor=_PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{Path(found.source).name}: who did what when", x=0.01, ha="left", color=_INK, fontsize=13)
    axes: list[Any] = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    if shots:
        _draw_shots(axes.pop(0), shots, end_s)
    if not people:
        axes[0].text(0.0, 0.5, "nobody was seen", color=_INK, transform=axes[0].transAxes)
        for axis in axes:
            axis.set_axis_off()
    for person, bars, lines in zip(people, axes[::2], axes[1::2], strict=False):
        _draw_events(bars, [span for span in found.events if span.person == person.number], colours, end_s)
        bars.set_ylabel(f"person {person.number}", rotation=0, ha="right", va="center", color=_INK)
        _draw_probabilities(lines, person, found.classes, colours, end_s)
    axes[-1].set_xlabel("seconds", color=_INK)
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, dpi=110, format=path.suffix[1:].lower())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ValueError(f"cannot write {path}: {error.strerror}; give another place") from error
    return path


def _draw_events(axis: Any, spans: Sequence[Span], colours: Mapping[str, str], end_s: float) -> None:
    for span in spans:
        width = span.t_end - span.t_start
        axis.barh(0, width, left=span.t_start, height=0.9, color=colours.get(span.action, _UNKNOWN), edgecolor=_PAPER)
        room, long = width / end_s * _WIDE, len(span.action) * _LETTER
        turned = room < 0.7 * long
        name = span.action if turned else f"{span.action}\n{span.confidence:.0%}"
        if room > 0.7 * _LINE:  # else its colour has to do
            axis.text(
                span.t_start + width / 2, 0, name, ha="center", va="center", color=_PAPER,
                fontsize=6.5 if turned or room < long else 9, fontweight="bold", rotation=90 if turned else 0,
                clip_on=True,
            )  # fmt: skip
    axis.set(xlim=(0, end_s), ylim=(-0.5, 0.5), yticks=[], xticks=[], facecolor="#f1f3f4")
    axis.spines[:].set_visible(False)


def _draw_probabilities(
    axis: Any, person: Person, classes: Sequence[str], colours: Mapping[str, str], end_s: float
) -> None:
    times_s, likely_TK = _with_gaps(person)
    axis.plot(times_s, likely_TK[:, 0], color=_BACKGROUND, lw=1.2, label=classes[0])
    peaks = {k: float(np.nanmax(likely_TK[:, k])) for k in range(1, len(classes))}
    drawn = [k for k in sorted(peaks, key=peaks.__getitem__, reverse=True) if peaks[k] >= _LEAST][:_MOST_LINES]
    for k in sorted(drawn):
        axis.plot(times_s, likely_TK[:, k], color=colours[classes[k]], lw=1.8, label=classes[k])
        axis.fill_between(times_s, likely_TK[:, k], color=colours[classes[k]], alpha=0.12, lw=0)
    axis.set(xlim=(0, end_s), ylim=(0, 1.02), yticks=(0, 0.5, 1), yticklabels=("0 %", "50 %", "100 %"))
    axis.tick_params(colors=_INK, labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", color="#e8eaed", lw=0.8)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8, labelcolor=_INK)


def _with_gaps(person: Person) -> tuple[Any, Any]:
    """The times and probabilities, with a hole where the person was away, so that no line is drawn across it."""
    holes = np.flatnonzero(np.diff(person.times_s) > 0.1) + 1
    times_s = np.insert(person.times_s, holes, np.nan)
    return times_s, np.insert(person.probabilities.astype(np.float64), holes, np.nan, axis=0)


def _colours(found: Detections, people: Sequence[Person]) -> dict[str, str]:
    """A colour for every class that is drawn; those of events come first, so that they differ from one another."""
    said = dict.fromkeys(span.action for span in found.events if span.action in found.classes)
    peaks = {
        name: max((float(p.probabilities[:, k].max()) for p in people), default=0.0)
        for k, name in enumerate(found.classes)
        if k > 0
    }
    rest = [name for name in sorted(peaks, key=peaks.__getitem__, reverse=True) if name not in said]
    return {name: _HUES[i % len(_HUES)] for i, name in enumerate([*said, *rest])}


def _draw_shots(axis: Any, shots: Sequence[tuple[float, U8]], end_s: float) -> None:
    """The frames side by side, each above about its moment."""
    wide, tall = _shot_size(shots)
    share, half = end_s / len(shots), wide / _WIDE * end_s / 2
    for i, (t, picture) in enumerate(shots):
        middle = (i + 0.5) * share
        axis.imshow(picture[..., ::-1], extent=(middle - half, middle + half, 0, tall), aspect="auto")
        axis.text(middle, -0.04, f"{t:.1f} s", ha="center", va="top", fontsize=8, color=_INK)
    axis.set(xlim=(0, end_s), ylim=(-_CAPTION, tall))
    axis.set_axis_off()


def _shot_size(shots: Sequence[tuple[float, U8]]) -> tuple[float, float]:
    """Width and height of each frame in the picture, in inches."""
    height, width = shots[0][1].shape[:2]
    wide = min(0.97 * _WIDE / len(shots), _TALLEST * width / height)
    return wide, wide * height / width


def _shots(found: Detections, people: Sequence[Person]) -> list[tuple[float, U8]]:
    """Some frames of the video, evenly over it, with the skeletons; none if it is not there any more."""
    seen = sorted({float(t) for person in people for t in person.seen_s})
    if not seen:
        return []
    wanted = [seen[round(i)] for i in np.linspace(0, len(seen) - 1, min(_SHOTS, len(seen)) * 2 + 1)[1::2]]
    try:
        source = open_source(found.source, width=found.size[0], height=found.size[1], mirror=found.mirror)
    except ValueError:
        return []
    shots = []
    for frame in source.frames():
        if wanted and frame.t >= wanted[0] - 1e-6:
            wanted.pop(0)
            picture = frame.image.copy()
            for person in people:
                _draw_skeleton(picture, person, frame.t)
            height, width = picture.shape[:2]
            small = cv2.resize(
                picture, (round(width * _SHOT_HEIGHT / height), _SHOT_HEIGHT), interpolation=cv2.INTER_AREA
            )
            shots.append((frame.t, np.asarray(small, np.uint8)))
        if not wanted:
            break
    source.close()
    return shots


def _draw_skeleton(picture: U8, person: Person, t: float) -> None:
    at = np.flatnonzero(np.abs(person.seen_s - t) < 1e-6)
    if not at.size:
        return
    pixels, sure = person.pixels[at[0]], person.confidence[at[0]]
    thick = max(round(picture.shape[0] / 120), 2)
    for child, parent in NTU25.bones:
        if sure[child] > 0 and sure[parent] > 0:
            a, b = (tuple(round(float(x)) for x in pixels[joint]) for joint in (child, parent))
            cv2.line(picture, a, b, (80, 220, 120), thick, cv2.LINE_AA)
