"""`skelstream doctor` and `skelstream models`: what is here, what works, and what to do about the rest."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ..encoder.bundle import Bundle, available_bundles
from ..encoder.engine.compile import compile_engine
from ..stream.actor import Script
from ..stream.draw import Look, View, background, draw_scene
from ..stream.elsewhere import FIRST_PORT, PORTS
from ..stream.pose import PoseEstimator
from ..stream.pose_model import ensure_pose_model
from ..stream.settings import Settings
from ..stream.view.server import listen
from ..stream.vitals import Counters
from ..stream.wire import Frame
from .lifecycle import Phase
from .supervisor import Supervisor

_PACKAGES = ("numpy", "mediapipe", "opencv-contrib-python", "openvino", "pyzmq", "msgspec", "starlette", "torch")
_LEAST_DISK_GB, _LEAST_MEMORY_GB = 0.5, 1.5
_RESTART_S = 30.0
_TIME_ERROR = 5
_OTHER_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless")


def show_models(fetch: bool) -> int:
    """List the shipped bundles; with `fetch`, get the pose model too."""
    console = Console()
    table = Table(title="shipped bundles")
    for column in ("name", "hidden", "classes", "delay", "trained on"):
        table.add_column(column)
    for name in available_bundles():
        config = Bundle.load(name).config
        data = config.provenance.get("data", [])
        table.add_row(
            name, str(config.encoder.hidden), f"{len(config.classes) - 1} actions", f"{config.decode.delay} frames",
            ", ".join(sorted({str(line).split(" ")[0] for line in data})),
        )  # fmt: skip
    console.print(table)
    for name in available_bundles():
        console.print(f"{name}: {', '.join(Bundle.load(name).config.classes[1:])}")
    if fetch:
        console.print(f"pose model lite: {ensure_pose_model('lite', say=console.print)}")
    return 0


def examine() -> int:
    """Try every part that `live` needs; 0 if all work, else 1."""
    console = Console()
    console.print(f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores")
    for package in _PACKAGES:
        console.print(f"  {package} {_version(package) or 'not installed'}")
    webcams = sorted(str(path) for path in Path("/dev").glob("video*"))
    console.print(f"webcams: {', '.join(webcams) or 'none (live uses the drawn actor)'}")
    checks: dict[str, Callable[[], str]] = {
        "one OpenCV": _one_opencv, "detector": _detector, "pose": _pose, "sockets": _sockets, "keys": _keys,
        "room": _room, "supervision": _supervision, "ports": _ports, "clock": _clock,
    }  # fmt: skip
    failed = 0
    for name, check in checks.items():
        try:
            console.print(f"[green]ok[/green]    {name}: {check()}")
        except Exception as error:  # whatever goes wrong here is the answer that was asked for
            failed += 1
            console.print(f"[red]fails[/red] {name}: {error}")
    return 1 if failed else 0


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _one_opencv() -> str:
    others = [package for package in _OTHER_OPENCV if _version(package)]
    if others:
        raise ValueError(
            f"{', '.join(others)} and MediaPipe's OpenCV overwrite each other; pip uninstall {' '.join(others)}"
        )
    return "MediaPipe's own"


def _detector() -> str:
    bundle = Bundle.load("small")
    engine = compile_engine(bundle, threads=1)
    windows = bundle.reference().joints[:1]
    engine.infer(windows)
    began = time.perf_counter()
    for _ in range(20):
        engine.infer(windows)
    took_ms = 1000 * (time.perf_counter() - began) / 20
    engine.close()
    return f"small on {engine.name} ({engine.precision}), {took_ms:.1f} ms a window on one thread, parity holds"


def _pose() -> str:
    script, look = Script(seed=0, duration_s=5), Look.random(np.random.default_rng(0))
    backdrop = background(0, 640, 480)
    pictures = [draw_scene([(script.pose(i / 15), look)], View(width=640, height=480), backdrop) for i in range(15)]
    with PoseEstimator(PoseEstimator.Config(), say=lambda line: print(line, file=sys.stderr)) as estimator:
        began = time.perf_counter()
        found = [
            len(estimator.estimate(Frame(camera="doctor", t=i / 15, captured_at=0.0, seq=i, image=picture)).image)
            for i, picture in enumerate(pictures)
        ]
        took_ms = 1000 * (time.perf_counter() - began) / len(pictures)
    if sum(found) < len(found) // 2:
        raise ValueError("MediaPipe does not find a drawn person; reinstall mediapipe")
    return f"MediaPipe lite finds the drawn actor, {took_ms:.0f} ms a frame"


def _sockets() -> str:
    from ..stream.stage import Place
    from ..stream.wire import End, Inbox, Outbox

    with tempfile.TemporaryDirectory(prefix="skelstream-") as folder:
        link = Place(Path(folder)).link("frames")
        with Outbox(link, queue=1) as outbox, Inbox(link, queue=1) as inbox:
            if not outbox.send(End(camera="doctor"), 2.0) or inbox.receive(2.0) is None:
                raise ValueError("a message through an ipc socket does not arrive; is the temporary folder writable?")
    return "ipc works"


def _keys() -> str:
    from ..stream.keys import KeyStore, default_store
    from ..stream.wire.curve import new_pair, public_of

    public, secret = new_pair()
    if public_of(secret) != public:
        raise ValueError("ZeroMQ was built without CURVE; reinstall pyzmq")
    store = KeyStore(default_store())
    good = [peer for peer in store.peers() if not peer.revoked]
    return f"CURVE works; {len(good)} peers may come through a gate ({store.folder})"


def _room() -> str:
    """For sockets, vitals and logs, for recordings, and for the stages' memory."""
    folder = Path(tempfile.gettempdir())
    free_gb, memory_gb = shutil.disk_usage(folder).free / 1e9, _memory_gb()
    if free_gb < _LEAST_DISK_GB:
        raise ValueError(f"{folder} has {free_gb:.1f} GB left; make room there, or set TMPDIR to another folder")
    if memory_gb is not None and memory_gb < _LEAST_MEMORY_GB:
        raise ValueError(f"{memory_gb:.1f} GB of memory are free; the stages with their spares need {_LEAST_MEMORY_GB}")
    return f"{free_gb:.0f} GB in {folder}" + (f", {memory_gb:.1f} GB of memory" if memory_gb is not None else "")


def _memory_gb() -> float | None:
    """What programs may still take; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1e6 for line in lines if line.startswith("MemAvailable:")), None)


def _supervision() -> str:
    """A stage is killed: its counts must outlive it, and another must take its place."""
    with Supervisor(Settings(folder="")) as supervisor:

        def after(pid: int | None) -> int:
            until = time.monotonic() + _RESTART_S
            while supervisor.phase("track") is not Phase.READY or supervisor.pids().get("track") == pid:
                if time.monotonic() > until:
                    raise ValueError(f"a stage was not ready within {_RESTART_S:.0f} s; is this machine overloaded?")
                supervisor.watch()
                time.sleep(0.02)
            return supervisor.pids()["track"]

        supervisor.start("track")
        first = after(None)
        page = Counters(supervisor.settings.place.vitals("track"))
        page["doctor"] += 1
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        after(first)
        if supervisor.counters()["track"].get("doctor") != 1:
            raise ValueError(
                f"what a stage noted in {tempfile.gettempdir()} is gone with it; set TMPDIR to a local disk"
            )
        return f"a stage that was killed was back after {time.monotonic() - began:.1f} s, its counts kept"


def _ports() -> str:
    """The page's port and the gate's."""
    wanted = [8765, *(FIRST_PORT + n for n in PORTS.values())]
    taken = [str(port) for port in wanted if _is_taken(port)]
    if taken:
        return f"in use: {', '.join(taken)}; give `live` or `gate` another --port, unless skelstream runs there"
    return f"{wanted[0]} for the page and {wanted[1]} to {wanted[-1]} for a gate are free"


def _is_taken(port: int) -> bool:
    try:
        listen("127.0.0.1", port).close()
    except ValueError:
        return True
    return False


def _clock() -> str:
    """A gate takes what was captured no more than 5 s from now: both machines' clocks must be right."""
    synchronised = _synchronised()
    if synchronised is None:
        return "nobody here knows whether the clock is right; a gate refuses machines that are 5 s apart"
    if not synchronised:
        return "not synchronised; a gate refuses machines whose clocks are 5 s apart (on Debian: apt install chrony)"
    return "synchronised"


def _synchronised() -> bool | None:
    """Whether the kernel has been told that its clock is right (Linux, adjtimex); None if that cannot be known."""
    if sys.platform != "linux":
        return None
    state = ctypes.create_string_buffer(256)  # struct timex, of which only the result counts
    result = ctypes.CDLL(None).adjtimex(state)
    return None if result < 0 else result != _TIME_ERROR
