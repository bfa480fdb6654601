"""A cue: what the choreographer of one phrase is handed, and the sheet of keys that the phrase is made from."""

from __future__ import annotations

import numpy as np

from .body import Body
from .motion import STAND, Gait, Phrase, Stage, Stride, Track, Values, Way, arm


class Cue:
    """What a choreographer has at hand: the body, the stage, chance, and a sheet of keys to fill in."""

    def __init__(self, body: Body, stage: Stage, rng: np.random.Generator) -> None:
        self.body, self.stage, self.rng = body, stage, rng
        self.pace = body.pace * self.u(0.9, 1.12)
        self.side = body.hand if self.chance(0.8) else other_side(body.hand)
        self._keys: dict[str, list[tuple[float, Values]]] = {}

    def u(self, low: float, high: float) -> float:
        """Any number between the two."""
        return float(self.rng.uniform(low, high))

    def s(self, low: float, high: float) -> float:
        """A duration in seconds, at the actor's pace."""
        return self.u(low, high) / self.pace

    def chance(self, share: float) -> bool:
        return float(self.rng.random()) < share

    def sign(self) -> float:
        return 1.0 if self.chance(0.5) else -1.0

    def key(self, t: float, **parts: Values) -> None:
        """At t seconds, these parts have these values. A part that is never named rests."""
        for part, values in parts.items():
            self._keys.setdefault(part, []).append((t, values))

    def arm(self, t: float, side: str, values: Values) -> None:
        self.key(t, **{f"arm_{side}": values})

    def arms(self, t: float, values: Values) -> None:
        self.key(t, arm_l=values, arm_r=values)

    def mid(self, out: float, up: float, forward: float, **turned: float) -> Values:
        """Like `arm`, but seen from the middle between the shoulders, so that both hands can meet."""
        return arm(out - self.body.shoulder_half / self.body.arm, up, forward, **turned)

    def phrase(self, duration_s: float, *, sitting: bool | None = None) -> Phrase:
        """Everything that was keyed, from rest to rest (or to sitting, or to standing), on the spot."""
        ends_at = self.stage if sitting is None else Stage(self.stage.root, sitting)
        return self._finished(duration_s, ends_at)

    def stepping(self, gait: Gait) -> Phrase:
        """Everything that was keyed, along the way and with the strides of a gait."""
        return self._finished(gait.duration_s, Stage(gait.goal), gait.way, gait.strides)

    def _finished(
        self,
        duration_s: float,
        ends_at: Stage,
        way: Way | None = None,
        strides: dict[str, list[Stride]] | None = None,
    ) -> Phrase:
        if ends_at.sitting != self.stage.sitting:
            for part in STAND:
                self._keys.setdefault(part, [])
        tracks = {
            part: Track([(0.0, self.stage.rest[part]), *sorted(keys), (duration_s, ends_at.rest[part])])
            for part, keys in self._keys.items()
        }
        return Phrase(
            duration_s=duration_s,
            starts_at=self.stage,
            ends_at=ends_at,
            tracks=tracks,
            stance=self.body.stance,
            way=way,
            strides=strides or {},
        )


def other_side(side: str) -> str:
    """Right for left, and left for right."""
    return "l" if side == "r" else "r"
