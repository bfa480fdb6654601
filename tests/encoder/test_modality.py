"""Joint, motion and bone against loops in numpy over the pairs as the paper prints them."""

from __future__ import annotations

import numpy as np
import torch

from skelstream.encoder.modality import bone, joint, motion

PAIRS = (
    "1,2 2,21 3,21 4,3 5,21 6,5 7,6 8,7 9,21 10,9 11,10 12,11 13,1 14,13 15,14 16,15 17,1 18,17 19,18 20,19 21,21 "
    "22,23 23,8 24,25 25,12"
)


def test_modalities() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 25, 2)).astype(np.float32)
    steps, bones = np.zeros_like(x), np.zeros_like(x)
    for t in range(6):
        steps[:, :, t] = x[:, :, t + 1] - x[:, :, t]
    for pair in PAIRS.split():
        child, parent = (int(number) - 1 for number in pair.split(","))
        bones[:, :, :, child] = x[:, :, :, child] - x[:, :, :, parent]
    tensor = torch.from_numpy(x)
    np.testing.assert_array_equal(joint(tensor).numpy(), x)
    np.testing.assert_array_equal(motion(tensor).numpy(), steps)
    np.testing.assert_array_equal(bone(tensor).numpy(), bones)
    assert not bones[:, :, :, 20].any()
