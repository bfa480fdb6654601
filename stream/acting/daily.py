"""A day in a room: somebody walks about, stands, sits, and does what people do there; almost all of it is background.

A `Daily` is a script like `stream/actor.py`'s, but what it is for is the silence: a detector that hears an action in it
has raised a false alarm. What is true is said, too: a walk is a `walk`, and whoever sits down sits down.

    daily = Daily(seed=7, duration_s=60.0)
    joints_VC, label = daily.pose(12.5), daily.truth(12.5)
"""

from __future__ import annotations

import numpy as np

from ..actor import Performance, Segment, require_playable, seen_span
from .body import Body
from .cue import Cue
from .habits import SHORTEST_S, habit, stroll, turn_about
from .idle import Idle
from .motion import Phrase, Stage
from .moves import sit_down, stand_up
from .place import facing_camera

# A turn on the spot takes steps but goes nowhere: whether that is a walk, nobody can say.
TURN = "turn"


class Daily(Performance):
    """Somebody's day: a timeline that one seed decides completely. Its `segments` are `walk`, `sit_down`, `stand_up`
    and `TURN`; all else is background.

    One in three sits already when it begins. A longer day of the same seed begins with the shorter one.
    ValueError for a duration that is not positive, or a negative seed.
    """

    def __init__(self, seed: int, duration_s: float) -> None:
        require_playable(seed, duration_s)
        rng = np.random.default_rng([seed, 3])
        look_seed = int(rng.integers(2**31))
        body, idle = Body.drawn(rng), Idle.drawn(rng)
        stage = Stage(facing_camera(*body.room.somewhere(rng), rng), sitting=float(rng.random()) < 1 / 3)
        phrases: list[Phrase] = []
        segments: list[Segment] = []
        t, turn = 0.0, 0
        while t <= duration_s:
            turn += 1
            action, phrase = _next(Cue(body, stage, np.random.default_rng([seed, 4, turn])), phrases)
            if action is not None:
                segments += seen_span(action, phrase, t, duration_s)
            phrases.append(phrase)
            stage = phrase.ends_at
            t += phrase.duration_s
        super().__init__(body, idle, phrases, segments, duration_s=float(duration_s), look_seed=look_seed)


def _next(cue: Cue, before: list[Phrase]) -> tuple[str | None, Phrase]:
    """What comes next, and its name if it is more than background."""
    moved = bool(before) and before[-1].starts_at != before[-1].ends_at
    if cue.stage.sitting and not moved and before and cue.chance(0.25):
        return "stand_up", stand_up(cue)
    if not cue.stage.sitting and cue.chance(0.3 if moved else 0.7):
        what = cue.u(0.0, 1.0)
        if what < 0.72:
            return "walk", stroll(cue)
        return (TURN, turn_about(cue)) if what < 0.8 else ("sit_down", sit_down(cue))
    # Most stretches are short and a few long: the logarithm is what is spread evenly.
    return None, habit(cue, SHORTEST_S * float(np.exp(cue.u(0.0, 1.5))))
