"""Detect: windows of many cameras become per-frame logits of the classes.

Stateless: a window's scores depend on that window alone, so several detectors may share the load and one may die.
Of each window only the newest frames are scored that `decode` will read (`frames_to_score`): of the others it has heard
from the windows before, and that work is saved.

B window, F frame that is scored, K class.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ..encoder.anchors import digest_of_weights
from ..encoder.bundle import LOOK, Bundle
from ..encoder.engine import Engine, Infers
from ..encoder.taught import Row
from .taught_store import TaughtAction, TaughtStore
from .teaching import learnt_rows
from .window import WindowCutter
from .wire import F32, Scores, Window


def frames_to_score(delay: int, hop: int) -> int:
    """How many of a window's newest frames a decoder with this delay reads, if the windows come every `hop` ticks.

    It looks back over the newest `delay` and `LOOK` more, and decides what came since the window before: `delay + hop`,
    of a person's first window all that are known by then, and one hop more where a window was dropped.
    """
    decided = max(delay, WindowCutter.Config().min_valid - 1) + 2 * hop
    return min(max(delay + LOOK, decided), WindowCutter.Config().frames)


class TaughtEngine:
    """An engine that also knows what its model has been taught: logits (B, F, K + n), those of the bundle's own classes
    just as the engine gives them, those of the `taught` behind.

    `wider` opens the same engine with features. That takes seconds and is done beside, once anything has been taught;
    until then nothing is known of it, and nothing is paid for it.
    """

    def __init__(self, bundle: Bundle, engine: Engine, wider: Callable[[], Engine], store: TaughtStore) -> None:
        self.taught: tuple[str, ...] = ()
        self._bundle, self._engine, self._open, self._store = bundle, engine, wider, store
        self._classes = bundle.config.classes
        self._plain = True
        self._seen: tuple[TaughtAction, ...] | None = None
        self._opening: Future[Engine] | None = None
        self._rows: tuple[Row, ...] = ()
        self._wanted: tuple[tuple[str, ...], tuple[Row, ...]] = (), ()

    def look(self, *, patient: bool = False) -> str:
        """Look whether anything else has been taught; once a second is often enough. `patient`: wait for an engine
        that has to be opened for it. Returns why what was taught is not heeded, or ""."""
        self._store.look()
        if self._store.actions is not self._seen:
            self._seen = self._store.actions
            weights = digest_of_weights(self._bundle) if self._store.actions else ""
            self._wanted = learnt_rows(self._store, weights, self._classes)
            if self._wanted[0] and self._plain and self._opening is None:
                self._opening = ThreadPoolExecutor(1, "wider").submit(self._open)
        if self._opening is not None and (patient or self._opening.done()):
            opening, self._opening = self._opening, None
            try:
                wider = opening.result()
            except ValueError as error:
                return f"what was taught is not heeded: {error}"
            self._engine.close()
            self._engine, self._plain = wider, False
        if not self._plain:
            self.taught, self._rows = self._wanted
        return ""

    def infer(self, joints_BCTVM: F32) -> F32:
        """The logits; see `Infers`."""
        answer_BFO = self._engine.infer(joints_BCTVM)
        if self._plain:
            return answer_BFO
        features_BFW = answer_BFO[..., len(self._classes) :]
        taught = [row.of(features_BFW)[..., None] for row in self._rows]
        return np.concatenate((answer_BFO[..., : len(self._classes)], *taught), axis=-1)

    def close(self) -> None:
        """Give back memory; see `Engine.close`."""
        self._engine.close()


def score(engine: Infers, windows: Sequence[Window], taught: tuple[str, ...] = ()) -> list[Scores]:
    """The logits (F, K) of each window's newest frames, in one pass through the engine."""
    logits_BFK = engine.infer(np.stack([window.joints for window in windows]))
    frames = logits_BFK.shape[1]
    now = time.time()
    return [
        Scores(
            camera=window.camera, t=window.t, captured_at=window.captured_at, track=window.track, index=window.index,
            first_tick=window.first_tick + window.joints.shape[1] - frames, valid=min(window.valid, frames),
            last=window.last, logits=logits, evidence=window.evidence, scored_at=now, taught=taught,
        )
        for window, logits in zip(windows, logits_BFK, strict=True)
    ]  # fmt: skip
