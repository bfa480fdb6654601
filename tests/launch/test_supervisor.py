"""The supervisor: real processes that die, hang, and are started again; what is wrong is said once and clearly."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skelstream.launch import supervisor as module
from skelstream.launch.lifecycle import Phase
from skelstream.launch.supervisor import StageFailed, Supervisor
from skelstream.stream.settings import Settings
from skelstream.stream.wire import Report, Subscriber


class Watched:
    """A supervisor that is watched until something is so."""

    def __init__(self, supervisor: Supervisor, said: list[str]) -> None:
        self.supervisor, self.said = supervisor, said

    def until(self, so: Callable[[], bool], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not so():
            assert time.monotonic() < deadline, self.said
            self.supervisor.watch()
            time.sleep(0.05)

    def ready(self, name: str) -> None:
        self.until(lambda: self.supervisor.phase(name) is Phase.READY)

    def pid(self, name: str) -> int:
        return self.supervisor.pids()[name]


@contextmanager
def watched(settings: Settings, *stages: str, spares: bool = False) -> Iterator[Watched]:
    said: list[str] = []
    with Supervisor(settings, spares=spares, tell=lambda who, line: said.append(f"{who}: {line}")) as supervisor:
        for stage in stages:
            supervisor.start(stage)
        here = Watched(supervisor, said)
        for stage in stages:
            here.ready(stage)
        yield here


def test_a_stage_that_dies_is_started_again_and_one_that_was_told_to_end_is_not() -> None:
    with watched(Settings(folder=""), "track", "window") as here:
        before = here.pid("track")
        os.kill(before, signal.SIGKILL)
        here.until(lambda: here.supervisor.pids().get("track", before) != before)
        here.ready("track")
        assert here.said == [": track was ended by SIGKILL; it is started again"]
        here.supervisor.end("window")
        here.until(lambda: here.supervisor.phase("window") is Phase.STOPPED)
        here.until(lambda: here.supervisor.phase("track") is Phase.READY)
        time.sleep(0.5)
        here.supervisor.watch()
        assert "window" not in here.supervisor.pids()


def test_a_stage_that_hangs_is_killed_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HUNG_S", 1.0)
    with watched(Settings(folder=""), "track") as here:
        frozen = here.pid("track")
        os.kill(frozen, signal.SIGSTOP)
        here.until(lambda: here.supervisor.pids().get("track", frozen) != frozen)
        here.ready("track")
        assert "track hangs" in here.said[0] and not Path(f"/proc/{frozen}").exists()


def test_one_that_dies_again_and_again_is_given_up_with_one_clear_line() -> None:
    with watched(Settings(folder=""), "track") as here:
        began, deaths = time.monotonic(), 0
        with pytest.raises(StageFailed, match=r"the stage track was ended by SIGKILL again and again") as failure:
            while time.monotonic() < began + 60:
                here.ready("track")
                os.kill(here.pid("track"), signal.SIGKILL)
                deaths += 1
                here.until(lambda: here.supervisor.phase("track") is not Phase.READY)
        assert deaths == 6 and not failure.value.wrong_request
        assert time.monotonic() - began > 0.5 + 1 + 2 + 4  # not at once: it was given time to come to itself


def test_restarts_are_told_on_the_bus() -> None:
    with (
        watched(Settings(folder=""), "decode", "track") as here,
        Subscriber(here.supervisor.settings.place.link("bus-out"), (Report,)) as bus,
    ):
        os.kill(here.pid("track"), signal.SIGKILL)
        restarts = 0

        def told() -> bool:
            nonlocal restarts
            while (report := bus.receive(0)) is not None:
                if isinstance(report, Report) and report.stage == "supervisor":
                    restarts = report.counters["restarts: track"]
            return restarts == 1

        here.until(told)


def test_a_spare_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SPARE_AFTER_S", 0.0)
    with watched(Settings(folder="", engine="openvino"), "detect", spares=True) as here:
        spare = here.supervisor._spares
        here.until(lambda: "detect" in spare)
        waiting = spare["detect"].popen.pid
        time.sleep(6.0)  # it loads
        os.kill(here.pid("detect"), signal.SIGKILL)
        here.until(lambda: here.supervisor.phase("detect") is not Phase.READY)
        here.ready("detect")
        assert here.pid("detect") == waiting
        here.until(lambda: "detect" in spare)  # and another one stands by
    deadline = time.monotonic() + 5
    while Path(f"/proc/{waiting}").exists():
        assert time.monotonic() < deadline


def test_what_the_stages_are_asked_to_do_is_in_no_process_list() -> None:
    settings = Settings(folder="", camera="rtsp://guard:SENTINEL@10.0.0.9/door", token="SENTINEL-too")
    with watched(settings, "track", "decode") as here:
        for pid in here.supervisor.pids().values():
            assert b"SENTINEL" not in Path(f"/proc/{pid}/cmdline").read_bytes()
            assert b"SENTINEL" not in Path(f"/proc/{pid}/environ").read_bytes()
        own = Path(here.supervisor.settings.own)
        assert not [path for path in own.iterdir() if path.is_file() and b"SENTINEL" in path.read_bytes()]
        assert "SENTINEL" not in repr(here.supervisor.settings)


def test_two_who_decide_at_one_place_are_one_too_many(tmp_path: Path) -> None:
    place = tmp_path / "here"
    with watched(Settings(folder=str(place)), "decode"):
        with Supervisor(Settings(folder=str(place))) as second, pytest.raises(ValueError, match="give another --at"):
            second.start("decode")
        assert (place / "bus-out").is_socket()  # what is the first one's stays
    with watched(Settings(folder=str(place)), "decode"):
        pass
    assert list(place.iterdir()) == []


def test_even_stages_that_are_frozen_are_gone_within_two_seconds() -> None:
    with watched(Settings(folder=""), "decode", "track", "window") as here:
        pids = here.supervisor.pids()
        for name in ("track", "decode"):
            os.kill(pids[name], signal.SIGSTOP)
        own = Path(here.supervisor.settings.own)
        began = time.monotonic()
        here.supervisor.stop()
        assert time.monotonic() - began < 2.0
        assert not own.exists() and not [pid for pid in pids.values() if Path(f"/proc/{pid}").exists()]
