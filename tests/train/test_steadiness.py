"""Steadiness of joints without truth: jitter where somebody rests, drop-out, left and right that change places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skelstream.encoder.layout import NTU25
from skelstream.train.steadiness import steadiness

WRISTS = [NTU25.index("WristLeft"), NTU25.index("WristRight")]


def test_jitter_is_that_of_the_calmest_seconds(walkers: Any) -> None:
    rng, frames = np.random.default_rng(0), 600
    joints = walkers.still(frames)
    joints[:300] = walkers.moving(rng, 300)
    joints[:, WRISTS[0]] += 0.01 * walkers.smooth(rng, frames, 3, cutoff_hz=12.0)
    told = steadiness(np.arange(frames) / 30, joints)
    assert told.jitter_m[WRISTS[0]] == pytest.approx(0.01 * np.sqrt(3), rel=0.3)
    assert told.jitter_m[WRISTS[1]] < 1e-4
    assert (told.found, told.missing) == (1, 0)


def test_what_is_missing_is_counted(walkers: Any) -> None:
    joints = walkers.still(300)
    joints[100:130] = 0
    joints[200:227, WRISTS[0]] = 0
    told = steadiness(np.arange(300) / 30, joints)
    assert told.frames == 300
    assert told.found == pytest.approx(0.9)
    assert told.missing == pytest.approx(27 / 270 / 25)


def test_changes_of_left_and_right_are_counted_but_not_crossed_arms(walkers: Any) -> None:
    joints = walkers.still(900)  # half a minute
    joints[300:400, WRISTS] = joints[300:400, WRISTS[::-1]]
    assert steadiness(np.arange(900) / 30, joints).swaps_a_minute == pytest.approx(4)
    slowly = walkers.still(900)
    share = np.clip((np.arange(900) - 300) / 60, 0, 1)[:, None, None]
    slowly[:, WRISTS] = (1 - share) * slowly[:, WRISTS] + share * slowly[:, WRISTS[::-1]]
    assert steadiness(np.arange(900) / 30, slowly).swaps_a_minute == 0


def test_nobody_is_told_as_nobody() -> None:
    told = steadiness(np.arange(60) / 30, np.zeros((60, 25, 3)))
    assert (told.found, told.missing) == (0, 1)
    assert np.isnan(told.jitter_m).all()
