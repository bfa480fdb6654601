"""The drawn actor: a person who acts a script and knows the truth of every frame.

A `Script` is a timeline of actions with background between them, and the 25 joints of the body at any moment of it. It
is what the `actor` camera draws, and what a detector's answers can be held against, for here the truth is exact.

    script = Script(seed=7, duration_s=60.0)
    joints_VC, label = script.pose(12.5), script.truth(12.5)

How a pose comes about: a *phrase* (one action, or one stretch of background) is a handful of key poses that
`acting/gestures`, `acting/moves` and `acting/idle` write down; `acting/motion` carries the controls from one to the
next; `acting/body` makes joints of the controls.

Shapes: V joint (25 of NTU RGB+D), C coordinate (metres, Kinect camera space).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from .acting.body import Body
from .acting.cue import Cue
from .acting.gestures import beckon, bow, clap, point, pull, punch, push, raise_hand, stop, throw, wave
from .acting.idle import Idle, interlude
from .acting.motion import Phrase, Stage
from .acting.moves import carry, jump, kick, pick_up, run, sit_down, stand_up, walk
from .acting.place import facing_camera

_CHOREOGRAPHY: dict[str, Callable[[Cue], Phrase]] = {
    "wave": wave,
    "clap": clap,
    "raise_hand": raise_hand,
    "point": point,
    "beckon": beckon,
    "stop": stop,
    "bow": bow,
    "punch": punch,
    "kick": kick,
    "throw": throw,
    "push": push,
    "pull": pull,
    "pick_up": pick_up,
    "carry": carry,
    "sit_down": sit_down,
    "stand_up": stand_up,
    "walk": walk,
    "run": run,
    "jump": jump,
}
ACTIONS: tuple[str, ...] = tuple(_CHOREOGRAPHY)
BACKGROUND = "background"

GAP_S = (0.6, 2.5)  # background between two actions
# A minimum-jerk movement needs this long to be seen to move; the truth starts and ends with what can be seen.
UNSEEN_S = 0.07


@dataclass(frozen=True)
class Segment:
    """One action: `action` is the truth for t_start <= t < t_end, in seconds."""

    action: str
    t_start: float
    t_end: float


class Performance:
    """Somebody who acts: phrases one after another without a gap, the truth about them, and the joints at any moment.

    `segments` are the actions in order; `duration_s` is the length in seconds; `look_seed` is a seed for how the
    person and the room are to be drawn.
    """

    def __init__(
        self, body: Body, idle: Idle, phrases: Sequence[Phrase], segments: Sequence[Segment], *, duration_s: float,
        look_seed: int,
    ) -> None:  # fmt: skip
        self.duration_s, self.look_seed = duration_s, look_seed
        self.segments: tuple[Segment, ...] = tuple(segments)
        self._body, self._idle, self._phrases = body, idle, phrases
        self._starts = [0.0, *accumulate(phrase.duration_s for phrase in phrases[:-1])]
        self._segment_starts = [segment.t_start for segment in segments]

    def truth(self, t: float) -> str:
        """The name of the action at t seconds, or 'background'. ValueError outside the script."""
        self._check(t)
        i = bisect_right(self._segment_starts, t) - 1
        return self.segments[i].action if i >= 0 and t < self.segments[i].t_end else BACKGROUND

    def pose(self, t: float) -> NDArray[np.float32]:
        """The joints (25, 3) of NTU RGB+D at t seconds, in metres in Kinect camera space: the camera at the origin,
        about a metre above the floor. The same t gives the same joints, in any order. ValueError outside the script.
        """
        self._check(t)
        i = bisect_right(self._starts, t) - 1
        phrase, since = self._phrases[i], t - self._starts[i]
        controls = phrase.controls(since)
        self._idle.sway(controls, t)
        return self._body.joints(controls, phrase.root(since), phrase.foot(since, "l"), phrase.foot(since, "r"))

    def _check(self, t: float) -> None:
        if not 0 <= t <= self.duration_s:
            raise ValueError(f"the script runs from 0 to {self.duration_s} s; there is nothing at {t} s")


class Script(Performance):
    """Who acts, what, and when: a timeline that one seed decides completely.

    All of `actions` (by default every one of `ACTIONS`) come in a shuffled order before any comes again; stand_up
    follows sit_down, and between them the background is spent sitting. A longer script of the same seed begins with
    the shorter one; what the end interrupts is cut there.

    ValueError for a duration that is not positive, an unknown, repeated or missing action, or only one of sit_down
    and stand_up.
    """

    def __init__(self, seed: int, duration_s: float, actions: Sequence[str] | None = None) -> None:
        require_playable(seed, duration_s)
        chosen = _checked_actions(ACTIONS if actions is None else actions)
        rng = np.random.default_rng([seed, 0])
        look_seed = int(rng.integers(2**31))
        body, idle = Body.drawn(rng), Idle.drawn(rng)
        phrases, segments = _timeline(seed, duration_s, chosen, body, rng)
        super().__init__(body, idle, phrases, segments, duration_s=float(duration_s), look_seed=look_seed)


def require_playable(seed: int, duration_s: float) -> None:
    """ValueError unless somebody can act for so long, by such a seed."""
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise ValueError(f"a script lasts a positive number of seconds, not {duration_s}")
    if seed < 0:
        raise ValueError(f"a seed is 0 or more, not {seed}")


def seen_span(action: str, phrase: Phrase, starts_s: float, duration_s: float) -> list[Segment]:
    """The truth about a phrase in which an action is done: from what can be seen first to what can be seen last, cut
    where the script ends; nothing if it begins after that."""
    begin, end = starts_s + UNSEEN_S, min(starts_s + phrase.duration_s - UNSEEN_S, duration_s)
    return [Segment(action, begin, end)] if begin < duration_s else []


def _checked_actions(actions: Sequence[str]) -> tuple[str, ...]:
    unknown = [action for action in actions if action not in ACTIONS]
    if unknown:
        raise ValueError(f"no action {unknown[0]!r}; there are {', '.join(ACTIONS)}")
    if not actions or len(set(actions)) < len(actions):
        raise ValueError("name at least one action, and each only once")
    if ("sit_down" in actions) != ("stand_up" in actions):
        raise ValueError("whoever sits down has to stand up: name both sit_down and stand_up, or neither")
    return tuple(actions)


def _timeline(
    seed: int, duration_s: float, actions: tuple[str, ...], body: Body, rng: np.random.Generator
) -> tuple[list[Phrase], list[Segment]]:
    """Phrases without a gap between them until the script is over, and the truth about them."""
    phrases: list[Phrase] = []
    segments: list[Segment] = []
    stage = Stage(facing_camera(*body.room.somewhere(rng, share=0.5), rng))
    t, turn, queue = 0.0, 0, list[str]()
    while t <= duration_s:
        turn += 1
        queue = queue or _shuffled(actions, np.random.default_rng([seed, 1, turn]))
        action = queue.pop(0)
        # Each turn has a generator of its own, so a change to one action leaves the others' chances alone.
        cue = Cue(body, stage, np.random.default_rng([seed, 2, turn]))
        pause = interlude(cue, cue.u(GAP_S[0], GAP_S[1]) - 2 * UNSEEN_S)
        cue = Cue(body, pause.ends_at, cue.rng)
        act = _CHOREOGRAPHY[action](cue)
        stage = act.ends_at
        phrases += [pause, act]
        segments += seen_span(action, act, t + pause.duration_s, duration_s)
        t += pause.duration_s + act.duration_s
    return phrases, segments


def _shuffled(actions: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    drawn = [action for action in actions if action != "stand_up"]
    order = [drawn[i] for i in rng.permutation(len(drawn))]
    if "stand_up" in actions:
        order.insert(order.index("sit_down") + 1, "stand_up")
    return order
