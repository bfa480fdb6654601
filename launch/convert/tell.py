"""What happened, in a line for people: the logs of formats that have one."""

from __future__ import annotations

from ...stream.wire import AnyMessage, End, Event, Lost, Named, RobotState, Taught
from .story import Story


class Teller:
    """Asked with each message after the story was told of it; remembers what a robot did last."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._behaviour: dict[str, str] = {}

    def line(self, message: AnyMessage) -> tuple[str, str] | None:
        """(whose log, the line), or None for what is not worth one."""
        story = self._story
        if isinstance(message, Event) and message.kind != "update":
            who = story.called(story.who(message.camera, message.track))
            if message.t_end is None:
                return message.camera, f"{who} begins: {message.action} ({message.confidence:.0%})"
            took_s = message.t_end - message.t_start
            return message.camera, f"{who} ends: {message.action} ({message.confidence:.0%}, {took_s:.1f} s)"
        if isinstance(message, Named):
            who = f"person {message.track}"
            return message.camera, f"{who} is called {message.name}" if message.name else f"{who} has no name any more"
        if isinstance(message, Lost):
            return message.camera, f"the camera is lost: {message.reason}"
        if isinstance(message, End):
            return message.camera, "the camera's stream is over"
        if isinstance(message, Taught) and message.state in ("seen", "failed") and message.message:
            return "taught", message.message
        if isinstance(message, RobotState) and self._behaviour.get(message.robot) != message.behaviour:
            self._behaviour[message.robot] = message.behaviour
            why = f", because {message.because}" if message.because else ""
            return message.robot, f"{message.behaviour or message.state}{why}"
        return None

    def doing(self, camera: str, track: int) -> str:
        """Above somebody's head: their name, and what they do."""
        who = self._story.who(camera, track)
        event = self._story.doing.get(who)
        action = f": {event.action} {event.confidence:.0%}" if event is not None else ""
        return f"{self._story.called(who)}{action}"
