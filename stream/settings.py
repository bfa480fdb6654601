"""Settings: what the stages of one pipeline agree on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..encoder.engine.compile import EngineChoice
from .elsewhere import Elsewhere
from .stage import FRESH_S, Place
from .taught_store import default_taught

# Messages that wait in a link. They are small, and smooth out a hiccup; where every stage waits for the next, a long
# queue would only let the picture run ahead of what is said about it.
_QUEUE, _LOSSLESS_QUEUE = 16, 2


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the stages of one pipeline agree on."""

    folder: str
    own: str = ""  # this pipeline's own folder, if it meets others in the first
    lossless: bool = False
    camera: str = field(default="actor", repr=False)  # an address may hold a password
    name: str = ""  # what its messages are called by
    width: int = 1280
    height: int = 720
    duration_s: float | None = None
    mirror: bool = False
    pose: Literal["lite", "full", "heavy"] = "lite"
    people: int = 1
    hop: int = 1
    model: str = "small"
    engine: EngineChoice = "auto"
    threads: int = 1
    delay: int | None = None
    host: str = "127.0.0.1"
    port: int = 8765
    token: str = field(default="", repr=False)  # what the page asks for
    record: str = ""
    record_most_mb: float | None = None
    record_most_minutes: float | None = None
    replay: str = ""
    taught: str = ""  # the folder of taught actions; "" is the user's own
    robot: str = ""
    policy: str = ""  # a TOML file; "" is the one that comes along
    ros_bridge: str = ""  # where ROS is; "" is rclpy, or else the bridge on this machine
    ros_frame: str = ""  # where people are; "" is a frame of each camera's own
    ros_prefix: str = "skelstream"
    to: str = ""  # HOST or HOST:PORT of another machine's gate
    key: str = ""  # the file of the key for it
    keys: str = ""  # the gate's own key store

    def __post_init__(self) -> None:
        if self.hop < 1:
            raise ValueError(f"hop is {self.hop}; a window comes every 1 or more frames")

    @property
    def taught_folder(self) -> Path:
        """Where taught actions are."""
        return Path(self.taught) if self.taught else default_taught()

    @property
    def place(self) -> Place:
        """Where the stages meet. ValueError for a gate that is no address, or without a good key."""
        elsewhere = Elsewhere.named(self.to, self.key) if self.to else None
        return Place(Path(self.folder), elsewhere, Path(self.own) if self.own else None)

    @property
    def fresh_for(self) -> float:
        """How old, in seconds, the newest frame of a stage may be that frames run through; 0: as old as it likes."""
        return 0.0 if self.lossless else FRESH_S

    @property
    def queue(self) -> int:
        """Messages that wait in a link."""
        return _LOSSLESS_QUEUE if self.lossless else _QUEUE
