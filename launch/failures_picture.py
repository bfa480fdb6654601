"""Where a detector fails, as a picture beside its card: drawn people who act scripts of which every frame is known, and
videos of which somebody has said what is done in them. A row is one mistake: frames of it, what was done, what it said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import Any

import cv2
import numpy as np

from ..encoder.bundle import Bundle
from ..encoder.clock import HZ
from ..encoder.engine.compile import compile_engine
from ..stream.actor import BACKGROUND, Script
from ..stream.camera import open_source
from ..stream.draw import Look, View, background, draw_scene
from ..stream.wire import U8
from ..train.streams import Stream
from ..train.vocabulary import CLASSES
from .acted import TEST_SEEDS
from .offline import decode_stream, score_windows

PICTURE = "where_it_fails.jpg"
_SECONDS = 60.0
_SHOTS, _SHOT = 5, (168, 126)
_MOST, _LEAST_S = 6, 0.8
_QUALITY = 82
_WIDE = 24  # letters of a line


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """Frames of it, what was really done, and what was said instead."""

    pictures: list[U8]
    done: str
    said: str


def draw_failures(bundle: Bundle, videos: Sequence[tuple[str, str]]) -> Path:
    """Draw the picture into the bundle. ValueError if there is no mistake to show, or matplotlib is missing."""
    if bundle.config.task != "detect":
        raise ValueError(f"{bundle.directory} detects nothing; pictures of failures are for detectors")
    mistakes = [*_in_videos(bundle, videos), *_of_the_actor(bundle)]
    if not mistakes:
        raise ValueError("no mistake was found: there is nothing to draw")
    path = bundle.directory / PICTURE
    _draw(mistakes, path)
    return path


def _of_the_actor(bundle: Bundle) -> list[Mistake]:
    """Actions of scripts that were in no training set, of which most frames got another name: one for each action."""
    engine = compile_engine(bundle)
    found: dict[str, Mistake] = {}
    for seed in TEST_SEEDS:
        script = Script(seed=seed, duration_s=_SECONDS)
        times = np.arange(int(_SECONDS * HZ)) / HZ
        joints = np.zeros((len(times), 2, 25, 3), np.float32)  # nobody is beside him
        joints[:, 0] = [script.pose(t) for t in times]
        labels = np.array([CLASSES.index(script.truth(t)) for t in times], np.int16)
        stream = Stream(
            name=f"actor/{seed}", dataset="actor", subject="", source="recorded", joints=joints, labels=labels
        )
        scored = decode_stream(score_windows(engine, stream, 1), bundle.config, bundle.config.decode)
        for first, last in _runs(labels):
            done = CLASSES[labels[first]]
            said = np.bincount(scored.decided[first:last], minlength=len(bundle.config.classes)).argmax()
            name = bundle.config.classes[int(said)]
            if done in (BACKGROUND, name) or done in found or (last - first) / HZ < _LEAST_S:
                continue
            pictures = _drawn(joints[first:last, 0], seed)
            found[done] = Mistake(
                pictures=pictures, done=f"acted: {done}", said="nothing" if name == BACKGROUND else name
            )
    engine.close()
    return [found[done] for done in sorted(found)][:_MOST]


def _runs(labels: Any) -> Iterator[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    yield from pairwise(edges)


def _drawn(joints: Any, seed: int) -> list[U8]:
    view = View.framing(joints[:, None], width=2 * _SHOT[0], height=2 * _SHOT[1])
    look, backdrop = Look.random(np.random.default_rng(seed)), background(seed, 2 * _SHOT[0], 2 * _SHOT[1])
    chosen = np.linspace(0, len(joints) - 1, _SHOTS + 2)[1:-1].round().astype(int)
    return [_small(draw_scene([(joints[i], look)], view, backdrop)) for i in chosen]


def _in_videos(bundle: Bundle, videos: Sequence[tuple[str, str]]) -> list[Mistake]:
    """Every action that is said of these videos, whose truth no word of the vocabulary fits."""
    from .api import detect

    mistakes = []
    for video, done in videos:
        for event in detect(video, model=str(bundle.directory)).events:
            if event.action != "unknown":
                pictures = _frames(video, event.t_start, event.t_end)
                mistakes.append(Mistake(pictures=pictures, done=done, said=f"{event.action} ({event.confidence:.0%})"))
    return mistakes


def _frames(video: str, start: float, end: float) -> list[U8]:
    wanted = np.linspace(start, end, _SHOTS + 2)[1:-1].tolist()
    pictures = []
    source = open_source(video)
    for frame in source.frames():
        while wanted and frame.t >= wanted[0]:
            wanted.pop(0)
            pictures.append(_small(frame.image))
    source.close()
    return pictures


def _small(picture: U8) -> U8:
    """The middle of a picture, in the shape of all the others."""
    height, width = picture.shape[:2]
    wide = min(width, round(height * _SHOT[0] / _SHOT[1]))
    tall = min(height, round(wide * _SHOT[1] / _SHOT[0]))
    left, top = (width - wide) // 2, (height - tall) // 2
    cut = picture[top : top + tall, left : left + wide]
    return np.asarray(cv2.resize(cut, _SHOT, interpolation=cv2.INTER_AREA), np.uint8)


def _draw(mistakes: Sequence[Mistake], path: Path) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ValueError("a picture needs matplotlib: pip install 'skelstream[plot]'") from error
    figure = Figure(figsize=(10.5, 1.32 * len(mistakes) + 0.1), facecolor="white")
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(mistakes), _SHOTS + 1, width_ratios=[1.25] + [1.0] * _SHOTS, left=0.01, right=0.995, top=0.985,
        bottom=0.015, wspace=0.03, hspace=0.06,
    )  # fmt: skip
    for row, mistake in enumerate(mistakes):
        words = figure.add_subplot(grid[row, 0])
        words.text(0, 0.5, "\n".join(wrap(mistake.done, _WIDE)), fontsize=10, color="#202124", va="bottom")
        words.text(0, 0.45, f"said: {mistake.said}", fontsize=10, color="#b3261e", va="top", fontweight="bold")
        words.set_axis_off()
        for column, picture in enumerate(mistake.pictures):
            shot = figure.add_subplot(grid[row, column + 1])
            shot.imshow(picture[..., ::-1], aspect="auto")
            shot.set_axis_off()
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., 2::-1]
    good, data = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert good
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(data.tobytes())
    unfinished.replace(path)
