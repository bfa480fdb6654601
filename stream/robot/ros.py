"""The stage `ros`: what a running pipeline sees and says, published to ROS 2 (`ros_messages.py` has the topics).

skelstream live --at /tmp/here
skelstream ros --at /tmp/here                             # rclpy, or else the rosbridge on this machine
skelstream ros --bridge ros://robot.local:9090            # the bridge there, over wss://
"""

from __future__ import annotations

import time

from ..settings import Settings
from ..stage import Stage
from ..wire import Event, Subscriber, Tracks
from .ros_bridge import BridgeOutlet, RosAddress
from .ros_messages import HEARD, RosScene
from .ros_node import NodeOutlet, has_rclpy

_ROUND_S = 0.1


def ros_address(bridge: str) -> RosAddress:
    """Where to publish; ValueError if this is no address, or one with a topic."""
    address = RosAddress.named(bridge or "ros:")
    if address.topic:
        raise ValueError(f"{bridge} names a topic; give the bridge alone, such as ros://robot.local:9090")
    return address


def run_ros(stage: Stage, settings: Settings) -> None:
    """Publish until told to stop. ValueError if there is no ROS to publish to."""
    scene = RosScene(prefix=settings.ros_prefix, frame=settings.ros_frame)
    address = ros_address(settings.ros_bridge)
    native = not address.url and has_rclpy()
    missed = dropped = 0
    trouble = ""
    with (
        NodeOutlet(scene.topics) if native else BridgeOutlet(address.bridge, scene.topics) as outlet,
        Subscriber(stage.place.link("bus-out"), HEARD) as feed,
    ):
        stage.ready()
        while not stage.stopping:
            message = feed.receive(_ROUND_S)
            if message is not None:
                for said in scene.push(message):
                    outlet.publish(said)
                    stage.count("published")
            for said in scene.tick(time.time()):
                outlet.publish(said)
                stage.count("published")
            if isinstance(message, Tracks | Event):
                stage.observe("latency_s", max(time.time() - message.captured_at, 0.0))
            stage.count("dropped: ros too slow", feed.missed - missed)
            stage.count("dropped: no bridge", outlet.dropped - dropped)
            missed, dropped = feed.missed, outlet.dropped
            if outlet.trouble != trouble:
                trouble = outlet.trouble
                if trouble:
                    stage.warn(trouble)
                else:
                    stage.tell("the bridge is back")
                    stage.settle()
            stage.notice(outlet.complaint)
            stage.notice(feed.foreign)
            stage.report()
