"""`skelstream pose`, `detect`, `decode`, `view`, `record`, `gate`: the stages of a pipeline one by one, at one meeting
place or on several machines."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from ..encoder.engine.compile import EngineChoice
from ..stream.elsewhere import FIRST_PORT
from ..stream.processes import Settings

PoseModel = Literal["lite", "full", "heavy"]
Camera = Annotated[
    str, arg(help="0, a video file, a URL, a folder of images, actor, actor:SEED, skeletons:FILE.npz:CLIP")
]
To = Annotated[str, arg(help="HOST or HOST:PORT of the gate of another machine, where the others meet; needs --key")]
KeyFile = Annotated[str, arg(help="a file made there by `skelstream keys new`")]


def meeting_place() -> str:
    """The folder where stages that were started one by one meet."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return f"{runtime}/skelstream" if runtime else f"{tempfile.gettempdir()}/skelstream-{os.getuid()}"


def _stage(name: str, settings: Settings) -> int:
    """Run one stage in this process, in the folder where it meets the others."""
    from ..stream.processes import main as run_stage

    folder = Path(settings.folder or meeting_place())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return run_stage(name, replace(settings, folder=str(folder)))


def pose(
    camera: Camera = "0",
    *,
    pose: PoseModel = "lite",
    people: int = 1,
    hop: int = 1,
    width: int = 1280,
    height: int = 720,
    duration: float | None = None,
    mirror: bool = False,
    at: str = "",
    to: To = "",
    key: KeyFile = "",
) -> int:
    """One camera up to its windows: camera, pose, track and window, for a pipeline whose detector runs already.

    Args:
        mirror: the camera shows a mirror's picture.
    """
    from .single import run_pose_stages

    settings = Settings(
        folder=at or ("" if to else meeting_place()), camera=camera, pose=pose, people=people, hop=hop, width=width,
        height=height, duration_s=duration, mirror=mirror, to=to, key=key,
    )  # fmt: skip
    return run_pose_stages(settings)


def detect(
    *,
    model: str = "small",
    engine: EngineChoice = "auto",
    threads: int = 1,
    hop: int = 4,
    delay: int | None = None,
    at: str = "",
    to: To = "",
    key: KeyFile = "",
) -> int:
    """One detector, alone or one of several: it takes windows from `decode` at the same place.

    Args:
        hop: the largest that any `pose` here was given: only the frames that `decode` will read are computed.
        delay: as `decode` was given.
    """
    settings = Settings(folder=at, model=model, engine=engine, threads=threads, hop=hop, delay=delay, to=to, key=key)
    return _stage("detect", settings)


def decode(*, model: str = "small", delay: int | None = None, lossless: bool = False, at: str = "") -> int:
    """The meeting point: hands windows to detectors, decides, and tells everybody."""
    return _stage("decode", Settings(folder=at, model=model, delay=delay, lossless=lossless))


def view(
    *, model: str = "small", host: str = "127.0.0.1", port: int = 8765, terminal: bool = False, at: str = "",
    to: To = "", key: KeyFile = "",
) -> int:  # fmt: skip
    """The page (or the terminal view) of a pipeline that runs already."""
    if not terminal:
        return _stage("view", Settings(folder=at, model=model, host=host, port=port, to=to, key=key))
    from .single import run_terminal_view

    return run_terminal_view(Settings(folder=at or meeting_place(), model=model, to=to, key=key))


def record(file: Positional[str], *, at: str = "", to: To = "", key: KeyFile = "") -> int:
    """Write what a running pipeline sees and says to a file, until Ctrl-C."""
    return _stage("record", Settings(folder=at, record=file, to=to, key=key))


def gate(*, host: str = "0.0.0.0", port: int = FIRST_PORT, keys: Path | None = None, at: str = "") -> int:
    """Let other machines in, those with a key: cameras, detectors and viewers for the pipeline that meets here.

    Args:
        host: the address to listen on.
        port: the first of five.
        keys: the key store's folder; the default is this user's.
    """
    return _stage("gate", Settings(folder=at, host=host, port=port, keys=str(keys or "")))


COMMANDS: dict[str, Callable[..., int]] = {
    "pose": pose, "detect": detect, "decode": decode, "view": view, "record": record, "gate": gate,
}  # fmt: skip
