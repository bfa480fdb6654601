"""Somebody stands still, shows a movement, stands still, and so on: what a lesson sees, drawn from key poses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skelstream.encoder.clock import HZ
from skelstream.stream.acting.body import Body
from skelstream.stream.acting.cue import Cue
from skelstream.stream.acting.gestures import bow, clap, wave
from skelstream.stream.acting.idle import Idle
from skelstream.stream.acting.motion import Phrase, Stage, arm
from skelstream.stream.acting.place import facing_camera
from skelstream.stream.actor import Performance

Movement = Callable[[Cue], Phrase]


def still(seconds: float) -> Movement:
    """Nothing."""
    return lambda cue: cue.phrase(seconds)


def circle(cue: Cue) -> Phrase:
    """A large circle that the right arm draws in the air: none of the model's classes."""
    steps, whole = 8, cue.u(1.3, 1.6)
    for i in range(steps + 1):
        angle = 2 * math.pi * i / steps
        at = 0.35 + whole * i / steps
        cue.arm(at, "r", arm(0.25 + 0.5 * math.sin(angle), 0.15 - 0.55 * math.cos(angle), 0.6, 0.95))
    return cue.phrase(0.35 + whole + 0.4)


def wings(cue: Cue) -> Phrase:
    """Both arms straight out to the sides and down again, twice: none of the model's classes."""
    t = 0.0
    for _ in range(2):
        cue.arms(t + 0.4, arm(1.0, 0.25, 0.0, 0.98))
        cue.arms(t + 0.8, arm(0.35, -0.9, 0.0, 0.98))
        t += 0.8
    return cue.phrase(t + 0.3)


MOVEMENTS: dict[str, Movement] = {"circle": circle, "wings": wings, "wave": wave, "clap": clap, "bow": bow}


class Shown(NamedTuple):
    """`joints_TVC` at 30 Hz, and when each movement was shown: its name, the first and the last frame."""

    joints_TVC: NDArray[np.float32]
    spans: list[tuple[str, int, int]]


def shown(order: Sequence[str], *, seed: int = 5, rest_s: float = 2.0, first_s: float = 3.0) -> Shown:
    """These movements one after another, each followed by a rest."""
    rng = np.random.default_rng(seed)
    body, idle = Body.drawn(rng), Idle.drawn(rng)
    stage = Stage(facing_camera(*body.room.somewhere(rng, share=0.2), rng))
    phrases: list[Phrase] = []
    spans: list[tuple[str, int, int]] = []
    t = 0.0
    parts = [("", still(first_s))]
    for name in order:
        parts += [(name, MOVEMENTS[name]), ("", still(rest_s))]
    for name, movement in parts:
        phrase = movement(Cue(body, stage, rng))
        if name:
            spans.append((name, round(t * HZ), round((t + phrase.duration_s) * HZ)))
        phrases.append(phrase)
        stage = phrase.ends_at
        t += phrase.duration_s
    acted = Performance(body, idle, phrases, [], duration_s=t, look_seed=3)
    return Shown(np.stack([acted.pose(i / HZ) for i in range(int(t * HZ))]), spans)


def written(path: Path, clips: Sequence[Shown]) -> Path:
    """As a skeleton file, a clip each."""
    lengths = [len(clip.joints_TVC) for clip in clips]
    np.savez(path, x=np.concatenate([clip.joints_TVC for clip in clips]), offsets=np.cumsum([0, *lengths]))
    return path
