"""Teach: the stage that gives lessons. It costs nothing while nobody asks for one.

It hears `Teach` on the bus and answers with `Taught`; while somebody shows an action it follows them in the tracks.
Learning runs beside, on a thread of its own, so that the stage goes on saying how it is. What was learnt is written to
the folder of taught actions, where the detectors see it within a second.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

from ..encoder.anchors import Anchors, digest_of_weights
from ..encoder.bundle import Bundle
from ..encoder.engine.compile import fallbacks, first_engine
from .detect import frames_to_score
from .lesson import Lesson
from .settings import Settings
from .stage import Stage
from .taught_store import TaughtAction, TaughtStore
from .teaching import Result, Teacher, learnt_rows
from .wire import End, Subscriber, Taught, Teach, Tracks, replaced

_ROUND_S = 0.1
_SAY_S = 1.0
_REMEMBERED_S = 5.0  # how long what came of a lesson is told
_LONGEST = 255  # letters of a message


def run_teach(stage: Stage, settings: Settings) -> None:
    """Until told to stop."""
    school = School(stage, settings)
    with Subscriber(stage.place.link("bus-out"), (Teach,)) as bus:
        stage.ready()
        while not stage.stopping:
            bus.listen_to(Tracks, school.follows)
            bus.listen_to(End, school.follows)
            message = bus.receive(_ROUND_S)
            if isinstance(message, Teach):
                stage.count("asked")
                school.asked(message)
            elif isinstance(message, Tracks):
                school.watch(message)
            elif isinstance(message, End):
                school.ended(message.camera)
            school.turn()
            stage.report()
    school.close()


class School:
    """What is taught and what is being taught."""

    def __init__(self, stage: Stage, settings: Settings) -> None:
        self._stage, self._settings = stage, settings
        self._bundle = Bundle.load_live(settings.model)
        self._classes = self._bundle.config.classes
        self._store = TaughtStore(settings.taught_folder)
        self._weights = digest_of_weights(self._bundle)
        self._teacher: Teacher | None = None
        self._lesson: Lesson | None = None
        self._pool = ThreadPoolExecutor(1, "learning")
        self._learning: Future[Result] | None = None
        self._again: Future[tuple[list[TaughtAction], list[str]]] | None = None
        self._began = 0.0
        self._told: Taught | None = None
        self._said = self._result_until = 0.0
        self._result: Taught | None = None
        self._look()

    @property
    def follows(self) -> bool:
        """Whether somebody is shown something by somebody just now."""
        return self._lesson is not None and not self._lesson.over

    def asked(self, wish: Teach) -> None:
        """Do as somebody asks; why it cannot be is told in a line."""
        try:
            if wish.op == "begin":
                self._begin(wish)
            elif wish.op == "cancel":
                self._end(wish.action, "idle", "the lesson is cancelled")
            elif wish.op == "again" and self._lesson is not None:
                self._lesson.again()
            elif wish.op == "forget":
                self._store.forget(wish.action)
                self._finish("idle", wish.action, f"{wish.action} is forgotten")
            elif wish.op == "rename":
                self._store.rename(wish.action, wish.to, self._classes)
                self._finish("idle", wish.action, f"{wish.action} is called {wish.to} from now on")
        except (ValueError, OSError) as error:
            self._finish("failed", wish.action, str(error))

    def _begin(self, wish: Teach) -> None:
        if self._lesson is not None:
            if self._lesson.action == wish.action:
                return  # it is asked again because the answer was not heard
            raise ValueError(f"a lesson in {self._lesson.action} goes on; cancel it, or wait for its end")
        Anchors.load(self._bundle)  # what cannot be learnt need not be shown
        self._store.check_new(wish.action, self._classes)
        self._lesson = Lesson(wish.action, shots=wish.shots, camera=wish.camera, track=wish.track)
        self._began = time.monotonic()
        self._result = None
        self._pool.submit(self._ready_teacher)  # while it is shown; what goes wrong with it is told when it is needed

    def watch(self, tracks: Tracks) -> None:
        """People, while somebody shows something."""
        if self._lesson is not None:
            self._lesson.push(tracks)

    def ended(self, camera: str) -> None:
        """A camera's stream is over."""
        if self.follows and self._lesson is not None and self._lesson.camera == camera:
            self._end("", "failed", "the camera's stream is over before the lesson was")

    def turn(self) -> None:
        """Go on with what is under way, and tell."""
        lesson = self._lesson
        if lesson is not None and lesson.phase == "failed":
            self._end("", "failed", lesson.message)
        elif lesson is not None and lesson.phase == "learning" and self._learning is None:
            self._began = time.monotonic()
            self._learning = self._pool.submit(self._learn, lesson)
        elif lesson is not None and lesson.camera == "" and time.monotonic() - self._began > 30.0:
            self._end("", "failed", "no camera sees anybody; is one running?")
        if self._learning is not None and self._learning.done():
            self._learnt(self._learning)
        if self._again is not None and self._again.done():
            learnt, troubles = self._again.result()
            self._again = None
            for action in learnt:
                self._store.keep(action)
            for trouble in troubles:
                self._stage.warn(trouble)
        if time.monotonic() - self._said > _SAY_S:
            self._look()
        self._say()

    def close(self) -> None:
        """Nothing more is learnt."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> None:
        """See what has been taught elsewhere; what this model does not know of it, it learns."""
        if not self._store.look() and self._said:
            return
        for trouble in self._store.troubles:
            self._stage.warn(trouble)
        unknown = [action for action in self._store.actions if action.learnt_by(self._weights) is None]
        if unknown and self._again is None:
            self._again = self._pool.submit(self._learn_again, self._store.actions)

    def _ready_teacher(self) -> Teacher:
        """Made at the first lesson: with the very engine that the detectors will open, which finds it compiled."""
        if self._teacher is None:
            settings, decode = self._settings, self._bundle.config.decode
            delay = decode.delay if settings.delay is None else settings.delay
            engine = first_engine(
                self._bundle, fallbacks(settings.engine), threads=settings.threads, say=self._stage.tell,
                frames=frames_to_score(delay, settings.hop), features=True,
            )  # fmt: skip
            self._teacher = Teacher(self._bundle, engine)
        return self._teacher

    def _learn_again(self, actions: tuple[TaughtAction, ...]) -> tuple[list[TaughtAction], list[str]]:
        try:
            return self._ready_teacher().learn_again(actions)
        except ValueError as error:
            return [], [str(error)]

    def _learn(self, lesson: Lesson) -> Result:
        return self._ready_teacher().learn(lesson.action, lesson.showings, self._store.actions)

    def _learnt(self, learning: Future[Result]) -> None:
        self._learning = None
        try:
            result = learning.result()
            self._store.keep(result.action)
        except (ValueError, OSError) as error:
            self._end("", "failed", str(error))
            return
        took_s = time.monotonic() - self._began
        self._stage.count("learnt")
        self._stage.measure("learning_s", took_s)
        known = (
            "" if result.learnt.found is None else f"; {result.learnt.found:.0%} of its showings known by the others"
        )
        self._end("", "idle", f"{result.action.name} was learnt in {took_s:.1f} s{known}")

    def _end(self, action: str, state: Literal["idle", "failed"], message: str) -> None:
        """The lesson is over."""
        named = self._lesson.action if self._lesson is not None else action
        self._lesson = None
        self._finish(state, named, message)

    def _finish(self, state: Literal["idle", "failed"], action: str, message: str) -> None:
        """What came of a wish is told for a while."""
        self._result = Taught(
            at=time.time(), actions=self._names(), state=state,
            action=action, message=message[:_LONGEST],
        )  # fmt: skip
        self._result_until = time.monotonic() + _REMEMBERED_S

    def _names(self) -> tuple[str, ...]:
        return learnt_rows(self._store, self._weights, self._classes)[0]

    def _say(self) -> None:
        lesson = self._lesson
        if lesson is not None:
            told = Taught(
                at=time.time(), actions=self._names(), state=lesson.phase, action=lesson.action, shown=lesson.shown,
                shots=lesson.shots, message=lesson.message[:_LONGEST],
            )  # fmt: skip
        elif self._result is not None and time.monotonic() < self._result_until:
            told = replaced(self._result, at=time.time(), actions=self._names())
        else:
            told = Taught(at=time.time(), actions=self._names())
        new = self._told is None or replaced(told, at=self._told.at) != self._told
        if new or time.monotonic() - self._said > _SAY_S:
            self._told, self._said = told, time.monotonic()
            self._stage.bus.publish(told)
