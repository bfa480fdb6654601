"""`skelstream live`: its options as fields, so that a preset (`presets/*.toml`) can stand for some of them.

It runs in one of three ways: all of it here; only the cameras, for a machine that detects (`--to`); or a folder of
videos, every frame of each (`--videos`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from ..encoder.engine.compile import EngineChoice
from ..stream.keys import default_store
from ..stream.settings import Settings
from .cli_stages import KeyFile, PoseModel, To
from .presets import options_of, read_preset, shipped

_ACTOR_S = 60.0
_CAMERA = (
    "0, a video file, a URL, a folder of images, actor, actor:SEED or skeletons:FILE.npz:CLIP, and if you like a name "
    "before it (door=0); again for each further one. The default is the first webcam, or the actor for 60 s"
)
# What each of the other two ways can do; the rest is for where it is detected, or is no file.
_SENDING = (
    "preset", "camera", "to", "key", "pose", "people", "hop", "width", "height", "duration", "mirror", "log_json",
    "page",
)  # fmt: skip
_READING = (
    "preset", "videos", "out", "at_once", "model", "pose", "people", "engine", "detectors", "threads", "hop", "delay",
    "mirror", "log_json", "page",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """What `skelstream live` can be told.

    Attributes:
        model: a shipped bundle's name, or a bundle's folder.
        pose: MediaPipe's pose model; lite is the fastest.
        people: at most so many in the picture; each costs time.
        detectors: detector processes that share the load.
        threads: CPU threads of each detector.
        hop: frames of the 30 Hz clock between two windows.
        delay: frames that a decision waits for; the default is the model's own.
        duration: seconds after which a live camera is left.
        mirror: the camera shows a mirror's picture, as many webcams do: left is left again.
        record: also write what is seen and said to this file.
        record_most_mb: keep at most so many megabytes of it; FILE is then a folder, of whose files the oldest go.
        record_most_minutes: keep nothing of it that is older; FILE is a folder here too.
        json: one JSON object a line on stdout.
        log_json: what is told on stderr while it runs is one JSON object a line too.
        page: serve http://HOST:PORT.
        terminal: show it in the terminal, for machines without a browser.
        at: folder for the sockets, so that others can join; the default is a fresh one.
        robot: mujoco (a simulated humanoid, drawn on the page), ros or zmq: it answers what people do.
        policy: a TOML file that says what it does when; the default greets, keeps away from blows and calls for help.
        gate: HOST or HOST:PORT where other machines come in, those with a key; without --camera there are only theirs.
        keys: the gate's key store; the default is this user's.
        videos: a folder of videos, of which every frame is detected. Needs --out.
        out: the folder for what is said of them; called again with the same one, it goes on there.
        at_once: so many videos at the same time.
    """

    preset: Annotated[Positional[str], arg(help=f"{', '.join(shipped())}, or a TOML file of your own")] = ""
    camera: Annotated[UseAppendAction[tuple[str, ...]], arg(help=_CAMERA)] = ()
    model: str = "small"
    pose: PoseModel = "lite"
    people: int = 1
    engine: EngineChoice = "auto"
    detectors: int = 1
    threads: int = 1
    hop: int = 1
    delay: int | None = None
    width: int = 1280
    height: int = 720
    duration: float | None = None
    mirror: bool = False
    record: str = ""
    record_most_mb: float | None = None
    record_most_minutes: float | None = None
    json: bool = False
    log_json: bool = False
    page: bool = True
    terminal: bool = False
    host: str = "127.0.0.1"
    port: int = 8765
    at: str = ""
    robot: str = ""
    policy: str = ""
    gate: str = ""
    keys: str = ""
    to: To = ""
    key: KeyFile = ""
    videos: str = ""
    out: str = ""
    at_once: int = 1


def live_command(words: Sequence[str]) -> Callable[..., int]:
    """The command for these words, which stand behind `live`: a preset, the first of them, gives the defaults.

    ValueError for a preset that is none.
    """
    name = words[0] if words and not words[0].startswith("-") else ""
    preset = options_of(read_preset(name), LiveOptions) if name else LiveOptions()
    # What may be given several times would be added to what the preset gives, where it is to count instead.
    defaults = replace(preset, camera=())

    def live(options: Annotated[LiveOptions, arg(name="")] = defaults) -> int:
        """What people do, as it happens: all of it on this machine, or a part with --to or --videos."""
        if options.preset != name:
            raise ValueError(f"the preset comes first: skelstream live {options.preset} ...; a camera is --camera ...")
        return _run(replace(options, camera=options.camera or preset.camera))

    return live


def presets(
    name: Annotated[Positional[str], arg(help="one of them, or a file of your own")] = "", *, figure: str = ""
) -> int:
    """What `skelstream live` can be given a name for; of one of them, what it stands for.

    Args:
        figure: draw them to this SVG.
    """
    named = [read_preset(one) for one in ([name] if name else shipped())]
    options = [options_of(preset, LiveOptions) for preset in named]
    if figure:
        from .presets_figure import draw_presets

        draw_presets(list(zip(named, options, strict=True)), Path(figure))
    for preset in named:
        print(f"{preset.name:10}{preset.purpose}")
        if name:
            print(preset.line)
    return 0


def _run(options: LiveOptions) -> int:
    if options.to and options.videos:
        raise ValueError("--videos are detected here, --to sends what a camera sees elsewhere; give one of them")
    if options.to:
        _without_effect(options, "--to", _SENDING)
        return _send(options)
    if options.videos:
        _without_effect(options, "--videos", _READING)
        return _read(options)
    for name, needed in (("key", "to"), ("keys", "gate"), ("out", "videos"), ("at_once", "videos")):
        if getattr(options, name) != getattr(LiveOptions(), name) and not getattr(options, needed):
            raise ValueError(f"--{name.replace('_', '-')} does nothing without --{needed}; give that too")
    return _live(options)


def _without_effect(options: LiveOptions, way: str, used: Sequence[str]) -> None:
    """ValueError for options that would do nothing."""
    unused = [
        f"--{f.name.replace('_', '-')}" for f in fields(LiveOptions)
        if f.name not in used and getattr(options, f.name) != f.default
    ]  # fmt: skip
    if unused:
        raise ValueError(f"{', '.join(unused)} would do nothing with {way}; leave it out")


def _settings(options: LiveOptions) -> Settings:
    """What is the same for all cameras."""
    return Settings(
        folder=options.at, model=options.model, pose=options.pose, people=options.people, engine=options.engine,
        threads=options.threads, hop=options.hop, delay=options.delay, width=options.width, height=options.height,
        duration_s=options.duration, mirror=options.mirror, record=options.record,
        record_most_mb=options.record_most_mb, record_most_minutes=options.record_most_minutes, host=options.host,
        port=options.port, robot=options.robot, policy=options.policy, keys=options.keys or str(default_store()),
    )  # fmt: skip


def _live(options: LiveOptions) -> int:
    from .live import Live, run_live

    if options.gate and not options.camera and options.duration is not None:
        raise ValueError("--duration ends the cameras of this machine, and there is none; leave it out")
    if not options.camera and not options.gate:
        options = _with_some_camera(options)
    asked = Live(
        settings=_settings(options), cameras=options.camera, gate=options.gate, detectors=options.detectors,
        json=options.json, log_json=options.log_json, page=options.page, terminal=options.terminal,
    )  # fmt: skip
    return run_live(asked).code


def _with_some_camera(options: LiveOptions) -> LiveOptions:
    """The first webcam, or the actor for a minute."""
    if Path("/dev/video0").exists() or sys.platform != "linux":
        return replace(options, camera=("0",))
    print("no webcam here: the actor takes its place for 60 s (see --camera)", file=sys.stderr)
    return replace(options, camera=("actor",), duration=_ACTOR_S if options.duration is None else options.duration)


def _send(options: LiveOptions) -> int:
    from .single import run_cameras

    if not options.camera:
        options = _with_some_camera(options)
    settings = replace(_settings(options), to=options.to, key=options.key)
    return run_cameras(settings, options.camera, log_json=options.log_json)


def _read(options: LiveOptions) -> int:
    from .videos import Videos, run_videos

    if not options.out:
        raise ValueError("--videos needs a folder for what is said of them; give --out FOLDER")
    asked = Videos(
        settings=_settings(options), folder=Path(options.videos), out=Path(options.out), at_once=options.at_once,
        detectors=options.detectors, log_json=options.log_json,
    )  # fmt: skip
    return run_videos(asked)
