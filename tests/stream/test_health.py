"""Watching the pipeline: /healthz, /readyz and /metrics of the view stage, with reports that come over the bus."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from skelstream.stream.listening import run_view
from skelstream.stream.settings import Settings
from skelstream.stream.stage import BOUNDS, Place, Stage
from skelstream.stream.view.health import alive, ready
from skelstream.stream.view.metrics import exposition
from skelstream.stream.view.state import ViewState
from skelstream.stream.wire import AnyMessage, Bus, End, Lost, Preview, Publisher, Report, Subscriber, Tracks

CLASSES = ("background", "wave")
PATIENCE_S = 20.0
Samples = dict[tuple[Any, ...], float]


def report(stage: str, state: Any = "ready", pid: int = 1, message: str = "", **more: Any) -> Report:
    told: dict[str, Any] = {"counters": {}, "gauges": {}, **more}
    return Report(stage=stage, pid=pid, at=1e9, state=state, message=message, **told)


def tracks(camera: str, captured_at: float, people: int = 1) -> Tracks:
    return Tracks(
        camera=camera,
        t=captured_at - 1e9,
        captured_at=captured_at,
        seq=int(30 * (captured_at - 1e9)),
        size=(640, 480),
        ids=tuple(range(people)),
        joints=np.zeros((people, 25, 3), np.float32),
        pixels=np.zeros((people, 25, 2), np.float32),
        confidence=np.ones((people, 25), np.float32),
    )


def fed(*messages: AnyMessage, at: float = 0.0, state: ViewState | None = None) -> ViewState:
    state = state or ViewState(CLASSES)
    for message in messages:
        state.apply(message, at=at)
    return state


def samples(text: str) -> Samples:
    """Every sample of an exposition by name and labels (the stage first), as Prometheus' own parser reads it."""
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels, reverse=True))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def exposed(*messages: AnyMessage) -> Samples:
    return samples(exposition(fed(*messages).watched(at=0.0)).decode())


# --- alive, ready -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "lives", "works"),
    [
        ((), True, False),
        (("ready", "ready"), True, True),
        (("ready", "starting"), True, False),
        (("ready", "stale"), True, False),
        (("ready", "failed"), False, False),
        (("ready", "ended"), True, True),
        (("ended", "ended"), True, False),
    ],
)
def test_a_pipeline_works_when_all_its_stages_do(states: tuple[str, ...], lives: bool, works: bool) -> None:
    watched = fed(*(report(f"stage{i}", state) for i, state in enumerate(states))).watched(at=1.0)
    assert (alive(watched), ready(watched)) == (lives, works)


def test_a_stage_that_says_nothing_is_dead_until_it_speaks_again() -> None:
    state = fed(report("pose"), report("camera", "ended"))
    assert alive(state.watched(at=2.9)) and ready(state.watched(at=2.9))
    silent = state.watched(at=3.1)
    assert not alive(silent) and not ready(silent)
    assert {stage["stage"]: stage["state"] for _, stage in silent.stages} == {
        "camera": "ended", "pose": "silent",
    }  # fmt: skip
    fed(report("pose"), at=3.2, state=state)
    assert alive(state.watched(at=3.3)) and ready(state.watched(at=3.3))


@pytest.mark.parametrize("last_word", ["ready", "failed"])
def test_a_stage_that_was_started_again_is_well_again(last_word: str) -> None:
    state = fed(report("pose", last_word, pid=1))
    fed(report("pose", "starting", pid=2), at=0.5, state=state)
    assert alive(state.watched(at=0.6)) and not ready(state.watched(at=0.6))
    for at in (1.0, 3.0, 5.0):
        fed(report("pose", pid=2), at=at, state=state)
    assert alive(state.watched(at=5.1)) and ready(state.watched(at=5.1))
    assert [stage["pid"] for stage in state.snapshot(at=5.1)["stages"]] == [2]


def test_a_camera_is_lost_until_a_later_frame_comes() -> None:
    def status(at: float) -> tuple[str, str, float | None]:
        (camera,) = state.cameras(at=at)
        return camera["status"], camera["reason"], camera["lost_at"]

    state = fed(report("pose"), tracks("door", 1e9 + 1), at=1.0)
    fed(Lost(camera="door", at=1e9 + 3, reason="it was unplugged"), at=3.0, state=state)
    fed(tracks("door", 1e9 + 2.9), report("pose"), at=3.1, state=state)  # was still on its way
    assert status(3.2) == ("lost", "it was unplugged", 1e9 + 3)
    assert alive(state.watched(at=3.2)) and not ready(state.watched(at=3.2))
    assert state.snapshot(at=3.2)["people"] == []
    fed(Lost(camera="door", at=1e9 + 9, reason="it is busy"), at=9.0, state=state)  # said by the process after it
    assert status(60.0) == ("lost", "it is busy", 1e9 + 3)
    fed(tracks("door", 1e9 + 61), report("pose"), at=61.0, state=state)
    assert status(61.1) == ("live", "", None)
    assert ready(state.watched(at=61.1))
    fed(Lost(camera="door", at=1e9 + 70, reason="again"), End(camera="door"), at=70.0, state=state)
    assert status(70.1) == ("ended", "", None)


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_every_metric_has_its_help_and_type_also_before_the_first_report() -> None:
    text = exposition(ViewState(CLASSES).watched(at=0.0)).decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helped = re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)
    assert kinds == {
        "skelstream_frames_total": "counter", "skelstream_windows_total": "counter",
        "skelstream_dropped_total": "counter", "skelstream_refused_total": "counter",
        "skelstream_restarts_total": "counter", "skelstream_lost_total": "counter",
        "skelstream_cpu_seconds_total": "counter", "skelstream_memory_bytes": "gauge",
        "skelstream_people": "gauge", "skelstream_camera_lost": "gauge", "skelstream_stage_ready": "gauge",
        "skelstream_stage_age_seconds": "gauge", "skelstream_latency_seconds": "histogram",
        "skelstream_took_seconds": "histogram", "skelstream_engine_batch_windows": "histogram",
    }  # fmt: skip
    assert sorted(helped) == sorted(kinds)


def test_counters_are_those_of_the_stages() -> None:
    told = exposed(
        report("camera", counters={"captured": 90, "dropped: newer came": 3, "dropped": 2, "lost": 4}),
        report("pose@kitchen", counters={"received": 87, "frames": 80, "frames_with_people": 60}),
        report("window", counters={"received": 79, "windows": 70, "people": 999}),
        report("decode", counters={"windows": 69, "scored": 60, "refused": 1, "malformed": 5, "refused: key": 6}),
        report("detect0", counters={"scored": 33, "received": 34}, gauges={"memory_mb": 120.5, "cpu_s": 7.25}),
        report("supervisor", counters={"restarts: detect0": 2, "restarts: pose@kitchen": 0}),
    )
    counted = {key: value for key, value in told.items() if key[0].endswith("_total")}
    assert counted == {
        ("skelstream_frames_total", "camera"): 90,
        ("skelstream_frames_total", "pose@kitchen"): 80,
        ("skelstream_frames_total", "window"): 79,
        ("skelstream_windows_total", "window"): 70,
        ("skelstream_windows_total", "decode"): 69,
        ("skelstream_windows_total", "detect0"): 33,
        ("skelstream_dropped_total", "camera", "newer came"): 3,
        ("skelstream_dropped_total", "camera", "unnamed"): 2,
        ("skelstream_refused_total", "decode", "unnamed"): 1,
        ("skelstream_refused_total", "decode", "key"): 6,
        ("skelstream_refused_total", "decode", "malformed"): 5,
        ("skelstream_restarts_total", "detect0"): 2,
        ("skelstream_restarts_total", "pose@kitchen"): 0,
        ("skelstream_lost_total",): 4,
        ("skelstream_cpu_seconds_total", "detect0"): 7.25,
    }
    assert told["skelstream_memory_bytes", "detect0"] == 120.5e6


def test_of_a_stage_that_was_started_again_the_newest_report_counts() -> None:
    state = fed(report("camera", pid=1, counters={"captured": 90}))
    fed(report("camera", "stale", pid=2, counters={"captured": 95}, gauges={"age_s": 2.5}), at=1.0, state=state)
    told = samples(exposition(state.watched(at=1.0)).decode())
    assert told["skelstream_frames_total", "camera"] == 95
    assert told["skelstream_stage_ready", "camera"] == 0
    assert told["skelstream_stage_age_seconds", "camera"] == 2.5


def test_histograms_are_what_the_stage_observed(tmp_path: Path) -> None:
    observed: dict[str, list[float]] = {
        "latency_s": [0.004, 0.005, 0.08, 0.3, 7.0],
        "took_s": [0.012],
        "batch": [1, 1, 3, 8, 9],
    }
    bus = Bus(f"ipc://{tmp_path}/bus-in", f"ipc://{tmp_path}/bus-out")
    with (
        contextlib.closing(bus),
        Subscriber(f"ipc://{tmp_path}/bus-out", (Report,)) as feed,
        Stage("detect0", Place(tmp_path)) as stage,
    ):
        until(lambda: stage.bus.wanted(Report), "the subscription")
        for what, values in observed.items():
            for value in values:
                stage.observe(what, value)
        stage.report(force=True)
        heard = feed.receive(PATIENCE_S)
    assert isinstance(heard, Report)
    told = exposed(heard)
    names = {"latency_s": "latency_seconds", "took_s": "took_seconds", "batch": "engine_batch_windows"}
    for what, values in observed.items():
        name = f"skelstream_{names[what]}"
        for bound in (*map(float, BOUNDS[what]), float("inf")):
            (bucket,) = [value for key, value in told.items() if key[:2] == (f"{name}_bucket", "detect0")
                         and float(key[2]) == bound]  # fmt: skip
            assert bucket == sum(value <= bound for value in values), (what, bound)
        assert told[f"{name}_count", "detect0"] == len(values)
        assert told[f"{name}_sum", "detect0"] == pytest.approx(sum(values))


def test_histograms_of_another_version_are_left_out() -> None:
    told = exposed(report("detect", histograms={"batch": (1.0, 2.0), "made_up": (1.0, 2.0, 3.0)}))
    assert not [key for key in told if "batch" in key[0] or "made_up" in key[0]]


@pytest.mark.parametrize("name", ['the "door"', "back\\slash", "Küche", 'a{b="c"} 1', "#"])
def test_names_arrive_as_they_are(name: str) -> None:
    told = exposed(tracks(name, 1e9, people=3), report(name, counters={"dropped: " + name: 2}))
    assert told["skelstream_people", name] == 3
    assert told["skelstream_stage_ready", name] == 1
    assert told["skelstream_dropped_total", name, name] == 2


# --- over the wire ----------------------------------------------------------------------------------------------------


class View:
    """The real view stage, in a thread, on a bus of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def told(self) -> Samples:
        return samples(self.get("/metrics")[1])

    def bus(self) -> Bus:
        return Bus(f"ipc://{self.folder}/bus-in", f"ipc://{self.folder}/bus-out")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        settings = Settings(folder=str(self.folder), port=self.port)
        with Stage("view", settings.place) as stage:
            thread = threading.Thread(target=run_view, args=(stage, settings))
            thread.start()
            try:
                until(lambda: self.answers(), "the view")
                yield
            finally:
                stage.stop.set()
                thread.join()

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.get("/healthz")[0] in (200, 503)
        return False


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.05)


@pytest.fixture
def view(tmp_path: Path) -> View:
    return View(tmp_path)


def test_the_view_says_how_the_pipeline_is(view: View) -> None:
    with contextlib.closing(view.bus()), view.running(), Publisher(f"ipc://{view.folder}/bus-in") as others:
        until(lambda: others.wanted(Lost), "the view's subscription")
        until(lambda: view.get("/readyz")[0] == 200, "the view's own report")
        others.publish(report("pose", "stale", message="no frames come", gauges={"age_s": 4.0}))
        until(lambda: view.get("/readyz")[0] == 503, "the stale stage")
        assert view.get("/healthz")[0] == 200
        said = json.loads(view.get("/readyz")[1])
        assert not said["ready"] and said["stages"]["view"]["state"] == "ready"
        pose = said["stages"]["pose"]
        assert (pose["state"], pose["message"]) == ("stale", "no frames come") and pose["age_s"] >= 4
        assert view.get("/readyz", "HEAD") == (503, "")

        others.publish(report("pose"))
        until(lambda: view.get("/readyz")[0] == 200, "the stage's being ready")
        others.publish(Lost(camera="door", at=time.time(), reason="it was unplugged"))
        until(lambda: view.get("/readyz")[0] == 503, "the lost camera")
        door = json.loads(view.get("/readyz")[1])["cameras"]["door"]
        assert (door["status"], door["reason"]) == ("lost", "it was unplugged")
        assert view.told()["skelstream_camera_lost", "door"] == 1

        others.publish(report("pose", "failed", message="out of memory"))
        until(lambda: view.get("/healthz")[0] == 503, "the failed stage")
        assert json.loads(view.get("/healthz")[1])["stages"]["pose"]["message"] == "out of memory"
        assert view.get("/healthz", Host="evil.example")[0] == 403


def test_the_view_counts_whom_it_turned_away(view: View) -> None:
    refused = ("skelstream_refused_total", "view", "host")
    with contextlib.closing(view.bus()), view.running():
        until(lambda: view.told().get(refused) == 0, "the view's own report")
        for _ in range(3):
            assert view.get("/", Host="evil.example")[0] == 403
        until(lambda: view.told()[refused] == 3, "the count")
    with contextlib.closing(view.bus()), view.running():
        view.get("/", Host="evil.example")
        until(lambda: view.told().get(refused) == 4, "the count to go on in another process")


def test_the_view_counts_what_it_missed(view: View) -> None:
    missed = ("skelstream_dropped_total", "view", "viewer too slow")
    with contextlib.closing(view.bus()), view.running(), Publisher(f"ipc://{view.folder}/bus-in") as others:
        until(lambda: others.wanted(Preview), "the view's subscription")
        others.publish(report("pose", counters={"frames": 1}))
        until(lambda: ("skelstream_frames_total", "pose") in view.told(), "the first report")
        until(lambda: view.told().get(missed) == 0, "the view's own report")
        others._published[b"Report"] += 5  # as if five had found its queue full
        others.publish(report("pose", counters={"frames": 2}))
        until(lambda: view.told()[missed] == 5, "what was missed")
