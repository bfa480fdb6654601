"""MCAP, as Foxglove shows it without being told anything: messages in JSON, with schemas.

    /CAMERA/people                  foxglove.SceneUpdate     everybody's skeleton, name and action, in 3D
    /CAMERA/transform               foxglove.FrameTransform  the camera's space, upright
    /CAMERA/person/N/probabilities  skelstream.Frame         each decided frame: the label, each class's probability
    /CAMERA/events                  skelstream.Event         start, update and end of actions
    /ROBOT/scene                    foxglove.SceneUpdate     a robot, if there was one
    /log                            foxglove.Log             what happened, in words

Log times are those of the capture (`story.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ...encoder.clock import HZ
from ...encoder.layout import NTU25
from ...stream.wire import AnyMessage, Decision, Event, Lost, RobotState, Tracks
from ..detections import name_of
from .foxglove import INFO, SCHEMAS, TIME, WARNING, Json, deletion, figure, kind, log, time_of, upright
from .story import Story, Who, ticks_of
from .tell import Teller

_WORLD = "room"
_SEEN_S = 0.5  # who is not drawn again for so long is gone
_PAINTS = ((0.15, 0.39, 0.92), (0.86, 0.15, 0.15), (0.02, 0.59, 0.41), (0.85, 0.46, 0.02), (0.49, 0.23, 0.93))
_ROBOT = (0.4, 0.45, 0.5)
_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
_EVENT = kind(
    timestamp=TIME, kind=_TEXT, person=_NUMBER, name=_TEXT, action=_TEXT, t_start=_NUMBER,
    t_end={"type": ["number", "null"]}, confidence=_NUMBER,
)  # fmt: skip


class McapFile:
    """Written as the messages come, in compressed chunks."""

    def __init__(self, path: Path, story: Story) -> None:
        try:
            from mcap.writer import Writer
        except ModuleNotFoundError as error:
            raise ValueError("MCAP needs the package mcap: pip install 'skelstream[mcap]'") from error
        self._story, self._teller = story, Teller(story)
        self._file = path.open("wb")
        self._writer = Writer(self._file)
        self._writer.start(library="skelstream")
        self._channels: dict[tuple[str, str, tuple[str, ...]], int] = {}
        self._stood: set[Who] = set()

    def take(self, message: AnyMessage, when: float) -> None:
        at = max(round(1e9 * when), 0)
        if isinstance(message, Tracks):
            self._people(message, at)
        elif isinstance(message, Decision):
            self._decision(message)
        elif isinstance(message, RobotState):
            self._robot(message, at)
        elif isinstance(message, Event):
            self._event(message, at)
        told = self._teller.line(message)
        if told is not None:
            level = WARNING if isinstance(message, Lost) else INFO
            self._write("/log", "foxglove.Log", log(at, *told, level), at)

    def close(self) -> None:
        self._writer.finish()
        self._file.close()

    def _people(self, message: Tracks, at: int) -> None:
        camera = message.camera
        who = self._story.who(camera, 0)
        if who not in self._stood:
            self._stood.add(who)
            self._write(f"/{camera}/transform", "foxglove.FrameTransform", upright(at, _WORLD, camera), at)
        entities = [
            figure(
                at, camera, f"person {track}", message.joints[i], message.confidence[i] > 0, NTU25.bones,
                _PAINTS[track % len(_PAINTS)], self._teller.doing(camera, track), _SEEN_S,
            )
            for i, track in enumerate(message.ids)
        ]  # fmt: skip
        deletions = [deletion(at, f"person {track}") for track in message.ended]
        self._write(f"/{camera}/people", "foxglove.SceneUpdate", {"deletions": deletions, "entities": entities}, at)

    def _decision(self, message: Decision) -> None:
        words = self._story.words(message)
        begin = self._story.at(message.camera, 0.0)
        topic = f"/{message.camera}/person/{message.track}/probabilities"
        for t, label, i in ticks_of(message, HZ):
            at = max(round(1e9 * (begin + t)), 0)
            likely = np.round(message.probabilities[i].astype(np.float64), 4).tolist()
            value = {"timestamp": time_of(at), "label": name_of(label, words), **dict(zip(words, likely, strict=True))}
            self._write(topic, "skelstream.Frame", value, at, words)

    def _event(self, message: Event, at: int) -> None:
        who = self._story.who(message.camera, message.track)
        value = {
            "timestamp": time_of(at), "kind": message.kind, "person": message.track,
            "name": self._story.names.get(who, ""), "action": message.action, "t_start": message.t_start,
            "t_end": message.t_end, "confidence": message.confidence,
        }  # fmt: skip
        self._write(f"/{message.camera}/events", "skelstream.Event", value, at)

    def _robot(self, message: RobotState, at: int) -> None:
        # Its own space has z up already, and figures have y: turned as a camera's are, and back by the transform.
        robot, points = f"robot {message.robot}", message.points[:, [1, 2, 0]]
        if Who(robot, 0, 0) not in self._stood:
            self._stood.add(Who(robot, 0, 0))
            self._write(f"/{message.robot}/transform", "foxglove.FrameTransform", upright(at, _WORLD, robot), at)
        known = np.ones(len(points), np.bool_)
        text = message.behaviour or message.state
        drawn = figure(at, robot, message.robot, points, known, message.bones, _ROBOT, text, 2 * _SEEN_S)
        self._write(f"/{message.robot}/scene", "foxglove.SceneUpdate", {"deletions": [], "entities": [drawn]}, at)

    def _write(self, topic: str, schema: str, value: Json, at: int, words: tuple[str, ...] = ()) -> None:
        channel = self._channels.get((topic, schema, words))
        if channel is None:
            channel = self._channels[topic, schema, words] = self._register(topic, schema, words)
        data = json.dumps(value, separators=(",", ":")).encode()
        self._writer.add_message(channel, log_time=at, data=data, publish_time=at)

    def _register(self, topic: str, schema: str, words: tuple[str, ...]) -> int:
        shape: dict[str, Any] = SCHEMAS.get(schema, _EVENT)
        if words:
            shape = kind(timestamp=TIME, label=_TEXT, **dict.fromkeys(words, _NUMBER))
        text = json.dumps({"title": schema, **shape}).encode()
        known = self._writer.register_schema(name=schema, encoding="jsonschema", data=text)
        channel: int = self._writer.register_channel(topic=topic, message_encoding="json", schema_id=known)
        return channel
