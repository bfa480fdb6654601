"""The empty places that people are drawn before: rooms, studios, gardens."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .look import Colour, hsv, lit

Image = NDArray[np.uint8]


def background(seed: int, width: int, height: int) -> Image:
    """An empty place (height, width, 3) uint8 BGR, one of several kinds; the same for the same seed. Make it once."""
    rng = np.random.default_rng(seed)
    paint = (_room, _room, _studio, _outdoors)[rng.integers(4)]
    image = paint(rng, width, height)
    blotches = cv2.resize(rng.normal(0, 5, (6, 8)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 2, (height, width)).astype(np.float32)
    return np.asarray((image + (blotches + grain)[..., None]).clip(0, 255), dtype=np.uint8)


def _fade(top: Colour, bottom: Colour, width: int, height: int) -> Image:
    """A vertical gradient (height, width, 3)."""
    share = np.linspace(0, 1, max(height, 1))[:, None, None]
    column = np.array(top) * (1 - share) + np.array(bottom) * share
    return np.broadcast_to(column, (len(column), width, 3)).astype(np.uint8, order="C")


def _wall_and_floor(
    rng: np.random.Generator, width: int, height: int, wall: Colour, floor: Colour
) -> tuple[Image, int]:
    horizon = int(height * rng.uniform(0.62, 0.76))
    upper = _fade(lit(wall, 1.05), lit(wall, 0.88), width, horizon)
    lower = _fade(lit(floor, 0.8), lit(floor, 1.1), width, height - horizon)
    return np.ascontiguousarray(np.concatenate([upper, lower])), horizon


def _room(rng: np.random.Generator, width: int, height: int) -> Image:
    wall = hsv(rng.uniform(0, 180), rng.uniform(5, 60), rng.uniform(150, 225))
    floor = hsv(rng.uniform(8, 25), rng.uniform(40, 120), rng.uniform(90, 170))
    image, horizon = _wall_and_floor(rng, width, height, wall, floor)
    for _ in range(rng.integers(1, 4)):  # pictures, a window, a door
        w, h = int(width * rng.uniform(0.08, 0.22)), int(height * rng.uniform(0.12, 0.35))
        x, y = int(rng.uniform(0, width - w)), int(rng.uniform(0.03, 0.3) * height)
        frame = hsv(rng.uniform(0, 30), rng.uniform(0, 90), rng.uniform(60, 220))
        cv2.rectangle(image, (x, y), (x + w, y + h), frame, -1)
        inner = _fade(hsv(rng.uniform(0, 180), 60, 200), hsv(rng.uniform(0, 180), 60, 150), w, h)
        edge = max(2, w // 14)
        image[y + edge : y + h - edge, x + edge : x + w - edge] = inner[edge : h - edge, edge : w - edge]
    for _ in range(rng.integers(0, 3)):  # a chest, a sofa
        w, h = int(width * rng.uniform(0.15, 0.35)), int(height * rng.uniform(0.12, 0.28))
        x = int(rng.choice([rng.uniform(-0.1, 0.1), rng.uniform(0.7, 0.9)]) * width)
        y = horizon + int(0.05 * height) - h
        colour = hsv(rng.uniform(0, 180), rng.uniform(20, 110), rng.uniform(60, 170))
        cv2.rectangle(image, (x, y), (x + w, y + h), lit(colour, 0.8), -1)
        cv2.rectangle(image, (x, y), (x + w, y + h // 3), colour, -1)
    skirting = max(2, height // 60)
    cv2.rectangle(image, (0, horizon - skirting), (width, horizon), lit(wall, 1.12), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(0.8, height / 400)), dtype=np.uint8)


def _studio(rng: np.random.Generator, width: int, height: int) -> Image:
    tone = hsv(rng.uniform(0, 180), rng.uniform(0, 70), rng.uniform(120, 210))
    image, _ = _wall_and_floor(rng, width, height, tone, lit(tone, 0.9))
    return np.asarray(cv2.GaussianBlur(image, (0, 0), height / 25), dtype=np.uint8)


def _outdoors(rng: np.random.Generator, width: int, height: int) -> Image:
    sky = hsv(rng.uniform(95, 115), rng.uniform(30, 120), rng.uniform(190, 245))
    grass = hsv(rng.uniform(28, 60), rng.uniform(50, 130), rng.uniform(90, 160))
    image, horizon = _wall_and_floor(rng, width, height, sky, grass)
    for _ in range(rng.integers(4, 12)):  # bushes and trees
        radius = int(height * rng.uniform(0.06, 0.2))
        centre = (int(rng.uniform(0, width)), horizon - int(radius * rng.uniform(0.2, 1.0)))
        green = hsv(rng.uniform(30, 75), rng.uniform(60, 150), rng.uniform(50, 130))
        cv2.circle(image, centre, radius, green, -1)
        cv2.rectangle(image, (centre[0] - radius // 8, centre[1]), (centre[0] + radius // 8, horizon), (40, 60, 80), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), height / 120), dtype=np.uint8)
