"""The view for a terminal: people and what they do, the last 30 seconds, and the stages' health, in text.

On a terminal it redraws one screen in place (80 x 24 is enough); anywhere else, in a pipe or a file, it prints a line
for every action that starts or ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.text import Text

from ..wire import UNKNOWN
from .snapshot import WINDOW_S, CameraView, LogEntry, Snapshot, Status, drops
from .state import Feed, ViewState

_REDRAW_S = 1 / 8
_FEED_WAIT_S = 0.05
_NAME = 16  # columns for the name of an action
_BAR = 20
_CALLED = 12  # letters of somebody's name
_PEOPLE = 6
_STYLES = ("cyan", "yellow", "green", "magenta", "blue", "red")
_WORDS: dict[Status, str] = {
    "waiting": "waiting for the camera",
    "live": "live",
    "nobody": "nobody in the picture",
    "lost": "camera lost",
    "ended": "stream ended",
}


def run_terminal(feed: Feed, classes: Sequence[str], console: Console, *, stop: threading.Event | None = None) -> None:
    """Show the feed on `console` until `stop` is set, or Ctrl-C.

    `classes` are the bundle's, the background first. Raises what the feed raises.
    """
    state = ViewState(classes)
    stop = stop or threading.Event()
    try:
        if console.is_terminal:
            _redraw(feed, state, console, stop)
        else:
            _print_lines(feed, state, console, stop)
    except KeyboardInterrupt:
        return


def _redraw(feed: Feed, state: ViewState, console: Console, stop: threading.Event) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        drawn_at = float("-inf")
        while not stop.is_set():
            message = feed.receive(_FEED_WAIT_S)
            now = time.monotonic()
            if message is not None:
                state.apply(message, at=now)
            if now - drawn_at >= _REDRAW_S:
                drawn_at = now
                live.update(screen(state, width=console.width, height=console.height, at=now), refresh=True)


def _print_lines(feed: Feed, state: ViewState, console: Console, stop: threading.Event) -> None:
    known: dict[str, list[str]] = {}  # the lines that each camera's state gave last
    while not stop.is_set():
        message = feed.receive(_FEED_WAIT_S)
        now = time.monotonic()
        if message is not None:
            state.apply(message, at=now)
        for camera in state.cameras(at=now):
            name = camera["name"]
            lines = [*_log_lines(state.log(name)), f"{name}  {_WORDS[camera['status']]}  {_loss(camera)}".rstrip()]
            for line in lines:
                if line not in known.get(name, []):
                    console.print(Text(line if line == lines[-1] else f"{name}  {line}"), soft_wrap=True)
            known[name] = lines


def _log_lines(log: Sequence[LogEntry]) -> list[str]:
    lines = []
    for entry in log:
        who = f"{entry['name'] or entry['person']}  {entry['action']}"
        lines.append(f"{entry['t_start']:8.2f} s  {who} starts")
        if entry["t_end"] is not None:
            lasted = entry["t_end"] - entry["t_start"]
            lines.append(f"{entry['t_end']:8.2f} s  {who} ends after {lasted:.1f} s, {entry['confidence']:.0%} sure")
    return lines


def screen(state: ViewState, *, width: int, height: int, at: float) -> RenderableType:
    """One screen of at most `height` lines: a part for every camera, the stages last."""
    cameras = [camera["name"] for camera in state.cameras(at=at)]
    health = _stages(state.snapshot(at=at))
    if not cameras:
        return _cut([Text("waiting for the camera", style="bold yellow"), *health], width, height)
    share = max(6, (height - len(health)) // len(cameras))
    lines: list[Text | Rule] = []
    for name in cameras:
        lines += _camera(state, state.snapshot(name, at=at), width, share)
    return _cut([*lines[: height - len(health)], *health], width, height)


def _camera(state: ViewState, view: Snapshot, width: int, height: int) -> list[Text | Rule]:
    people = _people(state, view)
    losses = [_loss(camera) for camera in view["cameras"] if camera["name"] == view["camera"]]
    head = [_headline(view), *(Text(f" {loss}", style="red") for loss in losses if loss), *people, _axis(width)]
    tail: list[Text | Rule] = [Rule("events", style="dim", align="left"), *_events(state, view)]
    lanes = _lanes(state, view, width, max(1, height - len(head) - min(len(tail), 4)))
    return [*head, *lanes, *tail][:height]


def _headline(view: Snapshot) -> Text:
    fps = f"{view['fps']:.1f} fps" if view["fps"] is not None else "– fps"
    latency = view["latency"]
    late = f"{latency['p50_ms']:.0f} ms (p95 {latency['p95_ms']:.0f})" if latency else "– ms"
    lost = drops(view["stages"])
    style = {"live": "bold green", "lost": "bold red"}.get(view["status"], "bold yellow")
    line = Text.assemble((f"{view['camera']}", "bold"), "  ", (_WORDS[view["status"]], style))
    line.append(f"  {fps}  latency {late}  ")
    line.append(f"{lost} dropped", "yellow" if lost else "")
    return line


def _loss(camera: CameraView) -> str:
    """Why a camera is lost, and since when; of any other nothing."""
    if camera["lost_at"] is None:
        return ""
    since = time.strftime("%H:%M:%S", time.localtime(camera["lost_at"]))
    return f"{camera['reason']}; since {since}, tried again until it is back"


def _people(state: ViewState, view: Snapshot) -> list[Text | Rule]:
    lines: list[Text | Rule] = []
    for person in view["people"][:_PEOPLE]:
        style = _style(person["person"])
        line = Text.assemble((f" {person['person']:<2} ", f"bold {style}"))
        if person["name"]:
            line.append(f"{person['name'][:_CALLED]} ", style)
        if person["action"] is None:
            line.append("watching…", "dim")
        else:
            filled = round(_BAR * person["confidence"])
            line.append(_fitted(_name(state, person["action"])), _weight(person["action"]))
            line.append(" " + "█" * filled, style)
            line.append("░" * (_BAR - filled), "dim")
            line.append(f" {person['confidence']:4.0%}  for {max(0.0, view['t'] - person['since']):.1f} s")
        lines.append(line)
    if len(view["people"]) > _PEOPLE:
        lines.append(Text(f" and {len(view['people']) - _PEOPLE} more", style="dim"))
    return lines


def _axis(width: int) -> Text:
    columns = max(10, width - _NAME - 1)
    left, right = f"−{WINDOW_S:.0f} s", "now"
    return Text(" " * (_NAME + 1) + left + " " * (columns - len(left) - len(right)) + right, style="dim")


def _lanes(state: ViewState, view: Snapshot, width: int, most: int) -> list[Text]:
    """One line an action: in every column the letter of whoever did it then; dots are not decided yet."""
    columns = max(10, width - _NAME - 1)
    recent = {run["action"] for run in view["runs"]}
    unknown = [UNKNOWN] if UNKNOWN in recent else []
    named = [k for k in range(1, len(state.classes)) if k in recent or len(state.classes) - 1 <= most]
    actions = [*unknown, *named][:most]
    oldest, per_column = view["t"] - WINDOW_S, WINDOW_S / columns
    undecided = [oldest + (i + 1) * per_column > view["decided"] for i in range(columns)]
    lines = []
    for action in actions:
        cells = [("·" if open_ else " ", "dim") for open_ in undecided]
        for run in view["runs"]:
            if run["action"] != action:
                continue
            first, last = (int((t - oldest) / per_column) for t in (run["start"], run["end"] - 1e-3))
            for i in range(max(0, first), min(columns - 1, last) + 1):
                # Two at once in one column take turns.
                if cells[i][0] in " ·" or i % 2:
                    cells[i] = (run["person"][0], f"reverse {_style(run['person'])}")
        lines.append(Text.assemble(_fitted(_name(state, action)) + " ", *cells))
    return lines


def _events(state: ViewState, view: Snapshot) -> list[Text]:
    lines = []
    for entry in reversed(state.log(view["camera"])):
        length = "now" if entry["t_end"] is None else f"{entry['t_end'] - entry['t_start']:.1f} s"
        words = f"{entry['t_start']:8.1f} s  {entry['name'] or entry['person']:<2} {entry['action']}  {length}"
        lines.append(Text(words, style="" if entry["t_end"] is None else "dim"))
    return lines


def _stages(view: Snapshot) -> list[Text | Rule]:
    signs = {"ready": ("✓", "green"), "stale": ("!", "yellow"), "ended": ("■", "dim"), "failed": ("✕", "bold red")}
    line = Text()
    for stage in view["stages"]:
        sign, style = signs.get(stage["state"], ("?", "yellow"))
        lost = f" -{stage['drops']}" if stage["drops"] else ""
        line.append(f"{sign} ", style).append(stage["stage"])
        line.append(f"{lost}  ", "yellow" if stage["dropping"] else "")
    failed = [stage for stage in view["stages"] if stage["state"] == "failed" and stage["message"]]
    words = [Text(f"{stage['stage']}: {stage['message']}", style="bold red") for stage in failed[:2]]
    return [Rule("stages", style="dim", align="left"), line or Text("none has reported yet", style="dim"), *words]


def _cut(lines: Sequence[Text | Rule], width: int, height: int) -> Group:
    for line in lines:
        if isinstance(line, Text):
            line.no_wrap = True
            line.truncate(width, overflow="ellipsis")
    return Group(*lines[:height])


def _name(state: ViewState, action: int) -> str:
    if action == UNKNOWN:
        return "unknown"
    return state.classes[action].replace("_", " ") if action else "no action"


def _weight(action: int) -> str:
    return "italic" if action == UNKNOWN else "bold" if action else "dim"


def _fitted(name: str) -> str:
    return name.ljust(_NAME) if len(name) <= _NAME else name[: _NAME - 1] + "…"


def _style(letter: str) -> str:
    return _STYLES[(ord(letter[0]) - ord("A")) % len(_STYLES)]
