"""Spans of clips: what recognition learns from (random ones) and is asked about (always the same ones).

Unlike pretraining's crop (`Clips.cropped`: at least 64 frames) a span may be shorter than the encoder's window. Half of
NW-UCLA's clips have fewer than 64 frames, and would otherwise never be cropped at all.
Shapes: B clip, C coordinate, T frame, V joint, M person, S span.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..clips import Clips

_TEST_SHARE = 0.8


def random_spans(
    clips: Clips, indices: NDArray[np.integer], shortest: float, frames: int, rng: np.random.Generator
) -> Tensor:
    """A random span of each clip (B, 3, T, V, M) metres: a share in `shortest`..1 of it, resized to `frames`."""
    share_B = rng.uniform(shortest, 1.0, len(indices))
    return clips.spans(indices, rng.uniform(0, 1, len(indices)), share_B, frames)


def asked_places(spans: int) -> list[tuple[float, float]]:
    """Where (0 at the start, 1 at the end) and how long (share) the spans of a test clip are.

    The whole clip, then spans of 0.8 of it, evenly from its start to its end.
    """
    if spans < 1:
        raise ValueError(f"{spans} test spans; at least 1 is needed, the whole clip")
    return [(0.0, 1.0)] + [(float(place), _TEST_SHARE) for place in np.linspace(0, 1, spans - 1)]
