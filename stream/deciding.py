"""Decide: the stage that hands windows to the detectors, puts their scores in order, and tells what they mean."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace

from ..encoder.bundle import Bundle
from ..encoder.taught import grown
from .decode import Decoder
from .dispatch import Dispatcher
from .journal import Decoders
from .settings import Settings
from .stage import Stage
from .tuning import Thresholds, Tuning, tuned
from .wire import AnyMessage, End, Glimpse, Inbox, Subscriber, Taught, Tuned, Window, WorkServer, wait_any

_ROUND_S = 0.1
_STALE_S = 2.0  # windows that wait longer than this have no detector
_UNTOLD_S = 2.0  # between two times that what is taught is told, by whoever gives lessons or else from here
_GONE_S = 5.0  # longer than anybody who is followed may be hidden


def run_decode(stage: Stage, settings: Settings) -> None:
    """Until told to stop."""
    config = Bundle.load_live(settings.model).config
    parameters = config.decode if settings.delay is None else replace(config.decode, delay=settings.delay)
    # One window at a time where every run must give the same events: a batch may round differently.
    dispatcher = Dispatcher(
        Dispatcher.Config(batch=1, capacity=2) if settings.lossless else Dispatcher.Config(batch=8, newest=True)
    )
    tuning = Tuning(stage.place.beside("tuned.json"))

    taught: tuple[str, ...] | None = None  # not known before the first scores

    def thresholds() -> tuple[tuple[str, ...], Thresholds]:
        """The classes with what has been taught, as the newest scores know it, and how each is decided."""
        classes = (*config.classes, *(taught or ()))
        known = grown(parameters, len(config.classes), len(taught or ()))
        return classes, tuned(known, classes, tuning.wish) if tuning.wish.at else Thresholds(known, frozenset())

    def decoder() -> Decoder:
        made = Decoder(config.classes, parameters)
        classes, now_are = thresholds()
        list(made.learn(classes, *now_are, time.time()))
        return made

    decoders = Decoders(
        decoder, stage.place.beside("begun.json"), patience_s=math.inf if settings.lossless else _GONE_S
    )  # fmt: skip
    told_of = 0.0
    free: dict[bytes, None] = {}  # in the order in which they became free
    ending: set[str] = set()

    def tell(said: Iterator[AnyMessage]) -> None:
        for message in said:
            stage.bus.publish(message)

    with (
        Inbox(stage.place.link("windows"), queue=settings.queue, bind=True) as windows,
        WorkServer(stage.place.link("work")) as work,
        Subscriber(stage.place.link("bus-out"), (Tuned, Taught)) as wishes,
    ):
        stage.ready(_STALE_S)
        while not stage.stopping:
            waiting_for = [work, wishes] if settings.lossless and dispatcher.full else [work, wishes, windows]
            wait_any(waiting_for, _ROUND_S)
            while (wish := wishes.receive(0)) is not None:
                if isinstance(wish, Taught):
                    told_of = time.monotonic()
                elif isinstance(wish, Tuned) and tuning.take(wish):
                    decoders.tune(*thresholds()[1])
            while not (settings.lossless and dispatcher.full) and (message := windows.receive(0)) is not None:
                if isinstance(message, Window) and message.joints.shape != config.window_shape:
                    stage.count("refused: a window of another model")  # no engine takes it
                elif isinstance(message, Window):
                    stage.count("windows")
                    dispatcher.put(message)
                elif isinstance(message, End):
                    ending.add(message.camera)
            while (answer := work.receive(0)) is not None:
                worker, scores = answer
                free[worker] = None
                for score in scores:
                    if score.logits.shape[1] == len(config.classes) + len(score.taught):
                        dispatcher.settle(score)
                    else:
                        stage.count("refused: scores of another model")
            now = time.monotonic()
            for gone in dispatcher.expire(now):
                free.pop(gone, None)
            for worker in list(free):
                if not (batch := dispatcher.take(worker, now)):
                    break
                del free[worker]
                if not work.send(worker, batch):
                    dispatcher.give_back(worker)
            for score in dispatcher.ordered():
                if score.taught != taught:
                    taught = score.taught
                    classes, now_are = thresholds()
                    tell(decoders.learn(classes, *now_are))
                if stage.bus.wanted(Glimpse):
                    stage.bus.publish(decoders.glimpse(score))
                tell(decoders.push(score))
                stage.count("scored")
                stage.passed(score.captured_at)
                stage.measure("latency_ms", 1000 * (time.time() - score.captured_at))
            if taught and now - told_of > _UNTOLD_S:  # where nobody gives lessons nobody else would say it
                stage.bus.publish(Taught(at=time.time(), actions=taught))
            if dispatcher.idle:
                stage.vitals.fresh = now
            tell(decoders.forget())
            for camera in [name for name in ending if not dispatcher.outstanding(name)]:
                ending.remove(camera)
                tell(decoders.close(camera))
                stage.bus.publish(End(camera=camera))
            for what, n in dispatcher.tally.items():
                stage.count(what, n)
            dispatcher.tally.clear()
            stage.count("malformed", windows.malformed + work.malformed)
            windows.malformed = work.malformed = 0
            stage.report()
