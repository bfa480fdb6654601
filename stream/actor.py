"""The drawn actor: a person who acts a script and knows the truth of every frame.

A `Script` is a timeline of actions with background between them, and the 25 joints of the body at any moment of it. It
is what the `actor` camera draws, and what a detector's answers can be held against, for here the truth is exact.

    script = Script(seed=7, duration_s=60.0)
    joints_VC, label = script.pose(12.5), script.truth(12.5)

How a pose comes about: a *phrase* (one action, or one stretch of background) is a handful of key poses; between them
every control moves by quintic polynomials, which between two rests is the minimum-jerk movement of human reaching
(Flash and Hogan, J. Neurosci. 5(7), 1985, eq. 3). The controls drive a body of fixed limb lengths: the trunk by angles,
arms and legs by two-bone inverse kinematics, so that hands arrive where they should and feet stay where they stand.
Limb lengths follow Drillis and Contini's body segment ratios (Winter, Biomechanics and Motor Control, fig. 4.1).
Durations, paces and amplitudes follow what people do in front of a Kinect in UTKinect, Kinder-Gator, MSR Action3D
and the PRECOG recordings.

Shapes: V joint (25 of NTU RGB+D), C coordinate (metres, Kinect camera space).
A direction or place relative to the body is (right, up, forward), or for a limb (out, up, forward), so that one set of
numbers serves the left and the right. Lengths are in body heights, and for a hand, seen from its shoulder, in arm
lengths. Angles are radians.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import NTU25

F64 = NDArray[np.float64]
Values = tuple[float, ...]

ACTIONS: tuple[str, ...] = (
    "wave", "clap", "raise_hand", "point", "beckon", "stop", "bow", "punch", "kick", "throw",
    "push", "pull", "pick_up", "carry", "sit_down", "stand_up", "walk", "run", "jump",
)  # fmt: skip
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


class Script:
    """Who acts, what, and when: a timeline that one seed decides completely.

    All of `actions` (by default every one of `ACTIONS`) come in a shuffled order before any comes again; stand_up
    follows sit_down, and between them the background is spent sitting. A longer script of the same seed begins with
    the shorter one; what the end interrupts is cut there.

    `segments` are the actions in order; `duration_s` is the length in seconds; `look_seed` is a seed for how the
    person and the room are to be drawn.

    ValueError for a duration that is not positive, an unknown, repeated or missing action, or only one of sit_down
    and stand_up.
    """

    def __init__(self, seed: int, duration_s: float, actions: Sequence[str] | None = None) -> None:
        if not (math.isfinite(duration_s) and duration_s > 0):
            raise ValueError(f"a script lasts a positive number of seconds, not {duration_s}")
        if seed < 0:
            raise ValueError(f"a seed is 0 or more, not {seed}")
        chosen = _checked_actions(ACTIONS if actions is None else actions)
        rng = np.random.default_rng([seed, 0])
        self.duration_s = float(duration_s)
        self.look_seed = int(rng.integers(2**31))
        self._body = _Body.drawn(rng)
        self._idle = _Idle.drawn(rng)
        self._phrases, self._starts, segments = _timeline(seed, self.duration_s, chosen, self._body, rng)
        self.segments: tuple[Segment, ...] = tuple(segments)
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
    seed: int, duration_s: float, actions: tuple[str, ...], body: _Body, rng: np.random.Generator
) -> tuple[list[_Phrase], list[float], list[Segment]]:
    """Phrases without a gap between them until the script is over, when each begins, and the truth about them."""
    phrases: list[_Phrase] = []
    starts: list[float] = []
    segments: list[Segment] = []
    stage = _Stage(_facing_camera(*body.room.somewhere(rng, share=0.5), rng))
    t, turn, queue = 0.0, 0, list[str]()
    while t <= duration_s:
        turn += 1
        queue = queue or _shuffled(actions, np.random.default_rng([seed, 1, turn]))
        action = queue.pop(0)
        # Each turn has a generator of its own, so a change to one action leaves the others' chances alone.
        cue = _Cue(body, stage, np.random.default_rng([seed, 2, turn]))
        pause = _background(cue, cue.u(GAP_S[0], GAP_S[1]) - 2 * UNSEEN_S)
        cue = _Cue(body, pause.ends_at, cue.rng)
        act = _CHOREOGRAPHY[action](cue)
        stage = act.ends_at
        phrases += [pause, act]
        starts += [t, t + pause.duration_s]
        t += pause.duration_s + act.duration_s
        begin, end = starts[-1] + UNSEEN_S, min(t - UNSEEN_S, duration_s)
        if begin < duration_s:
            segments.append(Segment(action, begin, end))
    return phrases, starts, segments


def _shuffled(actions: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    drawn = [action for action in actions if action != "stand_up"]
    order = [drawn[i] for i in rng.permutation(len(drawn))]
    if "stand_up" in actions:
        order.insert(order.index("sit_down") + 1, "stand_up")
    return order


# ---------------------------------------------------------------------------------------------------------------------
# Movement: tracks of key values, and the phrases made of them


class _Track:
    """Values that pass through keys at given times, twice continuously differentiable, and rest outside them.

    Slopes at the keys are Fritsch and Carlson's (SIAM J. Numer. Anal. 17(2), 1980): zero wherever a value holds or
    turns. The acceleration at every key is zero, so from rest to rest the curve is the minimum-jerk one.
    """

    def __init__(self, keys: Sequence[tuple[float, Values]]) -> None:
        self._times = [t for t, _ in keys]
        if any(b <= a for a, b in pairwise(self._times)):
            raise AssertionError(f"key times must increase: {self._times}")
        self._values: F64 = np.array([values for _, values in keys], dtype=np.float64)
        self._slopes: F64 = np.zeros_like(self._values)
        if len(keys) > 2:
            step = np.diff(self._times)[:, None]
            secant = np.diff(self._values, axis=0) / step
            before, after = secant[:-1], secant[1:]
            w_before, w_after = step[:-1] + 2 * step[1:], 2 * step[:-1] + step[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                mean = (w_before + w_after) / (w_before / after + w_after / before)
            self._slopes[1:-1] = np.where(before * after > 0, mean, 0.0)

    def at(self, t: float) -> F64:
        if t <= self._times[0] or t >= self._times[-1]:
            resting: F64 = self._values[0 if t <= self._times[0] else -1].copy()
            return resting
        i = bisect_right(self._times, t) - 1
        h = self._times[i + 1] - self._times[i]
        s = (t - self._times[i]) / h
        ease = _ease(s)
        start = s - s**3 * (6 - 8 * s + 3 * s * s)
        end = -(s**3) * (4 - 7 * s + 3 * s * s)
        value: F64 = self._values[i] * (1 - ease) + self._values[i + 1] * ease
        value += h * (start * self._slopes[i] + end * self._slopes[i + 1])
        return value


def _ease(s: float) -> float:
    """The minimum-jerk way from 0 to 1."""
    return s**3 * (10 - 15 * s + 6 * s * s)


def _bump(s: float) -> float:
    """From 0 up to 1 in the middle and back, starting and ending at rest."""
    return 64 * s**3 * (1 - s) ** 3


def _arm(
    out: float,
    up: float,
    forward: float,
    reach: float | None = None,
    *,
    swivel: float = 0.3,
    roll: float = 0.0,
    flex: float = 0.0,
    hang: float = 0.0,
) -> Values:
    """Where a wrist is from its shoulder, in arm lengths; with `reach`, (out, up, forward) is only the direction.

    `swivel` turns the elbow outwards (0: below a forward arm), `roll` turns the thumb inwards (0: up on a forward arm;
    pi/2: palm down), `flex` bends the hand towards the palm, `hang` 1 keeps the arm upright while the trunk bends.
    """
    length = math.sqrt(out * out + up * up + forward * forward)
    return (out / length, up / length, forward / length, length if reach is None else reach, swivel, roll, flex, hang)


# What a part's numbers mean: arms as `_arm`; trunk lean, curl, tilt (to the right), twist (to the right); head nod,
# turn (to the right), tilt (to the right); pelvis right, up, forward from standing; a foot out, up, forward from where
# it stands, and its heel's lift in radians.
_STAND: dict[str, Values] = {
    "arm_l": _arm(0.12, -1.0, 0.07, 0.978, swivel=0.35, roll=0.25, flex=0.12, hang=1.0),
    "arm_r": _arm(0.12, -1.0, 0.07, 0.978, swivel=0.35, roll=0.25, flex=0.12, hang=1.0),
    "trunk": (0.03, 0.0, 0.0, 0.0),
    "head": (0.0, 0.0, 0.0),
    "pelvis": (0.0, 0.0, 0.0),
    "foot_l": (0.0, 0.0, 0.0, 0.0),
    "foot_r": (0.0, 0.0, 0.0, 0.0),
}
_SIT: dict[str, Values] = _STAND | {
    "arm_l": _arm(0.03, -0.72, 0.42, 0.8, swivel=0.5, roll=1.2, flex=0.1, hang=1.0),
    "arm_r": _arm(0.03, -0.72, 0.42, 0.8, swivel=0.5, roll=1.2, flex=0.1, hang=1.0),
    "trunk": (0.05, 0.04, 0.0, 0.0),
    "pelvis": (0.0, -0.235, -0.2),
}


@dataclass(frozen=True)
class _Root:
    """Where the body stands in the room, metres in camera space, and how far it is turned to its right (0: towards
    the camera's plane)."""

    x: float
    z: float
    yaw: float

    def offset(self, right: float, forward: float) -> tuple[float, float]:
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.x + right * c + forward * s, self.z + right * s - forward * c


@dataclass(frozen=True)
class _Way:
    """The root's way through the room: `spot` is (x, z), `yaw` (yaw,)."""

    spot: _Track
    yaw: _Track

    def at(self, t: float) -> _Root:
        x, z = self.spot.at(t)
        return _Root(float(x), float(z), float(self.yaw.at(t)[0]))


@dataclass(frozen=True)
class _Stage:
    """What one phrase hands to the next: the place, and whether the actor sits."""

    root: _Root
    sitting: bool = False

    @property
    def rest(self) -> dict[str, Values]:
        return _SIT if self.sitting else _STAND


@dataclass(frozen=True)
class _Foot:
    """A foot in the room: the floor point below the resting ankle, its direction, its height and its heel's lift."""

    x: float
    z: float
    yaw: float
    up: float = 0.0
    heel: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Stride:
    """One foot's way from one foothold to the next."""

    lifts_at: float
    lands_at: float
    start: _Foot
    end: _Foot
    height_m: float
    kick_m: float  # how far the foot swings out behind
    heel: float  # how far the heel has come up when the foot lifts

    def at(self, t: float) -> _Foot:
        s = (t - self.lifts_at) / (self.lands_at - self.lifts_at)
        if s <= 0:  # the heel comes up while the toes still stand
            ready = max(0.0, 1 + (t - self.lifts_at) / 0.2)
            return _Foot(self.start.x, self.start.z, self.start.yaw, 0.0, self.heel * _ease(ready))
        way, bump = _ease(s), _bump(s)
        yaw = self.start.yaw + way * (self.end.yaw - self.start.yaw)
        back = self.kick_m * bump
        x = self.start.x + way * (self.end.x - self.start.x) - back * math.sin(yaw)
        z = self.start.z + way * (self.end.z - self.start.z) + back * math.cos(yaw)
        return _Foot(x, z, yaw, self.height_m * bump, self.heel * (1 - way) + 0.5 * self.heel * bump)


@dataclass(frozen=True, kw_only=True)
class _Phrase:
    """One movement from rest to rest: tracks of controls, and where there are steps, the way and the strides."""

    duration_s: float
    starts_at: _Stage
    ends_at: _Stage
    tracks: dict[str, _Track]
    stance: dict[str, float]
    way: _Way | None = None
    strides: dict[str, list[_Stride]] = field(default_factory=dict)

    def controls(self, t: float) -> dict[str, F64]:
        rest = self.starts_at.rest
        return {part: self.tracks[part].at(t) if part in self.tracks else np.array(rest[part]) for part in rest}

    def root(self, t: float) -> _Root:
        return self.way.at(t) if self.way else self.starts_at.root

    def foot(self, t: float, side: str) -> _Foot:
        for stride in self.strides.get(side, ()):
            if t < stride.lands_at:
                return stride.at(t)
        return _standing_foot(self.ends_at.root, side, self.stance)


def _standing_foot(root: _Root, side: str, stance: dict[str, float]) -> _Foot:
    sign = 1.0 if side == "r" else -1.0
    x, z = root.offset(sign * stance["half_width"], 0.0)
    return _Foot(x, z, root.yaw + sign * stance["toe_out"])


class _Cue:
    """What a choreographer has at hand: the body, the stage, chance, and a sheet of keys to fill in."""

    def __init__(self, body: _Body, stage: _Stage, rng: np.random.Generator) -> None:
        self.body, self.stage, self.rng = body, stage, rng
        self.pace = body.pace * self.u(0.9, 1.12)
        self.side = body.hand if self.chance(0.8) else _other(body.hand)
        self._keys: dict[str, list[tuple[float, Values]]] = {}

    def u(self, low: float, high: float) -> float:
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
        """Like `_arm`, but seen from the middle between the shoulders, so that both hands can meet."""
        return _arm(out - self.body.shoulder_half / self.body.arm, up, forward, **turned)

    def phrase(self, duration_s: float, *, sitting: bool | None = None) -> _Phrase:
        """Everything that was keyed, from rest to rest (or to sitting, or to standing), on the spot."""
        ends_at = self.stage if sitting is None else _Stage(self.stage.root, sitting)
        return self._finished(duration_s, ends_at)

    def stepping(self, gait: _Gait) -> _Phrase:
        """Everything that was keyed, along the way and with the strides of a gait."""
        return self._finished(gait.duration_s, _Stage(gait.goal), gait.way, gait.strides)

    def _finished(
        self,
        duration_s: float,
        ends_at: _Stage,
        way: _Way | None = None,
        strides: dict[str, list[_Stride]] | None = None,
    ) -> _Phrase:
        if ends_at.sitting != self.stage.sitting:
            for part in _STAND:
                self._keys.setdefault(part, [])
        tracks = {
            part: _Track([(0.0, self.stage.rest[part]), *sorted(keys), (duration_s, ends_at.rest[part])])
            for part, keys in self._keys.items()
        }
        return _Phrase(
            duration_s=duration_s,
            starts_at=self.stage,
            ends_at=ends_at,
            tracks=tracks,
            stance=self.body.stance,
            way=way,
            strides=strides or {},
        )


def _other(side: str) -> str:
    return "l" if side == "r" else "r"


# ---------------------------------------------------------------------------------------------------------------------
# The body and the room


@dataclass(frozen=True)
class _Room:
    """Where the actor may stand so that a camera of 60 x 47 degrees sees the whole body, raised hands included."""

    near_m: float
    far_m: float
    margin_m: float

    def somewhere(self, rng: np.random.Generator, share: float = 1.0) -> tuple[float, float]:
        """A spot (x, z), at most `share` of the way from the middle to the picture's sides."""
        z = float(rng.uniform(self.near_m, self.far_m))
        half = share * self._half_width(z)
        return float(rng.uniform(-half, half)), z

    def inside(self, x: float, z: float) -> tuple[float, float]:
        z = min(max(z, self.near_m), self.far_m)
        half = self._half_width(z)
        return min(max(x, -half), half), z

    def _half_width(self, z: float) -> float:
        return z * math.tan(math.radians(30)) - self.margin_m


def _facing_camera(x: float, z: float, rng: np.random.Generator) -> _Root:
    aside = math.radians(25 if rng.random() < 0.93 else 40)
    return _Root(x, z, math.atan2(-x, z) + float(rng.uniform(-aside, aside)))


@dataclass(frozen=True, kw_only=True)
class _Body:
    """Limb lengths in metres, and what a person keeps through a script: the pace, the stronger hand, the stance."""

    height: float
    hip_half: float
    hip_drop: float
    thigh: float
    shank: float
    ankle: float
    toes: float
    lower_spine: float
    upper_spine: float
    neck: float
    head: float
    shoulder_half: float
    shoulder_drop: float
    upper_arm: float
    fore_arm: float
    palm: float
    floor_y: float
    pace: float
    hand: str
    stance: dict[str, float]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> _Body:
        """A random person; one in four is a child, whose head is larger and whose legs are shorter for the height."""
        child = rng.random() < 0.25
        height = float(rng.uniform(1.12, 1.45) if child else np.clip(rng.normal(1.70, 0.095), 1.50, 1.88))

        def part(ratio: float) -> float:
            return height * ratio * float(np.clip(rng.normal(1.0, 0.03), 0.94, 1.06))

        return cls(
            height=height,
            hip_half=part(0.05),
            hip_drop=part(0.022),
            thigh=part(0.234 if child else 0.245),
            shank=part(0.226 if child else 0.236),
            ankle=part(0.045),
            toes=part(0.085),
            lower_spine=part(0.15),
            upper_spine=part(0.125),
            neck=part(0.04),
            head=part(0.085 if child else 0.075),
            shoulder_half=part(0.112 if child else 0.108),
            shoulder_drop=part(0.025),
            upper_arm=part(0.172),
            fore_arm=part(0.146),
            palm=part(0.048),
            floor_y=-float(rng.uniform(0.92, 1.05)),
            pace=float(rng.uniform(0.88, 1.12)) * (1.06 if child else 1.0),
            hand="r" if rng.random() < 0.85 else "l",
            stance={"half_width": part(float(rng.uniform(0.055, 0.08))), "toe_out": float(rng.uniform(0.05, 0.25))},
        )

    @property
    def arm(self) -> float:
        return self.upper_arm + self.fore_arm

    @property
    def leg(self) -> float:
        return self.thigh + self.shank

    @property
    def standing(self) -> float:
        """The pelvis above the floor: knees all but straight."""
        return self.ankle + 0.993 * self.leg + self.hip_drop

    @property
    def room(self) -> _Room:
        """As near as 2 m where the floor before the feet and a raised hand still fit into the picture."""
        half_height = math.tan(math.radians(23.4))
        raised = 1.27 * self.height + self.floor_y
        near = max(2.0, -self.floor_y / half_height + 0.2 * self.height, raised / half_height)
        return _Room(near, max(3.5, near + 0.4), 0.56 * self.height)

    def joints(self, controls: dict[str, F64], root: _Root, foot_l: _Foot, foot_r: _Foot) -> NDArray[np.float32]:
        """Forward kinematics: controls, and the feet in the room, to joints_VC in camera space."""
        at: dict[str, F64] = {}
        lean, curl, tilt, twist = controls["trunk"]
        feet = {"Left": (foot_l, controls["foot_l"], -1.0), "Right": (foot_r, controls["foot_r"], 1.0)}
        for side, (foot, offset, sign) in feet.items():
            at[f"Ankle{side}"], at[f"Foot{side}"] = self._foot(root, foot, offset, sign)

        pelvis = _turned(0.4 * lean, 0.3 * tilt, 0.25 * twist)
        hips = {
            side: pelvis @ np.array([sign * self.hip_half, -self.hip_drop, 0.0]) for side, (*_, sign) in feet.items()
        }
        at["SpineBase"] = self._spine_base(controls["pelvis"], lean, hips, at)
        for side, (foot, _, sign) in feet.items():
            at[f"Hip{side}"] = at["SpineBase"] + hips[side]
            # A lifted foot may aim farther than the leg is long; it then stays on the way there.
            way = at[f"Hip{side}"] - at[f"Ankle{side}"]
            missing = max(0.0, 1.0 - 0.998 * self.leg / math.sqrt(float(way @ way))) * way
            at[f"Ankle{side}"], at[f"Foot{side}"] = at[f"Ankle{side}"] + missing, at[f"Foot{side}"] + missing
            knee_out = 0.1 * sign + 0.5 * (foot.yaw - root.yaw)
            at[f"Knee{side}"] = self._knee(at[f"Hip{side}"], at[f"Ankle{side}"], knee_out)

        chest = _turned(lean + curl, tilt, twist)
        head = _turned(lean + curl + controls["head"][0], tilt + controls["head"][2], twist + controls["head"][1])
        lower, neck = _turned(0.85 * lean, 0.6 * tilt, 0.4 * twist), 0.5 * (chest[:, 1] + head[:, 1])
        at["SpineMid"] = at["SpineBase"] + self.lower_spine * lower[:, 1]
        at["SpineShoulder"] = at["SpineMid"] + self.upper_spine * chest[:, 1]
        at["Neck"] = at["SpineShoulder"] + self.neck * _unit(neck)
        at["Head"] = at["Neck"] + self.head * _unit(head[:, 1] + 0.2 * head[:, 2])
        for side, sign in (("Left", -1.0), ("Right", 1.0)):
            arm = controls["arm_l" if side == "Left" else "arm_r"]
            upright = 1.0 - float(arm[7])
            frame = _turned(upright * (lean + curl), upright * tilt, twist) * np.array([sign, 1.0, 1.0])
            shoulder = at["SpineShoulder"] + chest @ np.array([sign * self.shoulder_half, -self.shoulder_drop, 0.0])
            at[f"Shoulder{side}"] = shoulder
            for joint, offset in self._arm(arm).items():
                at[f"{joint}{side}"] = shoulder + frame @ offset

        body = np.stack([at[name] for name in NTU25.joints])
        c, s = math.cos(root.yaw), math.sin(root.yaw)
        to_camera = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [s, 0.0, -c]])
        joints: NDArray[np.float32] = (body @ to_camera.T + np.array([root.x, self.floor_y, root.z])).astype(np.float32)
        return joints

    def _foot(self, root: _Root, foot: _Foot, offset: F64, sign: float) -> tuple[F64, F64]:
        """Ankle and toes (right, up, forward) from the root's floor point. The heel lifts about the toes."""
        out, up, forward, heel = offset
        c, s = math.cos(root.yaw), math.sin(root.yaw)
        dx, dz = foot.x - root.x, foot.z - root.z
        right, ahead = dx * c + dz * s + sign * out * self.height, dx * s - dz * c + forward * self.height
        along = np.array([math.sin(foot.yaw - root.yaw), 0.0, math.cos(foot.yaw - root.yaw)])
        sole = 0.4 * self.ankle
        toes = np.array([right, foot.up + up * self.height + sole, ahead]) + self.toes * along
        lift, rise = foot.heel + heel, self.ankle - sole
        ankle = toes + (rise * math.sin(lift) - self.toes * math.cos(lift)) * along
        ankle[1] += rise * math.cos(lift) + self.toes * math.sin(lift)
        return ankle, toes

    def _spine_base(self, pelvis: F64, lean: float, hips: dict[str, F64], at: dict[str, F64]) -> F64:
        """The pelvis at its wished height, or as high as the standing legs reach. A lean forward moves it back."""
        right, up, forward = pelvis * self.height
        base = np.array([right, 0.0, forward - 0.1 * self.height * math.sin(lean)])
        heights = [self.standing + up]
        for side, hip in hips.items():
            dx, _, dz = base + hip - at[f"Ankle{side}"]
            high = math.sqrt(max((0.998 * self.leg) ** 2 - dx * dx - dz * dz, (0.3 * self.leg) ** 2))
            lifted = max(0.0, float(at[f"Foot{side}"][1]) - 0.4 * self.ankle)
            heights.append(float(at[f"Ankle{side}"][1]) + high - float(hip[1]) + 8 * lifted)
        # A soft minimum: the knees do not snap when a leg becomes the one that limits.
        lowest, soft = min(heights), 0.006
        base[1] = lowest - soft * math.log(sum(math.exp((lowest - height) / soft) for height in heights))
        return base

    def _knee(self, hip: F64, ankle: F64, knee_out: float) -> F64:
        way = ankle - hip
        direction = _unit(way)
        # The knee points forward under a hanging leg, and up before a sitting one.
        bend = _carried(np.array([0.0, -1.0, 0.0]), direction, np.array([math.sin(knee_out), 0.0, math.cos(knee_out)]))
        along, aside = _two_bones(self.thigh, self.shank, float(np.linalg.norm(way)))
        return hip + along * direction + aside * bend

    def _arm(self, arm: F64) -> dict[str, F64]:
        """Elbow, wrist, hand, tip and thumb (out, up, forward) from the shoulder."""
        direction, reach = _unit(arm[:3]), float(arm[3]) * self.arm
        swivel, roll, flex = (float(a) for a in arm[4:7])
        # Under an arm that is stretched forward the elbow points down; other directions follow by the shortest turn.
        elbow_way = np.array([math.sin(swivel), -math.cos(swivel), 0.0])
        bend = _carried(np.array([0.0, 0.0, 1.0]), direction, elbow_way)
        reach = min(max(reach, 0.3 * self.arm), 0.995 * self.arm)
        along, aside = _two_bones(self.upper_arm, self.fore_arm, reach)
        elbow, wrist = along * direction + aside * bend, reach * direction
        fore = (wrist - elbow) / self.fore_arm
        outer = _cross(direction, bend)
        upper = _cross(fore, outer)
        thumb_way = math.cos(roll) * upper - math.sin(roll) * outer
        palm_way = -math.cos(roll) * outer - math.sin(roll) * upper
        hand_way = math.cos(flex) * fore + math.sin(flex) * palm_way
        hand = wrist + self.palm * hand_way
        return {
            "Elbow": elbow,
            "Wrist": wrist,
            "Hand": hand,
            "HandTip": hand + 0.9 * self.palm * hand_way,
            "Thumb": hand + 0.1 * self.palm * hand_way + 0.6 * self.palm * thumb_way,
        }


def _unit(v: F64) -> F64:
    return v / math.sqrt(float(v @ v))


def _cross(a: F64, b: F64) -> F64:
    """numpy's own takes ten times as long for two vectors of three."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def _turned(lean: float, tilt: float, twist: float) -> F64:
    """The axes (columns right, up, forward) of something leant forward, then tilted and twisted to the right."""
    cl, sl, ct, st, cw, sw = *_cos_sin(lean), *_cos_sin(tilt), *_cos_sin(twist)
    leant = np.array([[1.0, 0.0, 0.0], [0.0, cl, -sl], [0.0, sl, cl]])
    tilted = np.array([[ct, st, 0.0], [-st, ct, 0.0], [0.0, 0.0, 1.0]])
    twisted = np.array([[cw, 0.0, sw], [0.0, 1.0, 0.0], [-sw, 0.0, cw]])
    axes: F64 = twisted @ tilted @ leant
    return axes


def _cos_sin(angle: float) -> tuple[float, float]:
    return math.cos(angle), math.sin(angle)


def _carried(origin: F64, direction: F64, v: F64) -> F64:
    """v after the shortest turn that takes the unit vector `origin` to `direction` (Rodrigues); not for opposites."""
    axis = _cross(origin, direction)
    share = 1.0 / (1.0 + float(origin @ direction))
    carried: F64 = v + _cross(axis, v) + share * _cross(axis, _cross(axis, v))
    return carried


def _two_bones(upper: float, lower: float, reach: float) -> tuple[float, float]:
    """Where the middle joint of two bones lies: along the line between their ends, and aside of it (law of cosines)."""
    reach = max(reach, abs(upper - lower) + 0.02 * (upper + lower))
    along = (upper * upper - lower * lower + reach * reach) / (2 * reach)
    return along, math.sqrt(max(upper * upper - along * along, 0.0))


@dataclass(frozen=True)
class _Idle:
    """The small sway of somebody alive: slow sines that never stop, each (amplitude, radians a second, phase)."""

    waves: tuple[tuple[str, int, float, float, float], ...]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> _Idle:
        def wave(
            part: str, index: int, amplitude: float, low_s: float, high_s: float
        ) -> tuple[str, int, float, float, float]:
            omega = 2 * math.pi / float(rng.uniform(low_s, high_s))
            return part, index, amplitude * float(rng.uniform(0.5, 1.0)), omega, float(rng.uniform(0, 2 * math.pi))

        return cls(
            (
                wave("pelvis", 0, 0.007, 5.0, 9.0),
                wave("pelvis", 2, 0.004, 4.0, 7.0),
                wave("trunk", 0, 0.015, 3.0, 5.0),  # breathing
                wave("trunk", 3, 0.03, 6.0, 11.0),
                wave("head", 0, 0.05, 4.0, 8.0),
                wave("head", 1, 0.12, 5.0, 10.0),
            )
        )

    def sway(self, controls: dict[str, F64], t: float) -> None:
        for part, index, amplitude, omega, phase in self.waves:
            controls[part][index] += amplitude * math.sin(omega * t + phase)


# ---------------------------------------------------------------------------------------------------------------------
# Steps


@dataclass(frozen=True, kw_only=True)
class _Gait:
    """A way with the strides that carry the body along it, ending on both feet at the goal."""

    way: _Way
    goal: _Root
    strides: dict[str, list[_Stride]]
    duration_s: float

    @property
    def landings(self) -> list[tuple[float, str]]:
        """When each foot lands, in order."""
        return sorted((stride.lands_at, side) for side, strides in self.strides.items() for stride in strides)


def _stepped(
    cue: _Cue,
    way: _Way,
    arrives_s: float,
    *,
    period_s: float,
    swing: float,
    height: float,
    kick: float = 0.0,
    heel: float = 0.0,
) -> _Gait:
    """Strides along a way that arrives at `arrives_s`. A foot lifts every `period_s` and is in the air for `swing`
    of that; it lands where the body will be half way through its stance. Height and kick are in body heights.
    """
    body, goal = cue.body, way.at(arrives_s)
    holds = {side: _standing_foot(cue.stage.root, side, body.stance) for side in "lr"}
    strides: dict[str, list[_Stride]] = {"l": [], "r": []}
    t, side, settled = 0.22, "lr"[int(cue.chance(0.5))], set[str]()
    while len(settled) < 2:
        lands = t + swing * period_s
        under = lands + 0.5 * (2 - swing) * period_s
        if under >= arrives_s:
            settled.add(side)
        hold = _standing_foot(goal if side in settled else way.at(under), side, body.stance)
        stride = _Stride(
            lifts_at=t,
            lands_at=lands,
            start=holds[side],
            end=hold,
            height_m=height * body.height,
            kick_m=kick * body.height,
            heel=heel,
        )
        strides[side].append(stride)
        holds[side] = hold
        t, side = t + period_s, _other(side)
    landed = max(stride.lands_at for both in strides.values() for stride in both)
    return _Gait(way=way, goal=goal, strides=strides, duration_s=max(landed, arrives_s) + 0.12)


def _route(cue: _Cue, goals: Sequence[tuple[float, float]], speed: float, turn_rate: float) -> tuple[_Way, float]:
    """A way over the goals, turning towards each, and towards the camera at last; and when it arrives."""
    root, ramp = cue.stage.root, 0.45
    x, z, yaw = root.x, root.z, root.yaw
    spots: list[tuple[float, Values]] = [(0.0, (x, z))]
    yaws: list[tuple[float, Values]] = [(0.0, (yaw,))]
    t = 0.0

    def turn(to: float) -> float:
        nonlocal yaw
        if t > yaws[-1][0]:
            yaws.append((t, (yaw,)))
        to = yaw + math.remainder(to - yaw, 2 * math.pi)
        takes = 0.35 + abs(to - yaw) / turn_rate
        yaws.append((yaws[-1][0] + takes, (to,)))
        yaw = to
        return takes

    for goal_x, goal_z in goals:
        dx, dz = goal_x - x, goal_z - z
        distance = math.hypot(dx, dz)
        sets_off = t + 0.6 * turn(math.atan2(dx, -dz))
        # A goal close by is not reached at full speed: there is no time to gather it and lose it again.
        pace = min(speed, distance / (ramp + 0.05))
        takes = distance / pace + ramp
        slow = pace * ramp / 2 / distance
        if sets_off > spots[-1][0]:
            spots.append((sets_off, (x, z)))
        sets_off = spots[-1][0]
        spots.append((sets_off + ramp, (x + slow * dx, z + slow * dz)))
        spots.append((sets_off + takes - ramp, (goal_x - slow * dx, goal_z - slow * dz)))
        spots.append((sets_off + takes, (goal_x, goal_z)))
        x, z = goal_x, goal_z
        t = max(sets_off + takes - 0.3, yaws[-1][0])
    turn(_facing_camera(x, z, cue.rng).yaw)
    return _Way(_Track(spots), _Track(yaws)), max(spots[-1][0], yaws[-1][0])


def _goals(cue: _Cue, at_least_m: float, legs: int) -> list[tuple[float, float]]:
    """Spots to walk to, each the farthest but one of a few, so that ways are long but not all along the walls."""
    here, goals = (cue.stage.root.x, cue.stage.root.z), []
    for _ in range(legs):
        spots = [cue.body.room.somewhere(cue.rng) for _ in range(8)]
        spots.sort(key=lambda spot: math.dist(spot, here))
        far = next((spot for spot in spots[-2:] if math.dist(spot, here) >= at_least_m), spots[-1])
        goals.append(far)
        here = far
    return goals


# ---------------------------------------------------------------------------------------------------------------------
# The actions. Every function fills in one cue's keys, from rest to rest; what the numbers mean stands at `_STAND`.


def _wave(cue: _Cue) -> _Phrase:
    both = cue.chance(0.25)
    sides = "lr" if both else cue.side
    up, amplitude = (cue.u(0.62, 0.8), cue.u(0.2, 0.3)) if both else (cue.u(0.42, 0.62), cue.u(0.15, 0.24))
    half = cue.s(0.38, 0.62) if both else cue.s(0.24, 0.42)
    out, forward = cue.u(0.36, 0.5), cue.u(0.15, 0.32)
    t = cue.s(0.65, 0.9)
    for side in sides:
        cue.arm(0.5 * t, side, _arm(0.42, -0.35, 0.42, 0.7, swivel=0.5, roll=0.9))
    swings = int(cue.u(4, 9) if both else cue.u(5, 12))
    for i in range(swings):
        swing = amplitude * cue.u(0.85, 1.1) * (1 if i % 2 else -1)
        for side in sides:
            cue.arm(t, side, _arm(out + swing, up - 0.25 * abs(swing), forward, swivel=1.1, roll=1.4, flex=-0.1))
        t += half * cue.u(0.92, 1.08)
    t += cue.s(0.1, 0.2)
    lower = cue.s(0.5, 0.7)
    for side in sides:
        cue.arm(t + 0.45 * lower - half, side, _arm(0.42, -0.3, 0.42, 0.7, swivel=0.6, roll=0.9))
    return cue.phrase(t + lower)


def _clap(cue: _Cue) -> _Phrase:
    up, forward, wide = cue.u(-0.38, -0.12), cue.u(0.52, 0.64), cue.u(0.26, 0.42)
    half = cue.s(0.17, 0.3)
    t = cue.s(0.45, 0.65)
    apart = cue.mid(wide, up, forward, swivel=0.55, flex=-0.25)
    for i in range(2 * int(cue.u(4, 10)) + 1):
        meet = cue.mid(0.075, up + 0.03, forward, swivel=0.55, flex=-0.5)
        cue.arms(t, meet if i % 2 else apart)
        t += half * cue.u(0.95, 1.05)
    return cue.phrase(t + cue.s(0.45, 0.65))


def _raise_hand(cue: _Cue) -> _Phrase:
    up = _arm(cue.u(0.05, 0.25), 1.0, cue.u(0.0, 0.15), cue.u(0.92, 0.99), swivel=0.7, roll=cue.u(0.9, 1.5))
    way = _arm(cue.u(0.2, 0.5), -0.05, cue.u(0.5, 0.8), cue.u(0.75, 0.92), swivel=0.5, roll=0.9)
    rises, holds, falls = cue.s(0.85, 1.2), cue.s(0.9, 2.2), cue.s(0.85, 1.2)
    cue.arm(0.5 * rises, cue.side, way)
    cue.arm(rises, cue.side, up)
    cue.arm(rises + holds, cue.side, up)
    cue.arm(rises + holds + 0.5 * falls, cue.side, way)
    return cue.phrase(rises + holds + falls)


def _point(cue: _Cue) -> _Phrase:
    root, sign = cue.stage.root, 1.0 if cue.side == "r" else -1.0
    aside = math.remainder(math.atan2(-root.x, root.z) - root.yaw, 2 * math.pi)
    # The shoulder is beside the body's middle and the arm aims at the lens from there.
    x, z = root.offset(sign * cue.body.shoulder_half, 0.0)
    out = sign * math.sin(aside) - cue.body.shoulder_half / math.hypot(x, z)
    shoulder_y = cue.body.floor_y + 0.81 * cue.body.height
    aim = _arm(out, -shoulder_y / math.hypot(x, z), math.cos(aside), cue.u(0.975, 0.994), roll=cue.u(0.6, 1.4))
    way = _arm(0.25, -0.7, 0.5, 0.8, roll=0.6)
    rises, holds, falls = cue.s(0.65, 0.95), cue.s(0.8, 2.0), cue.s(0.65, 0.95)
    cue.arm(0.45 * rises, cue.side, way)
    cue.arm(rises, cue.side, aim)
    cue.arm(rises + holds, cue.side, aim)
    cue.arm(rises + holds + 0.55 * falls, cue.side, way)
    return cue.phrase(rises + holds + falls)


def _beckon(cue: _Cue) -> _Phrase:
    up, out = cue.u(-0.2, 0.0), cue.u(-0.1, 0.15)
    half = cue.s(0.24, 0.4)
    t = cue.s(0.5, 0.65)
    cue.arm(0.5 * t, cue.side, _arm(0.2, -0.6, 0.5, 0.75, roll=-0.5))
    for i in range(2 * int(cue.u(2.5, 5.5)) + 1):
        if i % 2:
            cue.arm(t, cue.side, _arm(out, up + 0.14, 0.4, swivel=0.35, roll=-1.5, flex=1.0))
        else:
            cue.arm(t, cue.side, _arm(out, up, 0.74, swivel=0.35, roll=-1.4, flex=-0.1))
        t += half * cue.u(0.92, 1.08)
    return cue.phrase(t + cue.s(0.45, 0.65))


def _stop(cue: _Cue) -> _Phrase:
    out, up = cue.u(-0.15, 0.12), cue.u(-0.04, 0.12)
    palm = _arm(out, up, 1.0, cue.u(0.95, 0.992), roll=1.5, flex=-cue.u(1.0, 1.3))
    way = _arm(0.1, -0.35, 0.45, 0.62, swivel=0.6, roll=1.3, flex=-0.9)
    rises, holds, falls = cue.s(0.7, 1.0), cue.s(0.8, 1.9), cue.s(0.7, 1.0)
    cue.arm(0.55 * rises, cue.side, way)
    cue.arm(rises, cue.side, palm)
    cue.arm(rises + holds, cue.side, palm)
    cue.arm(rises + holds + 0.5 * falls, cue.side, _arm(0.15, -0.55, 0.6, 0.85, roll=0.8, flex=-0.3))
    return cue.phrase(rises + holds + falls)


def _bow(cue: _Cue) -> _Phrase:
    lean, holds = cue.u(0.75, 1.3), cue.s(0.25, 0.9)
    down, rises = cue.s(0.8, 1.2), cue.s(0.85, 1.3)
    arms = [
        _arm(0.06, -1.0, 0.06, 0.96, roll=0.5, hang=0.0),  # along the body
        _arm(0.02, -1.0, 0.16, 0.93, roll=0.9, hang=0.35),  # hands on the thighs
        _arm(0.08, -1.0, 0.1, 0.96, roll=0.4, hang=0.9),  # hanging
    ][int(cue.rng.integers(3))]
    for t in (down, down + holds):
        cue.key(t, trunk=(lean, 0.12, 0.0, 0.0), head=(cue.u(0.1, 0.3), 0.0, 0.0), arm_l=arms, arm_r=arms)
    return cue.phrase(down + holds + rises)


def _punch(cue: _Cue) -> _Phrase:
    guarded = cue.chance(0.6)
    guard = cue.mid(0.16, -0.06, 0.42, swivel=0.35, roll=0.5, flex=0.15)
    chamber = _arm(0.05, -0.45, 0.15, 0.5, swivel=0.3, roll=-0.6)
    lean, side = cue.u(0.05, 0.18), cue.side
    t = cue.s(0.4, 0.52)
    for _ in range(2 if cue.chance(0.3) else 1):
        sign = 1.0 if side == "r" else -1.0
        other = _other(side)
        cue.arm(t, side, guard if guarded else chamber)
        cue.key(t, trunk=(0.04, 0.0, 0.0, 0.25 * sign))
        if guarded:
            cue.arm(t, other, guard)
        out = t + cue.s(0.2, 0.29)
        fist = _arm(cue.u(-0.3, -0.12), cue.u(-0.04, 0.1), 1.0, 0.985, swivel=0.4, roll=1.5)
        for at in (out, out + 0.06):
            cue.arm(at, side, fist)
            cue.key(at, trunk=(lean, 0.0, 0.0, -0.4 * sign), pelvis=(0.0, -0.012, 0.03))
            if guarded:
                cue.arm(at, other, guard)
        t = out + 0.06 + cue.s(0.22, 0.3)
        if guarded:
            cue.arms(t, guard)
        else:
            cue.arm(t, side, _arm(0.1, -0.7, 0.3, 0.72, roll=0.5))
        cue.key(t, trunk=(0.05, 0.0, 0.0, 0.0))
        t += 0.12
        side = other if guarded else side
    return cue.phrase(t + cue.s(0.3, 0.42))


def _kick(cue: _Cue) -> _Phrase:
    side = cue.side
    sign = 1.0 if side == "r" else -1.0
    foot, support = f"foot_{side}", -sign * cue.body.stance["half_width"] / cue.body.height
    height, leg = cue.u(0.25, 0.4), 0.95 * cue.body.leg / cue.body.height
    far = math.sqrt(leg**2 - (leg - height) ** 2)  # where an all but straight leg is that high
    # The pelvis moves over the standing foot, so the kicking foot starts this far outside its hip.
    outside = (2 * cue.body.stance["half_width"] - cue.body.hip_half) / cue.body.height
    sideways = cue.chance(0.3)
    shifts, lifts, strikes = cue.s(0.28, 0.36), cue.s(0.24, 0.32), cue.s(0.22, 0.3)
    returns, settles = cue.s(0.3, 0.4), cue.s(0.35, 0.45)
    folded, struck = shifts + lifts, shifts + lifts + strikes
    back, down = struck + 0.05 + returns, struck + 0.05 + returns + settles
    if sideways:
        fold, strike = (0.07, 0.17, 0.04, 0.2), (far - outside, height, 0.05, -0.2)
        trunk = (0.02, 0.0, -0.45 * sign, 0.0)
    elif cue.chance(0.5):  # the knee first, then the shank
        fold, strike = (0.0, 0.2, 0.06, 0.3), (-outside, height, far, -0.7)
        trunk = (-0.16, 0.0, 0.0, 0.15 * sign)
    else:  # as one kicks a ball
        fold, strike = (0.02, 0.1, -0.17, 0.9), (-outside - 0.02, height, far, -0.3)
        trunk = (-0.1, 0.0, 0.0, 0.2 * sign)
    cue.key(shifts, **{foot: (0.0, 0.004, 0.0, 0.35)}, pelvis=(0.9 * support, -0.012, 0.0))
    cue.key(folded, **{foot: fold}, pelvis=(support, -0.012, 0.0))
    for t in (struck, struck + 0.05):
        cue.key(t, **{foot: strike}, pelvis=(support, -0.008, 0.01), trunk=trunk)
    cue.key(back, **{foot: (0.3 * fold[0], 0.09, 0.06 if fold[2] >= 0 else -0.02, 0.3)}, pelvis=(support, -0.012, 0.0))
    cue.key(back, trunk=(0.03, 0.0, 0.0, 0.0))
    cue.key(0.5 * (back + down), **{foot: (0.0, 0.012, 0.0, 0.15)}, pelvis=(0.8 * support, -0.01, 0.0))
    balance = cue.u(0.3, 0.8)
    cue.arms(folded, _arm(0.3 + 0.3 * balance, -0.8, 0.25, 0.85, swivel=0.6))
    cue.arms(struck, _arm(0.35 + 0.5 * balance, -0.7, 0.1, 0.88, swivel=0.6))
    cue.arms(back, _arm(0.3, -0.85, 0.15, 0.9, swivel=0.5))
    return cue.phrase(down)


def _throw(cue: _Cue) -> _Phrase:
    side, sign = cue.side, 1.0 if cue.side == "r" else -1.0
    other = _other(side)
    lifts, winds, releases = cue.s(0.4, 0.55), cue.s(0.35, 0.5), cue.s(0.27, 0.36)
    t = lifts
    cue.arm(t, side, _arm(0.55, -0.2, 0.25, 0.62, swivel=0.9, roll=0.6))
    t += winds
    cocked = t
    cue.arm(t, side, _arm(0.5, cue.u(0.35, 0.5), -0.3, 0.62, swivel=1.3, roll=1.2, flex=-0.5))
    cue.arm(t, other, _arm(0.15, -0.25, 0.8, cue.u(0.6, 0.85), swivel=0.5, roll=0.8))
    cue.key(t, trunk=(-0.12, 0.0, 0.08 * sign, 0.45 * sign), pelvis=(0.02 * sign, -0.01, -0.03))
    t += releases
    cue.arm(t - 0.45 * releases, side, _arm(0.3, 0.75, 0.25, 0.8, swivel=1.0, roll=1.3, flex=-0.3))
    cue.arm(t, side, _arm(-0.02, 0.35, 0.85, 0.97, swivel=0.5, roll=1.4, flex=0.4))
    t += cue.s(0.18, 0.26)
    cue.arm(t, side, _arm(-0.35, -0.55, 0.6, 0.88, swivel=0.5, roll=1.2, flex=0.5))
    cue.key(t, trunk=(0.32, 0.05, -0.05 * sign, -0.4 * sign), pelvis=(-0.01 * sign, -0.015, 0.04))
    cue.arm(max(t, cocked + 0.3), other, _arm(0.35, -0.85, -0.1, 0.85, swivel=0.5))
    return cue.phrase(t + cue.s(0.55, 0.75))


def _push(cue: _Cue) -> _Phrase:
    sides = cue.side if cue.chance(0.35) else "lr"
    out, up = cue.u(0.12, 0.3), cue.u(-0.12, 0.04)
    gathers, pushes, holds, falls = cue.s(0.5, 0.7), cue.s(0.75, 1.15), cue.s(0.1, 0.4), cue.s(0.6, 0.85)
    pushed = gathers + 0.08 + pushes
    for side in sides:
        chest = cue.mid(out + 0.05, up - 0.14, 0.3, swivel=0.6, roll=1.2, flex=-1.1)
        for t in (gathers, gathers + 0.08):
            cue.arm(t, side, chest)
        far = cue.mid(out, up, 0.95, reach=0.987, swivel=0.5, roll=1.5, flex=-1.2)
        for t in (pushed, pushed + holds):
            cue.arm(t, side, far)
        cue.arm(pushed + holds + 0.5 * falls, side, _arm(0.1, -0.6, 0.5, 0.8, roll=0.8, flex=-0.3))
    lean = cue.u(0.08, 0.25)
    cue.key(gathers, trunk=(-0.02, 0.0, 0.0, 0.0))
    for t in (pushed, pushed + holds):
        cue.key(t, trunk=(lean, 0.0, 0.0, 0.0), pelvis=(0.0, -0.01, 0.02))
    return cue.phrase(pushed + holds + falls)


def _pull(cue: _Cue) -> _Phrase:
    sides = cue.side if cue.chance(0.35) else "lr"
    out, up = cue.u(0.12, 0.3), cue.u(-0.15, 0.02)
    reaches, grips, pulls, holds = cue.s(0.55, 0.75), cue.s(0.12, 0.3), cue.s(0.7, 1.1), cue.s(0.1, 0.35)
    gripped = reaches + grips
    pulled = gripped + pulls
    for side in sides:
        cue.arm(0.5 * reaches, side, _arm(0.12, -0.65, 0.5, 0.8, roll=0.5))
        for t in (reaches, gripped):
            cue.arm(t, side, cue.mid(out, up, 0.95, reach=0.987, swivel=0.4, roll=0.7, flex=0.1))
        for t in (pulled, pulled + holds):
            cue.arm(t, side, cue.mid(out + 0.12, up - 0.16, 0.24, swivel=0.5, roll=0.5, flex=0.2))
    cue.key(reaches, trunk=(cue.u(0.08, 0.2), 0.0, 0.0, 0.0))
    for t in (pulled, pulled + holds):
        cue.key(t, trunk=(-cue.u(0.06, 0.16), 0.0, 0.0, 0.0), pelvis=(0.0, -0.015, -0.03))
    return cue.phrase(pulled + holds + cue.s(0.45, 0.65))


def _pick_up(cue: _Cue) -> _Phrase:
    body, sides = cue.body, cue.side if cue.chance(0.5) else "lr"
    lean, curl = cue.u(0.75, 1.25), cue.u(0.15, 0.35)
    target = cue.u(0.09, 0.125) * body.height
    down, stays, rises = cue.s(0.9, 1.3), cue.s(0.15, 0.5), cue.s(0.9, 1.3)
    reach = _arm(-0.1 if len(sides) == 2 else -0.02, -1.0, 0.3, 0.96, swivel=0.5, roll=0.6, hang=1.0)
    # The knees bend until the hands are down: what the trunk does not lower, the pelvis must.
    arm_down = -reach[1] * reach[3] * body.arm
    trunk_up = body.lower_spine * math.cos(0.85 * lean) + (body.upper_spine - body.shoulder_drop) * math.cos(
        lean + curl
    )
    drop = (target + arm_down - trunk_up - body.standing) / body.height
    lifted = _arm(0.0, -0.85, 0.35, 0.8, roll=0.6, hang=0.8)
    for t in (down, down + stays):
        cue.key(t, trunk=(lean, curl, 0.0, 0.0), pelvis=(0.0, drop, 0.02), head=(0.1, 0.0, 0.0))
    for side in sides:
        for t in (down, down + stays):
            cue.arm(t, side, reach)
        cue.arm(down + stays + 0.6 * rises, side, lifted)
    if len(sides) == 1:
        for t in (down, down + stays):
            cue.arm(t, _other(cue.side), _arm(0.1, -0.75, 0.4, 0.75, swivel=0.5, roll=0.9, hang=0.9))
    return cue.phrase(down + stays + rises)


def _sit_down(cue: _Cue) -> _Phrase:
    leans, lands, settles = cue.s(0.5, 0.75), cue.s(0.7, 1.0), cue.s(0.4, 0.7)
    cue.key(leans, trunk=(0.4, 0.1, 0.0, 0.0), pelvis=(0.0, -0.07, -0.09), head=(-0.1, 0.0, 0.0))
    cue.arms(leans, _arm(0.05, -0.9, 0.35, 0.85, swivel=0.4, roll=0.8, hang=1.0))
    cue.key(leans + lands, trunk=(cue.u(0.4, 0.6), 0.1, 0.0, 0.0), pelvis=_SIT["pelvis"], head=(-0.15, 0.0, 0.0))
    return cue.phrase(leans + lands + settles, sitting=True)


def _stand_up(cue: _Cue) -> _Phrase:
    leans, rises, settles = cue.s(0.45, 0.7), cue.s(0.65, 0.9), cue.s(0.35, 0.6)
    cue.key(leans, trunk=(cue.u(0.55, 0.75), 0.1, 0.0, 0.0), pelvis=(0.0, -0.228, -0.18), head=(-0.2, 0.0, 0.0))
    cue.arms(leans, _arm(0.03, -0.75, 0.4, 0.75, swivel=0.5, roll=1.2, hang=1.0))
    cue.key(leans + rises, trunk=(0.12, 0.03, 0.0, 0.0), pelvis=(0.0, -0.01, 0.0), head=(0.0, 0.0, 0.0))
    return cue.phrase(leans + rises + settles, sitting=False)


def _walk(cue: _Cue) -> _Phrase:
    size = math.sqrt(cue.body.height / 1.7)
    speed = cue.u(0.75, 1.05) * size * cue.pace
    way, arrives = _route(cue, _goals(cue, 0.9, 2 if cue.chance(0.55) else 1), speed, 2.4)
    gait = _stepped(cue, way, arrives, period_s=cue.s(0.5, 0.58) * size, swing=0.8, height=0.045, heel=0.55)
    amplitude = cue.u(0.2, 0.38)
    for t, side in gait.landings[:-2]:
        other = _other(side)
        cue.arm(t, other, _arm(0.12, -1.0, 0.12 + amplitude, 0.94, swivel=0.35, roll=0.3, hang=0.8))
        cue.arm(t, side, _arm(0.14, -1.0, 0.08 - amplitude, 0.965, swivel=0.3, roll=0.3, hang=0.8))
    _roll_hips(cue, gait, lean=0.06)
    return cue.stepping(gait)


def _carry(cue: _Cue) -> _Phrase:
    size = math.sqrt(cue.body.height / 1.7)
    speed = cue.u(0.6, 0.85) * size * cue.pace
    way, arrives = _route(cue, _goals(cue, 0.9, 2), speed, 2.0)
    gait = _stepped(cue, way, arrives, period_s=cue.s(0.54, 0.62) * size, swing=0.8, height=0.04, heel=0.45)
    hold = cue.mid(
        cue.u(0.12, 0.36), cue.u(-0.62, -0.35), cue.u(0.5, 0.62), swivel=0.35, roll=cue.u(-0.9, 0.1), flex=0.2
    )
    grasped, released = cue.s(0.45, 0.6), gait.duration_s - cue.s(0.45, 0.6)
    cue.arms(grasped, hold)
    cue.arms(released, hold)
    _roll_hips(cue, gait, lean=-0.05)
    return cue.stepping(gait)


def _run(cue: _Cue) -> _Phrase:
    root, size = cue.stage.root, math.sqrt(cue.body.height / 1.7)
    period = cue.s(0.33, 0.43) * size
    if cue.chance(0.35):  # to and fro
        way, arrives = _route(cue, _goals(cue, 1.0, 3), cue.u(1.3, 1.6) * size, 3.2)
    else:
        way = _Way(_Track([(0.0, (root.x, root.z))]), _Track([(0.0, (root.yaw,))]))
        arrives = cue.s(2.4, 4.5)
    kick, height = cue.u(0.08, 0.16), cue.u(0.09, 0.17)
    gait = _stepped(cue, way, arrives, period_s=period, swing=1.25, height=height, kick=kick, heel=0.8)
    amplitude, bounce = cue.u(0.22, 0.38), cue.u(0.01, 0.022)
    for t, side in gait.landings[:-2]:
        cue.arm(t, _other(side), _arm(0.0, -0.5, 0.2 + amplitude, 0.68, swivel=0.5, roll=0.3, flex=0.2, hang=0.6))
        cue.arm(t, side, _arm(0.15, -0.58, 0.12 - amplitude, 0.68, swivel=0.5, roll=0.3, flex=0.2, hang=0.6))
    for side in "lr":
        for stride in gait.strides[side]:
            # Both feet are in the air just before one lands; half a step later the knee gives.
            flight, support = stride.lands_at - 0.22 * period, stride.lands_at + 0.28 * period
            down = _vault(cue.body, gait, stride, side)
            cue.key(flight, pelvis=(0.0, bounce + 2 * down, 0.01), trunk=(0.12, 0.0, 0.0, 0.0))
            if support < gait.duration_s - 0.15:
                cue.key(support, pelvis=(0.0, -0.012 - bounce + down, 0.01), trunk=(0.14, 0.0, 0.0, 0.0))
    return cue.stepping(gait)


def _roll_hips(cue: _Cue, gait: _Gait, lean: float) -> None:
    """Over the standing foot while the other swings, and lower where the legs are far apart."""
    for side in "lr":
        sway = -0.012 if side == "r" else 0.012
        for stride in gait.strides[side]:
            t = 0.5 * (stride.lifts_at + stride.lands_at)
            cue.key(t, pelvis=(sway, -0.004, 0.0), trunk=(lean, 0.0, 0.0, 4 * sway))
            cue.key(stride.lands_at - 0.02, pelvis=(0.0, _vault(cue.body, gait, stride, side), 0.0))


def _vault(body: _Body, gait: _Gait, stride: _Stride, side: str) -> float:
    """How far the pelvis must come down for this foot to reach its foothold, in body heights."""
    hip = gait.way.at(stride.lands_at - 0.04).offset(body.hip_half if side == "r" else -body.hip_half, 0.0)
    apart = math.dist(hip, (stride.end.x, stride.end.z))
    return (math.sqrt((0.985 * body.leg) ** 2 - min(apart, 0.6 * body.leg) ** 2) - 0.985 * body.leg) / body.height


def _jump(cue: _Cue) -> _Phrase:
    return _jumping_jacks(cue) if cue.chance(0.35) else _jump_up(cue)


def _jump_up(cue: _Cue) -> _Phrase:
    crouch, high = cue.u(0.09, 0.16), cue.u(0.07, 0.13)
    swing = cue.u(-0.1, 0.6)
    t = 0.0
    for _ in range(int(cue.u(1, 3.99))):
        t += cue.s(0.42, 0.55)
        cue.key(t, pelvis=(0.0, -crouch, -0.03), trunk=(0.45, 0.1, 0.0, 0.0))
        cue.arms(t, _arm(0.15, -1.0, -0.45, 0.9, hang=0.6))
        cue.key(t, foot_l=(0.0, 0.0, 0.0, 0.0), foot_r=(0.0, 0.0, 0.0, 0.0))
        off = t + 0.2
        flight = 2 * math.sqrt(2 * high * cue.body.height / 9.81)
        top, lands = off + 0.5 * flight, off + flight
        for foot in ("foot_l", "foot_r"):
            cue.key(off, **{foot: (0.0, 0.0, 0.0, 0.45)})
            cue.key(top, **{foot: (0.0, high, 0.0, 0.7)})
            cue.key(lands, **{foot: (0.0, 0.0, 0.0, 0.2)})
        cue.arms(off - 0.03, _arm(0.25, -0.75, 0.45, 0.85, swivel=0.4, roll=0.4, hang=0.3))
        cue.key(off, pelvis=(0.0, 0.03, 0.0), trunk=(0.05, 0.0, 0.0, 0.0))
        cue.key(top, pelvis=(0.0, high + 0.03, 0.0))
        cue.arms(top - 0.02, _arm(0.2, swing, 0.75, 0.8, swivel=0.4, roll=0.6))
        cue.key(lands, pelvis=(0.0, -0.01, 0.0), trunk=(0.1, 0.0, 0.0, 0.0))
        t = lands + 0.2
        cue.key(t, pelvis=(0.0, -0.65 * crouch, -0.02), trunk=(0.3, 0.05, 0.0, 0.0))
        cue.arms(t, _arm(0.2, -0.9, 0.2, 0.9, hang=0.6))
        cue.key(t, foot_l=(0.0, 0.0, 0.0, 0.0), foot_r=(0.0, 0.0, 0.0, 0.0))
    return cue.phrase(t + cue.s(0.4, 0.55))


def _jumping_jacks(cue: _Cue) -> _Phrase:
    half, wide, high = cue.s(0.42, 0.56), cue.u(0.1, 0.16), cue.u(0.035, 0.06)
    t = cue.s(0.3, 0.4)
    cue.key(t, pelvis=(0.0, -0.06, 0.0), trunk=(0.12, 0.0, 0.0, 0.0), foot_l=_STAND["foot_l"], foot_r=_STAND["foot_r"])
    cue.arms(t, _arm(0.15, -1.0, 0.05, 0.95))
    for i in range(2 * int(cue.u(2, 4.99))):
        opening = i % 2 == 0
        mid, lands = t + 0.5 * half, t + 0.85 * half
        cue.arms(mid, _arm(1.0, -0.02, 0.15, 0.93, swivel=0.5, roll=0.9))
        cue.arms(
            t + half, _arm(0.18, 1.0, 0.05, 0.94, swivel=1.0, roll=1.3) if opening else _arm(0.2, -1.0, 0.05, 0.95)
        )
        out = wide if opening else 0.0
        for foot in ("foot_l", "foot_r"):
            cue.key(mid, **{foot: (0.5 * wide, high, 0.0, 0.5)})
            cue.key(lands, **{foot: (out, 0.0, 0.0, 0.1)})
            cue.key(t + half, **{foot: (out, 0.0, 0.0, 0.0)})
        cue.key(mid, pelvis=(0.0, high, 0.0), trunk=(0.04, 0.0, 0.0, 0.0))
        cue.key(t + half, pelvis=(0.0, -0.05, 0.0), trunk=(0.1, 0.0, 0.0, 0.0))
        t += half
    return cue.phrase(t + cue.s(0.35, 0.5))


_CHOREOGRAPHY: dict[str, Callable[[_Cue], _Phrase]] = {
    "wave": _wave,
    "clap": _clap,
    "raise_hand": _raise_hand,
    "point": _point,
    "beckon": _beckon,
    "stop": _stop,
    "bow": _bow,
    "punch": _punch,
    "kick": _kick,
    "throw": _throw,
    "push": _push,
    "pull": _pull,
    "pick_up": _pick_up,
    "carry": _carry,
    "sit_down": _sit_down,
    "stand_up": _stand_up,
    "walk": _walk,
    "run": _run,
    "jump": _jump,
}


# ---------------------------------------------------------------------------------------------------------------------
# Background: what people do between actions, and a detector must not mistake for one


def _background(cue: _Cue, duration_s: float) -> _Phrase:
    """A stretch of background of exactly this duration: nothing, a look about, a shift of weight, a fidget, a step."""
    standing = not cue.stage.sitting
    fidgets = [_scratch_head, _look_about]
    if standing:
        fidgets += [_cross_arms, _hands_on_hips, _shift_weight]
        if duration_s >= 1.7 and cue.chance(0.35):
            return _side_step(cue, duration_s)
    if duration_s >= 1.5 and cue.chance(0.75):
        fidgets[int(cue.rng.integers(len(fidgets)))](cue, duration_s)
    elif duration_s >= 0.8 and cue.chance(0.6):
        (_shift_weight if standing and cue.chance(0.5) else _look_about)(cue, duration_s)
    return cue.phrase(duration_s)


def _scratch_head(cue: _Cue, duration_s: float) -> None:
    side = cue.side
    cue.arm(0.18 * duration_s, side, _arm(0.35, -0.3, 0.5, 0.65, swivel=0.8))
    for i, share in enumerate((0.38, 0.46, 0.54, 0.62)):
        up = 0.42 + 0.03 * (i % 2)
        cue.arm(share * duration_s, side, cue.mid(0.24, up, 0.2, swivel=1.2, roll=0.4, flex=0.5))
        cue.key(share * duration_s, head=(0.15, 0.0, 0.1 if side == "r" else -0.1))
    cue.arm(0.82 * duration_s, side, _arm(0.35, -0.35, 0.5, 0.68, swivel=0.8))


def _look_about(cue: _Cue, duration_s: float) -> None:
    turn = cue.u(0.4, 0.9) * cue.sign()
    cue.key(0.35 * duration_s, head=(cue.u(-0.15, 0.25), turn, 0.0), trunk=(0.03, 0.0, 0.0, 0.15 * turn))
    cue.key(0.65 * duration_s, head=(cue.u(-0.15, 0.25), turn * cue.u(-0.9, 0.9), 0.0))


def _shift_weight(cue: _Cue, duration_s: float) -> None:
    right = cue.u(0.015, 0.035) * cue.sign()
    for share in (0.38, 0.6):
        cue.key(share * duration_s, pelvis=(right, -0.004, 0.0), trunk=(0.03, 0.0, -2.2 * right, 0.0))


def _cross_arms(cue: _Cue, duration_s: float) -> None:
    for share in (0.4, 0.6):
        cue.arm(share * duration_s, cue.side, cue.mid(-0.26, -0.34, 0.36, swivel=0.4, roll=0.8))
        cue.arm(share * duration_s, _other(cue.side), cue.mid(-0.2, -0.42, 0.28, swivel=0.4, roll=0.8))
    for share in (0.2, 0.8):
        cue.arms(share * duration_s, _arm(0.1, -0.6, 0.42, 0.72, swivel=0.5, roll=0.6))


def _hands_on_hips(cue: _Cue, duration_s: float) -> None:
    for share in (0.38, 0.62):
        cue.arms(share * duration_s, _arm(0.02, -0.66, 0.06, swivel=1.35, roll=0.6, flex=0.4))


def _side_step(cue: _Cue, duration_s: float) -> _Phrase:
    """Two small steps to a place near by, and a new facing: how somebody drifts through a room without sliding."""
    root = cue.stage.root
    x, z = root.offset(cue.u(-0.14, 0.14), cue.u(-0.14, 0.14))
    x, z = cue.body.room.inside(x, z)
    goal = _facing_camera(x, z, cue.rng)
    yaw = root.yaw + math.remainder(goal.yaw - root.yaw, 2 * math.pi)
    arrives = 1.1
    way = _Way(_Track([(0.0, (root.x, root.z)), (arrives, (x, z))]), _Track([(0.0, (root.yaw,)), (arrives, (yaw,))]))
    gait = _stepped(cue, way, arrives, period_s=0.46, swing=0.8, height=0.022, heel=0.2)
    gait = _Gait(way=way, goal=gait.goal, strides=gait.strides, duration_s=duration_s)
    _roll_hips(cue, gait, lean=0.03)
    return cue.stepping(gait)
