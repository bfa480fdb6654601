"""`skelstream pose`, `detect`, `decode`, `view`, `record`, `gate`: the stages of a pipeline one by one, at one meeting
place or on several machines."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from ..encoder.engine.compile import EngineChoice
from ..stream.elsewhere import FIRST_PORT
from ..stream.settings import Settings

PoseModel = Literal["lite", "full", "heavy"]
Camera = Annotated[
    str, arg(help="0, a video file, a URL, a folder of images, actor, actor:SEED, skeletons:FILE.npz:CLIP, ros:/TOPIC")
]
To = Annotated[str, arg(help="HOST or HOST:PORT of the gate of another machine, where the others meet; needs --key")]
KeyFile = Annotated[str, arg(help="a file made there by `skelstream keys new`")]


def meeting_place() -> str:
    """The folder where stages that were started one by one meet."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return f"{runtime}/skelstream" if runtime else f"{tempfile.gettempdir()}/skelstream-{os.getuid()}"


def _stage(kind: str, settings: Settings, log_json: bool) -> int:
    """Run one stage in the folder where it meets the others."""
    from .single import run_stage

    _ = settings.place  # an address or a key that is wrong is better said now
    return run_stage(kind, replace(settings, folder=settings.folder or meeting_place()), log_json=log_json)


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
    name: str = "",
    at: str = "",
    to: To = "",
    key: KeyFile = "",
    log_json: bool = False,
) -> int:
    """One camera up to its windows: camera, pose, track and window, for a pipeline whose detector runs already.

    Args:
        mirror: the camera shows a mirror's picture.
        name: what events call this camera by, where several meet; the default comes from the camera, or with --to
            from the key.
        log_json: what is told on stderr is one JSON object a line.
    """
    from .single import run_cameras

    settings = Settings(
        folder=at or ("" if to else meeting_place()), camera=camera, name=name, pose=pose, people=people, hop=hop,
        width=width, height=height, duration_s=duration, mirror=mirror, to=to, key=key,
    )  # fmt: skip
    return run_cameras(settings, [camera], log_json=log_json)


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
    log_json: bool = False,
) -> int:
    """One detector, alone or one of several: it takes windows from `decode` at the same place.

    Args:
        hop: the largest that any `pose` here was given: only the frames that `decode` will read are computed.
        delay: as `decode` was given.
    """
    settings = Settings(folder=at, model=model, engine=engine, threads=threads, hop=hop, delay=delay, to=to, key=key)
    return _stage("detect", settings, log_json)


def decode(
    *, model: str = "small", delay: int | None = None, lossless: bool = False, at: str = "", log_json: bool = False
) -> int:
    """The meeting point: hands windows to detectors, decides, and tells everybody."""
    return _stage("decode", Settings(folder=at, model=model, delay=delay, lossless=lossless), log_json)


def view(
    *, model: str = "small", host: str = "127.0.0.1", port: int = 8765, terminal: bool = False, at: str = "",
    to: To = "", key: KeyFile = "", log_json: bool = False,
) -> int:  # fmt: skip
    """The page (or the terminal view) of a pipeline that runs already.

    Args:
        host: any but the default lets other machines watch, those with the token: SKELSTREAM_TOKEN, or a random one.
    """
    if not terminal:
        from ..stream.view.token import page_url, token_for

        token = token_for(host)
        print(f"{page_url(host, port, token)} shows what is seen; Ctrl-C ends", file=sys.stderr)
        settings = Settings(folder=at, model=model, host=host, port=port, token=token, to=to, key=key)
        return _stage("view", settings, log_json)
    from .single import run_terminal_view

    return run_terminal_view(Settings(folder=at or meeting_place(), model=model, to=to, key=key))


def record(
    file: Positional[str], *, most_mb: float | None = None, most_minutes: float | None = None, at: str = "",
    to: To = "", key: KeyFile = "", log_json: bool = False,
) -> int:  # fmt: skip
    """Write what a running pipeline sees and says to a file, until Ctrl-C.

    Args:
        file: with a limit it is a folder, of whose files the oldest are deleted; started again, it goes on there.
        most_mb: keep at most so many megabytes.
        most_minutes: keep nothing that is older.
    """
    settings = Settings(
        folder=at, record=file, record_most_mb=most_mb, record_most_minutes=most_minutes, to=to, key=key
    )
    return _stage("record", settings, log_json)


def gate(
    *, host: str = "0.0.0.0", port: int = FIRST_PORT, keys: Path | None = None, at: str = "", log_json: bool = False
) -> int:
    """Let other machines in, those with a key: cameras, detectors and viewers for the pipeline that meets here.

    Args:
        host: the address to listen on.
        port: the first of five.
        keys: the key store's folder; the default is this user's.
    """
    return _stage("gate", Settings(folder=at, host=host, port=port, keys=str(keys or "")), log_json)


def robot(
    name: Positional[str] = "mujoco",
    *,
    policy: str = "",
    model: str = "small",
    at: str = "",
    to: To = "",
    key: KeyFile = "",
    log_json: bool = False,
) -> int:
    """A robot that answers the people whom a running pipeline sees.

    Args:
        name: mujoco (a simulated humanoid), or ros or zmq (what it is to do is told on the bus).
        policy: a TOML file that says what it does when; the default greets, keeps away from blows and calls for help.
        model: the pipeline's, whose actions the policy may name.
    """
    from ..stream.robot.stage import policy_of

    settings = Settings(folder=at, robot=name, policy=policy, model=model, to=to, key=key)
    policy_of(settings)
    return _stage("robot", settings, log_json)


def ros(
    *, bridge: str = "", frame: str = "", prefix: str = "skelstream", at: str = "", to: To = "", key: KeyFile = "",
    log_json: bool = False,
) -> int:  # fmt: skip
    """What a running pipeline sees and says, published to ROS 2: joints, people, markers, events, behaviours, /tf,
    /diagnostics.

    Args:
        bridge: a rosbridge as ros://HOST:PORT, encrypted unless on this machine (ros+plain:// is plain anywhere); the
            default is rclpy, or where that is not there the bridge on this machine.
        frame: the frame of the camera, for there is only one; one that ends in _optical_frame has a camera's axes, any
            other x forward, y left, z up. The default is CAMERA_link for every camera.
        prefix: what the topics' names begin with.
    """
    from ..stream.robot.ros import ros_address
    from ..stream.robot.ros_messages import RosScene

    ros_address(bridge)
    RosScene(prefix=prefix, frame=frame)
    settings = Settings(folder=at, ros_bridge=bridge, ros_frame=frame, ros_prefix=prefix, to=to, key=key)
    return _stage("ros", settings, log_json)


COMMANDS: dict[str, Callable[..., int]] = {
    "pose": pose, "detect": detect, "decode": decode, "view": view, "record": record, "gate": gate, "robot": robot,
    "ros": ros,
}  # fmt: skip
