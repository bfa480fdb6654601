"""The actions of arms and trunk. Every function fills in one cue's keys, from rest to rest; what the numbers mean
stands at `motion.arm` and `motion.STAND`.

Durations, paces and amplitudes, here and in `moves`, follow what people do in front of a Kinect in UTKinect,
Kinder-Gator, MSR Action3D and the PRECOG recordings.
"""

from __future__ import annotations

import math

from .cue import Cue, other_side
from .motion import Phrase, arm


def wave(cue: Cue) -> Phrase:
    both = cue.chance(0.25)
    sides = "lr" if both else cue.side
    up, amplitude = (cue.u(0.62, 0.8), cue.u(0.2, 0.3)) if both else (cue.u(0.42, 0.62), cue.u(0.15, 0.24))
    half = cue.s(0.38, 0.62) if both else cue.s(0.24, 0.42)
    out, forward = cue.u(0.36, 0.5), cue.u(0.15, 0.32)
    t = cue.s(0.65, 0.9)
    for side in sides:
        cue.arm(0.5 * t, side, arm(0.42, -0.35, 0.42, 0.7, swivel=0.5, roll=0.9))
    swings = int(cue.u(4, 9) if both else cue.u(5, 12))
    for i in range(swings):
        swing = amplitude * cue.u(0.85, 1.1) * (1 if i % 2 else -1)
        for side in sides:
            cue.arm(t, side, arm(out + swing, up - 0.25 * abs(swing), forward, swivel=1.1, roll=1.4, flex=-0.1))
        t += half * cue.u(0.92, 1.08)
    t += cue.s(0.1, 0.2)
    lower = cue.s(0.5, 0.7)
    for side in sides:
        cue.arm(t + 0.45 * lower - half, side, arm(0.42, -0.3, 0.42, 0.7, swivel=0.6, roll=0.9))
    return cue.phrase(t + lower)


def clap(cue: Cue) -> Phrase:
    up, forward, wide = cue.u(-0.38, -0.12), cue.u(0.52, 0.64), cue.u(0.26, 0.42)
    half = cue.s(0.17, 0.3)
    t = cue.s(0.45, 0.65)
    apart = cue.mid(wide, up, forward, swivel=0.55, flex=-0.25)
    for i in range(2 * int(cue.u(4, 10)) + 1):
        meet = cue.mid(0.075, up + 0.03, forward, swivel=0.55, flex=-0.5)
        cue.arms(t, meet if i % 2 else apart)
        t += half * cue.u(0.95, 1.05)
    return cue.phrase(t + cue.s(0.45, 0.65))


def raise_hand(cue: Cue) -> Phrase:
    up = arm(cue.u(0.05, 0.25), 1.0, cue.u(0.0, 0.15), cue.u(0.92, 0.99), swivel=0.7, roll=cue.u(0.9, 1.5))
    way = arm(cue.u(0.2, 0.5), -0.05, cue.u(0.5, 0.8), cue.u(0.75, 0.92), swivel=0.5, roll=0.9)
    rises, holds, falls = cue.s(0.85, 1.2), cue.s(0.9, 2.2), cue.s(0.85, 1.2)
    cue.arm(0.5 * rises, cue.side, way)
    cue.arm(rises, cue.side, up)
    cue.arm(rises + holds, cue.side, up)
    cue.arm(rises + holds + 0.5 * falls, cue.side, way)
    return cue.phrase(rises + holds + falls)


def point(cue: Cue) -> Phrase:
    root, sign = cue.stage.root, 1.0 if cue.side == "r" else -1.0
    aside = math.remainder(math.atan2(-root.x, root.z) - root.yaw, 2 * math.pi)
    # The shoulder is beside the body's middle and the arm aims at the lens from there.
    x, z = root.offset(sign * cue.body.shoulder_half, 0.0)
    out = sign * math.sin(aside) - cue.body.shoulder_half / math.hypot(x, z)
    shoulder_y = cue.body.floor_y + 0.81 * cue.body.height
    aim = arm(out, -shoulder_y / math.hypot(x, z), math.cos(aside), cue.u(0.975, 0.994), roll=cue.u(0.6, 1.4))
    way = arm(0.25, -0.7, 0.5, 0.8, roll=0.6)
    rises, holds, falls = cue.s(0.65, 0.95), cue.s(0.8, 2.0), cue.s(0.65, 0.95)
    cue.arm(0.45 * rises, cue.side, way)
    cue.arm(rises, cue.side, aim)
    cue.arm(rises + holds, cue.side, aim)
    cue.arm(rises + holds + 0.55 * falls, cue.side, way)
    return cue.phrase(rises + holds + falls)


def beckon(cue: Cue) -> Phrase:
    up, out = cue.u(-0.2, 0.0), cue.u(-0.1, 0.15)
    half = cue.s(0.24, 0.4)
    t = cue.s(0.5, 0.65)
    cue.arm(0.5 * t, cue.side, arm(0.2, -0.6, 0.5, 0.75, roll=-0.5))
    for i in range(2 * int(cue.u(2.5, 5.5)) + 1):
        if i % 2:
            cue.arm(t, cue.side, arm(out, up + 0.14, 0.4, swivel=0.35, roll=-1.5, flex=1.0))
        else:
            cue.arm(t, cue.side, arm(out, up, 0.74, swivel=0.35, roll=-1.4, flex=-0.1))
        t += half * cue.u(0.92, 1.08)
    return cue.phrase(t + cue.s(0.45, 0.65))


def stop(cue: Cue) -> Phrase:
    out, up = cue.u(-0.15, 0.12), cue.u(-0.04, 0.12)
    palm = arm(out, up, 1.0, cue.u(0.95, 0.992), roll=1.5, flex=-cue.u(1.0, 1.3))
    way = arm(0.1, -0.35, 0.45, 0.62, swivel=0.6, roll=1.3, flex=-0.9)
    rises, holds, falls = cue.s(0.7, 1.0), cue.s(0.8, 1.9), cue.s(0.7, 1.0)
    cue.arm(0.55 * rises, cue.side, way)
    cue.arm(rises, cue.side, palm)
    cue.arm(rises + holds, cue.side, palm)
    cue.arm(rises + holds + 0.5 * falls, cue.side, arm(0.15, -0.55, 0.6, 0.85, roll=0.8, flex=-0.3))
    return cue.phrase(rises + holds + falls)


def bow(cue: Cue) -> Phrase:
    lean, holds = cue.u(0.75, 1.3), cue.s(0.25, 0.9)
    down, rises = cue.s(0.8, 1.2), cue.s(0.85, 1.3)
    arms = [
        arm(0.06, -1.0, 0.06, 0.96, roll=0.5, hang=0.0),  # along the body
        arm(0.02, -1.0, 0.16, 0.93, roll=0.9, hang=0.35),  # hands on the thighs
        arm(0.08, -1.0, 0.1, 0.96, roll=0.4, hang=0.9),  # hanging
    ][int(cue.rng.integers(3))]
    for t in (down, down + holds):
        cue.key(t, trunk=(lean, 0.12, 0.0, 0.0), head=(cue.u(0.1, 0.3), 0.0, 0.0), arm_l=arms, arm_r=arms)
    return cue.phrase(down + holds + rises)


def punch(cue: Cue) -> Phrase:
    guarded = cue.chance(0.6)
    guard = cue.mid(0.16, -0.06, 0.42, swivel=0.35, roll=0.5, flex=0.15)
    chamber = arm(0.05, -0.45, 0.15, 0.5, swivel=0.3, roll=-0.6)
    lean, side = cue.u(0.05, 0.18), cue.side
    t = cue.s(0.4, 0.52)
    for _ in range(2 if cue.chance(0.3) else 1):
        sign = 1.0 if side == "r" else -1.0
        other = other_side(side)
        cue.arm(t, side, guard if guarded else chamber)
        cue.key(t, trunk=(0.04, 0.0, 0.0, 0.25 * sign))
        if guarded:
            cue.arm(t, other, guard)
        out = t + cue.s(0.2, 0.29)
        fist = arm(cue.u(-0.3, -0.12), cue.u(-0.04, 0.1), 1.0, 0.985, swivel=0.4, roll=1.5)
        for at in (out, out + 0.06):
            cue.arm(at, side, fist)
            cue.key(at, trunk=(lean, 0.0, 0.0, -0.4 * sign), pelvis=(0.0, -0.012, 0.03))
            if guarded:
                cue.arm(at, other, guard)
        t = out + 0.06 + cue.s(0.22, 0.3)
        if guarded:
            cue.arms(t, guard)
        else:
            cue.arm(t, side, arm(0.1, -0.7, 0.3, 0.72, roll=0.5))
        cue.key(t, trunk=(0.05, 0.0, 0.0, 0.0))
        t += 0.12
        side = other if guarded else side
    return cue.phrase(t + cue.s(0.3, 0.42))


def throw(cue: Cue) -> Phrase:
    side, sign = cue.side, 1.0 if cue.side == "r" else -1.0
    other = other_side(side)
    lifts, winds, releases = cue.s(0.4, 0.55), cue.s(0.35, 0.5), cue.s(0.27, 0.36)
    t = lifts
    cue.arm(t, side, arm(0.55, -0.2, 0.25, 0.62, swivel=0.9, roll=0.6))
    t += winds
    cocked = t
    cue.arm(t, side, arm(0.5, cue.u(0.35, 0.5), -0.3, 0.62, swivel=1.3, roll=1.2, flex=-0.5))
    cue.arm(t, other, arm(0.15, -0.25, 0.8, cue.u(0.6, 0.85), swivel=0.5, roll=0.8))
    cue.key(t, trunk=(-0.12, 0.0, 0.08 * sign, 0.45 * sign), pelvis=(0.02 * sign, -0.01, -0.03))
    t += releases
    cue.arm(t - 0.45 * releases, side, arm(0.3, 0.75, 0.25, 0.8, swivel=1.0, roll=1.3, flex=-0.3))
    cue.arm(t, side, arm(-0.02, 0.35, 0.85, 0.97, swivel=0.5, roll=1.4, flex=0.4))
    t += cue.s(0.18, 0.26)
    cue.arm(t, side, arm(-0.35, -0.55, 0.6, 0.88, swivel=0.5, roll=1.2, flex=0.5))
    cue.key(t, trunk=(0.32, 0.05, -0.05 * sign, -0.4 * sign), pelvis=(-0.01 * sign, -0.015, 0.04))
    cue.arm(max(t, cocked + 0.3), other, arm(0.35, -0.85, -0.1, 0.85, swivel=0.5))
    return cue.phrase(t + cue.s(0.55, 0.75))


def push(cue: Cue) -> Phrase:
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
        cue.arm(pushed + holds + 0.5 * falls, side, arm(0.1, -0.6, 0.5, 0.8, roll=0.8, flex=-0.3))
    lean = cue.u(0.08, 0.25)
    cue.key(gathers, trunk=(-0.02, 0.0, 0.0, 0.0))
    for t in (pushed, pushed + holds):
        cue.key(t, trunk=(lean, 0.0, 0.0, 0.0), pelvis=(0.0, -0.01, 0.02))
    return cue.phrase(pushed + holds + falls)


def pull(cue: Cue) -> Phrase:
    sides = cue.side if cue.chance(0.35) else "lr"
    out, up = cue.u(0.12, 0.3), cue.u(-0.15, 0.02)
    reaches, grips, pulls, holds = cue.s(0.55, 0.75), cue.s(0.12, 0.3), cue.s(0.7, 1.1), cue.s(0.1, 0.35)
    gripped = reaches + grips
    pulled = gripped + pulls
    for side in sides:
        cue.arm(0.5 * reaches, side, arm(0.12, -0.65, 0.5, 0.8, roll=0.5))
        for t in (reaches, gripped):
            cue.arm(t, side, cue.mid(out, up, 0.95, reach=0.987, swivel=0.4, roll=0.7, flex=0.1))
        for t in (pulled, pulled + holds):
            cue.arm(t, side, cue.mid(out + 0.12, up - 0.16, 0.24, swivel=0.5, roll=0.5, flex=0.2))
    cue.key(reaches, trunk=(cue.u(0.08, 0.2), 0.0, 0.0, 0.0))
    for t in (pulled, pulled + holds):
        cue.key(t, trunk=(-cue.u(0.06, 0.16), 0.0, 0.0, 0.0), pelvis=(0.0, -0.015, -0.03))
    return cue.phrase(pulled + holds + cue.s(0.45, 0.65))
