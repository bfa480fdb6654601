"""Only a window's newest frames are scored: the decoder decides what it would decide of all of them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.encoder.bundle import DecodeParameters
from skelstream.encoder.engine import F32
from skelstream.stream.decode import Decoder
from skelstream.stream.detect import frames_to_score, score
from skelstream.stream.window import WindowCutter
from skelstream.stream.wire import Decision, Event, Tracks, Window, encode

CLASSES = ("background", "wave", "bow")


class Moving:
    """Stands in for an engine that gives logits of the last `frames`, which hang on the frame and on the newest one:
    so every window sees a frame in another way, and a decision on fewer windows is another decision."""

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def infer(self, joints_BCTVM: F32) -> F32:
        height = joints_BCTVM[:, 1, -self.frames :, 3, 0] + joints_BCTVM[:, 1, -1:, 3, 0]
        logits: F32 = np.stack((np.zeros_like(height), 9 * height, -9 * height), axis=-1).astype(np.float32)
        return logits


def windows_of(ticks: int, hop: int, seed: int) -> list[Window]:
    """The windows of somebody who moves for so many ticks, and then leaves."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(scale=0.2, size=ticks))
    cutter = WindowCutter(WindowCutter.Config(hop=hop))
    windows: list[Window] = []
    for tick in range(ticks):
        joints = np.zeros((1, 25, 3), np.float32)
        joints[:, :, 1] = np.sin(walk[tick])
        windows += cutter.push(
            Tracks(camera="c", t=tick / 30, captured_at=0.0, seq=tick, size=(64, 48), ids=(1,), joints=joints,
                   pixels=joints[..., :2], confidence=np.ones((1, 25), np.float32))
        )  # fmt: skip
    return windows + list(cutter.finish())


def said(windows: list[Window], frames: int, parameters: DecodeParameters) -> list[bytes]:
    """Everything that the decoder says, byte for byte."""
    decoder = Decoder(CLASSES, parameters)
    found: list[Decision | Event] = []
    for window in windows:
        for scores in score(Moving(frames), [window]):
            found += decoder.push(msgspec.structs.replace(scores, scored_at=0.0), 0.0)
    return [encode(message) for message in found]


@given(
    ticks=st.integers(1, 200), hop=st.integers(1, 12), delay=st.integers(0, 40), seed=st.integers(0, 1000),
    lost=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_last_frames_decide_what_all_frames_decide(ticks: int, hop: int, delay: int, seed: int, lost: bool) -> None:
    parameters = DecodeParameters(delay=delay, enter=0.5, leave=0.3, min_frames=3)
    windows = windows_of(ticks, hop, seed)
    if lost:  # every third window is dropped on its way, but never the first or the last
        windows = [w for i, w in enumerate(windows) if i % 3 != 1 or i in (0, len(windows) - 1)]
    frames = frames_to_score(delay, hop)
    assert said(windows, frames, parameters) == said(windows, 64, parameters)


def test_fewer_frames_would_not_do() -> None:
    """The number is no larger than it must be: with fewer, the look back is another, or what was dropped is missing."""
    parameters = DecodeParameters(delay=20, enter=0.5, leave=0.3, min_frames=1, belief=2)
    windows = [w for i, w in enumerate(windows_of(150, 6, 1)) if i % 3 != 1]
    assert frames_to_score(20, 6) == 52
    assert said(windows, 52, parameters) == said(windows, 64, parameters)
    assert said(windows, 26, parameters) != said(windows, 64, parameters)


@pytest.mark.parametrize(
    ("delay", "hop", "frames"), [(8, 1, 40), (8, 4, 40), (0, 1, 32), (0, 12, 38), (40, 12, 64), (63, 1, 64)]
)
def test_how_many_frames(delay: int, hop: int, frames: int) -> None:
    assert frames_to_score(delay, hop) == frames


def test_scores_say_which_frames_they_are_of_and_how_much_was_seen() -> None:
    (window,) = windows_of(40, 12, 0)[:1]
    (scores,) = score(Moving(20), [window])
    assert scores.logits.shape == (20, 3)
    assert scores.first_tick == window.first_tick + 44 and scores.valid == min(window.valid, 20)
    assert scores.evidence == window.evidence == 24 / 32  # of the 32 newest ticks, 24 were there
    np.testing.assert_array_equal(scores.logits, Moving(64).infer(window.joints[None])[0, 44:])
