"""`skelstream teach NAME`: a new action, shown to a camera of a pipeline that runs, or of one started for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..encoder.bundle import Bundle
from ..stream.settings import Settings
from ..stream.taught_store import TaughtStore
from ..stream.wire import Publisher, Subscriber, Taught, Teach, replaced
from .cameras import Lines
from .live import Live, checked, interruption, wait_until_ready
from .log import Log
from .said import say
from .supervisor import StageFailed, Supervisor

_ASK_S = 0.5  # between two times that a pipeline is asked
_ANSWER_S = 15.0  # a pipeline that has said nothing for so long gives no lessons
_WATCH_S = 0.1


def show_taught(folder: Path) -> int:
    """A table of what has been taught."""
    store = TaughtStore(folder)
    for trouble in store.troubles:
        say(trouble)
    if not store.actions:
        say(f"nothing has been taught yet ({folder})")
        return 0
    table = Table("action", "taught", "showings", "learnt by", title=str(folder))
    for action in store.actions:
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(action.at))
        table.add_row(action.name, at, str(len(action.showings)), " ".join(action.lessons))
    Console().print(table)
    return 0


def forget(name: str, folder: Path) -> int:
    """Remove an action; whatever runs forgets it within a second."""
    TaughtStore(folder).forget(name)
    say(f"{name} is forgotten")
    return 0


def rename(name: str, to: str, model: str, folder: Path) -> int:
    """Call an action otherwise."""
    TaughtStore(folder).rename(name, to, Bundle.load_live(model).config.classes)
    say(f"{name} is called {to} from now on")
    return 0


def teach_here(wish: Teach, folder: Path) -> int:
    """A lesson of the pipeline that runs in this folder. ValueError if it fails, or if none runs there."""
    settings = Settings(folder=str(folder))
    if not (folder / "bus-in").exists():
        raise ValueError(f"no pipeline runs at {folder}; start one with `skelstream live --at {folder}`")
    with interruption() as interrupted:
        done = _Lesson(wish, settings).until(lambda: interrupted.is_set())
    return 0 if done else 130


def teach_with_camera(wish: Teach, settings: Settings) -> int:
    """A lesson before a camera of its own. ValueError if it fails."""
    settings, cameras, _ = checked(Live(settings=settings, page=False))
    TaughtStore(settings.taught_folder).check_new(wish.action, Bundle.load_live(settings.model).config.classes)
    log = Log(json=False)
    with interruption() as interrupted, Supervisor(settings, tell=log.tell) as supervisor:
        lines = Lines(supervisor, cameras)
        try:
            for stage in ("decode", "detect", "teach"):
                supervisor.start(stage)
            lines.prepare()
            if not wait_until_ready(supervisor, log, interrupted):
                return 130
            lesson = _Lesson(wish, supervisor.settings)
            lesson.ask(supervisor.watch)  # before the first picture: a file does not wait
            lines.begin()

            def stopped() -> bool:
                supervisor.watch()
                return interrupted.is_set()

            return 0 if lesson.until(stopped) else 130
        except StageFailed as failure:
            log.tell("", str(failure))
            return 2 if failure.wrong_request else 1


class _Lesson:
    """One lesson, as whoever asked for it hears of it."""

    def __init__(self, wish: Teach, settings: Settings) -> None:
        self._wish = wish
        place = settings.place
        self._asks = Publisher(place.link("bus-in"))
        self._hears = Subscriber(place.link("bus-out"), (Taught,))
        self._begun, self._said = False, ""

    def ask(self, turn: Callable[[], object]) -> None:
        """Ask for the lesson until it is heard. ValueError if it is refused, or nobody answers."""
        deadline, asked = time.monotonic() + _ANSWER_S, 0.0
        while not self._begun:
            if time.monotonic() > deadline:
                raise ValueError("the pipeline gives no lessons; start `skelstream live`, which does")
            if time.monotonic() - asked > _ASK_S:
                asked = time.monotonic()
                self._asks.publish(self._wish)
            turn()
            self._hear()

    def until(self, stopped: Callable[[], bool]) -> bool:
        """Tell people what to do, until the action is learnt; False if it was cancelled. ValueError if it failed."""
        with contextlib.ExitStack() as opened:
            opened.callback(self._asks.close)
            opened.callback(self._hears.close)
            self.ask(lambda: None)
            while not stopped():
                told = self._hear()
                if told is not None and told.action == self._wish.action and told.state == "idle":
                    return True
            self._asks.publish(replaced(self._wish, op="cancel", at=time.time()))
            time.sleep(_WATCH_S)  # it must leave before the socket closes
        return False

    def _hear(self) -> Taught | None:
        """The newest about this lesson, said if it is new. ValueError if it failed."""
        told = self._hears.receive(_WATCH_S)
        if not isinstance(told, Taught) or told.at < self._wish.at or told.action != self._wish.action:
            return None
        if told.state == "idle" and not self._begun:
            return None  # what came of an earlier wish
        self._begun = True
        if told.state == "failed":
            raise ValueError(told.message)
        line = f"{told.state}: {told.message}" if told.state != "idle" else told.message
        if line != self._said:
            self._said = line
            say(line)
        return told
