"""A camera that is a topic of ROS 2: `--camera ros:/camera/image_raw`, or with the bridge's address
`--camera ros://robot.local:9090/camera/image_raw/compressed`. A topic that ends in /compressed has CompressedImage.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from ..camera import SourceLost
from ..wire import U8, Frame
from .ros_bridge import BridgeInlet, RosAddress
from .ros_image import picture, stamp_of
from .ros_node import NodeInlet, has_rclpy

_FIRST_S, _SILENT_S = 4.0, 1.8
_CLOCKS_AGREE_S = 5.0  # a stamp that is farther from now is of another clock: a simulation's, or one that was never set


class RosSource:
    """The pictures that are published on a topic: the newest one, when it is asked for.

    `captured_at` is the picture's stamp, if it is of this clock. Raises ValueError if there is no ROS, or nothing comes
    that is a picture.
    """

    live = True

    def __init__(self, address: RosAddress, *, duration_s: float = math.inf, epoch: float | None = None) -> None:
        if not address.topic:
            raise ValueError("ros: needs a topic with pictures; give one such as ros:/camera/image_raw")
        self.name = "ros" + address.topic.replace("/", "-")[:100]
        self._topic, self._duration_s, self._epoch = address.topic, duration_s, epoch
        self._compressed = address.topic.endswith("/compressed")
        kind = f"sensor_msgs/msg/{'CompressedImage' if self._compressed else 'Image'}"
        self._inlet: BridgeInlet | NodeInlet
        if not address.url and has_rclpy():
            self._inlet = NodeInlet(address.topic, kind)
        else:
            self._inlet = BridgeInlet(address.bridge, address.topic, kind)
        try:
            if (first := self._next(_FIRST_S)) is None:
                raise SourceLost(self._silence())
        except ValueError:
            self._inlet.close()
            raise
        self._first = first

    def frames(self) -> Iterator[Frame]:
        """The newest picture, as often as there is one. Raises `SourceLost` when there is none for too long."""
        epoch = time.monotonic() if self._epoch is None else self._epoch
        t, stamp = -math.inf, 0.0
        (image, stamped), seq = self._first, 0
        while True:
            arrived = time.monotonic() - epoch
            # The stamps tell best how far apart two pictures are; where they tell nonsense, their arrival does.
            by_stamp = t + stamped - stamp
            t = by_stamp if t < by_stamp and abs(by_stamp - arrived) < 0.5 else max(arrived, t + 1e-3)
            stamp = stamped
            if t >= self._duration_s:
                return
            now = time.time()
            at = stamped if abs(now - stamped) < _CLOCKS_AGREE_S else now
            yield Frame(camera=self.name, t=t, captured_at=min(at, now), seq=seq, image=image)
            image, stamped = self._sound()
            seq += 1

    def truth(self, t: float) -> str | None:
        return None

    def close(self) -> None:
        self._inlet.close()

    def _sound(self) -> tuple[U8, float]:
        """The next picture that is one: a damaged one is passed over."""
        until, reason = time.monotonic() + _SILENT_S, ""
        while (patience_s := until - time.monotonic()) > 0:
            try:
                if (found := self._next(patience_s)) is not None:
                    return found
            except SourceLost:
                raise
            except ValueError as error:
                reason = str(error)
        raise SourceLost(reason or self._silence())

    def _next(self, patience_s: float) -> tuple[U8, float] | None:
        """The next picture, and its stamp; None if none comes in time."""
        try:
            message = self._inlet.newest(patience_s)
        except ConnectionError as error:
            raise SourceLost(f"the bridge is gone: {error}") from error
        return None if message is None else (picture(message, compressed=self._compressed), stamp_of(message))

    def _silence(self) -> str:
        return f"no picture comes on {self._topic}; {self._inlet.complaint or 'is its publisher running?'}"
