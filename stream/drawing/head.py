"""The head of a figure, as a part to paint: an ellipsoid in space with a face on its surface, so it may be seen from
any side.

The head's own axes are x to the person's right, y up, z to the front; its points lie on a unit sphere, which is
stretched to an ellipsoid when drawn. Shapes: P points on an outline, 3 coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .figure import HEAD, NECK, SHOULDERS, Figure, Part, cross, unit
from .look import Colour, lit

F64 = NDArray[np.float64]

_HEAD_SEMI_M = np.array([0.089, 0.118, 0.1])
_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 9, endpoint=False)) for f in (np.cos, np.sin)], axis=-1)


@dataclass(frozen=True, kw_only=True)
class _Feature:
    """A patch of the head, points (P, 3), in a `tint` of the look or of `_TINTS`. A `cut` one ends where the head turns
    away from the camera; another is seen as a whole or not at all, as it faces the camera more or less than
    `least_facing` (a cosine)."""

    points: F64
    tint: str
    light: float = 1.0
    cut: bool = False
    least_facing: float = -2.0


def _sphere(count: int) -> F64:
    """Points (count, 3) spread evenly over the unit sphere (Fibonacci's lattice)."""
    i = np.arange(count) + 0.5
    y, turn = 1 - 2 * i / count, np.pi * (1 + np.sqrt(5)) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], axis=-1)


def _cap(elevation_deg: float, half_angle_deg: float, shift: float = 0.0) -> F64:
    """The sphere's points within an angle of a direction in the plane of symmetry (0 is straight ahead), moved by
    `shift` to the person's right, where the lamp is for somebody who faces the camera."""
    elevation, half = np.radians([elevation_deg, half_angle_deg])
    points = _sphere(400)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)[:, None]
    axis, side = np.array([0, np.sin(elevation), np.cos(elevation)]), np.array([1.0, 0, 0])
    rim = np.cos(half) * axis + np.sin(half) * (np.cos(turn) * side + np.sin(turn) * np.cross(axis, side))
    return np.asarray(np.concatenate([points[points @ axis > np.cos(half)], rim]) + np.array([shift, 0, 0]))


def _on_face(x: float, y: float, lift: float = 1.0) -> list[float]:
    """The point of the front half at (x, y), `lift` times as far out."""
    return [lift * x, lift * y, lift * np.sqrt(max(0.0, 1 - x * x - y * y))]


def _blob(x: float, y: float, half_width: float, half_height: float) -> F64:
    return np.array([_on_face(a, b, 1.01) for a, b in _CIRCLE * (half_width, half_height) + (x, y)])


def _hair() -> F64:
    points = _sphere(400)
    return 1.07 * points[(points[:, 1] > 0.1) | ((points[:, 2] < -0.15) & (points[:, 1] > -0.55))]


_EAR = np.array([[1.0, 0.2, -0.02], [1.13, 0.18, -0.1], [1.13, -0.1, -0.12], [1.0, -0.28, 0.0], [0.97, 0.0, 0.1]])
_TINTS: dict[str, Colour] = {"eye": (238, 240, 240), "iris": (40, 50, 65), "lips": (90, 85, 165)}
_FEATURES = (
    _Feature(points=_sphere(120), tint="skin", light=0.8),
    _Feature(points=_hair(), tint="hair", light=0.8, cut=True),
    _Feature(points=_hair() * [0.85, 1, 0.85] + [0.08, 0, 0], tint="hair", light=1.05, cut=True),
    *(_Feature(points=_EAR * [side, 1, 1], tint="skin", light=0.85, least_facing=-0.15) for side in (-1, 1)),
    _Feature(points=_cap(-34, 70), tint="skin", light=0.88, cut=True),
    _Feature(points=_cap(-26, 56, 0.02), tint="skin", light=0.97, cut=True),
    _Feature(points=_cap(-15, 42, 0.05), tint="skin", light=1.05, cut=True),
    _Feature(
        points=np.array([_on_face(0, 0.05), _on_face(-0.17, -0.27), [0, -0.25, 1.22], _on_face(0.17, -0.27)]),
        tint="skin", light=0.8, least_facing=0.0,
    ),
    _Feature(
        points=np.array([_on_face(0.06, 0.05), _on_face(0.06, -0.22, 1.06), [0, -0.24, 1.2], _on_face(-0.02, 0.05)]),
        tint="skin", light=1.1, least_facing=0.1,
    ),
    *(
        _Feature(points=shape * [side, 1, 1], tint=tint, light=light, least_facing=0.2)
        for side in (-1, 1)
        for shape, tint, light in (
            (_blob(0.4, 0.27, 0.22, 0.04), "hair", 0.75),
            (_blob(0.39, 0.05, 0.19, 0.1), "eye", 1.0),
            (_blob(0.38, 0.05, 0.085, 0.095), "iris", 1.0),
        )
    ),
    _Feature(points=_blob(0.0, -0.53, 0.28, 0.055), tint="lips", least_facing=0.15),
)  # fmt: skip
_POINTS = np.concatenate([feature.points for feature in _FEATURES])
_COUNTS = [len(feature.points) for feature in _FEATURES]
_STARTS = [0, *np.cumsum(_COUNTS)[:-1].tolist()]


def head(figure: Figure) -> Iterator[Part]:
    """The head with the neck, and long hair; nothing where the head or all below it is unknown."""
    at, look = figure.at, figure.look
    base = SHOULDERS if figure.knows(SHOULDERS) else NECK
    if not figure.knows(HEAD, base):
        return
    # Children's heads are large for their size.
    scale = math.sqrt(figure.size) * look.head
    middle = at[HEAD]
    up = unit(unit(middle - at[base], figure.up) + 0.6 * figure.up, figure.up)
    right = unit(figure.right - (figure.right @ up) * up, figure.right)
    axes = np.stack([right, up, cross(up, right)])
    semi = scale * _HEAD_SEMI_M

    chin = middle - 0.6 * semi[1] * up - 0.25 * semi[2] * axes[2]
    neck = ([(at[base], 0.055 * figure.thick), (chin, 0.05 * scale)], lit(look.skin, 0.88))
    depth = float(middle[2] - 0.12 * figure.size)
    if look.long_hair:
        nape = middle - 0.45 * semi[2] * axes[2]
        ends = nape - 0.24 * scale * up
        spread = 0.04 * scale * right
        lock = [(nape, 0.085 * scale), (ends - spread, 0.05 * scale), (ends + spread, 0.05 * scale)]
        # Seen from before, it hangs behind the back; from behind, over it.
        lock_depth = figure.trunk_z + 0.02 if axes[2] @ middle < 0 else depth - 0.02
        yield Part(depth=lock_depth, hulls=[(lock, look.hair)])
    surface = middle + (_POINTS * semi) @ axes
    # The cosine between the surface's normal and the way to the camera: above 0, the camera sees it. In the head's own
    # axes a surface is middle + semi * point and its normal is point / semi, so their product needs no turning.
    normals = _POINTS / semi
    cosine = -(normals @ (axes @ middle) + _squares(_POINTS)) / np.sqrt(_squares(normals) * _squares(surface))
    facing = np.add.reduceat(cosine, _STARTS) / _COUNTS
    flats: list[tuple[F64, Colour]] = []
    tints = {"skin": look.skin, "hair": look.hair, **_TINTS}
    for feature, start, count, mean_cosine in zip(_FEATURES, _STARTS, _COUNTS, facing.tolist(), strict=True):
        outline = surface[start : start + count]
        if feature.cut:
            outline = outline[cosine[start : start + count] > 0]
        elif mean_cosine < feature.least_facing:
            continue
        if len(outline) > 2:
            flats.append((outline, lit(tints[feature.tint], feature.light)))
    yield Part(depth=depth, hulls=[neck], flats=flats)


def _squares(points: F64) -> F64:
    """The squared length (P,) of vectors (P, 3)."""
    return np.asarray(np.einsum("pc,pc->p", points, points))
