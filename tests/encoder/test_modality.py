"""Joint, motion and bone against loops in numpy over the pairs as the paper prints them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skelstream.encoder.layout import COCO17, COCO_BONES
from skelstream.encoder.modality import bone, joint, motion

PAIRS = (
    "1,2 2,21 3,21 4,3 5,21 6,5 7,6 8,7 9,21 10,9 11,10 12,11 13,1 14,13 15,14 16,15 17,1 18,17 19,18 20,19 21,21 "
    "22,23 23,8 24,25 25,12"
)
PARENTS_OF_COCO = (
    "Nose Nose Nose EyeLeft EyeRight Nose Nose ShoulderLeft ShoulderRight ElbowLeft ElbowRight ShoulderLeft "
    "ShoulderRight HipLeft HipRight KneeLeft KneeRight"
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


def seen(seed: int, frames: int = 7) -> np.ndarray:
    """Two people in a picture (2, 3, T, 17, 2): x, y, confidence; a fifth of the joints unknown."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, frames, 17, 2)).astype(np.float32)
    x[:, 2] = rng.uniform(0.1, 1, size=x[:, 2].shape)
    return x * (rng.random((2, 1, frames, 17, 2)) > 0.2).astype(np.float32)


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b of two points (x, y, confidence)."""
    if a[2] == 0 or b[2] == 0:
        return np.zeros(3, np.float32)
    return np.array([a[0] - b[0], a[1] - b[1], min(a[2], b[2])], np.float32)


def test_in_a_picture_a_difference_is_known_where_both_points_are() -> None:
    x = seen(1)
    steps, bones = np.zeros_like(x), np.zeros_like(x)
    parents = [COCO17.index(name) for name in PARENTS_OF_COCO.split()]
    for n, t, v, m in np.ndindex(2, 7, 17, 2):
        bones[n, :, t, v, m] = between(x[n, :, t, v, m], x[n, :, t, parents[v], m])
        if t < 6:
            steps[n, :, t, v, m] = between(x[n, :, t + 1, v, m], x[n, :, t, v, m])
    tensor = torch.from_numpy(x)
    np.testing.assert_array_equal(joint(tensor).numpy(), x)
    np.testing.assert_array_equal(motion(tensor).numpy(), steps)
    np.testing.assert_array_equal(bone(tensor).numpy(), bones)
    assert not bones[:, :2, :, 0].any() and not bones[:, :2][(bones[:, 2:] == 0).repeat(2, axis=1)].any()


def test_cocos_bones_make_a_tree_that_reaches_every_joint() -> None:
    assert sorted(child for child, _ in COCO_BONES) == list(range(17))
    parent = dict(COCO_BONES)
    for joint_index in range(17):
        steps = 0
        while joint_index != parent[joint_index]:
            joint_index, steps = parent[joint_index], steps + 1
            assert steps < 17
        assert COCO17.joints[joint_index] == "Nose"
    mirrored = {(COCO17.mirror[child], COCO17.mirror[above]) for child, above in COCO_BONES}
    assert mirrored == set(COCO_BONES)


def test_bones_of_another_layout_are_refused() -> None:
    with pytest.raises(ValueError, match=r"17 \(coco17\), not for 20"):
        bone(torch.zeros(1, 3, 4, 20, 1))
