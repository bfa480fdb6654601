"""Detecting: the stage that turns windows into logits. There may be several of it."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from .settings import Settings
from .stage import Stage
from .wire import Worker

if TYPE_CHECKING:
    from .detect import TaughtEngine
    from .pose_model import Say

_ROUND_S = 0.1
_LOOK_S = 0.5  # between two looks whether anything new has been taught


def load_detect(settings: Settings, say: Say) -> TaughtEngine:
    """What takes `run_detect` seconds."""
    from ..encoder.bundle import Bundle
    from ..encoder.engine.compile import fallbacks, first_engine
    from .detect import TaughtEngine, frames_to_score
    from .taught_store import TaughtStore

    bundle = Bundle.load_live(settings.model)
    delay = bundle.config.decode.delay if settings.delay is None else settings.delay
    opens = partial(
        first_engine, bundle, fallbacks(settings.engine), threads=settings.threads, say=say,
        frames=frames_to_score(delay, settings.hop),
    )  # fmt: skip
    engine = TaughtEngine(bundle, opens(), partial(opens, features=True), TaughtStore(settings.taught_folder))
    if trouble := engine.look(patient=True):
        say(trouble)
    return engine


def run_detect(stage: Stage, settings: Settings, engine: TaughtEngine) -> None:
    """One detector: windows in, logits out. There may be several."""
    from .detect import score

    with Worker(stage.place.link("work")) as work:
        stage.ready()
        work.free()
        spoke = looked = time.monotonic()
        while not stage.stopping:
            if time.monotonic() - looked > _LOOK_S:
                looked = time.monotonic()
                if trouble := engine.look():
                    stage.warn(trouble)
                stage.gauges["taught"] = len(engine.taught)
            windows = work.take(_ROUND_S)
            if windows:
                stage.count("received", len(windows))
                began = time.perf_counter()
                work.give(score(engine, windows, engine.taught))
                took_s = time.perf_counter() - began
                stage.measure("engine_ms", 1000 * took_s / len(windows))
                stage.measure("batch", len(windows))
                stage.observe("took_s", took_s)
                stage.observe("batch", len(windows))
                stage.count("scored", len(windows))
                stage.passed(windows[0].captured_at)
                spoke = time.monotonic()
            elif time.monotonic() - spoke > 1.0:  # whoever hands out the work may be new
                work.free()
                spoke = time.monotonic()
            stage.report()
    engine.close()
