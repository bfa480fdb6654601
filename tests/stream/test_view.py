"""The view: what the state makes of messages, what the server lets in, and what a real browser shows."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import queue
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from skelstream.encoder.layout import NTU25
from skelstream.stream.view.server import serve
from skelstream.stream.view.state import ViewState
from skelstream.stream.view.terminal import run_terminal, screen
from skelstream.stream.wire import (
    UNKNOWN,
    AnyMessage,
    Bus,
    Decision,
    End,
    Event,
    Lost,
    Preview,
    Publisher,
    Report,
    Subscriber,
    Tracks,
)

CLASSES = ("background", "squat", "wave", "bow")
SIZE = (640, 480)
WRIST = (480.0, 200.0)
ORANGE = (10, 130, 240)  # BGR
PATIENCE_S = 20.0  # a test that has to wait longer than this has failed


# --- messages ---------------------------------------------------------------------------------------------------------


def jpeg(colour: tuple[int, int, int] = ORANGE, size: tuple[int, int] = (160, 120)) -> bytes:
    picture = np.full((size[1], size[0], 3), colour, np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def preview(seq: int, camera: str = "door", hz: float = 30.0, picture: bytes = b"", began_at: float = 1e9) -> Preview:
    t = seq / hz
    return Preview(camera=camera, t=t, captured_at=began_at + t, seq=seq, size=SIZE, jpeg=picture or jpeg())


def standing() -> np.ndarray:
    """Somebody in the middle of the picture, (25, 2) pixels; the left wrist, stretched out, is far from all else."""
    pixels_V2 = np.tile(np.array([320.0, 300.0]), (25, 1))
    pixels_V2[NTU25.index("Head")] = (320, 120)
    pixels_V2[NTU25.index("SpineShoulder")] = (320, 180)
    pixels_V2[NTU25.index("WristLeft")] = WRIST
    return pixels_V2


def tracks(seq: int, ids: tuple[int, ...] = (7,), camera: str = "door", hz: float = 30.0) -> Tracks:
    n, t = len(ids), seq / hz
    return Tracks(
        camera=camera,
        t=t,
        captured_at=1e9 + t,
        seq=seq,
        size=SIZE,
        ids=ids,
        joints=np.zeros((n, 25, 3), np.float32),
        pixels=np.tile(standing(), (n, 1, 1)).astype(np.float32),
        confidence=np.ones((n, 25), np.float32),
    )


def decision(first_tick: int, labels: tuple[int, ...], track: int = 7, latency_s: float = 0.2) -> Decision:
    probabilities = np.full((len(labels), len(CLASSES)), 0.1, np.float32)
    probabilities[np.arange(len(labels)), list(labels)] = 0.7
    t = (first_tick + len(labels)) / 30
    return Decision(
        camera="door",
        t=t,
        captured_at=1e9 + t,
        track=track,
        first_tick=first_tick,
        labels=labels,
        probabilities=probabilities,
        decided_at=1e9 + t + latency_s,
    )


def event(kind: Any, t_start: float, t_end: float | None, confidence: float = 0.8) -> Event:
    return Event(
        camera="door",
        t=9.0,
        captured_at=1e9,
        kind=kind,
        track=7,
        action="wave",
        t_start=t_start,
        t_end=t_end,
        confidence=confidence,
        decided_at=1e9 + 0.25,
    )


def report(stage: str, dropped: int = 0, pid: int = 1, state: Any = "ready", gauge: float = 2.5) -> Report:
    counters = {"frames": 900, "frames_dropped": dropped}
    return Report(stage=stage, pid=pid, at=1e9, state=state, counters=counters, gauges={"wait_ms": gauge})


def fed(*messages: AnyMessage, at: float = 0.0) -> ViewState:
    state = ViewState(CLASSES)
    for message in messages:
        state.apply(message, at=at)
    return state


# --- the state --------------------------------------------------------------------------------------------------------


@given(
    hz=st.floats(5, 120),
    skipped=st.sets(st.integers(1, 58), max_size=50),
    pose_every=st.integers(1, 4),
)
def test_the_frame_rate_is_the_cameras_however_many_frames_are_skipped(
    hz: float, skipped: set[int], pose_every: int
) -> None:
    state = ViewState(CLASSES)
    for seq in range(60):
        if seq not in skipped:
            state.apply(preview(seq, hz=hz, picture=b"\xff\xd8 jpeg"), at=seq / hz)
        if seq % pose_every == 0:
            state.apply(tracks(seq, hz=hz), at=seq / hz)
    view = state.snapshot(at=60 / hz)
    assert view["fps"] == pytest.approx(hz, rel=1e-3)
    assert view["pose_fps"] == pytest.approx(hz / pose_every, rel=1e-3)
    silent = state.snapshot(at=60 / hz + 60)
    assert silent["fps"] is None and silent["pose_fps"] is None


@given(st.lists(st.floats(0.01, 2), min_size=2, max_size=60))
def test_latency_is_of_the_last_ten_seconds(latencies_s: list[float]) -> None:
    state = fed(decision(0, (1,), latency_s=30.0), at=0.0)
    for i, latency_s in enumerate(latencies_s):
        state.apply(decision(1 + i, (1,), latency_s=latency_s), at=11.0)
    latency = state.snapshot(at=12.0)["latency"]
    assert latency is not None
    cuts_ms = [1000 * cut for cut in statistics.quantiles(latencies_s, n=20, method="inclusive")]
    assert latency["p50_ms"] == pytest.approx(cuts_ms[9], abs=1e-3)
    assert latency["p95_ms"] == pytest.approx(cuts_ms[18], abs=1e-3)
    assert state.snapshot(at=40.0)["latency"] is None


@given(st.data())
def test_lanes_are_the_runs_of_equal_labels_in_the_last_thirty_seconds(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 200)), min_size=1, max_size=20))
    labels = [label for label, length in lengths for _ in range(length)]
    state, first = fed(tracks(0)), 0
    while first < len(labels):
        count = data.draw(st.integers(1, 90))
        state.apply(decision(first, tuple(labels[first : first + count])), at=0.0)
        first += count
    expected, tick, oldest = [], 0, len(labels) / 30 - 30
    for label, group in itertools.groupby(labels):
        start, tick = tick, tick + len(list(group))
        if label and tick / 30 > oldest:
            expected.append((label, max(start / 30, oldest), tick / 30))
    runs = [(run["action"], run["start"], run["end"]) for run in state.snapshot(at=0.0)["runs"]]
    assert [run[0] for run in runs] == [run[0] for run in expected]
    assert np.allclose([run[1:] for run in runs], [run[1:] for run in expected], atol=1e-3)


def test_a_person_has_a_current_action_since_when_and_the_likeliest_classes() -> None:
    state = fed(tracks(30), decision(0, (0,) * 20 + (2,) * 15))
    (person,) = state.snapshot(at=0.0)["people"]
    assert (person["person"], person["track"], person["action"]) == ("A", 7, 2)
    assert person["since"] == pytest.approx(20 / 30, abs=1e-3)
    assert person["confidence"] == pytest.approx(0.7, abs=1e-3)
    (likeliest, share), *others = person["top"]
    assert likeliest == 2 and share == pytest.approx(0.7, abs=1e-3)
    assert len(others) == 3


def test_an_action_begins_when_its_event_says_not_when_it_was_believed() -> None:
    state = fed(tracks(30), decision(0, (0,) * 20 + (2,) * 15), event("start", 0.5, None))
    (person,) = state.snapshot(at=0.0)["people"]
    assert person["since"] == pytest.approx(0.5)
    state.apply(decision(35, (2,) * 5), at=0.0)
    (run,) = state.snapshot(at=0.0)["runs"]
    assert run["start"] == pytest.approx(0.5)
    assert run["end"] == pytest.approx(40 / 30, abs=1e-3)
    assert run["confidence"] == pytest.approx(0.7, abs=1e-3)


def test_an_action_ends_when_its_event_says_not_when_it_was_noticed() -> None:
    state = fed(tracks(30), decision(0, (2,) * 40 + (0,) * 5))
    state.apply(event("end", 0.0, 36 / 30), at=0.0)
    (run,) = state.snapshot(at=0.0)["runs"]
    assert run["start"] == 0 and run["end"] == pytest.approx(36 / 30)
    (person,) = state.snapshot(at=0.0)["people"]
    assert person["since"] == pytest.approx(36 / 30)


def test_the_unknown_is_a_state_of_its_own() -> None:
    state = fed(tracks(60), decision(0, (0,) * 30), decision(30, (UNKNOWN,) * 30))
    (person,) = state.snapshot(at=0.0)["people"]
    assert person["action"] == UNKNOWN and person["since"] == pytest.approx(1)
    assert person["confidence"] == pytest.approx(0.3)  # the decisions give 0.7 to the last class
    (run,) = state.snapshot(at=0.0)["runs"]
    assert (run["action"], run["start"], run["end"]) == (UNKNOWN, 1, 2)
    state.apply(msgspec.structs.replace(event("start", 1.0, None), action="unknown"), at=0.0)
    assert [entry["action"] for entry in state.log()] == ["unknown"]
    console = Console(width=100, height=30, file=io.StringIO(), record=True)
    console.print(screen(state, width=100, height=30, at=0.0))
    lines = console.export_text().splitlines()
    assert any(line.strip().startswith("A") and "unknown" in line for line in lines)
    assert any(line.startswith("unknown") and line.count("A") > 1 for line in lines)  # its lane


def test_before_the_first_decision_a_person_has_no_action() -> None:
    (person,) = fed(tracks(1)).snapshot(at=0.0)["people"]
    assert person["action"] is None and person["top"] == []


def test_a_letter_stays_with_its_person_and_is_free_again_once_off_the_timeline() -> None:
    def letters(state: ViewState) -> dict[int, str]:
        return {person["track"]: person["person"] for person in state.snapshot(at=0.0)["people"]}

    state = fed(tracks(0, (4, 9)), decision(0, (1,) * 10, track=4))
    assert letters(state) == {4: "A", 9: "B"}
    state.apply(tracks(30, (9,)), at=0.0)
    state.apply(tracks(31, (9, 12)), at=0.0)
    assert letters(state) == {9: "B", 12: "C"}  # what A did is still on the timeline
    state.apply(tracks(30 * 32, (9,)), at=0.0)
    state.snapshot(at=0.0)
    state.apply(tracks(30 * 32 + 1, (9, 20)), at=0.0)
    assert letters(state) == {9: "B", 20: "A"}


def test_the_status_follows_the_camera() -> None:
    state = ViewState(CLASSES)
    assert state.snapshot(at=0.0)["status"] == "waiting"
    state.apply(preview(0), at=0.0)
    assert state.snapshot(at=0.1)["status"] == "live"
    state.apply(tracks(0, ()), at=0.1)
    assert state.snapshot(at=0.2)["status"] == "nobody"
    state.apply(tracks(1), at=0.3)
    assert state.snapshot(at=0.4)["status"] == "live"
    silent = state.snapshot(at=5.0)
    assert (silent["status"], silent["people"]) == ("waiting", [])
    state.apply(End(camera="door"), at=5.0)
    state.apply(tracks(2), at=5.1)  # still on its way through the stages when the camera ended
    assert state.snapshot(at=5.1)["status"] == "ended"


def test_a_camera_that_begins_anew_is_live_again_without_its_past() -> None:
    state = fed(tracks(900), decision(0, (1,) * 60), event("start", 0.5, None), End(camera="door"))
    revision = state.snapshot(at=0.0)["log_revision"]
    state.apply(preview(0, began_at=1e9 + 60), at=60.0)
    view = state.snapshot(at=60.0)
    assert (view["status"], view["t"], view["runs"], state.log()) == ("live", 0.0, [], [])
    assert view["log_revision"] != revision


def test_an_action_is_one_entry_in_the_log() -> None:
    state = fed(event("start", 2.0, None, 0.6), event("update", 2.0, None, 0.7))
    (going_on,) = state.log()
    assert (going_on["action"], going_on["t_end"], going_on["confidence"]) == ("wave", None, 0.7)
    state.apply(event("end", 2.0, 4.5, 0.9), at=0.0)
    state.apply(event("start", 6.0, None), at=0.0)
    ended, new = state.log()
    assert (ended["t_end"], ended["confidence"], new["t_start"]) == (4.5, 0.9, 6.0)
    assert ended["latency_ms"] == pytest.approx(250)


def test_stages_say_how_they_are() -> None:
    state = fed(report("detect"), report("camera", dropped=5), report("pose"), at=0.0)
    state.apply(report("camera", dropped=5), at=10.0)
    state.apply(report("detect", dropped=3), at=10.0)
    stages = {stage["stage"]: stage for stage in state.snapshot(at=10.0)["stages"]}
    assert list(stages) == ["camera", "pose", "detect"]
    assert {name: (one["state"], one["drops"], one["dropping"]) for name, one in stages.items()} == {
        "camera": ("ready", 5, False),
        "pose": ("silent", 0, False),
        "detect": ("ready", 3, True),
    }
    json.dumps(state.snapshot(at=10.0), allow_nan=False)


def test_a_failed_stage_is_shown_until_another_takes_its_place() -> None:
    def shown(at: float) -> list[tuple[int, str]]:
        return [(stage["pid"], stage["state"]) for stage in state.snapshot(at=at)["stages"]]

    state = fed(report("detect", pid=1), report("detect", pid=2), report("detect", pid=2, state="failed"))
    state.apply(report("detect", pid=1), at=1.0)  # its sibling works on
    assert shown(at=1.0) == [(1, "ready"), (2, "failed")]
    state.apply(report("detect", pid=3), at=1.0)
    assert shown(at=1.0) == [(1, "ready"), (3, "ready")]


def test_decisions_of_another_bundle_are_refused() -> None:
    with pytest.raises(ValueError, match="4 classes and the view has 3; start both from the same bundle"):
        state = ViewState(CLASSES[:3])
        state.apply(decision(0, (1,)), at=0.0)


@given(
    posed=st.sets(st.integers(0, 40)),
    shown=st.sets(st.integers(0, 40), min_size=1),
    lag=st.integers(0, 20),
)
def test_pictures_go_forward_with_the_people_of_their_own_frame(posed: set[int], shown: set[int], lag: int) -> None:
    state, last = ViewState(CLASSES), -1
    for now in range(41 + lag):
        if now in shown:
            state.apply(preview(now, picture=b"\xff\xd8 jpeg"), at=now / 30)
        if now - lag in posed:
            state.apply(tracks(now - lag, (now - lag,)), at=now / 30)
        picture = state.picture(at=now / 30)
        if picture is None:
            continue
        assert picture.seq >= last and picture.seq in shown
        last = picture.seq
        if picture.people:
            (person,) = picture.people
            # A frame that the pose stage skipped borrows the nearest people; one that it saw never does.
            assert person["track"] == picture.seq or picture.seq not in posed
            assert person["pixels"][NTU25.index("WristLeft")] == list(WRIST)
    newest = state.picture(at=1e3)
    assert newest is not None and newest.seq == max(shown)


def test_a_picture_waits_for_its_people_but_not_for_a_pose_stage_that_is_gone() -> None:
    def shown(at: float) -> tuple[int, int]:
        picture = state.picture(at=at)
        assert picture is not None
        return picture.seq, len(picture.people)

    state = fed(preview(0), tracks(0), at=0.0)
    assert shown(at=0.0) == (0, 1)
    state.apply(preview(1), at=0.03)
    assert shown(at=0.05) == (0, 1)
    state.apply(tracks(1, (7, 8)), at=0.07)
    assert shown(at=0.07) == (1, 2)
    state.apply(preview(2), at=0.1)
    assert shown(at=5.0) == (2, 0)


# --- the terminal -----------------------------------------------------------------------------------------------------


class QueueFeed:
    """A feed that a test fills."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[AnyMessage] = queue.SimpleQueue()
        self.read = 0

    def put(self, *messages: AnyMessage) -> None:
        for message in messages:
            self._queue.put(message)

    def receive(self, timeout_s: float) -> AnyMessage | None:
        with contextlib.suppress(queue.Empty):
            message = self._queue.get(timeout=timeout_s)
            self.read += 1
            return message
        return None


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.02)


@pytest.mark.parametrize("people", [0, 1, 9])
@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60)])
def test_the_terminal_screen_fits(people: int, size: tuple[int, int]) -> None:
    ids = tuple(range(people))
    decisions = [decision(0, (0,) * 300 + (2,) * 300, track=i) for i in ids]
    state = fed(tracks(600, ids), *decisions, event("start", 10.0, None), *map(report, ("camera", "pose", "detect")))
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


def test_without_a_terminal_there_is_a_line_for_every_start_and_end() -> None:
    feed, stop, out = QueueFeed(), threading.Event(), io.StringIO()
    feed.put(
        tracks(0), event("start", 2.0, None), event("update", 2.0, None), event("end", 2.0, 4.5), End(camera="door")
    )
    console = Console(file=out, width=20)
    thread = threading.Thread(target=run_terminal, args=(feed, CLASSES, console), kwargs={"stop": stop})
    thread.start()
    until(lambda: "stream ended" in out.getvalue(), "the last line")
    stop.set()
    thread.join()
    assert [" ".join(line.split()) for line in out.getvalue().splitlines()] == [
        "door live",
        "door 2.00 s A wave starts",
        "door 4.50 s A wave ends after 2.5 s, 80% sure",
        "door stream ended",
    ]


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
def test_the_terminal_says_which_camera_is_lost_and_which_stage_is_stale(size: tuple[int, int]) -> None:
    lost = Lost(camera="door", at=1e9 + 9, reason="it was unplugged")
    state = fed(tracks(60), preview(0, "garden"), lost, report("pose", state="stale"), report("track"))
    console = Console(file=io.StringIO(), width=size[0], height=size[1], force_terminal=True, record=True)
    console.print(screen(state, width=size[0], height=size[1], at=0.0))
    lines = console.export_text(styles=False).splitlines()
    assert len(lines) <= size[1]
    assert lines[0].startswith("door  camera lost") and lines[1].startswith(" it was unplugged; since ")
    (garden,) = [line for line in lines if line.startswith("garden")]
    assert "live" in garden
    (stages,) = [line for line in lines if "✓ track" in line]
    assert stages.startswith("! pose")


def test_without_a_terminal_there_is_a_line_when_a_camera_is_lost_and_when_it_is_back() -> None:
    feed, stop, out = QueueFeed(), threading.Event(), io.StringIO()
    console = Console(file=out, width=20)
    thread = threading.Thread(target=run_terminal, args=(feed, CLASSES, console), kwargs={"stop": stop})
    thread.start()
    feed.put(tracks(0), Lost(camera="door", at=1e9 + 9, reason="it was unplugged"))
    until(lambda: "camera lost" in out.getvalue(), "the loss")
    feed.put(tracks(300))
    until(lambda: out.getvalue().count("live") == 2, "the camera's being back")
    stop.set()
    thread.join()
    since = time.strftime("%H:%M:%S", time.localtime(1e9 + 9))
    assert [" ".join(line.split()) for line in out.getvalue().splitlines()] == [
        "door live",
        f"door camera lost it was unplugged; since {since}, tried again until it is back",
        "door live",
    ]


def test_on_a_terminal_the_screen_is_redrawn_in_place() -> None:
    feed, stop, out = QueueFeed(), threading.Event(), io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True)
    thread = threading.Thread(target=run_terminal, args=(feed, CLASSES, console), kwargs={"stop": stop})
    thread.start()
    until(lambda: "waiting for the camera" in out.getvalue(), "the first screen")
    feed.put(tracks(60), decision(0, (2,) * 60))
    until(lambda: "70%  for 2.0 s" in out.getvalue(), "the person")
    stop.set()
    thread.join()
    enter, leave = "\x1b[?1049h", "\x1b[?1049l"
    assert out.getvalue().index(enter) < out.getvalue().index(leave)  # the user's own screen comes back


# --- the server -------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


@contextlib.contextmanager
def serving(feed: Any, port: int, **options: Any) -> Iterator[None]:
    stop, failures = threading.Event(), []

    def run() -> None:
        try:
            serve(feed, classes=CLASSES, port=port, stop=stop, **options)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until(lambda: answers(port) or bool(failures), "the server")
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures, failures


def viewer(port: int) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/live", origin=Origin(f"http://127.0.0.1:{port}"), max_size=None)


def seq_of(packet: bytes) -> int:
    (length,) = struct.unpack_from("<I", packet)
    seq: int = json.loads(packet[4 : 4 + length])["seq"]
    assert packet[4 + length :] == jpeg()
    return seq


def see_until(client: ClientConnection, seq: int) -> list[int]:
    """Receive and acknowledge like the page does, until the picture `seq` has come; all pictures that came."""
    seen: list[int] = []
    while seq not in seen:
        message = client.recv(timeout=PATIENCE_S)
        if isinstance(message, bytes):
            seen.append(seq_of(message))
            client.send('{"seen": "picture"}')
        elif '"type":"state"' in message:
            client.send('{"seen": "state"}')
    return seen


def test_a_port_in_use_is_said_before_the_feed_is_read() -> None:
    feed = QueueFeed()
    feed.put(tracks(0))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"^port {port} is in use; choose another with --port$"):
            serve(feed, classes=CLASSES, port=port)
    assert feed.read == 0


def test_what_the_feed_raises_ends_the_server() -> None:
    class Broken:
        def receive(self, timeout_s: float) -> AnyMessage | None:
            raise OSError("the cable is out")

    with pytest.raises(OSError, match="the cable is out"):
        serve(Broken(), classes=CLASSES, port=free_port(), stop=threading.Event())


@pytest.mark.parametrize(
    ("host", "origin", "welcome"),
    [
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", True),
        ("localhost:{port}", "http://localhost:{port}", True),
        ("127.0.0.1:{port}", "http://evil.example", False),
        ("127.0.0.1:{port}", "http://127.0.0.1:1", False),
        ("127.0.0.1:{port}", "null", False),
        ("127.0.0.1:{port}", None, False),
        ("evil.example:{port}", "http://evil.example:{port}", False),  # a name that was made to point at us
        ("127.0.0.1.evil.example:{port}", "http://127.0.0.1.evil.example:{port}", False),
    ],
)
def test_only_our_own_page_may_watch(host: str, origin: str | None, welcome: bool) -> None:
    port = free_port()
    headers = {"Host": host.format(port=port)}
    with serving(QueueFeed(), port), socket.create_connection(("127.0.0.1", port)) as raw:
        request = (
            f"GET /live HTTP/1.1\r\nHost: {headers['Host']}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + (f"Origin: {origin.format(port=port)}\r\n" if origin else "")
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2tlbGV0b25zIGxpdmUhIQ==\r\n\r\n"
        )
        raw.settimeout(PATIENCE_S)
        raw.sendall(request.encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 101" if welcome else b"HTTP/1.1 403")
        page = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers)
        if "evil" in host:
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(page, timeout=PATIENCE_S)
        else:
            with urllib.request.urlopen(page, timeout=PATIENCE_S) as response:
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_the_seventeenth_viewer_is_turned_away_until_one_leaves() -> None:
    port, refused = free_port(), queue.SimpleQueue[str]()
    with serving(QueueFeed(), port, refused=refused.put), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(viewer(port)) for _ in range(16)]
        for client in clients:
            assert json.loads(client.recv(timeout=PATIENCE_S))["type"] == "hello"
        with viewer(port) as late, pytest.raises(ConnectionClosed) as closed:
            late.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013
        assert refused.get(timeout=PATIENCE_S) == "too many viewers" and refused.empty()
        clients[0].close()

        def room() -> bool:
            with viewer(port) as next_one, contextlib.suppress(ConnectionClosed):
                return "hello" in str(next_one.recv(timeout=PATIENCE_S))
            return False

        until(room, "room for another viewer")


def test_a_slow_viewer_delays_nobody_and_skips_to_the_newest_picture() -> None:
    port, feed = free_port(), QueueFeed()
    with serving(feed, port), viewer(port) as slow, viewer(port) as quick:
        feed.put(preview(0), tracks(0))
        see_until(quick, 0)
        for seq in range(1, 120):
            feed.put(preview(seq), tracks(seq))
        see_until(quick, 119)
        slow_seen = []
        with contextlib.suppress(TimeoutError):
            while True:
                message = slow.recv(timeout=0.5)
                slow_seen += [seq_of(message)] if isinstance(message, bytes) else []
        assert len(slow_seen) <= 2
        if slow_seen[-1] != 119:  # it now says that it has seen them, and gets none of those in between
            slow.send('{"seen": "picture"}')
            assert see_until(slow, 119) == [119]


@pytest.mark.parametrize("nonsense", ["{", "[]", '{"seen": ["picture"]}', '{"camera": 5}', b"\x00", "9" * 5000])
def test_a_viewer_that_talks_nonsense_harms_nobody(nonsense: str | bytes) -> None:
    port, feed = free_port(), QueueFeed()
    with serving(feed, port), viewer(port) as rude, viewer(port) as polite:
        rude.send(nonsense)
        feed.put(preview(3), tracks(3))
        assert see_until(polite, 3) == [3]


def test_sigterm_ends_the_server_and_says_good_bye() -> None:
    port = free_port()
    program = (
        "import time; from skelstream.stream.view.server import serve\n"
        "class Quiet:\n    def receive(self, timeout_s): time.sleep(timeout_s)\n"
        f"serve(Quiet(), classes={CLASSES}, port={port})"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    try:
        until(lambda: answers(port), "the server")
        with viewer(port) as client:
            client.recv(timeout=PATIENCE_S)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    client.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, errors) == (0, b"")
    finally:
        process.kill()
        process.wait()


# --- the page in a browser --------------------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; on Debian: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="dark")
    opened.set_default_timeout(1000 * PATIENCE_S)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert not errors


def shows(page: Any, selector: str, text: str) -> None:
    """Wait until the element's text is exactly this."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent.trim() === text", arg=[selector, text]
    )


@contextlib.contextmanager
def streaming(feed: QueueFeed, *more: AnyMessage, ids: tuple[int, ...] = (7,), from_seq: int = 60) -> Iterator[None]:
    """A camera at 30 fps, from now on, after the messages of `more`."""
    stop = threading.Event()

    def run() -> None:
        for seq in itertools.count(from_seq):
            feed.put(preview(seq), tracks(seq, ids))
            if seq == from_seq:
                feed.put(*more)
            if stop.wait(1 / 30):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# What is drawn on a canvas at a place on the screen: [red, green, blue, alpha].
PIXEL = """([id, x, y]) => {
  const canvas = document.getElementById(id);
  const box = canvas.getBoundingClientRect();
  const at = [(x - box.left) * canvas.width / box.width, (y - box.top) * canvas.height / box.height];
  return [...canvas.getContext("2d").getImageData(Math.round(at[0]), Math.round(at[1]), 1, 1).data];
}"""


def on_screen(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where the page must show this pixel of the original picture: fitted into the stage, its shape kept."""
    box = page.locator("#stage").bounding_box()
    scale = min(box["width"] / SIZE[0], box["height"] / SIZE[1])
    return (
        box["x"] + box["width"] / 2 + scale * (x - SIZE[0] / 2),
        box["y"] + box["height"] / 2 + scale * (y - SIZE[1] / 2),
    )


def test_the_page_shows_picture_skeleton_action_and_lane(page: Any) -> None:
    port, feed = free_port(), QueueFeed()
    past = (decision(0, (0,) * 20 + (2,) * 40), event("start", 20 / 30, None), report("pose", dropped=4))
    with serving(feed, port), streaming(feed, *past):
        page.goto(f"http://127.0.0.1:{port}/")
        shows(page, "#people .action", "wave")
        shows(page, "#people .badge", "A")
        shows(page, "#people .share", "70 %")
        shows(page, "#spoken", "A: wave")
        shows(page, "#status-text", "live")
        shows(page, "#lanes li.now", "wave")
        shows(page, "#events .name", "wave")
        shows(page, "#p50", "200")
        shows(page, "#drops", "4")
        page.wait_for_function("document.getElementById('fps').textContent === '30.0'")
        assert page.locator("#lanes li").all_text_contents() == list(CLASSES[1:])

        page.wait_for_selector("#picture[data-seq]", state="visible")
        assert page.evaluate("[image.width, image.height]") == [160, 120]
        for x, y in ((20, 20), (600, 400)):
            assert np.allclose(page.evaluate(PIXEL, ["picture", *on_screen(page, x, y)]), (*ORANGE[::-1], 255), atol=12)

        colour = page.evaluate("colourOf('A')")
        blue = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert page.evaluate(PIXEL, ["overlay", *on_screen(page, *WRIST)]) == [*blue, 255]
        assert page.evaluate(PIXEL, ["overlay", *on_screen(page, WRIST[0], WRIST[1] + 60)])[3] == 0
        assert page.evaluate(PIXEL, ["overlay", *on_screen(page, 320, 54)])[3] > 200  # the label over the head

        lanes = page.evaluate("""() => {
          const box = timeline.getBoundingClientRect(), scale = timeline.height / box.height;
          return lanes.map((_, row) => {
            const y = Math.round((row + 0.5) * LANE_PX * scale);
            const line = timeline.getContext("2d").getImageData(0, y, timeline.width, 1).data;
            return Array.from({ length: timeline.width }, (_, x) => [...line.slice(4 * x, 4 * x + 3)].join());
          });
        }""")
        bars = [row.count(",".join(map(str, blue))) for row in lanes]
        assert bars[0] == bars[2] == 0
        # 40 ticks of the 30 s; the letter and the rounded ends are not of the plain colour.
        assert bars[1] == pytest.approx(len(lanes[1]) * (40 / 30) / 30, abs=16)


def test_the_page_shows_the_unknown_as_a_state_of_its_own(page: Any) -> None:
    port, feed = free_port(), QueueFeed()
    with serving(feed, port), streaming(feed, decision(0, (0,) * 20 + (UNKNOWN,) * 40)):
        page.goto(f"http://127.0.0.1:{port}/")
        shows(page, "#people .unknown .action", "unknown")
        shows(page, "#people .unknown .share", "30 %")
        shows(page, "#lanes li.now", "unknown")


def test_the_page_says_what_it_is_waiting_for(page: Any) -> None:
    port, feed = free_port(), QueueFeed()
    with serving(feed, port):
        page.goto(f"http://127.0.0.1:{port}/")
        shows(page, "#notice", "waiting for the camera")
        with streaming(feed, ids=()):
            shows(page, "#notice", "nobody in the picture")
        with streaming(feed, from_seq=3000):
            shows(page, "#status-text", "live")
            assert page.locator("#notice").is_hidden()
        feed.put(End(camera="door"))
        shows(page, "#notice", "stream ended")
    shows(page, "#notice", "connecting…")


def test_the_page_says_that_the_camera_is_lost_why_and_since_when(page: Any) -> None:
    port, feed = free_port(), QueueFeed()
    with serving(feed, port):
        page.goto(f"http://127.0.0.1:{port}/")
        with streaming(feed, decision(0, (2,) * 60)):
            shows(page, "#people .action", "wave")
            page.wait_for_selector("#picture[data-seq]", state="visible")
        feed.put(Lost(camera="door", at=1e9 + 9000, reason="it was unplugged"))
        shows(page, "#status-text", "camera lost")
        since = page.evaluate("new Date(1000 * (1e9 + 9000)).toLocaleTimeString()")
        lost = f"camera lost\nit was unplugged\nsince {since}; it is tried again until it is back"
        assert page.locator("#notice").inner_text() == lost
        assert page.locator("#people .action").count() == 0
        with streaming(feed, from_seq=30 * 9001):
            shows(page, "#status-text", "live")
            assert page.locator("#notice").is_hidden()


def test_the_page_shows_a_stale_stage_in_amber(page: Any) -> None:
    port, feed = free_port(), QueueFeed()
    stale = msgspec.structs.replace(report("pose", state="stale", gauge=2.0), gauges={"age_s": 60.0})
    with serving(feed, port), streaming(feed, stale, report("camera")):
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("#stages .ready >> text=camera")
        assert "stale · no frame for 6" in page.locator("#stages .stale .detail").inner_text()
        colours = "[...document.querySelectorAll('#stages .sign')].map((sign) => getComputedStyle(sign).color)"
        assert page.evaluate(colours) == ["rgb(52, 211, 153)", "rgb(251, 191, 36)"]  # page.css: --good, --warn


def test_the_page_opens_with_the_token_alone_and_says_when_it_is_no_longer_good(page: Any) -> None:
    port, feed = free_port(), QueueFeed()
    with serving(feed, port, host="0.0.0.0", token="the-token-of-today"), streaming(feed):
        assert page.goto(f"http://127.0.0.1:{port}/").status == 401
        assert "needs its token" in page.inner_text("body")
        page.goto(f"http://127.0.0.1:{port}/?token=the-token-of-today")
        assert page.url == f"http://127.0.0.1:{port}/"
        shows(page, "#status-text", "live")
        assert page.evaluate("document.cookie") == ""  # no script can read it
        page.reload()
        shows(page, "#status-text", "live")
    with serving(feed, port, host="0.0.0.0", token="the-token-of-tomorrow"), streaming(feed):
        page.wait_for_selector("#notice >> text=token is no longer good")
        page.goto(f"http://127.0.0.1:{port}/?token=the-token-of-tomorrow")
        shows(page, "#status-text", "live")


def test_the_page_connects_again_after_the_server_was_restarted(page: Any) -> None:
    port = free_port()
    with serving(feed := QueueFeed(), port), streaming(feed):
        page.goto(f"http://127.0.0.1:{port}/")
        shows(page, "#status-text", "live")
    shows(page, "#status-text", "connecting…")
    with serving(feed := QueueFeed(), port), streaming(feed, decision(5000, (3,) * 9), from_seq=5000):
        shows(page, "#status-text", "live")
        shows(page, "#people .action", "bow")
        page.wait_for_function("Number(picture.seq) >= 5000")


def test_the_viewer_chooses_the_camera(page: Any) -> None:
    port, feed = free_port(), QueueFeed()
    garden: list[AnyMessage] = [preview(900, "garden"), tracks(900, (1, 2), "garden")]
    with serving(feed, port), streaming(feed, *garden):
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("#picture[data-camera=door]")
        page.get_by_role("button", name="garden").click()
        page.wait_for_selector("#picture[data-camera=garden]")
        page.wait_for_selector("button[aria-pressed=true] >> text=garden")
        page.get_by_role("button", name="door").click()
        page.wait_for_selector("#picture[data-camera=door]")


def test_a_page_from_elsewhere_cannot_watch(page: Any) -> None:
    """A real page of another origin: another port is another origin."""
    port, elsewhere = free_port(), free_port()
    knock = """port => new Promise(done => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/live`);
      socket.onopen = () => done("open");
      socket.onerror = () => done("refused");
    })"""
    with serving(QueueFeed(), port), serving(QueueFeed(), elsewhere):
        # An error page has no content security policy of ours: it is the server alone that refuses here.
        page.goto(f"http://127.0.0.1:{elsewhere}/no-such-page")
        assert page.evaluate(knock, elsewhere) == "open"
        assert page.evaluate(knock, port) == "refused"


def test_messages_travel_from_a_stage_over_the_bus_into_the_page(page: Any, tmp_path: Any) -> None:
    port, inlet, outlet = free_port(), f"ipc://{tmp_path}/in", f"ipc://{tmp_path}/out"
    bus = Bus(inlet, outlet)
    try:
        feed = Subscriber(outlet, (Preview, Tracks, Decision, Event, Report, End))
        with feed, Publisher(inlet) as stage, serving(feed, port):
            until(lambda: stage.wanted(End), "the last subscription")
            page.goto(f"http://127.0.0.1:{port}/")
            for message in (preview(60), tracks(60), decision(0, (3,) * 60), report("pose")):
                stage.publish(message)
            page.wait_for_selector("#picture[data-seq='60']")
            shows(page, "#people .action", "bow")
            shows(page, "#stages .name", "pose")
    finally:
        bus.close()
