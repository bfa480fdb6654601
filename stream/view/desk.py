"""The desk: what people who watch ask for becomes wishes on the bus, which whoever can grant them hears.

What was set, names and thresholds, is kept in a file that outlives this process, and said again every few seconds: a
program that comes later, and a stage that was started again, learn of it, too.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from ..wire import AnyMessage, Named, Recording, Teach, Tuned
from .hub import Hub
from .requests import Bucket, Name, Record, TeachIt, Tune, Untune

_AGAIN_S = 3.0
_WISHES_PER_S, _WISHES_AT_ONCE = 40.0, 80.0  # of all clients together: the bus has better things to carry
Publish = Callable[[AnyMessage], object]
Wish = Name | Tune | Untune | Record | TeachIt


class Refused(ValueError):
    """What somebody asked for cannot be; the text is for them."""


class Desk:
    """Takes requests, on one thread. `kept`: the file, None for none."""

    def __init__(self, hub: Hub, publish: Publish, kept: Path | None) -> None:
        self._hub, self._publish, self._kept = hub, publish, kept
        self._bucket = Bucket(_WISHES_PER_S, _WISHES_AT_ONCE)
        self._said_at = time.monotonic()
        self._at = 0.0
        if kept is not None and kept.exists():
            for fields in json.loads(kept.read_text()):
                hub.apply(Tuned(**fields) if "belief" in fields else Named(**fields))

    def take(self, wish: Wish) -> None:
        """Pass a wish on. `Refused` if that cannot be."""
        if not self._bucket.takes(time.monotonic()):
            raise Refused("too much is asked for at once; wait a moment")
        match wish:
            case Name():
                self._set(self._named(wish))
            case Tune():
                self._set(self._tuned(wish))
            case Untune():
                self._set(Tuned(at=self._now()))
            case Record():
                self._publish(Recording(at=self._now(), op=wish.op))
            case TeachIt():
                self._publish(self._lesson(wish))

    def turn(self) -> None:
        """Say again what was set, when it is time to."""
        if time.monotonic() - self._said_at < _AGAIN_S:
            return
        self._said_at = time.monotonic()
        names, tuned = self._hub.settings()
        for named in names:
            if named.name and named.track in self._hub.people_of(named.camera):
                self._publish(named)
        if tuned.at:
            self._publish(tuned)

    def _named(self, wish: Name) -> Named:
        name = " ".join(wish.name.split())
        people = self._hub.people_of(wish.camera)
        if wish.track not in people:
            raise Refused("this person is no longer there; name somebody who is in the picture")
        other = self._hub.bearer(wish.camera, name, [track for track in people if track != wish.track])
        if name and other is not None:
            raise Refused(f"a name that exists: person {people[other]} is called {name} already; give another")
        return Named(camera=wish.camera, track=wish.track, name=name, at=self._now())

    def _tuned(self, wish: Tune) -> Tuned:
        _, before = self._hub.settings()
        known = self._hub.classes[1:]
        if unknown := [action for action in wish.actions if action not in known]:
            raise Refused(f"no action is called {unknown[0]}; there are {', '.join(known)}"[:300])
        actions = {action: shift for action, shift in {**before.actions, **wish.actions}.items() if shift}
        return Tuned(
            at=self._now(), actions=actions,
            enter=before.enter if wish.enter is None else wish.enter,
            belief=before.belief if wish.belief is None else wish.belief,
        )  # fmt: skip

    def _lesson(self, wish: TeachIt) -> Teach:
        action, to = (" ".join(name.split()).replace(" ", "_") for name in (wish.action, wish.to))
        taught = self._hub.taught
        if wish.op in ("begin", "forget", "rename") and not action:
            raise Refused("an action needs a name; give it one")
        if wish.op in ("forget", "rename") and (taught is None or action not in taught.actions):
            raise Refused(f"no action that was taught is called {action}")
        if wish.op == "rename" and not to:
            raise Refused(f"{action} needs a new name; give it one")
        new = {"begin": action, "rename": to}.get(wish.op)
        if new is not None and (new in self._hub.classes or new == "unknown"):
            raise Refused(f"a name that exists: there is an action {new} already; give another")
        return Teach(
            at=self._now(), op=wish.op, action=action, to=to, camera=wish.camera, track=wish.track, shots=wish.shots
        )

    def _set(self, message: Named | Tuned) -> None:
        """Have it here, keep it, and tell everybody."""
        self._hub.apply(message)
        self._publish(message)
        if self._kept is None:
            return
        names, tuned = self._hub.settings()
        told = [{name: getattr(one, name) for name in type(one).__struct_fields__} for one in (tuned, *names)]
        unfinished = self._kept.with_suffix(f".{os.getpid()}")
        try:
            unfinished.write_text(json.dumps(told))
            unfinished.replace(self._kept)
        except OSError as error:
            raise Refused(f"that holds now, but would be forgotten by a restart: {error.strerror}") from error

    def _now(self) -> float:
        """Unix seconds, later than ever before: of two wishes the newer counts."""
        _, tuned = self._hub.settings()
        self._at = max(time.time(), self._at + 1e-6, tuned.at + 1e-6)
        return self._at
