"""The figure of the presets: `skelstream presets --figure docs/presets.svg`. Drawn from the presets themselves.

Stages are boxes, machines are frames (dashed: another preset's), and every link says what it is: ipc within a machine,
CURVE over tcp between machines, with the doors of the gate. It can be read on a light and on a dark page.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from ..stream.elsewhere import PORTS, gate_at
from ..stream.keys import DOORS
from .cameras import NAMED
from .cli_live import LiveOptions
from .presets import Preset

_WIDTH, _MARGIN = 1080, 16
_BOX_W, _BOX_H = 96, 44
_STEP_X, _STEP_Y = 136, 62
_STYLE = """
  .page { fill: #ffffff } .ink { fill: #1b1f24 } .soft { fill: #57606a }
  .machine { fill: #f6f8fa; stroke: #8c959f; stroke-width: 1.2 } .other { stroke-dasharray: 6 4 }
  .stage { fill: #ddeaff; stroke: #2f5d9e; stroke-width: 1.2 }
  .outlet { fill: #fff3d6; stroke: #9a6a00; stroke-width: 1.2 }
  .ipc { stroke: #57606a; stroke-width: 1.4; fill: none } .curve { stroke: #b3261e; stroke-width: 3; fill: none }
  .tip { fill: #57606a } .curvetip, .curvetext { fill: #b3261e }
  text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
  .title { font-size: 16px; font-weight: 700 } .small { font-size: 10.5px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .ink { fill: #e6edf3 } .soft { fill: #9da7b3 }
    .machine { fill: #161b22; stroke: #6e7681 } .stage { fill: #16305a; stroke: #79a8f0 }
    .outlet { fill: #3d2f0a; stroke: #d6a53a } .ipc { stroke: #9da7b3 } .tip { fill: #9da7b3 }
    .curve { stroke: #ff8a80 } .curvetip, .curvetext { fill: #ff8a80 }
  }
"""


@dataclass
class _Sketch:
    """Parts of an SVG from `top` downwards."""

    top: int
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, kind: str = "ink", anchor: str = "start") -> None:
        self.parts.append(
            f'<text x="{x:g}" y="{self.top + y:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def box(self, x: float, y: float, words: str, under: str = "", kind: str = "stage") -> None:
        """A stage; `x`, `y` of its middle."""
        left, top = x - _BOX_W / 2, self.top + y - _BOX_H / 2
        self.parts.append(f'<rect x="{left:g}" y="{top:g}" width="{_BOX_W}" height="{_BOX_H}" rx="6" class="{kind}"/>')
        self.text(x, y + (-3 if under else 4), words, anchor="middle")
        if under:
            self.text(x, y + 13, under, "soft small", "middle")

    def machine(self, left: float, top: float, right: float, bottom: float, title: str, *, other: bool = False) -> None:
        kind = "machine other" if other else "machine"
        self.parts.append(
            f'<rect x="{left:g}" y="{self.top + top:g}" width="{right - left:g}" height="{bottom - top:g}" rx="10" '
            f'class="{kind}"/>'
        )
        self.text(left + 12, top + 18, title, "soft")

    def link(
        self, path: Sequence[tuple[float, float]], words: str = "", *, curve: bool = False, both: bool = False
    ) -> None:
        """An arrow along these points; the words stand over the middle of its longest part."""
        kind, tip = ("curve", "curvehead") if curve else ("ipc", "head")
        points = " ".join(f"{x:g},{self.top + y:g}" for x, y in path)
        begin = f' marker-start="url(#{tip})"' if both else ""
        self.parts.append(f'<polyline points="{points}" class="{kind}" marker-end="url(#{tip})"{begin}/>')
        if words:
            (x0, y0), (x1, y1) = max(pairwise(path), key=lambda ends: abs(ends[1][0] - ends[0][0]))
            self.text((x0 + x1) / 2, (y0 + y1) / 2 - 7, words, "curvetext small" if curve else "soft small", "middle")


def draw_presets(presets: Sequence[tuple[Preset, LiveOptions]], out: Path) -> None:
    """Write the figure. ValueError if it cannot be written there."""
    parts: list[str] = []
    top = _MARGIN
    for preset, options in presets:
        sketch = _Sketch(top)
        sketch.text(_MARGIN, 16, f"live {preset.name}", "ink title")
        sketch.text(_MARGIN + 130, 16, preset.purpose, "soft")
        height = _sending(sketch, options) if options.to else _here(sketch, options)
        parts += sketch.parts
        top += height + 30
    head = (
        '<marker id="{0}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="{1}" markerHeight="{1}" '
        'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" class="{2}"/></marker>'
    )
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" height="{top}" '
        f'role="img" aria-label="The presets of skelstream live">\n<style>{_STYLE}</style>\n'
        f'<defs>{head.format("head", 7, "tip")}'
        f'{head.format("curvehead", 5, "curvetip")}</defs>\n<rect width="100%" height="100%" class="page"/>\n'
        + "\n".join(parts) + "\n</svg>\n"
    )  # fmt: skip
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(out)
    except OSError as error:
        raise ValueError(f"cannot write {out}: {error.strerror}; choose another place") from error


def _here(sketch: _Sketch, options: LiveOptions) -> int:
    """All of it on this machine, or all but the cameras."""
    rows = _rows(options)
    outlets = _outlets(options)
    bottom = max(56 + max(len(rows), len(outlets)) * _STEP_Y, 70 + 2 * _STEP_Y)
    left = 346 if options.gate else _MARGIN
    sketch.machine(left, 34, _WIDTH - _MARGIN, bottom, "the box" if options.gate else "this machine")
    x = left + 70.0
    middle = 56 + _STEP_Y / 2
    if options.gate:
        first = gate_at(options.gate)[1]
        sketch.box(x, middle, "gate", f"{options.gate}:{first}...")
        _camera_machines(sketch, left, x, middle, bottom, first)
        start = x
    else:
        for number, row in enumerate(rows):
            start = _line(sketch, x, middle + number * _STEP_Y, row)
    decode = start + _STEP_X
    for number in range(1 if options.gate else len(rows)):
        y = middle + number * _STEP_Y
        bend = [] if number == 0 else [(decode - 62, y), (decode - 62, middle + 8)]
        end = (decode - _BOX_W / 2, middle + (8 if number else 0))
        sketch.link([(start + _BOX_W / 2, y), *bend, end], "ipc" if number == 0 else "")
    sketch.box(decode, middle, "decode", "scores, events")
    for number in range(options.detectors):
        x_detect = decode + (number - (options.detectors - 1) / 2) * (_BOX_W + 14)
        sketch.box(x_detect, middle + _STEP_Y + 10, "detect", f"engine {options.engine}")
        sketch.link([(x_detect, middle + _STEP_Y - _BOX_H / 2 + 10), (decode, middle + _BOX_H / 2)], both=True)
    sketch.text(decode + 8, middle + _STEP_Y / 2 + 10, "ipc", "soft small")
    x_out = _WIDTH - _MARGIN - 70.0
    for number, (words, under) in enumerate(outlets):
        y = middle + number * _STEP_Y
        bend = [] if number == 0 else [(x_out - 72, middle), (x_out - 72, y)]
        begin = decode + _BOX_W / 2
        sketch.link([(begin, middle), *bend, (x_out - _BOX_W / 2, y)], "the bus (ipc)" if number == 0 else "")
        sketch.box(x_out, y, words, under, "outlet")
    return int(bottom)


def _camera_machines(sketch: _Sketch, left: float, gate: float, middle: float, bottom: float, first: int) -> None:
    """The other machines of the box: cameras (four, as an example), each with a key of its own."""
    sketch.machine(_MARGIN, 34, 156, bottom, "each: live camera", other=True)
    doors = [name for name, roles in DOORS.items() if "camera" in roles]
    step = (bottom - 76) / 4
    for number in range(4):
        y = 72 + number * step
        sketch.text(_MARGIN + 14, y + 4, f"camera {number + 1}", "ink")
        sketch.link([(_MARGIN + 76, y), (gate - _BOX_W / 2, middle + (number - 1.5) * 7)], curve=True)
    ports = [f"{door} {first + PORTS[door]}" for door in doors]
    for line, words in enumerate(("CURVE over tcp, a key each;", f"doors {ports[0]},", ", ".join(ports[1:]))):
        sketch.text(168, bottom - 30 + 14 * line, words, "curvetext small")


def _sending(sketch: _Sketch, options: LiveOptions) -> int:
    """The cameras alone, for a machine that detects."""
    rows = _rows(options)
    bottom = 60 + len(rows) * _STEP_Y
    middle = 56 + _STEP_Y / 2
    right = _MARGIN + 70 + 3 * _STEP_X + 74
    sketch.machine(_MARGIN, 34, right, bottom, "this machine")
    host, first = gate_at(options.to)
    x_gate = _WIDTH - _MARGIN - 76 - _STEP_X
    sketch.machine(x_gate - 76, 34, _WIDTH - _MARGIN, bottom, f"{host} (live box)", other=True)
    sketch.box(x_gate, middle, "gate")
    sketch.box(x_gate + _STEP_X, middle, "decode")
    sketch.link([(x_gate + _BOX_W / 2, middle), (x_gate + _STEP_X - _BOX_W / 2, middle)], "ipc")
    for number, row in enumerate(rows):
        y = middle + number * _STEP_Y
        start = _line(sketch, _MARGIN + 70, y, row)
        sketch.link([(start + _BOX_W / 2, y), (x_gate - _BOX_W / 2, middle)], curve=True)
    x = (right + x_gate - 76) / 2
    doors = [f"{name} {first + PORTS[name]}" for name, roles in DOORS.items() if "camera" in roles]
    for line, words in enumerate(("CURVE over tcp,", "its own key; doors", *doors)):
        sketch.text(x, middle + (-26 + 14 * line if line < 2 else -10 + 14 * line), words, "curvetext small", "middle")
    return int(bottom)


def _line(sketch: _Sketch, x: float, y: float, row: Sequence[tuple[str, str]]) -> float:
    """The stages of one camera; where the last one is."""
    for number, (words, under) in enumerate(row):
        sketch.box(x + number * _STEP_X, y, words, under)
        if number:
            ends = (x + (number - 1) * _STEP_X + _BOX_W / 2, y), (x + number * _STEP_X - _BOX_W / 2, y)
            sketch.link(ends, "ipc")
    return x + (len(row) - 1) * _STEP_X


def _rows(options: LiveOptions) -> list[list[tuple[str, str]]]:
    """The stages of each camera that is here."""
    if options.videos:
        cameras = [f"from {options.videos}/"] * options.at_once
    elif options.gate and not options.camera:
        return []
    else:
        cameras = list(options.camera) or ["webcam or actor"]
    stages = [
        ("pose", f"MediaPipe {options.pose}"),
        ("track", "25 joints"),
        ("window", f"64 frames, hop {options.hop}"),
    ]
    return [[("camera" if not options.videos else "video", _short(address)), *stages] for address in cameras]


def _short(camera: str) -> str:
    """A camera in a word: its name if it has one, and nothing of a password."""
    named = NAMED.fullmatch(camera)
    if named:
        return named[1]
    return "network camera" if "://" in camera else camera[-16:]


def _outlets(options: LiveOptions) -> list[tuple[str, str]]:
    """Whatever hears what is said."""
    if options.videos:
        return [(f"{options.out}/", "a file for each")]
    outlets = [("stdout", "JSON lines" if options.json else "events")]
    outlets += [("page", f"{options.host}:{options.port}")] if options.page else []
    outlets += [("robot", options.robot)] if options.robot else []
    return outlets + ([("record", Path(options.record).name)] if options.record else [])
