"""Steps: ways through the room, and the strides that carry the body along them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .body import Body
from .cue import Cue, other_side
from .motion import Gait, Stride, Track, Values, Way
from .place import facing_camera, standing_foot


def stepped(
    cue: Cue,
    way: Way,
    arrives_s: float,
    *,
    period_s: float,
    swing: float,
    height: float,
    kick: float = 0.0,
    heel: float = 0.0,
) -> Gait:
    """Strides along a way that arrives at `arrives_s`. A foot lifts every `period_s` and is in the air for `swing`
    of that; it lands where the body will be half way through its stance. Height and kick are in body heights.
    """
    body, goal = cue.body, way.at(arrives_s)
    holds = {side: standing_foot(cue.stage.root, side, body.stance) for side in "lr"}
    strides: dict[str, list[Stride]] = {"l": [], "r": []}
    t, side, settled = 0.22, "lr"[int(cue.chance(0.5))], set[str]()
    while len(settled) < 2:
        lands = t + swing * period_s
        under = lands + 0.5 * (2 - swing) * period_s
        if under >= arrives_s:
            settled.add(side)
        hold = standing_foot(goal if side in settled else way.at(under), side, body.stance)
        stride = Stride(
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
        t, side = t + period_s, other_side(side)
    landed = max(stride.lands_at for both in strides.values() for stride in both)
    return Gait(way=way, goal=goal, strides=strides, duration_s=max(landed, arrives_s) + 0.12)


def route(cue: Cue, goals: Sequence[tuple[float, float]], speed: float, turn_rate: float) -> tuple[Way, float]:
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
    turn(facing_camera(x, z, cue.rng).yaw)
    return Way(Track(spots), Track(yaws)), max(spots[-1][0], yaws[-1][0])


def far_goals(cue: Cue, at_least_m: float, legs: int) -> list[tuple[float, float]]:
    """Spots to walk to, each the farthest but one of a few, so that ways are long but not all along the walls."""
    here, goals = (cue.stage.root.x, cue.stage.root.z), []
    for _ in range(legs):
        spots = [cue.body.room.somewhere(cue.rng) for _ in range(8)]
        spots.sort(key=lambda spot: math.dist(spot, here))
        far = next((spot for spot in spots[-2:] if math.dist(spot, here) >= at_least_m), spots[-1])
        goals.append(far)
        here = far
    return goals


def roll_hips(cue: Cue, gait: Gait, lean: float) -> None:
    """Over the standing foot while the other swings, and lower where the legs are far apart."""
    for side in "lr":
        sway = -0.012 if side == "r" else 0.012
        for stride in gait.strides[side]:
            t = 0.5 * (stride.lifts_at + stride.lands_at)
            cue.key(t, pelvis=(sway, -0.004, 0.0), trunk=(lean, 0.0, 0.0, 4 * sway))
            cue.key(stride.lands_at - 0.02, pelvis=(0.0, vault(cue.body, gait, stride, side), 0.0))


def vault(body: Body, gait: Gait, stride: Stride, side: str) -> float:
    """How far the pelvis must come down for this foot to reach its foothold, in body heights."""
    hip = gait.way.at(stride.lands_at - 0.04).offset(body.hip_half if side == "r" else -body.hip_half, 0.0)
    apart = math.dist(hip, (stride.end.x, stride.end.z))
    return (math.sqrt((0.985 * body.leg) ** 2 - min(apart, 0.6 * body.leg) ** 2) - 0.985 * body.leg) / body.height
