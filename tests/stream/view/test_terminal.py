"""The view in a terminal, and in a pipe."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

import pytest
from rich.console import Console

from skelstream.stream.view.terminal import run_terminal, screen
from skelstream.stream.wire import End, Lost


@pytest.mark.parametrize("people", [0, 1, 9])
@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60)])
def test_the_terminal_screen_fits(made: Any, people: int, size: tuple[int, int]) -> None:
    ids = tuple(range(people))
    decisions = [made.decision(0, (0,) * 300 + (2,) * 300, track=i) for i in ids]
    state = made.fed(
        made.tracks(600, ids),
        *decisions,
        made.event("start", 10.0, None),
        *map(made.report, ("camera", "pose", "detect")),
    )
    out = io.StringIO()
    console = Console(file=out, width=size[0], height=size[1], force_terminal=True, color_system=None)
    console.print(screen(state, width=size[0], height=size[1], at=0.0))
    lines = out.getvalue().splitlines()
    assert len(lines) <= size[1] and max(map(len, lines)) <= size[0]
    assert ("live" if people else "nobody in the picture") in lines[0]
    if people == 1 and size == (80, 24):
        (lane,) = [line for line in lines if line.startswith("wave") and "A" in line and "%" not in line]
        # 600 ticks are 20 s of the 30 s shown, the last 10 s of them a wave: the last third of the lane.
        assert lane[17:].index("A") == pytest.approx((80 - 17) * 2 / 3, abs=1.5) and lane.rstrip().endswith("A")


def test_without_a_terminal_there_is_a_line_for_every_start_and_end(made: Any) -> None:
    feed, stop, out = made.QueueFeed(), threading.Event(), io.StringIO()
    feed.put(
        made.tracks(0),
        made.event("start", 2.0, None),
        made.event("update", 2.0, None),
        made.event("end", 2.0, 4.5),
        End(camera="door"),
    )
    console = Console(file=out, width=20)
    thread = threading.Thread(target=run_terminal, args=(feed, made.CLASSES, console), kwargs={"stop": stop})
    thread.start()
    made.until(lambda: "stream ended" in out.getvalue(), "the last line")
    stop.set()
    thread.join()
    assert [" ".join(line.split()) for line in out.getvalue().splitlines()] == [
        "door live",
        "door 2.00 s A wave starts",
        "door 4.50 s A wave ends after 2.5 s, 80% sure",
        "door stream ended",
    ]


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
def test_the_terminal_says_which_camera_is_lost_and_which_stage_is_stale(made: Any, size: tuple[int, int]) -> None:
    lost = Lost(camera="door", at=1e9 + 9, reason="it was unplugged")
    state = made.fed(
        made.tracks(60), made.preview(0, "garden"), lost, made.report("pose", state="stale"), made.report("track")
    )
    console = Console(file=io.StringIO(), width=size[0], height=size[1], force_terminal=True, record=True)
    console.print(screen(state, width=size[0], height=size[1], at=0.0))
    lines = console.export_text(styles=False).splitlines()
    assert len(lines) <= size[1]
    assert lines[0].startswith("door  camera lost") and lines[1].startswith(" it was unplugged; since ")
    (garden,) = [line for line in lines if line.startswith("garden")]
    assert "live" in garden
    (stages,) = [line for line in lines if "✓ track" in line]
    assert stages.startswith("! pose")


def test_without_a_terminal_there_is_a_line_when_a_camera_is_lost_and_when_it_is_back(made: Any) -> None:
    feed, stop, out = made.QueueFeed(), threading.Event(), io.StringIO()
    console = Console(file=out, width=20)
    thread = threading.Thread(target=run_terminal, args=(feed, made.CLASSES, console), kwargs={"stop": stop})
    thread.start()
    feed.put(made.tracks(0), Lost(camera="door", at=1e9 + 9, reason="it was unplugged"))
    made.until(lambda: "camera lost" in out.getvalue(), "the loss")
    feed.put(made.tracks(300))
    made.until(lambda: out.getvalue().count("live") == 2, "the camera's being back")
    stop.set()
    thread.join()
    since = time.strftime("%H:%M:%S", time.localtime(1e9 + 9))
    assert [" ".join(line.split()) for line in out.getvalue().splitlines()] == [
        "door live",
        f"door camera lost it was unplugged; since {since}, tried again until it is back",
        "door live",
    ]


def test_on_a_terminal_the_screen_is_redrawn_in_place(made: Any) -> None:
    feed, stop, out = made.QueueFeed(), threading.Event(), io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True)
    thread = threading.Thread(target=run_terminal, args=(feed, made.CLASSES, console), kwargs={"stop": stop})
    thread.start()
    made.until(lambda: "waiting for the camera" in out.getvalue(), "the first screen")
    feed.put(made.tracks(60), made.decision(0, (2,) * 60))
    made.until(lambda: "70%  for 2.0 s" in out.getvalue(), "the person")
    stop.set()
    thread.join()
    enter, leave = "\x1b[?1049h", "\x1b[?1049l"
    assert out.getvalue().index(enter) < out.getvalue().index(leave)  # the user's own screen comes back
