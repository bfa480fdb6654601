"""An interaction policy: what the robot does when somebody does something, as a roboticist writes it down.

    [[rule]]
    when = "wave"            # an action, several in a list; anything, unknown; fall, arrive
    lasting = 0.5            # seconds
    who = "in front"         # anyone (default), nearest, in front, or a name that the page knows
    do = ["look", "wave"]    # behaviours, all at once
    priority = 2             # a higher one interrupts a lower one

`policies/default.toml` says everything that can be said.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from .behaviours import BEHAVIOURS

DEFAULT = Path(__file__).parent / "policies" / "default.toml"
ANYTHING, FALL, ARRIVE, UNKNOWN = "anything", "fall", "arrive", "unknown"
SIGNS = (ANYTHING, UNKNOWN, FALL, ARRIVE)  # what may be answered beside the model's actions
ANYONE, NEAREST, IN_FRONT = "anyone", "nearest", "in front"
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When somebody does this, do that. Seconds, and probabilities in 0..1.

    `sure`: wait for the decision that an action has begun; otherwise what the newest frame looks like is enough, which
    is sooner, and more often wrong. `hold`: what has no end of its own goes on for so long after its cause is gone.
    `cooldown`: the same person sets it off again after that. `interrupts`: behaviours that it interrupts though their
    rule is of the same or a higher priority. `say`: a line for whoever reads the log, and for the page.
    """

    when: tuple[str, ...]
    do: tuple[str, ...]
    name: str = ""
    who: str = ANYONE
    confidence: float = 0.5
    lasting: float = 0.0
    sure: bool = False
    priority: int = 0
    cooldown: float = 3.0
    hold: float = 1.0
    interrupts: tuple[str, ...] = ()
    say: str = ""

    @property
    def lasts_s(self) -> float | None:
        """How long it takes if it has an end of its own."""
        ends = [lasts_s for name in self.do if (lasts_s := BEHAVIOURS[name].lasts_s) is not None]
        return max(ends, default=None)


@dataclass(frozen=True, kw_only=True)
class Mounting:
    """Where the camera is, from the robot's feet: metres up, ahead and to the left, and degrees turned to the left."""

    height: float = 1.2
    ahead: float = 0.0
    left: float = 0.0
    turn: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Front:
    """What "in front" means: metres, and degrees to either side."""

    within: float = 2.5
    angle: float = 30.0


@dataclass(frozen=True, kw_only=True)
class InteractionPolicy:
    """All of it. `load` reads it from a file."""

    rules: tuple[Rule, ...]
    camera: Mounting = field(default_factory=Mounting)
    front: Front = field(default_factory=Front)

    @classmethod
    def load(cls, path: Path, actions: Collection[str]) -> InteractionPolicy:
        """The policy in this file, for a model that knows these actions.

        Raises ValueError, in one line that names the file and the rule, for whatever is not as it should be.
        """
        try:
            if path.stat().st_size > _LARGEST_FILE:
                raise ValueError(f"{path} is no policy: it is larger than a megabyte")
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"cannot read the policy {path}: {error.strerror}; give another with --policy") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no TOML: {error}") from error
        try:
            return _policy(table, frozenset(actions))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _policy(table: Mapping[str, Any], actions: frozenset[str]) -> InteractionPolicy:
    _only(table, ("rule", "camera", "front"), "the policy")
    rules = table.get("rule", [])
    if not isinstance(rules, list) or not rules:
        raise ValueError("there is no [[rule]]; write at least one")
    return InteractionPolicy(
        rules=tuple(_rule(rule, number, actions) for number, rule in enumerate(rules, 1)),
        camera=Mounting(**_numbers(table.get("camera", {}), Mounting, "[camera]")),
        front=Front(**_numbers(table.get("front", {}), Front, "[front]")),
    )


def _rule(table: object, number: int, actions: frozenset[str]) -> Rule:
    where = f"rule {number}"
    if not isinstance(table, dict):
        raise ValueError(f"{where} is {table!r}; begin each with [[rule]]")
    if isinstance(table.get("name"), str):
        where += f" ({table['name']})"
    try:
        return _checked(table, actions, number)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _checked(table: dict[str, Any], actions: frozenset[str], number: int) -> Rule:
    _only(table, tuple(one.name for one in fields(Rule)), "a rule")
    for one in fields(Rule):
        if one.default is MISSING and one.name not in table:
            raise ValueError(f"it has no {one.name!r}")
    words = {name: _words(table.get(name, []), name) for name in ("when", "do", "interrupts")}
    for word in words["when"]:
        if word not in actions and word not in SIGNS:
            known = ", ".join([*SIGNS, *sorted(actions)])
            raise ValueError(f"when = {word!r} is no action; there are {known}")
    for word in (*words["do"], *words["interrupts"]):
        if word not in BEHAVIOURS:
            raise ValueError(f"no behaviour {word!r}; there are {', '.join(BEHAVIOURS)}")
    if not words["when"] or not words["do"]:
        raise ValueError("'when' and 'do' name at least one thing each")
    _share_the_body(words["do"])
    given: dict[str, Any] = {}
    for name, most in (("confidence", 1.0), ("lasting", 60.0), ("cooldown", 3600.0), ("hold", 3600.0)):
        if name in table:
            given[name] = _number(table[name], name, 0, most)
    for name in ("who", "say"):
        if name in table:
            given[name] = _text(table[name], name)
    for name, kind, what in (("priority", int, "a whole number"), ("sure", bool, "true or false")):
        if name in table:
            if type(table[name]) is not kind:
                raise ValueError(f"{name} = {table[name]!r} is not {what}")
            given[name] = table[name]
    called = _text(table.get("name", f"rule {number}"), "name")
    return Rule(when=words["when"], do=words["do"], interrupts=words["interrupts"], name=called, **given)


def _share_the_body(behaviours: tuple[str, ...]) -> None:
    for i, name in enumerate(behaviours):
        for other in behaviours[:i]:
            if both := sorted(BEHAVIOURS[name].parts & BEHAVIOURS[other].parts):
                of = {"left": "the left arm", "right": "the right arm"}.get(both[0], f"the {both[0]}")
                raise ValueError(f"{other!r} and {name!r} both need {of}; do one of them")


def _only(table: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in table:
        if key not in known:
            raise ValueError(f"{what} knows no {key!r}; it knows {', '.join(known)}")


def _words(value: object, name: str) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{name} = {value!r} is neither a word nor a list of words")
    if len(set(words)) < len(words):
        raise ValueError(f"{name} = {value!r} says something twice")
    return tuple(words)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 200:
        raise ValueError(f"{name} = {value!r} is no short text")
    return value


def _number(value: object, name: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} = {value!r} is no number from {least:g} to {most:g}")
    return float(value)


def _numbers(table: object, kind: type[Mounting] | type[Front], what: str) -> dict[str, float]:
    if not isinstance(table, dict):
        raise ValueError(f"{what} is {table!r}; write it as a table")
    _only(table, tuple(one.name for one in fields(kind)), what)
    return {key: _number(value, f"{what} {key}", -360, 360) for key, value in table.items()}
