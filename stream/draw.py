"""Draw people from their joints, so well that a pose estimator finds them: the picture side of the `actor` and
`skeletons:FILE` cameras, and of training sequences that are to pass through the very pose estimator of the live path.

    view = View.framing(joints_TV, width=640, height=480)
    backdrop = background(seed=1, width=640, height=480)
    image = draw_scene([(joints_TV[0], Look())], view, backdrop)

A person is parts (`drawing/limbs`, `drawing/head`) made of balls. The hull of the balls is filled four times, smaller,
lighter and a little nearer to the lamp each time, which reads as a round thing. What is far is painted first.

Shapes: T frame, V joint (25 of NTU RGB+D), P points on an outline, N balls, L layers of shade, 3 coordinates in metres,
2 pixels. Space is Kinect's: x to the camera's left, y up, z away from the camera.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from ..encoder.layout import NTU25
from .drawing.backdrop import background
from .drawing.figure import Figure, Part, body_size
from .drawing.head import head
from .drawing.limbs import limbs
from .drawing.look import Colour, Look, lit
from .drawing.pinhole import NEAR_M, View, known

__all__ = ["Look", "View", "background", "draw_person", "draw_scene"]

F64 = NDArray[np.float64]
Image = NDArray[np.uint8]

_SUBPIXEL_BITS = 4  # OpenCV's polygons take fixed-point corners
_RIM = 18  # corners of a ball's outline
_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, _RIM, endpoint=False)) for f in (np.cos, np.sin)], axis=-1)
_TO_LAMP = np.array([-0.45, -0.75])  # in the picture: the lamp hangs up and to the left
_LAYER_SIZE = np.array([1.0, 0.84, 0.64, 0.38])
_LAYER_LIGHT = (0.66, 0.86, 1.0, 1.1)


def draw_scene(people: Sequence[tuple[NDArray[np.floating], Look]], view: View, backdrop: NDArray[np.uint8]) -> Image:
    """A picture of people (joints (25, 3) in metres, look) before a backdrop, which is left as it is; far ones first.

    ValueError where the backdrop has not the view's size.
    """
    if backdrop.shape != (view.height, view.width, 3):
        raise ValueError(f"the backdrop is {backdrop.shape}; the view needs {(view.height, view.width, 3)}")
    image = backdrop.copy()

    def depth(person: tuple[NDArray[np.floating], Look]) -> float:
        z = view.to_camera(person[0][known(person[0])])[:, 2].tolist()
        return median(z) if z else math.inf

    for joints, look in sorted(people, key=depth, reverse=True):
        draw_person(image, joints, view, look)
    return image


def draw_person(image: Image, joints: NDArray[np.floating], view: View, look: Look) -> None:
    """Draw one person, joints (25, 3) in metres, into the picture (view.height, view.width, 3) uint8 BGR.

    A joint that is not finite, exactly zero or not in front of the camera is missing, and so is every limb that needs
    it; without a single whole bone nothing is drawn. ValueError for joints of another shape.
    """
    if joints.shape != (len(NTU25), 3):
        raise ValueError(f"a person to draw is joints (25, 3), not {joints.shape}")
    camera = view.to_camera(np.where(known(joints)[:, None], joints, np.nan))
    camera[~(camera[:, 2] > NEAR_M)] = np.nan
    size = body_size(camera)
    if math.isnan(size):
        return
    figure = Figure(camera, size, look)
    _paint(image, view, sorted([*limbs(figure), *head(figure)], key=lambda part: part.depth, reverse=True))


def _paint(image: Image, view: View, parts: list[Part]) -> None:
    """Paint parts, in their order. The corners of all are computed at once: numpy is slow in small portions."""
    balls = [ball for part in parts for hull, _ in part.hulls for ball in hull]
    centre_N3 = np.array([centre for centre, _ in balls]).reshape(-1, 3)
    radius_N = np.maximum(view.focal_px * np.array([r for _, r in balls]) / centre_N3[:, 2], 1.0)
    size_NL = radius_N[:, None] * _LAYER_SIZE
    middle_NL2 = view.pixels(centre_N3)[:, None] + (radius_N[:, None] - size_NL)[..., None] * 0.5 * _TO_LAMP
    rim_LNP2 = _fixed((middle_NL2[:, :, None] + size_NL[..., None, None] * _CIRCLE).swapaxes(0, 1), image)
    shades = list(zip(rim_LNP2.reshape(len(_LAYER_LIGHT), -1, 2), _LAYER_LIGHT, strict=True))
    outlines = [outline for part in parts for outline, _ in part.flats]
    corners = _fixed(view.pixels(np.concatenate([*outlines, np.zeros((0, 3))])), image)
    rim = corner = 0
    for part in parts:
        for colour, cloth in groupby(part.hulls, key=lambda hull: hull[1]):
            first, counts = rim, [_RIM * len(hull) for hull, _ in cloth]
            for points, light in shades:
                rim, shade = first, lit(colour, light)
                for count in counts:
                    _fill(image, points[rim : rim + count], shade)
                    rim += count
        for outline, colour in part.flats:
            _fill(image, corners[corner : corner + len(outline)], colour)
            corner += len(outline)


def _fixed(pixels: F64, image: Image) -> NDArray[np.int32]:
    """Pixels as OpenCV's fixed-point numbers; far outside the picture they are clipped, as those would overflow."""
    far = 4 * max(image.shape[:2])
    return (np.clip(pixels, -far, far) * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _fill(image: Image, points: NDArray[np.int32], colour: Colour) -> None:
    cv2.fillConvexPoly(image, cv2.convexHull(points), colour, lineType=cv2.LINE_AA, shift=_SUBPIXEL_BITS)
