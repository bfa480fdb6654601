"""The actions of the whole body. Every function fills in one cue's keys, from rest to rest; what the numbers mean
stands at `motion.arm` and `motion.STAND`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .cue import Cue, other_side
from .gait import far_goals, roll_hips, route, stepped, vault
from .motion import SIT, STAND, Phrase, Track, Way, arm


def kick(cue: Cue) -> Phrase:
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
    cue.arms(folded, arm(0.3 + 0.3 * balance, -0.8, 0.25, 0.85, swivel=0.6))
    cue.arms(struck, arm(0.35 + 0.5 * balance, -0.7, 0.1, 0.88, swivel=0.6))
    cue.arms(back, arm(0.3, -0.85, 0.15, 0.9, swivel=0.5))
    return cue.phrase(down)


def pick_up(cue: Cue) -> Phrase:
    body, sides = cue.body, cue.side if cue.chance(0.5) else "lr"
    lean, curl = cue.u(0.75, 1.25), cue.u(0.15, 0.35)
    target = cue.u(0.09, 0.125) * body.height
    down, stays, rises = cue.s(0.9, 1.3), cue.s(0.15, 0.5), cue.s(0.9, 1.3)
    reach = arm(-0.1 if len(sides) == 2 else -0.02, -1.0, 0.3, 0.96, swivel=0.5, roll=0.6, hang=1.0)
    # The knees bend until the hands are down: what the trunk does not lower, the pelvis must.
    arm_down = -reach[1] * reach[3] * body.arm
    trunk_up = body.lower_spine * math.cos(0.85 * lean) + (body.upper_spine - body.shoulder_drop) * math.cos(
        lean + curl
    )
    drop = (target + arm_down - trunk_up - body.standing) / body.height
    lifted = arm(0.0, -0.85, 0.35, 0.8, roll=0.6, hang=0.8)
    for t in (down, down + stays):
        cue.key(t, trunk=(lean, curl, 0.0, 0.0), pelvis=(0.0, drop, 0.02), head=(0.1, 0.0, 0.0))
    for side in sides:
        for t in (down, down + stays):
            cue.arm(t, side, reach)
        cue.arm(down + stays + 0.6 * rises, side, lifted)
    if len(sides) == 1:
        for t in (down, down + stays):
            cue.arm(t, other_side(cue.side), arm(0.1, -0.75, 0.4, 0.75, swivel=0.5, roll=0.9, hang=0.9))
    return cue.phrase(down + stays + rises)


def sit_down(cue: Cue) -> Phrase:
    leans, lands, settles = cue.s(0.5, 0.75), cue.s(0.7, 1.0), cue.s(0.4, 0.7)
    cue.key(leans, trunk=(0.4, 0.1, 0.0, 0.0), pelvis=(0.0, -0.07, -0.09), head=(-0.1, 0.0, 0.0))
    cue.arms(leans, arm(0.05, -0.9, 0.35, 0.85, swivel=0.4, roll=0.8, hang=1.0))
    cue.key(leans + lands, trunk=(cue.u(0.4, 0.6), 0.1, 0.0, 0.0), pelvis=SIT["pelvis"], head=(-0.15, 0.0, 0.0))
    return cue.phrase(leans + lands + settles, sitting=True)


def stand_up(cue: Cue) -> Phrase:
    leans, rises, settles = cue.s(0.45, 0.7), cue.s(0.65, 0.9), cue.s(0.35, 0.6)
    cue.key(leans, trunk=(cue.u(0.55, 0.75), 0.1, 0.0, 0.0), pelvis=(0.0, -0.228, -0.18), head=(-0.2, 0.0, 0.0))
    cue.arms(leans, arm(0.03, -0.75, 0.4, 0.75, swivel=0.5, roll=1.2, hang=1.0))
    cue.key(leans + rises, trunk=(0.12, 0.03, 0.0, 0.0), pelvis=(0.0, -0.01, 0.0), head=(0.0, 0.0, 0.0))
    return cue.phrase(leans + rises + settles, sitting=False)


def walk(cue: Cue, goals: Sequence[tuple[float, float]] | None = None) -> Phrase:
    """Over the given spots (x, z) of the floor, or to one or two of chance's choosing."""
    size = math.sqrt(cue.body.height / 1.7)
    speed = cue.u(0.75, 1.05) * size * cue.pace
    goals = goals or far_goals(cue, 0.9, 2 if cue.chance(0.55) else 1)
    way, arrives = route(cue, goals, speed, 2.4)
    gait = stepped(cue, way, arrives, period_s=cue.s(0.5, 0.58) * size, swing=0.8, height=0.045, heel=0.55)
    amplitude = cue.u(0.2, 0.38)
    for t, side in gait.landings[:-2]:
        other = other_side(side)
        cue.arm(t, other, arm(0.12, -1.0, 0.12 + amplitude, 0.94, swivel=0.35, roll=0.3, hang=0.8))
        cue.arm(t, side, arm(0.14, -1.0, 0.08 - amplitude, 0.965, swivel=0.3, roll=0.3, hang=0.8))
    roll_hips(cue, gait, lean=0.06)
    return cue.stepping(gait)


def carry(cue: Cue) -> Phrase:
    size = math.sqrt(cue.body.height / 1.7)
    speed = cue.u(0.6, 0.85) * size * cue.pace
    way, arrives = route(cue, far_goals(cue, 0.9, 2), speed, 2.0)
    gait = stepped(cue, way, arrives, period_s=cue.s(0.54, 0.62) * size, swing=0.8, height=0.04, heel=0.45)
    hold = cue.mid(
        cue.u(0.12, 0.36), cue.u(-0.62, -0.35), cue.u(0.5, 0.62), swivel=0.35, roll=cue.u(-0.9, 0.1), flex=0.2
    )
    grasped, released = cue.s(0.45, 0.6), gait.duration_s - cue.s(0.45, 0.6)
    cue.arms(grasped, hold)
    cue.arms(released, hold)
    roll_hips(cue, gait, lean=-0.05)
    return cue.stepping(gait)


def run(cue: Cue) -> Phrase:
    root, size = cue.stage.root, math.sqrt(cue.body.height / 1.7)
    period = cue.s(0.33, 0.43) * size
    if cue.chance(0.35):  # to and fro
        way, arrives = route(cue, far_goals(cue, 1.0, 3), cue.u(1.3, 1.6) * size, 3.2)
    else:
        way = Way(Track([(0.0, (root.x, root.z))]), Track([(0.0, (root.yaw,))]))
        arrives = cue.s(2.4, 4.5)
    kick, height = cue.u(0.08, 0.16), cue.u(0.09, 0.17)
    gait = stepped(cue, way, arrives, period_s=period, swing=1.25, height=height, kick=kick, heel=0.8)
    amplitude, bounce = cue.u(0.22, 0.38), cue.u(0.01, 0.022)
    for t, side in gait.landings[:-2]:
        cue.arm(t, other_side(side), arm(0.0, -0.5, 0.2 + amplitude, 0.68, swivel=0.5, roll=0.3, flex=0.2, hang=0.6))
        cue.arm(t, side, arm(0.15, -0.58, 0.12 - amplitude, 0.68, swivel=0.5, roll=0.3, flex=0.2, hang=0.6))
    for side in "lr":
        for stride in gait.strides[side]:
            # Both feet are in the air just before one lands; half a step later the knee gives.
            flight, support = stride.lands_at - 0.22 * period, stride.lands_at + 0.28 * period
            down = vault(cue.body, gait, stride, side)
            cue.key(flight, pelvis=(0.0, bounce + 2 * down, 0.01), trunk=(0.12, 0.0, 0.0, 0.0))
            if support < gait.duration_s - 0.15:
                cue.key(support, pelvis=(0.0, -0.012 - bounce + down, 0.01), trunk=(0.14, 0.0, 0.0, 0.0))
    return cue.stepping(gait)


def jump(cue: Cue) -> Phrase:
    return _jumping_jacks(cue) if cue.chance(0.35) else _jump_up(cue)


def _jump_up(cue: Cue) -> Phrase:
    crouch, high = cue.u(0.09, 0.16), cue.u(0.07, 0.13)
    swing = cue.u(-0.1, 0.6)
    t = 0.0
    for _ in range(int(cue.u(1, 3.99))):
        t += cue.s(0.42, 0.55)
        cue.key(t, pelvis=(0.0, -crouch, -0.03), trunk=(0.45, 0.1, 0.0, 0.0))
        cue.arms(t, arm(0.15, -1.0, -0.45, 0.9, hang=0.6))
        cue.key(t, foot_l=(0.0, 0.0, 0.0, 0.0), foot_r=(0.0, 0.0, 0.0, 0.0))
        off = t + 0.2
        flight = 2 * math.sqrt(2 * high * cue.body.height / 9.81)
        top, lands = off + 0.5 * flight, off + flight
        for foot in ("foot_l", "foot_r"):
            cue.key(off, **{foot: (0.0, 0.0, 0.0, 0.45)})
            cue.key(top, **{foot: (0.0, high, 0.0, 0.7)})
            cue.key(lands, **{foot: (0.0, 0.0, 0.0, 0.2)})
        cue.arms(off - 0.03, arm(0.25, -0.75, 0.45, 0.85, swivel=0.4, roll=0.4, hang=0.3))
        cue.key(off, pelvis=(0.0, 0.03, 0.0), trunk=(0.05, 0.0, 0.0, 0.0))
        cue.key(top, pelvis=(0.0, high + 0.03, 0.0))
        cue.arms(top - 0.02, arm(0.2, swing, 0.75, 0.8, swivel=0.4, roll=0.6))
        cue.key(lands, pelvis=(0.0, -0.01, 0.0), trunk=(0.1, 0.0, 0.0, 0.0))
        t = lands + 0.2
        cue.key(t, pelvis=(0.0, -0.65 * crouch, -0.02), trunk=(0.3, 0.05, 0.0, 0.0))
        cue.arms(t, arm(0.2, -0.9, 0.2, 0.9, hang=0.6))
        cue.key(t, foot_l=(0.0, 0.0, 0.0, 0.0), foot_r=(0.0, 0.0, 0.0, 0.0))
    return cue.phrase(t + cue.s(0.4, 0.55))


def _jumping_jacks(cue: Cue) -> Phrase:
    half, wide, high = cue.s(0.42, 0.56), cue.u(0.1, 0.16), cue.u(0.035, 0.06)
    t = cue.s(0.3, 0.4)
    cue.key(t, pelvis=(0.0, -0.06, 0.0), trunk=(0.12, 0.0, 0.0, 0.0), foot_l=STAND["foot_l"], foot_r=STAND["foot_r"])
    cue.arms(t, arm(0.15, -1.0, 0.05, 0.95))
    for i in range(2 * int(cue.u(2, 4.99))):
        opening = i % 2 == 0
        mid, lands = t + 0.5 * half, t + 0.85 * half
        cue.arms(mid, arm(1.0, -0.02, 0.15, 0.93, swivel=0.5, roll=0.9))
        cue.arms(t + half, arm(0.18, 1.0, 0.05, 0.94, swivel=1.0, roll=1.3) if opening else arm(0.2, -1.0, 0.05, 0.95))
        out = wide if opening else 0.0
        for foot in ("foot_l", "foot_r"):
            cue.key(mid, **{foot: (0.5 * wide, high, 0.0, 0.5)})
            cue.key(lands, **{foot: (out, 0.0, 0.0, 0.1)})
            cue.key(t + half, **{foot: (out, 0.0, 0.0, 0.0)})
        cue.key(mid, pelvis=(0.0, high, 0.0), trunk=(0.04, 0.0, 0.0, 0.0))
        cue.key(t + half, pelvis=(0.0, -0.05, 0.0), trunk=(0.1, 0.0, 0.0, 0.0))
        t += half
    return cue.phrase(t + cue.s(0.35, 0.5))
