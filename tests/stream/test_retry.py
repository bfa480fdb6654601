"""Cameras that vanish. Only the driver's edge is made up here: the pictures come from a source of ours that can be
pulled out, hang, or repeat itself."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from skelstream.stream import retry
from skelstream.stream.camera import SourceLost
from skelstream.stream.retry import Camera, StuckCamera
from skelstream.stream.stage import Place, Stage
from skelstream.stream.wire import Frame, Lost

HZ = 100.0


class Plug:
    """What a test does to the camera."""

    def __init__(self) -> None:
        self.out = False
        self.hangs = threading.Event()
        self.goes_on = threading.Event()
        self.repeats = False
        self.opened = 0
        self.ends_after: int | None = None


class Pictures:
    """A source of noise, as a sensor is."""

    name = "webcam"

    def __init__(self, plug: Plug, *, live: bool, epoch: float | None) -> None:
        if plug.out:
            raise ValueError("camera 0 does not exist")
        plug.opened += 1
        self.live, self._plug, self._epoch = live, plug, epoch

    def frames(self) -> Iterator[Frame]:
        began = time.monotonic() if self._epoch is None else self._epoch
        rng, n, last = np.random.default_rng(), 0, -1.0
        image = rng.integers(0, 255, (48, 64, 3), np.uint8)
        while True:
            if self._plug.hangs.is_set():
                self._plug.goes_on.wait(30)
            if self._plug.out:
                raise SourceLost("it gives no more pictures")
            if n == self._plug.ends_after:
                return
            if not self._plug.repeats:
                image = rng.integers(0, 255, (48, 64, 3), np.uint8)
            t = max(time.monotonic() - began, last + 1e-6) if self.live else n / 30
            yield Frame(camera=self.name, t=t, captured_at=time.time(), seq=n, image=image)
            n, last = n + 1, t
            time.sleep(1 / HZ if self.live else 0)

    def truth(self, t: float) -> str | None:
        return None

    def close(self) -> None:
        pass


@pytest.fixture
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="skel-"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in less time."""
    monkeypatch.setattr(retry, "SILENT_S", 0.4)
    monkeypatch.setattr(retry, "REPEATS_S", 0.4)
    monkeypatch.setattr(retry, "_SLOW_S", 0.8)


def camera_of(plug: Plug, stage: Stage, *, live: bool = True) -> Camera:
    return Camera(lambda *, epoch: Pictures(plug, live=live, epoch=epoch), stage, name="hall", live=live)


def frames_of(camera: Camera, stage: Stage, seconds: float, most: int = 10**9) -> list[Frame]:
    """The frames of so many seconds, as the camera stage takes them."""
    taken: list[Frame] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until and len(taken) < most and not camera.over:
        if isinstance(message := camera.next(0.05), Frame):
            stage.count("captured")
            stage.vitals.t = message.t
            taken.append(message)
    return taken


def lost(camera: Camera, seconds: float = 5.0) -> Lost:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if isinstance(message := camera.next(0.05), Lost):
            return message
    raise AssertionError("nobody noticed")


def test_an_unplugged_camera_is_said_to_be_lost_and_goes_on_when_it_is_back(folder: Path) -> None:
    plug = Plug()
    with Stage("camera", Place(folder)) as stage:
        camera = camera_of(plug, stage)
        before = frames_of(camera, stage, 5.0, most=10)
        plug.out = True
        frames_of(camera, stage, 0.05)
        message = lost(camera)
        assert message.camera == "hall" and message.reason == "it gives no more pictures"
        assert not frames_of(camera, stage, 1.0)  # it is tried again meanwhile
        plug.out = False
        after = frames_of(camera, stage, 5.0, most=10)
        assert plug.opened == 2 and {frame.camera for frame in before + after} == {"hall"}
        everything = before + after
        assert all(a.seq < b.seq and a.t < b.t for a, b in pairwise(everything))
        gap = after[0].captured_at - before[-1].captured_at  # the camera's clock has gone on
        assert gap > 1.0 and after[0].t - before[-1].t == pytest.approx(gap, abs=0.1)
        camera.close()


def test_while_it_is_lost_whoever_comes_is_told_again(folder: Path) -> None:
    plug = Plug()
    with Stage("camera", Place(folder)) as stage:
        camera = camera_of(plug, stage)
        frames_of(camera, stage, 5.0, most=5)
        plug.out = True
        first = lost(camera)
        assert lost(camera) == first == lost(camera)
        camera.close()


def test_a_driver_that_never_returns_is_noticed_and_only_a_new_process_goes_on(folder: Path) -> None:
    plug = Plug()
    with Stage("camera", Place(folder)) as stage:
        camera = camera_of(plug, stage)
        before = frames_of(camera, stage, 5.0, most=10)
        plug.hangs.set()
        began = time.monotonic()
        assert "no picture for" in lost(camera).reason
        assert time.monotonic() - began < 2.0
        with pytest.raises(StuckCamera):
            frames_of(camera, stage, 5.0)
        counted = stage.counters["captured"]
    plug.hangs.clear()
    plug.goes_on.set()
    with Stage("camera", Place(folder)) as stage:  # the next process, on the same page
        assert stage.goes_on
        after = frames_of(camera_of(plug, stage), stage, 5.0, most=5)
        assert after[0].seq >= counted and after[0].t > before[-1].t


def test_a_camera_that_repeats_one_picture_is_lost_until_it_shows_another(folder: Path) -> None:
    plug = Plug()
    with Stage("camera", Place(folder)) as stage:
        camera = camera_of(plug, stage)
        frames_of(camera, stage, 5.0, most=5)
        plug.repeats = True
        message = None
        until = time.monotonic() + 5.0
        while not isinstance(message, Lost):
            assert time.monotonic() < until
            message = camera.next(0.05)
        assert "repeated one picture" in message.reason
        plug.repeats = False
        assert len(frames_of(camera, stage, 5.0, most=5)) == 5
        camera.close()


def test_of_a_recording_that_is_read_again_no_frame_comes_twice(folder: Path) -> None:
    plug = Plug()
    plug.ends_after = 60
    seen: list[float] = []
    for _ in range(3):  # three processes, two of which die
        with Stage("camera", Place(folder)) as stage:
            camera = camera_of(plug, stage, live=False)
            seen += [frame.t for frame in frames_of(camera, stage, 10.0, most=25)]
            camera.close()
    np.testing.assert_allclose(seen, np.arange(60) / 30)


def test_a_camera_that_never_worked_was_asked_for_wrongly(folder: Path) -> None:
    plug = Plug()
    plug.out = True
    with Stage("camera", Place(folder)) as stage:
        camera = camera_of(plug, stage)
        with pytest.raises(ValueError, match="camera 0 does not exist"):
            frames_of(camera, stage, 5.0)
