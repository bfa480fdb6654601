"""Camera: where pictures come from. `open_source(spec)` understands

    0                     webcam number 0
    clip.mp4              a video file: every frame, in order
    rtsp://... http://... a network camera
    pictures/             a folder of images, 30 a second
    actor  actor:7        a drawn person acting a script (seed 7), in real time, who knows the truth of every frame
    skeletons:set.npz:3   recording 3 of a skeleton file, drawn as a person; its labels are the truth
    ros:/camera/image     a topic of ROS 2 (`robot/ros_camera.py`); ros://HOST:PORT/camera/image through a rosbridge

A *live* source (webcam, network, actor, topic) gives the newest frame and never waits for anybody; a *recorded* one
(file, folder, skeletons) gives every frame and waits for whoever is slow. How one that is lost comes back: `retry.py`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import cv2
import numpy as np

from .actor import Script
from .draw import Look, View, background, draw_scene
from .skeleton_file import SkeletonClip, read_clip
from .wire import U8, Frame

# OpenCV and the FFmpeg in it complain on stderr; the one clear line is ours to write. (-8 is FFmpeg's "quiet".)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

FPS = 30.0
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_ACTOR_VIEW_DEG = 47.0  # from top to bottom: what the actor's room is made for
_ACTOR_MOST_S = 3600.0  # his script is made before he begins
_MAX_PIXELS = 7680 * 4320
_OPENS_MS, _READS_MS = 5000, 5000  # the longest that a network camera is waited for


class SourceLost(ValueError):
    """A source that worked gives no more pictures, though it has not ended."""


class Source(Protocol):
    """A camera that has been opened."""

    @property
    def name(self) -> str:
        """What its messages are called by."""

    @property
    def live(self) -> bool:
        """Whether it gives the newest frame and waits for nobody."""

    def frames(self) -> Iterator[Frame]:
        """The frames, `t` strictly increasing; ends when the source does."""

    def truth(self, t: float) -> str | None:
        """The action at time `t` seconds, for a source that knows; else None."""

    def close(self) -> None:
        """Give the camera back."""


def open_source(
    spec: str,
    *,
    width: int = 1280,
    height: int = 720,
    duration_s: float = math.inf,
    mirror: bool = False,
    epoch: float | None = None,
) -> Source:
    """Open the source that `spec` names. `width` and `height` are asked of webcams and used by drawn sources;
    `duration_s` ends a live source. `mirror`: the camera shows what a mirror would, and is put right. `epoch`: when,
    on the monotonic clock, a live source's `t` was 0; by default at its first frame.

    Raises ValueError, saying what is wrong and how to mend it, if there is no such camera or nothing to see in it.
    """
    source = _opened(spec, width, height, duration_s, epoch)
    return Mirrored(source) if mirror else source


def _opened(spec: str, width: int, height: int, duration_s: float, epoch: float | None) -> Source:
    kind, _, rest = spec.partition(":")
    if kind == "actor":
        duration_s = min(duration_s, _ACTOR_MOST_S)
        return ActorSource(seed=_seed(rest), width=width, height=height, duration_s=duration_s, epoch=epoch)
    if kind == "skeletons":
        return SkeletonSource(read_clip(rest), width=width, height=height)
    if kind in ("ros", "ros+plain"):
        from .robot.ros_bridge import RosAddress
        from .robot.ros_camera import RosSource

        return RosSource(RosAddress.named(spec), duration_s=duration_s, epoch=epoch)
    if spec.isdigit():
        return CaptureSource(int(spec), name=f"camera{spec}", size=(width, height), duration_s=duration_s, epoch=epoch)
    if "://" in spec:
        return CaptureSource(spec, name=_host(spec), size=(width, height), duration_s=duration_s, epoch=epoch)
    path = Path(spec)
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return CaptureSource(path, name=path.name)
    raise ValueError(
        f"no camera {spec!r}: it is no file, folder, URL or camera number; try 0, a video file, or `actor`"
    )


def _seed(text: str) -> int:
    if text and not text.isdigit():
        raise ValueError(f"the actor's seed is a number, not {text!r}; try actor:1")
    return int(text or 0)


@dataclass(frozen=True)
class Mirrored:
    """A source whose pictures are mirrored, as those of a webcam meant for selfies are: they are turned back, for else
    every left hand is a right one."""

    source: Source

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def live(self) -> bool:
        return self.source.live

    def frames(self) -> Iterator[Frame]:
        for frame in self.source.frames():
            image: U8 = np.asarray(cv2.flip(frame.image, 1), np.uint8)
            yield Frame(camera=frame.camera, t=frame.t, captured_at=frame.captured_at, seq=frame.seq, image=image)

    def truth(self, t: float) -> str | None:
        return self.source.truth(t)

    def close(self) -> None:
        self.source.close()


class CaptureSource:
    """Whatever OpenCV can open: a webcam (a number), a stream (a URL), a video file (a path)."""

    def __init__(
        self,
        target: int | str | Path,
        *,
        name: str,
        size: tuple[int, int] = (0, 0),
        duration_s: float = math.inf,
        epoch: float | None = None,
    ) -> None:
        self.name, self.live = name, not isinstance(target, Path)
        self._target, self._duration_s, self._epoch = target, duration_s, epoch
        self._capture = _capture(target, size)
        self._first: Any = None
        opened = self._capture.isOpened()
        if opened:
            opened, self._first = self._capture.read()
        if not opened:
            self._capture.release()
            if isinstance(target, int):
                raise ValueError(f"camera {target} does not exist or gives no picture; plug it in, or try `actor`")
            if isinstance(target, str):
                raise ValueError(
                    f"the stream of {_without_credentials(target)} cannot be read; check address and network"
                )
            raise ValueError(f"{target} is no video that can be read; give a video file such as clip.mp4")

    def frames(self) -> Iterator[Frame]:
        """Every frame. Time is the file's own, or for a live camera that of the capture since its epoch.

        Raises `SourceLost` where it stops before its end.
        """
        epoch = time.monotonic() if self._epoch is None else self._epoch
        image, seq, t = self._first, 0, 0.0 if self._epoch is None else time.monotonic() - epoch
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        step = 1 / fps if 1 <= fps <= 240 else 1 / FPS
        while image is not None and t < self._duration_s:
            yield Frame(camera=self.name, t=t, captured_at=time.time(), seq=seq, image=_checked(image))
            ok, image = self._capture.read()
            if not ok:
                if self._breaks_off(seq + 1):
                    raise SourceLost("it gives no more pictures")
                return
            seq += 1
            if self.live:
                t = max(time.monotonic() - epoch, t + 1e-3)
            else:
                stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                # Some containers keep no time stamps, or repeat them: the frame rate stands in.
                t = stamp if t + 0.2 * step < stamp < t + 60 else t + step

    def _breaks_off(self, frames: int) -> bool:
        """Whether what has no frame after these has not just ended: a webcam never does, a video (also one behind a
        URL) does after all its frames, and a file that is shorter than it says must still be there."""
        if 0 < self._capture.get(cv2.CAP_PROP_FRAME_COUNT) <= frames + 1:
            return False
        if not isinstance(self._target, Path):
            return True
        try:
            with self._target.open("rb") as file:
                return not file.read(1)
        except OSError:
            return True

    def truth(self, t: float) -> str | None:
        return None

    def close(self) -> None:
        self._capture.release()


def _capture(target: int | str | Path, size: tuple[int, int]) -> Any:
    """OpenCV's capture, set up."""
    if isinstance(target, str):
        patience = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPENS_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READS_MS]
        capture = cv2.VideoCapture(target, cv2.CAP_FFMPEG, patience)
    else:
        capture = cv2.VideoCapture(target if isinstance(target, int) else str(target))
    if isinstance(target, int):
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    # A phone held upright writes lying pictures and a note to turn them.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


class FolderSource:
    """The images of a folder in the order of their names, 30 a second."""

    live = False

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self._paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)
        if not self._paths:
            raise ValueError(f"{folder} holds no images ({', '.join(_IMAGES)}); give a folder of pictures")

    def frames(self) -> Iterator[Frame]:
        for seq, path in enumerate(self._paths):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None and not path.exists():
                raise SourceLost(f"{path.name} is gone")
            if image is None:
                raise ValueError(f"{path} is no image that can be read; remove it or write it anew")
            yield Frame(camera=self.name, t=seq / FPS, captured_at=time.time(), seq=seq, image=_checked(image))

    def truth(self, t: float) -> str | None:
        return None

    def close(self) -> None:
        pass


class ActorSource:
    """A drawn person acting a script of all actions, 30 pictures a second of real time."""

    live = True

    def __init__(self, *, seed: int, width: int, height: int, duration_s: float, epoch: float | None = None) -> None:
        self.name, self._epoch = f"actor{seed}", epoch
        self.script = Script(seed=seed, duration_s=duration_s)
        self._look = Look.random(np.random.default_rng(seed))
        across = 2 * math.atan(width / height * math.tan(math.radians(_ACTOR_VIEW_DEG) / 2))
        self._view = View(width=width, height=height, horizontal_fov_deg=math.degrees(across))
        self._backdrop = background(seed, width, height)
        self._duration_s = duration_s

    def picture(self, t: float) -> U8:
        """The actor at time `t` seconds (height, width, 3)."""
        return draw_scene([(self.script.pose(t), self._look)], self._view, self._backdrop)

    def frames(self) -> Iterator[Frame]:
        """A frame every 1/30 s; moments that come while the last picture is still being drawn are passed over."""
        started = time.monotonic() if self._epoch is None else self._epoch
        seq, n = 0, math.ceil((time.monotonic() - started) * FPS) if self._epoch is not None else 0
        while n / FPS < self._duration_s:
            image = self.picture(n / FPS)
            wait = started + n / FPS - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            yield Frame(camera=self.name, t=n / FPS, captured_at=time.time(), seq=seq, image=image)
            seq += 1
            n = max(n + 1, math.ceil((time.monotonic() - started) * FPS))

    def truth(self, t: float) -> str | None:
        return self.script.truth(min(t, self._duration_s))

    def close(self) -> None:
        pass


class SkeletonSource:
    """A recorded skeleton, drawn as a person, every frame."""

    live = False

    def __init__(self, clip: SkeletonClip, *, width: int, height: int) -> None:
        self.name, self._clip = clip.name, clip
        rng = np.random.default_rng(len(clip.joints))
        self._look = Look.random(rng)
        self._view = View.framing(clip.joints, width=width, height=height)
        self._backdrop = background(int(rng.integers(1 << 31)), width, height)

    def frames(self) -> Iterator[Frame]:
        for seq, (t, joints) in enumerate(zip(self._clip.times_s, self._clip.joints, strict=True)):
            image = draw_scene([(person, self._look) for person in joints if person.any()], self._view, self._backdrop)
            yield Frame(camera=self.name, t=float(t), captured_at=time.time(), seq=seq, image=image)

    def truth(self, t: float) -> str | None:
        if self._clip.labels is None:
            return None
        return self._clip.labels[int(np.abs(self._clip.times_s - t).argmin())]

    def close(self) -> None:
        pass


def _checked(image: Any) -> U8:
    """A BGR picture of a size that the stages will take."""
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[0] * image.shape[1] > _MAX_PIXELS:
        raise ValueError(f"pictures of {image.shape[1]}x{image.shape[0]} are larger than 8K; scale them down")
    picture: U8 = np.ascontiguousarray(image[..., :3], dtype=np.uint8)
    return picture


def _host(url: str) -> str:
    """The name of a network camera: where it is, and nothing of what the URL may hold besides."""
    where = urlsplit(url)
    return f"{where.scheme}-{where.hostname or 'camera'}"[:100]


def _without_credentials(url: str) -> str:
    """The URL without the user and password that it may hold: it goes into messages and logs."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
