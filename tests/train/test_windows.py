"""Windows of streams: every frame is shown with its own label, and answers come back to the frames they are for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from skelstream.train.streams import Stream
from skelstream.train.vocabulary import IGNORE
from skelstream.train.windows import Windows, over_windows, window_starts

unhurried = settings(deadline=None)  # a busy machine is no failure
FRAMES = 8


def numbered(length: int, name: str = "s") -> Stream:
    """A stream whose every coordinate is the frame's number, counted from 1, and whose label is that number mod 3."""
    number = np.arange(1, length + 1)
    joints = np.broadcast_to(number[:, None, None, None], (length, 2, 25, 3)).astype(np.float32)
    return Stream(
        name=name, dataset="d", subject="d/1", source="recorded", joints=joints, labels=(number % 3).astype(np.int16)
    )


@unhurried
@given(st.integers(1, 60), st.integers(1, FRAMES))
def test_windows_show_every_frame_and_none_twice_the_same(length: int, hop: int) -> None:
    starts = window_starts(length, FRAMES, hop)
    assert starts == sorted(set(starts)) and starts[0] == 0
    assert all(b - a <= hop for a, b in pairwise(starts))
    assert starts[-1] == max(length - FRAMES, 0)


@pytest.mark.parametrize("hop", [0, FRAMES + 1])
def test_a_hop_that_leaves_frames_out_is_refused(hop: int) -> None:
    with pytest.raises(ValueError, match="hop of 1 to 8"):
        window_starts(100, FRAMES, hop)


@unhurried
@given(st.integers(1, 60), st.integers(1, FRAMES))
def test_a_streams_values_are_the_mean_over_the_windows_that_show_a_frame(length: int, hop: int) -> None:
    def answer(joints_BCTVM: Tensor) -> Tensor:
        number = joints_BCTVM[:, 0, :, 0, 0]
        return torch.stack([number, number * torch.arange(FRAMES)], dim=-1)

    values = over_windows(answer, np.asarray(numbered(length).joints), FRAMES, hop)
    starts = window_starts(length, FRAMES, hop)
    for frame in range(length):
        places = [frame - start for start in starts if 0 <= frame - start < FRAMES]
        assert values[frame] == pytest.approx([frame + 1, (frame + 1) * np.mean(places)])


@unhurried
@given(st.integers(1, 40), st.integers(1, FRAMES), st.integers(0, 2**31))
def test_a_drawn_window_carries_the_labels_of_its_own_frames(length: int, hop: int, seed: int) -> None:
    stream = numbered(length)
    windows = Windows([stream], [np.stack([stream.joints[:, 0, 0, 0]] * 2, 1)], frames=FRAMES, hop=hop, speed=(1, 1))
    joints, labels, boundaries = windows.draw(np.arange(len(windows)), np.random.default_rng(seed))
    number_BT = joints[:, 0, :, 0, 0]
    assert joints.shape == (len(windows), 3, FRAMES, 25, 2)
    assert torch.equal(boundaries, number_BT[..., None].expand(-1, -1, 2))
    known = labels != IGNORE
    assert known.any(dim=1).all()
    assert torch.equal(labels[known], (number_BT % 3).long()[known])
    # Known frames follow one another at the recorded speed; what lies beyond the stream repeats its last.
    assert (torch.diff(number_BT)[known[:, 1:] & known[:, :-1]] == 1).all()
    assert (number_BT[~known] == length).all()
    assert known.sum(dim=1).tolist() == [min(length, FRAMES)] * len(windows)


def test_a_window_at_double_speed_shows_every_second_frame() -> None:
    windows = Windows([numbered(60)], [np.zeros((60, 2), np.float32)], frames=FRAMES, hop=1, speed=(2, 2))
    joints, _, _ = windows.draw(np.array([20]), np.random.default_rng(0))
    assert torch.diff(joints[0, 0, :, 0, 0]).tolist() == [2.0] * (FRAMES - 1)
    with pytest.raises(ValueError, match="recorded speed"):
        Windows([numbered(60)], [np.zeros((60, 2), np.float32)], frames=FRAMES, hop=1, speed=(2, 1))
