"""Drawn scenes of several people whose truth is known: who stands where in every frame, what they do, and how much of
them can be seen.

    scene = draw_up("crossing", seed=1)
    image, people = scene.picture(2.5), scene.people(2.5)

What one person does is in `actor.py`; here it is the meeting of several that matters: they cross at two depths, hide
behind one another, pass, leave the picture and come back, stand shoulder to shoulder, walk behind somebody who sits.

Shapes: T frame, N people, V joint (25 of NTU RGB+D), 3 coordinates in metres (Kinect camera space), 2 pixels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoder.clock import HZ
from ..encoder.layout import NTU25, mirror_ntu25
from .acting.body import Body
from .acting.cue import Cue
from .acting.gestures import clap, point, raise_hand, wave
from .acting.idle import Idle
from .acting.motion import Phrase, Stage
from .acting.moves import sit_down, walk
from .acting.place import facing_camera
from .actor import BACKGROUND, Performance, Segment, seen_span
from .draw import Look, View, background, draw_person, draw_scene

F32 = NDArray[np.float32]
Image = NDArray[np.uint8]
Spot = tuple[float, float]  # x, z on the floor, metres
# What somebody does next: an action by name, a way over spots, or resting until so many seconds after the beginning.
Step = str | tuple[Spot, ...] | float

TRUNK = tuple(
    NTU25.index(name) for name in ("SpineBase", "SpineShoulder", "ShoulderLeft", "ShoulderRight", "HipLeft", "HipRight")
)
_ACTIONS: dict[str, Callable[[Cue], Phrase]] = {
    "wave": wave,
    "clap": clap,
    "raise_hand": raise_hand,
    "point": point,
    "sit_down": sit_down,
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One person's part in a scene: where they stand at first, and their steps."""

    spot: Spot
    steps: tuple[Step, ...]


def _part(x: float, z: float, *steps: Step) -> Part:
    return Part(spot=(x, z), steps=steps)


# Each plays in a room of three to five metres, before a camera of 60 degrees; seconds, and one part a person.
_SCENES: dict[str, tuple[float, tuple[Part, ...]]] = {
    # Two cross at two depths, and cross again.
    "crossing": (
        11.0,
        (
            _part(-1.0, 2.6, 0.8, ((1.0, 2.6),), 6.0, ((-1.0, 2.6),)),
            _part(1.3, 3.6, 0.8, ((-1.3, 3.6),), 6.0, ((1.3, 3.6),)),
        ),
    ),
    # One waves, the other halts behind them, is not to be seen for about a second, and walks on.
    "hidden": (
        10.0,
        (
            _part(0.2, 2.5, 1.0, "wave", 5.0, "raise_hand"),
            _part(-1.4, 3.8, 0.6, ((0.3, 3.8), (1.6, 3.8))),
        ),
    ),
    # One halts behind the other and goes back to where they came from: what was fast to the right returns to the left.
    "turning-back": (
        10.0,
        (
            _part(0.2, 2.5, 1.0, "wave", 5.0, "raise_hand"),
            _part(-1.4, 3.8, 0.6, ((0.25, 3.8), (-1.4, 3.8))),
        ),
    ),
    # One comes towards the camera, the other goes away from it, a little more than half a metre apart.
    "passing": (
        11.0,
        (
            _part(-0.35, 4.3, 0.8, ((-0.35, 2.5),), 6.0, ((-0.35, 4.3),)),
            _part(0.3, 2.5, 0.8, ((0.3, 4.3),), 6.0, ((0.3, 2.5),)),
        ),
    ),
    # One goes out of the picture, turns round there, and comes back: away for about two seconds.
    "leaving-2s": (
        10.0,
        (
            _part(0.7, 3.2, 1.0, "wave", 5.0, "clap"),
            _part(-0.7, 3.0, 1.0, ((-2.3, 3.0), (-0.7, 3.0))),
        ),
    ),
    # One goes out of the picture and comes back after about ten seconds.
    "leaving-10s": (
        17.0,
        (
            _part(0.7, 3.2, 1.0, "wave", 6.0, "clap"),
            _part(-0.7, 3.0, 0.5, ((-2.6, 3.0),), 12.5, ((-0.7, 3.0),)),
        ),
    ),
    # Three in a row, half a metre from one to the next, gesture in turn.
    "shoulder-to-shoulder": (
        9.0,
        (
            _part(-0.5, 3.2, 1.0, "wave"),
            _part(0.0, 3.3, 3.0, "clap"),
            _part(0.5, 3.2, 5.0, "raise_hand"),
        ),
    ),
    # One sits, another walks past behind them and back.
    "behind-a-sitter": (
        11.0,
        (
            _part(0.0, 2.6, 0.3, "sit_down"),
            _part(-1.4, 3.7, 0.8, ((1.4, 3.7),), 6.0, ((-1.4, 3.7),)),
        ),
    ),
    # Two cross behind a third.
    "three-cross": (
        12.0,
        (
            _part(0.0, 2.5, 1.0, "point", 5.0, "point"),
            _part(-1.3, 3.3, 0.8, ((1.3, 3.3),), 6.0, ((-1.3, 3.3),)),
            _part(1.6, 4.2, 0.8, ((-1.6, 4.2),), 6.0, ((1.6, 4.2),)),
        ),
    ),
    # Four change places.
    "four-about": (
        11.0,
        (
            _part(-1.2, 3.0, 0.5, ((0.9, 3.2),), 5.5, ((-0.5, 2.7),)),
            _part(1.2, 3.2, 1.0, ((-1.3, 3.4),), 6.0, "clap"),
            _part(-0.6, 4.0, 1.5, ((1.6, 4.2),), 7.0, ((-0.2, 4.0),)),
            _part(0.6, 4.6, 2.0, "wave", 6.5, ((1.7, 4.6),)),
        ),
    ),
}
SCENES: tuple[str, ...] = tuple(_SCENES)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The truth of one person in a frame: `joints` (25, 3) metres, `pixels` (25, 2), and the share of the joints, 0..1,
    that are in the picture and not behind somebody nearer: of all 25 (`visible`) and of the six of the trunk."""

    who: int
    joints: F32
    pixels: F32
    visible: float
    trunk_visible: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Several people before one camera. `poses(t)` gives the joints (25, 3) of each, always in the same order, and all
    zero where somebody is not there; `truth(t)` what each does. People are numbered from 0."""

    name: str
    duration_s: float
    poses: Callable[[float], Sequence[F32]]
    truth: Callable[[float], Sequence[str]]
    looks: tuple[Look, ...]
    view: View
    backdrop: Image

    def picture(self, t: float) -> Image:
        """The picture at `t` seconds (height, width, 3), BGR."""
        return draw_scene(list(zip(self.poses(t), self.looks, strict=True)), self.view, self.backdrop)

    def people(self, t: float) -> tuple[Seen, ...]:
        """The truth at `t` seconds about everybody who is there, in the picture or out of it."""
        poses = [(who, joints) for who, joints in enumerate(self.poses(t)) if joints.any()]
        poses.sort(key=lambda person: float(np.median(person[1][:, 2])))
        pixels = [np.nan_to_num(self.view.project(joints), nan=-1.0) for _, joints in poses]
        size = (self.view.width, self.view.height)
        taken = np.zeros(size[::-1], bool)  # the pixels that show somebody nearer
        seen: list[Seen] = []
        for i, (who, joints) in enumerate(poses):
            inside = np.asarray(((pixels[i] >= 0) & (pixels[i] < size)).all(axis=1))
            x, y = np.where(inside[:, None], pixels[i], 0).astype(int).T
            visible = inside & ~taken[y, x]
            seen.append(
                Seen(
                    who=who, joints=joints, pixels=pixels[i].astype(np.float32),
                    visible=float(visible.mean()), trunk_visible=float(visible[list(TRUNK)].mean()),
                )
            )  # fmt: skip
            if any(_near(pixels[i], farther) for farther in pixels[i + 1 :]):
                outline = np.zeros((*taken.shape, 3), np.uint8)
                draw_person(outline, joints, self.view, self.looks[who])
                taken |= outline.any(axis=2)
        return tuple(sorted(seen, key=lambda person: person.who))


def _near(nearer: NDArray[np.floating], farther: NDArray[np.floating]) -> bool:
    """Whether one person (25, 2) may cover the other in the picture: drawing to find out takes its time."""
    low, high = nearer.min(axis=0), nearer.max(axis=0)
    flesh = 0.15 * (high[1] - low[1])  # how far a body reaches beyond its joints
    return bool((farther.max(axis=0) > low - flesh).all() and (farther.min(axis=0) < high + flesh).all())


def draw_up(name: str, seed: int, *, width: int = 640, height: int = 480) -> Scene:
    """The scene of this name, with bodies, clothes, paces and a room that the seed decides; half of all are mirrored.

    ValueError for a name that is none of `SCENES`.
    """
    if name not in _SCENES:
        raise ValueError(f"no scene {name!r}; there are {', '.join(SCENES)}")
    number = SCENES.index(name)
    rng = np.random.default_rng([seed, number])
    floor_y, mirrored = -float(rng.uniform(0.92, 1.05)), bool(rng.random() < 0.5)
    duration_s, parts = _SCENES[name]
    performances = [
        perform((seed, number, i), part, floor_y=floor_y, duration_s=duration_s) for i, part in enumerate(parts)
    ]

    def poses(t: float) -> Sequence[F32]:
        joints = [performance.pose(t) for performance in performances]
        return [mirror_ntu25(person) for person in joints] if mirrored else joints

    return Scene(
        name=name,
        duration_s=duration_s,
        poses=poses,
        truth=lambda t: [performance.truth(t) for performance in performances],
        looks=tuple(Look.random(np.random.default_rng(performance.look_seed)) for performance in performances),
        view=View(width=width, height=height),
        backdrop=background(int(rng.integers(1 << 31)), width, height),
    )


def recorded(name: str, joints_TNVC: F32, seed: int, *, width: int = 640, height: int = 480) -> Scene:
    """A recording of several people at 30 Hz, joints (T, N, 25, 3), as a scene seen whole, of no known actions.

    ValueError where nobody is in it.
    """
    rng = np.random.default_rng(seed)
    last = len(joints_TNVC) - 1
    looks = tuple(Look.random(rng) for _ in range(joints_TNVC.shape[1]))
    return Scene(
        name=name,
        duration_s=len(joints_TNVC) / HZ,
        poses=lambda t: list(joints_TNVC[min(max(round(t * HZ), 0), last)]),
        truth=lambda t: [BACKGROUND] * len(looks),
        looks=looks,
        view=View.framing(joints_TNVC, width=width, height=height),
        backdrop=background(int(rng.integers(1 << 31)), width, height),
    )


def perform(seed: Sequence[int], part: Part, *, floor_y: float, duration_s: float) -> Performance:
    """Somebody who plays this part on the floor at `floor_y`, and rests when it is over, until `duration_s`.

    The seed decides the body, its pace and where it looks. What the end interrupts is cut there.
    """
    rng = np.random.default_rng(seed)
    body, idle = dataclasses.replace(Body.drawn(rng), floor_y=floor_y), Idle.drawn(rng)
    stage, now = Stage(facing_camera(*part.spot, rng)), 0.0
    phrases: list[Phrase] = []
    segments: list[Segment] = []
    for step in (*part.steps, math.inf):
        cue = Cue(body, stage, rng)
        if isinstance(step, float):
            rest_s = min(step, duration_s) - now
            if rest_s <= 0:
                continue
            phrase = cue.phrase(rest_s)
        else:
            phrase = _ACTIONS[step](cue) if isinstance(step, str) else walk(cue, step)
            segments += seen_span(step if isinstance(step, str) else "walk", phrase, now, duration_s)
        phrases.append(phrase)
        stage, now = phrase.ends_at, now + phrase.duration_s
    return Performance(body, idle, phrases, segments, duration_s=duration_s, look_seed=int(rng.integers(2**31)))
