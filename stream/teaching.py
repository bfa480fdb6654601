"""Teaching: what a model makes of an action's showings, and what it refuses.

    teacher = Teacher(bundle, threads=1)
    action = teacher.learn("draw_x", showings, store)      # seconds; ValueError says in a line why it cannot be
    store.keep(action)

W feature, K class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..encoder.anchors import Anchors, digest_of_weights
from ..encoder.bundle import Bundle
from ..encoder.engine import Infers
from ..encoder.plain_weights import read_weights
from ..encoder.taught import F32, Frames, Learnt, Row, learn, log_sum
from .showing import Showing, shown_frames
from .taught_store import Lesson, TaughtAction, TaughtStore, now

FEWEST_FOUND = 0.5  # of the showings that must be recognised by what the others taught
_FEWEST_KEPT = 0.3  # of the showings' frames that must be the new action's own


@dataclass(frozen=True, kw_only=True)
class Result:
    """An action as it was learnt, and how well."""

    action: TaughtAction
    learnt: Learnt


class Teacher:
    """Teaches one model. `engine` gives features. Raises ValueError if the bundle has no anchors."""

    def __init__(self, bundle: Bundle, engine: Infers) -> None:
        self.bundle, self._engine = bundle, engine
        self.weights = digest_of_weights(bundle)
        self._anchors = Anchors.load(bundle)
        self._head = Head.of(bundle)

    def learn(
        self, name: str, showings: Sequence[Showing], others: Sequence[TaughtAction]
    ) -> Result:  # fmt: skip
        """The action, learnt beside the `others` that this model has been taught.

        Raises ValueError if its showings look nothing alike, or like something that is known.
        """
        config = self.bundle.config
        temperature = config.decode.temperature
        parts = [shown_frames(self._engine, showing, len(config.classes), temperature) for showing in showings]
        shots = [moving for moving, _ in parts]
        if any(len(shot) == 0 for shot in shots):
            raise ValueError(f"a showing of {name} is too short to learn from; show the whole movement")
        features = [shot.features_NW for shot in shots]
        taught = [lesson for other in others if (lesson := other.learnt_by(self.weights)) is not None]
        rows = [lesson.row for lesson in taught]
        of_others = [lesson.features_NW for lesson in taught]
        resting = [rest.features_NW for _, rest in parts if rest is not None]
        rest = [self._frames(some, rows) for some in (*resting, *of_others)]
        learnt = learn(
            [self._frames(some, rows) for some in features], Frames.joined(rest) if rest else None,
            self._frames(self._anchors.features_NW, rows), self._anchors.labels_N, temperature=temperature,
        )  # fmt: skip
        if learnt.kept < _FEWEST_KEPT:
            like = self._looks_like(np.concatenate(features), rows, [other.name for other in others])
            raise ValueError(f"{name} cannot be told from what is known: to the model it looks like {like}")
        if learnt.found is not None and learnt.found < FEWEST_FOUND:
            raise ValueError(
                f"the showings of {name} look nothing like one another; show the same movement each time"
            )  # fmt: skip
        lesson = Lesson(row=learnt.row, features_NW=np.concatenate(features)[:: max(1, len(showings) // 2)])
        action = TaughtAction(name=name, at=now(), showings=tuple(showings)).with_lesson(self.weights, lesson)
        return Result(action=action, learnt=learnt)

    def learn_again(self, actions: Sequence[TaughtAction]) -> tuple[list[TaughtAction], list[str]]:
        """Those of the actions that another model was taught, learnt by this one from their showings, too; and a line
        for each that it cannot learn."""
        known = [action for action in actions if action.learnt_by(self.weights) is not None]
        learnt, troubles = [], []
        for action in actions:
            if action.learnt_by(self.weights) is None:
                try:
                    lesson = self.learn(action.name, action.showings, known).action.learnt_by(self.weights)
                except ValueError as error:
                    troubles.append(str(error))
                    continue
                assert lesson is not None
                learnt.append(action.with_lesson(self.weights, lesson))
                known.append(learnt[-1])
        return learnt, troubles

    def _frames(self, features_NW: F32, rows: Sequence[Row]) -> Frames:
        """Features as frames, for which the known classes are the model's own and those that it has been taught."""
        logits = self._head.logits(features_NW, rows)
        return Frames(features_NW=features_NW, known_N=log_sum(logits / self.bundle.config.decode.temperature))

    def _looks_like(self, features_NW: F32, rows: Sequence[Row], names: Sequence[str]) -> str:
        mean_K = self._head.logits(features_NW, rows).mean(axis=0)
        best = int(mean_K.argmax())
        return "nothing in particular" if best == 0 else [*self.bundle.config.classes, *names][best]


@dataclass(frozen=True, kw_only=True)
class Head:
    """A model's own rows: logits (N, K) of features (N, W)."""

    weights_KW: F32
    bias_K: F32

    @classmethod
    def of(cls, bundle: Bundle) -> Head:
        """That of a bundle."""
        held = read_weights(bundle, ("head.weight", "head.bias"))
        return cls(weights_KW=held["head.weight"], bias_K=held["head.bias"])

    def logits(self, features_NW: F32, rows: Sequence[Row]) -> F32:
        """Those of the model's classes and of these rows behind them."""
        own = features_NW @ self.weights_KW.T + self.bias_K
        return np.concatenate((own, *[row.of(features_NW)[:, None] for row in rows]), axis=1)


def learnt_rows(store: TaughtStore, weights: str, classes: Sequence[str]) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """What a model has been taught: the actions' names and their rows, in the order in which they were taught. An
    action that is called as one of the model's own is left out."""
    learnt = [(action.name, lesson.row) for action in store.actions
              if (lesson := action.learnt_by(weights)) is not None and action.name not in classes]  # fmt: skip
    return tuple(name for name, _ in learnt), tuple(row for _, row in learnt)
