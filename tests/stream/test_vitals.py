"""Vitals: what a stage counts outlives it, however it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from skelstream.stream.stage import Place, Stage
from skelstream.stream.vitals import Counters, Vitals
from skelstream.stream.wire import Bus, Report, Subscriber

COUNTS = """
import sys, time
from pathlib import Path
from skelstream.stream.stage import Place, Stage
with Stage("pose", Place(Path(sys.argv[1]))) as stage:
    stage.ready(2.0)
    while True:
        stage.count("frames")
        stage.report()
        if stage.counters["frames"] % 1000 == 0:
            print(stage.counters["frames"], flush=True)
"""


@pytest.fixture
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="skel-"))


def test_no_count_is_lost_when_a_process_is_killed_and_the_next_one_goes_on(folder: Path) -> None:
    counted = 0
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", COUNTS, str(folder)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        told = int(process.stdout.readline())
        assert told > counted  # it goes on where the one before it stood
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.wait()
        vitals = Vitals.at(folder / "pose.vitals")
        assert vitals.pid == process.pid and vitals.ready_at > 0
        counted = Counters(vitals)["frames"]
        assert counted >= max([told, *map(int, rest)])


def test_a_loop_that_no_longer_turns_and_frames_that_no_longer_come_are_two_things(folder: Path) -> None:
    with Stage("pose", Place(folder)) as stage:
        vitals = Vitals.at(folder / "pose.vitals")  # as another process sees it
        assert vitals.beat == 0 and vitals.pid == os.getpid()
        stage.ready(0.2)
        assert not vitals.is_stale(time.monotonic())
        time.sleep(0.3)
        stage.report()
        now = time.monotonic()
        assert vitals.is_stale(now) and now - vitals.beat < 0.1  # alive, but not ready
        stage.passed(time.time())
        assert not vitals.is_stale(time.monotonic())


def test_a_stage_without_frames_says_that_it_is_stale(folder: Path) -> None:
    place = Place(folder)
    bus = Bus(place.here("bus-in"), place.here("bus-out"))
    try:
        with Subscriber(place.here("bus-out"), (Report,)) as feed, Stage("pose", place) as stage:
            stage.ready(0.5)
            until = time.monotonic() + 5.0
            while not (isinstance(report := feed.receive(0.05), Report) and report.state == "stale"):
                assert time.monotonic() < until
                stage.report()
            assert report.gauges["age_s"] > 0.5
            stage.passed(time.time() - 0.04)
            stage.report(force=True)
            while not (isinstance(report := feed.receive(1.0), Report) and report.state == "ready"):
                assert report is not None
            counts = report.histograms["latency_s"]
            assert sum(counts[:-1]) == 1 and counts[4] == 1 and 0.04 <= counts[-1] < 0.05
    finally:
        bus.close()


def test_counters_have_names_and_only_so_many(folder: Path) -> None:
    counters = Counters(Vitals.at(folder / "x.vitals"))
    assert counters["never"] == 0 and dict(counters) == {}
    for n in range(100):
        counters[f"counter {n}"] += n
    with pytest.raises(AssertionError):
        counters["one too many"] = 1
    assert dict(Counters(Vitals.at(folder / "x.vitals"))) == {f"counter {n}": n for n in range(100)}


def test_where_there_is_no_room_it_is_said(folder: Path) -> None:
    with pytest.raises(ValueError, match="make room there"):
        Vitals.at(folder / "missing" / "x.vitals")
