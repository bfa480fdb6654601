"""How a drawn person looks: colours of skin, hair and clothes, and their light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import cv2
import numpy as np

Colour = tuple[int, int, int]  # BGR

_SKINS: tuple[Colour, ...] = (
    (170, 200, 240), (150, 180, 225), (135, 165, 215), (110, 145, 195), (80, 115, 165), (60, 85, 125), (45, 62, 95),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = ((25, 25, 28), (30, 40, 55), (40, 60, 90), (60, 95, 135), (90, 140, 180), (130, 130, 135))


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a person looks. Colours are BGR; `build` scales the thickness of trunk and limbs."""

    skin: Colour = (150, 180, 225)
    hair: Colour = (35, 50, 70)
    shirt: Colour = (170, 95, 50)
    trousers: Colour = (90, 70, 60)
    shoes: Colour = (50, 45, 45)
    build: float = 1.0
    head: float = 1.0
    long_hair: bool = False
    long_sleeves: bool = False
    shorts: bool = False

    @classmethod
    def random(cls, rng: np.random.Generator) -> Self:
        """Somebody: clothes in any colour, skin and hair in those that people have."""
        skin = _SKINS[rng.integers(len(_SKINS))]
        hair = _HAIRS[rng.integers(len(_HAIRS))]
        return cls(
            skin=skin,
            hair=hair,
            shirt=hsv(rng.uniform(0, 180), rng.uniform(30, 220), rng.uniform(90, 235)),
            trousers=hsv(rng.choice([15, 105, 115, rng.uniform(0, 180)]), rng.uniform(10, 130), rng.uniform(45, 150)),
            shoes=hsv(rng.uniform(0, 180), rng.uniform(0, 90), rng.choice([45, 60, 90, 210])),
            build=float(rng.uniform(0.88, 1.2)),
            head=float(rng.uniform(0.94, 1.08)),
            long_hair=bool(rng.random() < 0.35),
            long_sleeves=bool(rng.random() < 0.5),
            shorts=bool(rng.random() < 0.25),
        )


@lru_cache(maxsize=4096)
def lit(colour: Colour, light: float) -> Colour:
    """The colour in `light` times as much light."""
    b, g, r = (min(255, int(c * light)) for c in colour)
    return b, g, r


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """The colour of a hue in 0..180 (OpenCV's half degrees), saturation and value in 0..255."""
    pixel: Any = cv2.cvtColor(np.array([[[hue, saturation, value]]], dtype=np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
    return int(pixel[0]), int(pixel[1]), int(pixel[2])
