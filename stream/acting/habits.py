"""What people do all day in a room: they stand or sit, talk with their hands, drink, look at a phone, wait.

Nothing here is an action that a detector should name, though much of it resembles one: a hand at the ear is not raised,
a hand that talks does not beckon. Every habit fills in a cue's keys for a stretch of time, from rest to rest; what the
numbers mean stands at `motion.arm` and `motion.STAND`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .cue import Cue, other_side
from .gait import far_goals, roll_hips, route, stepped
from .motion import Phrase, Track, Values, Way, arm

SHORTEST_S = 3.0  # a habit needs time to come and to go
_CLEAR_S = 0.06  # between the keys of one part, at least


def habit(cue: Cue, duration_s: float) -> Phrase:
    """A stretch of background of exactly this duration, at least `SHORTEST_S`, where the actor is."""
    some = _SITTING if cue.stage.sitting else _STANDING
    chosen = some[int(cue.rng.integers(len(some)))]
    chosen(cue, duration_s)
    return cue.phrase(duration_s)


def stroll(cue: Cue) -> Phrase:
    """A walk as one walks at home: slower or faster, the arms swinging, in pockets, or one hand holding something."""
    size = math.sqrt(cue.body.height / 1.7)
    pace = cue.u(0.5, 1.0)
    way, arrives = route(cue, far_goals(cue, 0.8, int(cue.u(1, 3.99))), pace * size * cue.pace, cue.u(1.8, 2.6))
    gait = stepped(
        cue, way, arrives, period_s=cue.s(0.52, 0.6) * size * (0.9 / pace) ** 0.35, swing=cue.u(0.72, 0.82),
        height=cue.u(0.025, 0.05), heel=cue.u(0.4, 0.6),
    )  # fmt: skip
    amplitude = cue.u(0.06, 0.14) + 0.22 * (pace - 0.5)
    still, kept = (
        ("", _POCKET), ("", _POCKET), ("", _POCKET), (cue.side, _POCKET), ("lr", _POCKET), ("lr", _behind(cue)),
        (cue.side, _at_chest(cue)),  # not both: that would be `carry`
    )[int(cue.rng.integers(7))]  # fmt: skip
    for side in still:
        for t in (0.5, gait.duration_s - 0.5):
            cue.arm(t, side, kept)
    for t, side in gait.landings[:-2]:
        other = other_side(side)
        for swung, way_forward in ((other, 0.1 + amplitude), (side, 0.08 - amplitude)):
            if swung not in still:
                cue.arm(t, swung, arm(0.13, -1.0, way_forward, 0.955, swivel=0.33, roll=0.3, hang=0.8))
    roll_hips(cue, gait, lean=0.05)
    return cue.stepping(gait)


def turn_about(cue: Cue) -> Phrase:
    """A turn on the spot, by steps, to where something else is going on: seldom more than a quarter past the camera."""
    root = cue.stage.root
    towards = math.atan2(-root.x, root.z) + cue.sign() * (cue.u(1.0, 1.7) if cue.chance(0.8) else cue.u(1.7, 3.0))
    yaw = root.yaw + math.remainder(towards - root.yaw, 2 * math.pi)
    arrives = 0.5 + abs(yaw - root.yaw) / cue.u(1.6, 2.4)
    way = Way(Track([(0.0, (root.x, root.z))]), Track([(0.0, (root.yaw,)), (arrives, (yaw,))]))
    gait = stepped(cue, way, arrives, period_s=cue.s(0.42, 0.5), swing=0.8, height=0.025, heel=0.25)
    roll_hips(cue, gait, lean=0.03)
    return cue.stepping(gait)


# --- postures: hands that stay where they are ---------------------------------------------------------------------

_POCKET = arm(0.1, -0.8, 0.06, swivel=1.2, roll=0.4, flex=0.2)
_HIP = arm(0.02, -0.66, 0.06, swivel=1.35, roll=0.6, flex=0.4)


def _behind(cue: Cue) -> Values:
    return cue.mid(0.04, -0.78, -0.24, swivel=1.0, roll=-0.6)


def _at_chest(cue: Cue) -> Values:
    return cue.mid(0.14, -0.36, 0.44, swivel=0.4, roll=-0.5, flex=0.2)


def _wait(cue: Cue, duration_s: float) -> None:
    """The arms hang, or the hands lie on the thighs."""
    _weight(cue, duration_s)
    _gaze(cue, duration_s)


def _arms_crossed(cue: Cue, duration_s: float) -> None:
    comes, leaves = _comes_and_goes(cue, duration_s)
    for t in (0.5 * comes, 0.5 * (leaves + duration_s)):
        cue.arms(t, arm(0.1, -0.6, 0.42, 0.72, swivel=0.5, roll=0.6))
    _keep(cue, cue.side, cue.mid(-0.26, -0.34, 0.36, swivel=0.4, roll=0.8), comes, leaves)
    _keep(cue, other_side(cue.side), cue.mid(-0.2, -0.42, 0.28, swivel=0.4, roll=0.8), comes, leaves)
    _weight(cue, duration_s)
    _gaze(cue, duration_s)


def _hands_kept(cue: Cue, duration_s: float) -> None:
    """On the hips, in pockets, behind the back or folded before the body: both, or one."""
    comes, leaves = _comes_and_goes(cue, duration_s)
    folded = cue.mid(0.05, -0.84, 0.24, swivel=0.5, roll=0.9)
    kept = (_HIP, _POCKET, _behind(cue), folded)[int(cue.rng.integers(4))]
    for side in cue.side if kept in (_HIP, _POCKET) and cue.chance(0.4) else "lr":
        _keep(cue, side, kept, comes, leaves)
    _weight(cue, duration_s)
    _gaze(cue, duration_s)


def _leaning_back(cue: Cue, duration_s: float) -> None:
    """Sitting, far back, perhaps with the hands behind the head."""
    comes, leaves = _comes_and_goes(cue, duration_s, far=True)
    back = cue.u(-0.22, -0.08)
    for t in (comes, leaves):
        cue.key(t, trunk=(back, -0.03, 0.0, 0.0))
    if cue.chance(0.4):
        for t in (0.6 * comes, leaves + 0.4 * (duration_s - leaves)):
            cue.arms(t, arm(0.5, 0.1, 0.35, 0.62, swivel=1.0, roll=0.9))
        for side in "lr":
            _keep(cue, side, cue.mid(0.13, 0.4, -0.1, swivel=1.5, roll=0.8), comes, leaves)
    _gaze(cue, duration_s)


def _leaning_forward(cue: Cue, duration_s: float) -> None:
    """Sitting, with the forearms on the knees."""
    comes, leaves = _comes_and_goes(cue, duration_s)
    lean = cue.u(0.4, 0.62)
    for t in (comes, leaves):
        cue.key(t, trunk=(lean, 0.18, 0.0, 0.0))
    for side in "lr":
        _keep(cue, side, cue.mid(0.07, -0.62, 0.52, swivel=0.5, roll=0.9, flex=0.1), comes, leaves)
    _gaze(cue, duration_s, nod=-0.2)


# --- hands that are busy ------------------------------------------------------------------------------------------


def _talk(cue: Cue, duration_s: float) -> None:
    """Gestures that go with speech: strokes of one hand or both between belly and chest, never two alike."""
    comes, leaves = _comes_and_goes(cue, duration_s)
    sides = cue.side if cue.chance(0.45) else "lr"
    together, high = cue.chance(0.6), cue.u(-0.45, -0.15)
    t = comes
    while t < leaves:
        both = _stroke(cue, high)
        for side in sides:
            cue.arm(t, side, both if together else _stroke(cue, high))
        t += cue.s(0.24, 0.75)
        if cue.chance(0.2):  # a gesture that waits for its word
            t += cue.s(0.3, 1.2)
    if len(sides) == 1 and not cue.stage.sitting and cue.chance(0.4):
        _keep(cue, other_side(cue.side), _POCKET, comes, leaves)
    _weight(cue, duration_s)
    _gaze(cue, duration_s)


def _stroke(cue: Cue, high: float) -> Values:
    out, up, forward = cue.u(0.16, 0.48), cue.u(-0.6, high), cue.u(0.3, 0.6)
    return cue.mid(out, up, forward, swivel=cue.u(0.25, 0.6), roll=cue.u(-1.2, 0.6), flex=cue.u(-0.3, 0.4))


def _drink(cue: Cue, duration_s: float) -> None:
    comes, leaves = _comes_and_goes(cue, duration_s)
    holds = cue.mid(cue.u(0.1, 0.22), cue.u(-0.5, -0.35), cue.u(0.36, 0.46), swivel=0.4)
    cue.arm(comes, cue.side, holds)
    t = comes + cue.s(0.1, 0.8)
    while t + 2.4 < leaves:
        lifts, sips = cue.s(0.5, 0.75), cue.s(0.5, 1.4)
        sip = cue.mid(0.1, cue.u(0.1, 0.17), cue.u(0.34, 0.4), swivel=cue.u(0.5, 0.9), roll=0.1, flex=0.15)
        cue.arm(t, cue.side, holds)
        for at in (t + lifts, t + lifts + sips):
            cue.arm(at, cue.side, sip)
            cue.key(at, head=(cue.u(-0.25, -0.1), 0.0, 0.0))
        t += lifts + sips + cue.s(0.5, 0.75)
        cue.arm(t, cue.side, holds)
        cue.key(t, head=(0.05, cue.u(-0.3, 0.3), 0.0))
        t += cue.s(0.5, 3.0)
    _keep(cue, cue.side, holds, max(t, comes) + _CLEAR_S, leaves)
    _weight(cue, duration_s)


def _phone_before_eyes(cue: Cue, duration_s: float) -> None:
    comes, leaves = _comes_and_goes(cue, duration_s)
    high, far = cue.u(-0.36, -0.18), cue.u(0.42, 0.54)
    for side in "lr" if cue.chance(0.4) else cue.side:
        held = cue.mid(cue.u(0.05, 0.09), high, far, swivel=0.35, roll=-0.5, flex=0.25)
        _keep(cue, side, held, comes, leaves, size=0.012, every=(0.4, 1.6))
    _look_down(cue, comes, leaves, cue.u(0.3, 0.5))
    _weight(cue, duration_s)


def _phone_at_ear(cue: Cue, duration_s: float) -> None:
    comes, leaves = _comes_and_goes(cue, duration_s, far=True)
    sign = 1.0 if cue.side == "r" else -1.0
    for t in (0.5 * comes, leaves + 0.5 * (duration_s - leaves)):
        cue.arm(t, cue.side, arm(0.28, -0.3, 0.46, 0.62, swivel=0.6))
    _keep(cue, cue.side, cue.mid(0.25, 0.3, 0.14, swivel=0.9, roll=0.3, flex=0.3), comes, leaves)
    for t in (comes, leaves):
        cue.key(t, head=(0.08, 0.1 * sign, 0.1 * sign))
    other = other_side(cue.side)
    if cue.chance(0.35):
        t = comes
        while t < leaves:
            cue.arm(t, other, _stroke(cue, -0.25))
            t += cue.s(0.4, 1.6)
    elif cue.chance(0.5) and not cue.stage.sitting:
        _keep(cue, other, _POCKET, comes, leaves)
    _weight(cue, duration_s)


def _touch_face(cue: Cue, duration_s: float) -> None:
    """Scratches the head, rubs the neck, strokes the hair, wipes the nose."""
    comes, leaves = _comes_and_goes(cue, duration_s, far=True)
    places = (
        cue.mid(0.2, 0.46, 0.18, swivel=1.2, roll=0.4, flex=0.5),  # the crown
        cue.mid(0.12, 0.3, -0.06, swivel=1.3, roll=0.8, flex=0.4),  # the neck
        cue.mid(0.2, 0.32, 0.22, swivel=0.9, roll=0.6, flex=0.4),  # cheek and ear
        cue.mid(0.06, 0.22, 0.34, swivel=0.7, roll=0.9, flex=0.3),  # nose and mouth
    )
    place = places[int(cue.rng.integers(len(places)))]
    until = min(leaves, comes + cue.s(0.5, 3.0))
    for t in (0.55 * comes, until + 0.45 * (duration_s - leaves)):
        cue.arm(t, cue.side, arm(0.35, -0.32, 0.48, 0.64, swivel=0.8))
    _keep(cue, cue.side, place, comes, until, size=cue.u(0.02, 0.07), every=(0.14, 0.3))
    for t in (comes, until):
        cue.key(t, head=(cue.u(0.0, 0.25), cue.u(-0.2, 0.2), cue.u(-0.12, 0.12)))
    _weight(cue, duration_s)


def _think(cue: Cue, duration_s: float) -> None:
    """One hand at the chin, its elbow on the other arm or on the table."""
    comes, leaves = _comes_and_goes(cue, duration_s, far=True)
    _keep(cue, cue.side, cue.mid(0.04, 0.08, 0.3, swivel=0.35, roll=0.3, flex=0.5), comes, leaves)
    _keep(cue, other_side(cue.side), cue.mid(-0.12, -0.42, 0.3, swivel=0.4, roll=0.8), comes, leaves)
    _look_down(cue, comes, leaves, cue.u(0.0, 0.2))
    _weight(cue, duration_s)


def _work(cue: Cue, duration_s: float) -> None:
    """Both hands busy on a table or a keyboard."""
    comes, leaves = _comes_and_goes(cue, duration_s)
    typing = cue.stage.sitting and cue.chance(0.6)
    up, forward = cue.u(-0.66, -0.52), cue.u(0.4, 0.6)
    for side in "lr":
        t = comes
        while t < leaves:
            reach = 0.02 if typing else 0.12
            out = cue.u(0.12, 0.2) if typing else cue.u(0.05, 0.4)
            high, far = up + cue.u(-reach, reach) / 2, forward + cue.u(-reach, reach)
            cue.arm(t, side, cue.mid(out, high, far, swivel=0.45, roll=1.2, flex=cue.u(-0.1, 0.2)))
            t += cue.s(0.15, 0.5) if typing else cue.s(0.4, 1.6)
    lean = cue.u(0.06, 0.3)
    for t in (comes, leaves):
        cue.key(t, trunk=(lean, 0.08, 0.0, 0.0))
    _look_down(cue, comes, leaves, cue.u(0.15, 0.4))


def _read(cue: Cue, duration_s: float) -> None:
    """A book or a paper in both hands, and now and then a page is turned."""
    comes, leaves = _comes_and_goes(cue, duration_s)
    out, up, forward = cue.u(0.12, 0.24), cue.u(-0.5, -0.3), cue.u(0.4, 0.5)
    held = cue.mid(out, up, forward, swivel=0.4, roll=-0.4, flex=0.2)
    _keep(cue, other_side(cue.side), held, comes, leaves)
    cue.arm(comes, cue.side, held)
    t = comes + cue.u(1.5, 6.0)
    while t + 1.4 < leaves:
        cue.arm(t, cue.side, held)
        cue.arm(t + 0.5, cue.side, cue.mid(-0.08, up + 0.08, forward, swivel=0.5, roll=0.3, flex=0.2))
        cue.arm(t + 1.2, cue.side, held)
        t += cue.u(2.5, 8.0)
    cue.arm(leaves, cue.side, held)
    _look_down(cue, comes, leaves, cue.u(0.25, 0.45))
    _weight(cue, duration_s)


def _handle(cue: Cue, duration_s: float) -> None:
    """Takes something from a shelf or a table at the side, looks at it before the chest, and puts it back."""
    out, up, forward = cue.u(0.35, 0.9), cue.u(-0.5, -0.05), cue.u(0.25, 0.6)
    there = arm(out, up, forward, cue.u(0.8, 0.93), swivel=0.5, roll=cue.u(0.0, 1.2))
    sign = 1.0 if cue.side == "r" else -1.0
    reaches, grasps, brings = cue.s(0.7, 1.1), cue.s(0.2, 0.6), cue.s(0.6, 0.9)
    looks = duration_s - 2 * (reaches + grasps + brings)
    if looks < 0.3:
        _wait(cue, duration_s)
        return
    held = _at_chest(cue)
    for t in (reaches, reaches + grasps, duration_s - reaches - grasps, duration_s - reaches):
        cue.arm(t, cue.side, there)
        cue.key(t, trunk=(0.08, 0.0, 0.08 * sign, 0.25 * sign), head=(0.15, 0.4 * sign, 0.0))
    _keep(cue, cue.side, held, reaches + grasps + brings, duration_s - reaches - grasps - brings)
    for t in (reaches + grasps + brings, duration_s - reaches - grasps - brings):
        cue.key(t, trunk=(0.04, 0.0, 0.0, 0.0), head=(0.35, 0.0, 0.0))


def _look_at_watch(cue: Cue, duration_s: float) -> None:
    side, sign = other_side(cue.side), -1.0 if cue.side == "r" else 1.0
    comes, looks = cue.s(0.6, 0.9), cue.s(0.6, 1.4)
    for t in (comes, min(comes + looks, duration_s - 0.6)):
        cue.arm(t, side, cue.mid(-0.02, -0.22, 0.42, swivel=0.6, roll=1.5))
        cue.key(t, head=(0.3, 0.25 * sign, 0.0))


def _bounce_knee(cue: Cue, duration_s: float) -> None:
    """Sitting, with a restless leg."""
    foot, half, lift = f"foot_{cue.side}", cue.u(0.1, 0.16), cue.u(0.12, 0.3)
    t, up = cue.u(0.4, 1.2), False
    while t < duration_s - 0.4:
        cue.key(t, **{foot: (0.0, 0.0, 0.0, lift if up else 0.03)})
        t, up = t + half, not up
    _gaze(cue, duration_s)


_STANDING: tuple[Callable[[Cue, float], None], ...] = (
    _wait, _wait, _wait, _talk, _talk, _talk, _arms_crossed, _hands_kept, _hands_kept, _drink, _phone_before_eyes,
    _phone_at_ear, _touch_face, _think, _work, _read, _handle, _look_at_watch,
)  # fmt: skip
_SITTING: tuple[Callable[[Cue, float], None], ...] = (
    _wait, _wait, _talk, _talk, _arms_crossed, _leaning_back, _leaning_forward, _drink, _phone_before_eyes,
    _phone_at_ear, _touch_face, _think, _work, _work, _read, _handle, _bounce_knee,
)  # fmt: skip


# --- what goes on besides ------------------------------------------------------------------------------------------


def _comes_and_goes(cue: Cue, duration_s: float, *, far: bool = False) -> tuple[float, float]:
    """When the hands have arrived, and when they leave again; it takes longer up to the head."""
    low, high = (1.0, 1.6) if far else (0.6, 1.1)
    return min(cue.s(low, high), 0.38 * duration_s), duration_s - min(cue.s(low, high), 0.38 * duration_s)


def _keep(
    cue: Cue,
    side: str,
    held: Values,
    since: float,
    until: float,
    *,
    size: float = 0.025,
    every: tuple[float, float] = (1.2, 4.0),
) -> None:
    """A hand stays where it is from `since` to `until`, as still as a living hand can: it stirs by `size`."""
    t = since
    while t < until - _CLEAR_S:
        stirred = (*(value + cue.u(-size, size) for value in held[:3]), held[3] + cue.u(-size, size) / 2)
        cue.arm(t, side, (*stirred, *held[4:]))
        t += cue.u(*every)
    if since < until:
        cue.arm(until, side, held)


def _look_down(cue: Cue, since: float, until: float, nod: float) -> None:
    """At what the hands do, with a look up now and then."""
    t = since
    while t < until - 1.5:
        cue.key(t, head=(nod + cue.u(-0.05, 0.05), cue.u(-0.1, 0.1), cue.u(-0.05, 0.05)))
        t += cue.u(1.2, 5.0)
        if cue.chance(0.25) and t + 1.5 < until:
            cue.key(t, head=(nod, 0.0, 0.0))
            cue.key(t + 0.45, head=(cue.u(-0.1, 0.05), cue.u(-0.7, 0.7), 0.0))
            t += cue.u(0.9, 1.4)
    cue.key(until, head=(nod, 0.0, 0.0))


def _gaze(cue: Cue, duration_s: float, nod: float = 0.0) -> None:
    """Looks here and there, as the listener, the television or a noise wants it."""
    t, at = cue.u(0.3, 1.5), (0.0, 0.0, 0.0)
    while t + 1.3 < duration_s:
        cue.key(t, head=at)
        at = (nod + cue.u(-0.12, 0.2), cue.u(-0.8, 0.8), cue.u(-0.08, 0.08))
        t += cue.u(0.35, 0.6)
        cue.key(t, head=at)
        t += cue.u(0.5, 3.5)
    if at != (0.0, 0.0, 0.0):
        cue.key(min(max(t, duration_s - 1.0), duration_s - 0.4), head=at)


def _weight(cue: Cue, duration_s: float) -> None:
    """Standing: from one leg to the other, and a lean. Sitting: a shift on the seat."""
    seat_up, seat_back = cue.stage.rest["pelvis"][1:]
    most = 0.012 if cue.stage.sitting else 0.04
    t = cue.u(0.5, 3.0)
    while t + 1.5 < duration_s:
        right = cue.u(0.3, 1.0) * most * cue.sign()
        lean, twist = cue.u(-0.02, 0.12), cue.u(-0.12, 0.12)
        cue.key(t, pelvis=(right, seat_up - 0.1 * abs(right), seat_back), trunk=(lean, 0.02, -2.2 * right, twist))
        t += cue.u(0.9, 4.0)
