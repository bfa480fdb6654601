"""What a page may ask over its WebSocket: every request is a small JSON object of exactly these fields and types.

    {"seen": "picture"}                                        a picture, state or robot has been drawn
    {"do": "show", "focus": "door", "cameras": ["door"]}       whose state, and whose pictures, are wanted
    {"do": "want", "bars": true, "charts": false}              what else
    {"do": "past"}   {"do": "moment", "t": 12.5}               of the camera in focus
    {"do": "name", "camera": "door", "track": 3, "name": "Ann"}
    {"do": "tune", "enter": 0.1, "belief": 2, "actions": {"wave": 0.2}}   {"do": "untune"}
    {"do": "record", "op": "start"}
    {"do": "teach", "op": "begin", "action": "salute", "shots": 5, "camera": "door", "track": 3}

Whoever sends anything else is no page of ours.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

LONGEST_CALLED = 40  # letters of a person's name, or of an action's
_LONGEST_CAMERA, _MOST_CAMERAS, _MOST_ACTIONS = 255, 32, 64
_LATEST_S, _MOST_TRACK = 1e11, 2**53


@dataclass(frozen=True)
class Seen:
    """One more of these has been drawn."""

    what: Literal["picture", "state", "robot"]


@dataclass(frozen=True)
class Show:
    """The camera whose state is wanted (None: the first), and those whose pictures are (None: the same)."""

    focus: str | None
    cameras: tuple[str, ...] | None


@dataclass(frozen=True)
class Want:
    """What else is shown."""

    bars: bool
    charts: bool


@dataclass(frozen=True)
class AskPast:
    """All that is kept of the camera in focus, but its skeletons."""


@dataclass(frozen=True)
class AskMoment:
    """Who was seen at `t` on the camera's clock."""

    t: float


@dataclass(frozen=True)
class Name:
    """Call somebody so; "" takes the name back."""

    camera: str
    track: int
    name: str


@dataclass(frozen=True)
class Tune:
    """Shift these thresholds, and leave the others where they are."""

    enter: float | None
    belief: float | None
    actions: dict[str, float]


@dataclass(frozen=True)
class Untune:
    """Go by what was fitted."""


@dataclass(frozen=True)
class Record:
    """Begin or end a recording."""

    op: Literal["start", "stop"]


@dataclass(frozen=True)
class TeachIt:
    """A lesson, or what becomes of an action that was taught."""

    op: Literal["begin", "again", "cancel", "forget", "rename"]
    action: str
    to: str
    shots: int
    camera: str
    track: int | None


Request = Seen | Show | Want | AskPast | AskMoment | Name | Tune | Untune | Record | TeachIt


def parse(text: str) -> Request:
    """The request in this text. ValueError if it is none."""
    try:
        fields = json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(fields, dict):
        raise ValueError("no object")
    made = _made(_Fields(fields))
    if fields:
        raise ValueError(f"{next(iter(fields))!r} does not belong there")
    return made


def _made(given: _Fields) -> Request:
    if given.has("seen"):
        return Seen(given.one_of("seen", "picture", "state", "robot"))
    match given.text("do", 10):
        case "show":
            focus = given.text("focus", _LONGEST_CAMERA) if given.has("focus") else None
            cameras = given.texts("cameras", _MOST_CAMERAS, _LONGEST_CAMERA) if given.has("cameras") else None
            return Show(focus, cameras)
        case "want":
            return Want(given.flag("bars"), given.flag("charts"))
        case "past":
            return AskPast()
        case "moment":
            return AskMoment(given.number("t", -_LATEST_S, _LATEST_S))
        case "name":
            track = given.whole("track", 0, _MOST_TRACK)
            return Name(given.text("camera", _LONGEST_CAMERA), track, given.text("name", LONGEST_CALLED))
        case "tune":
            enter = given.number("enter", -1, 1) if given.has("enter") else None
            belief = given.number("belief", 0.05, 20) if given.has("belief") else None
            return Tune(enter, belief, given.numbers("actions", _MOST_ACTIONS) if given.has("actions") else {})
        case "untune":
            return Untune()
        case "record":
            return Record(given.one_of("op", "start", "stop"))
        case "teach":
            return TeachIt(
                given.one_of("op", "begin", "again", "cancel", "forget", "rename"),
                action=given.text("action", LONGEST_CALLED) if given.has("action") else "",
                to=given.text("to", LONGEST_CALLED) if given.has("to") else "",
                shots=given.whole("shots", 1, 20) if given.has("shots") else 5,
                camera=given.text("camera", _LONGEST_CAMERA) if given.has("camera") else "",
                track=given.whole("track", 0, _MOST_TRACK) if given.has("track") else None,
            )
    raise ValueError("nothing that can be done")


class _Fields:
    """Takes fields out of an object, each of its type and within its bounds."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def has(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str, longest: int) -> str:
        return _text(name, self._fields.pop(name, None), longest)

    def texts(self, name: str, most: int, longest: int) -> tuple[str, ...]:
        value = self._fields.pop(name, None)
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"{name} is no list of at most {most}")
        return tuple(_text(name, one, longest) for one in value)

    def flag(self, name: str) -> bool:
        value = self._fields.pop(name, None)
        if not isinstance(value, bool):
            raise ValueError(f"{name} is not true or false")
        return value

    def number(self, name: str, least: float, most: float) -> float:
        return _number(name, self._fields.pop(name, None), least, most)

    def whole(self, name: str, least: int, most: int) -> int:
        value = self._fields.pop(name, None)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{name} is no whole number in {least}..{most}")
        return value

    def numbers(self, name: str, most: int) -> dict[str, float]:
        value = self._fields.pop(name, None)
        if not isinstance(value, dict) or len(value) > most:
            raise ValueError(f"{name} is no object of at most {most}")
        return {_text(name, one, _LONGEST_CAMERA): _number(name, shift, -1, 1) for one, shift in value.items()}

    def one_of(self, name: str, *words: str) -> Any:
        value = self._fields.pop(name, None)
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{name} is none of {', '.join(words)}")
        return value


def _text(name: str, value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest or (value and not value.isprintable()):
        raise ValueError(f"{name} is no line of at most {longest} letters")
    return value


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number")
    if not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{name} is not in {least:g}..{most:g}")
    return float(value)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


class Bucket:
    """So much a second, and so much at once."""

    def __init__(self, per_s: float, at_once: float) -> None:
        self._per_s, self._most = per_s, at_once
        self._left, self._at = at_once, -math.inf

    def takes(self, now: float) -> bool:
        """Whether there is room for one more, which then is in it; `now` in seconds."""
        self._left = min(self._left + self._per_s * (now - self._at), self._most)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
