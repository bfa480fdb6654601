"""Legs, arms and trunk of a figure, as parts to paint. A limb of which a joint is unknown is left out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...encoder.layout import NTU25
from .figure import (
    BASE,
    HIP_LEFT,
    HIP_RIGHT,
    SHOULDER_LEFT,
    SHOULDER_RIGHT,
    SHOULDERS,
    Ball,
    Figure,
    Hull,
    Part,
    mean_depth,
    unit,
)  # fmt: skip

F64 = NDArray[np.float64]

_ARMS = [[NTU25.index(f"{n}{side}") for n in ("Shoulder", "Elbow", "Wrist", "Hand")] for side in ("Left", "Right")]
_LEGS = [[NTU25.index(f"{n}{side}") for n in ("Hip", "Knee", "Ankle", "Foot")] for side in ("Left", "Right")]


def limbs(figure: Figure) -> Iterator[Part]:
    """All but the head."""
    for leg in _LEGS:
        yield from _leg(figure, *leg)
    for arm in _ARMS:
        yield from _arm(figure, *arm)
    yield from _trunk(figure)


def _leg(figure: Figure, hip: int, knee: int, ankle: int, foot: int) -> Iterator[Part]:
    at, s, r, look = figure.at, figure.size, figure.thick, figure.look
    hulls: list[Hull] = []
    if figure.knows(hip, knee):
        hulls.append(([(at[hip], 0.08 * r), (at[knee], 0.058 * r)], look.trousers))
    if figure.knows(knee, ankle):
        calf = at[knee] + 0.3 * (at[ankle] - at[knee])
        if look.shorts:
            hulls.insert(0, ([(at[knee], 0.05 * r), (calf, 0.054 * r)], look.skin))
            hulls.insert(0, ([(calf, 0.054 * r), (at[ankle], 0.036 * r)], look.skin))
        else:
            hulls.append(([(at[knee], 0.06 * r), (calf, 0.058 * r)], look.trousers))
            hulls.append(([(calf, 0.058 * r), (at[ankle], 0.045 * r)], look.trousers))
        shin = unit(at[ankle] - at[knee], -figure.up)
        toes = at[foot] - at[ankle] if figure.knows(foot) else np.zeros(3)
        # The measured foot is short and shaky; the body's own front steadies it.
        toes = toes + 0.08 * s * figure.front
        toes = unit(toes - 0.7 * (toes @ shin) * shin, figure.front)
        sole = at[ankle] + 0.045 * s * shin
        heel = (sole - 0.035 * s * toes, 0.04 * s)
        ball = (sole + 0.10 * s * toes, 0.043 * s)
        tip = (sole + 0.155 * s * toes, 0.03 * s)
        hulls.insert(0, ([heel, (at[ankle], 0.036 * s), ball, tip], look.shoes))
    if hulls:
        depth = mean_depth(hulls)
        if not at[knee][2] < at[hip][2] - 0.2 * s:
            # Not lifted towards the camera, so the trousers go under the shirt, the nearer leg before the other.
            depth = figure.trunk_z + 0.06 * s + 0.1 * (depth - figure.trunk_z)
        yield Part(depth=depth, hulls=hulls)


def _arm(figure: Figure, shoulder: int, elbow: int, wrist: int, hand: int) -> Iterator[Part]:
    at, r, look = figure.at, figure.thick, figure.look
    hulls: list[Hull] = []
    if figure.knows(elbow, wrist):
        hulls += _hand(figure, elbow, wrist, hand)
        colour = look.shirt if look.long_sleeves else look.skin
        bulge = at[elbow] + 0.3 * (at[wrist] - at[elbow])
        hulls.append(([(at[elbow], 0.04 * r), (bulge, 0.042 * r)], colour))
        hulls.append(([(bulge, 0.042 * r), (at[wrist], 0.03 * r)], colour))
    if figure.knows(shoulder, elbow):
        if look.long_sleeves:
            hulls.append(([(at[shoulder], 0.058 * r), (at[elbow], 0.043 * r)], look.shirt))
        else:
            hem = at[shoulder] + 0.6 * (at[elbow] - at[shoulder])
            hulls.append(([(hem, 0.044 * r), (at[elbow], 0.04 * r)], look.skin))
            hulls.append(([(at[shoulder], 0.058 * r), (hem, 0.053 * r)], look.shirt))
    if hulls:
        yield Part(depth=mean_depth(hulls) - 0.08 * figure.size, hulls=hulls)


def _hand(figure: Figure, elbow: int, wrist: int, hand: int) -> list[Hull]:
    at, s, skin = figure.at, figure.size, figure.look.skin
    forearm = unit(at[wrist] - at[elbow], -figure.up)
    reach = at[hand] - at[wrist] if figure.knows(hand) else np.zeros(3)
    # A measured hand trembles about the wrist; the fore-arm steadies it.
    along = unit(reach + 0.06 * s * forearm, forearm)
    palm = at[wrist] + 0.075 * s * along
    inward = figure.front - (figure.front @ along) * along
    fingers = [(at[wrist], 0.028 * s), (palm, 0.04 * s), (at[wrist] + 0.155 * s * along, 0.02 * s)]
    nail = palm + 0.05 * s * unit(inward, figure.up) + 0.03 * s * along
    return [(fingers, skin), ([(at[wrist] + 0.02 * s * along, 0.024 * s), (nail, 0.015 * s)], skin)]


def _trunk(figure: Figure) -> Iterator[Part]:
    at, s, r, look = figure.at, figure.size, figure.thick, figure.look
    if not figure.knows(HIP_LEFT, HIP_RIGHT):
        return
    left_hip, right_hip = at[HIP_LEFT], at[HIP_RIGHT]
    pelvis: list[Ball] = [(left_hip, 0.082 * r), (right_hip, 0.082 * r)]
    if figure.knows(BASE):
        pelvis.append((at[BASE], 0.09 * r))
    # The seat of the trousers lies behind the legs, which go under the shirt.
    yield Part(depth=figure.trunk_z + 0.12 * s, hulls=[(pelvis, look.trousers)])
    if not figure.knows(SHOULDER_LEFT, SHOULDER_RIGHT):
        return
    left, right = at[SHOULDER_LEFT], at[SHOULDER_RIGHT]
    top, bottom = at[SHOULDERS] if figure.knows(SHOULDERS) else (left + right) / 2, (left_hip + right_hip) / 2

    def level(share: float, width: float, radius: float) -> list[Ball]:
        """The left and right end of the trunk, `share` of the way down from the shoulders to the hips."""
        centre = top + share * (bottom - top)
        half = (1 - share) * (right - left) / 2 + share * (right_hip - left_hip) / 2
        return [(centre - width * half, radius), (centre + width * half, radius)]

    chest, waist, hem = level(0.3, 0.72, 0.09 * r), level(0.62, 0.72, 0.085 * r), level(0.88, 1.0, 0.084 * r)
    upper: list[Ball] = [(left, 0.055 * r), (right, 0.055 * r), *chest, *waist]
    if figure.knows(SHOULDERS):
        upper.append((at[SHOULDERS] - 0.01 * s * figure.up, 0.045 * r))
    yield Part(depth=figure.trunk_z, hulls=[([*waist, *hem], look.shirt), (upper, look.shirt)])
