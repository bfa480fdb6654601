"""Views: what each sample's change is, told from input and output alone."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.train.dice import Dice
from skelstream.train.views import Views, corrupt_joints, shear, turn

SEEDS = st.integers(0, 10_000)


def batch(seed: int, n: int = 6) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 3, 8, 25, 2)).astype(np.float32))


def dice(n: int, seed: int) -> Dice:
    return Dice.whole(torch.Generator().manual_seed(seed), n)


def matrix_between(x: torch.Tensor, y: torch.Tensor) -> tuple[np.ndarray, float]:
    """The 3x3 matrix that best maps the points of x (3, ...) to those of y, and how far off it is."""
    a, b = x.flatten(1).double().numpy().T, y.flatten(1).double().numpy().T
    solution, *_ = np.linalg.lstsq(a, b, rcond=None)
    return solution.T, float(np.abs(a @ solution - b).max())


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_a_shear_is_one_matrix_a_sample_with_a_unit_diagonal(seed: int) -> None:
    x = batch(seed)
    y = shear(x, dice(len(x), seed))
    matrices = []
    for before, after in zip(x, y, strict=True):
        matrix, error = matrix_between(before, after)
        assert error < 1e-4
        np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-4)
        assert (np.abs(matrix - np.diag(np.diag(matrix))) <= 1 + 1e-4).all()
        matrices.append(matrix)
    assert len({m.round(4).tobytes() for m in matrices}) == len(x)  # a draw of its own


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_a_corruption_changes_fifteen_joints_of_everybody_for_the_whole_time(seed: int) -> None:
    x = batch(seed)
    y = corrupt_joints(x, dice(len(x), seed))
    for before, after in zip(x, y, strict=True):
        changed = (before != after).any(dim=0)  # frame, joint, person
        assert (changed == changed[:1, :, :1]).all()
        chosen = changed[0, :, 0]
        assert int(chosen.sum()) == 15
        matrix, error = matrix_between(before[:, :, chosen], after[:, :, chosen])
        assert error < 1e-4 and (np.abs(matrix) <= 1 + 1e-4).all()


def test_corruptions_are_zero_about_half_of_the_time() -> None:
    y = corrupt_joints(batch(0, 400), dice(400, 0))
    zeroed = (y == 0).all(dim=(1, 2, 4)).any(dim=1).float().mean()
    assert 0.4 < float(zeroed) < 0.6


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_a_turn_keeps_heights_and_distances(seed: int) -> None:
    x = batch(seed)
    y = turn(x, 0.8, dice(len(x), seed))
    torch.testing.assert_close(y[:, 1], x[:, 1])
    torch.testing.assert_close(y.norm(dim=1), x.norm(dim=1), rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_views_follow_their_seed_and_leave_the_absent_absent(seed: int) -> None:
    x = batch(seed)
    x[..., 1] = 0
    views = Views(yaw_deg=30)
    first, second = (views(x, dice(len(x), seed)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, views(x, dice(len(x), seed + 1)))
    assert (first[..., 1] == 0).all()


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_joints_in_a_picture_keep_their_confidence_or_lose_everything(seed: int) -> None:
    x = batch(seed)[:, :, :, :17].contiguous()
    y = Views()(x, dice(len(x), seed))
    lost = (y == 0).all(dim=1)
    torch.testing.assert_close(y[:, 2][~lost], x[:, 2][~lost])
    for before, after, gone in zip(x, y, lost, strict=True):  # and x, y do not depend on it
        matrix, error = matrix_between(before[:2, ~gone], after[:2, ~gone])
        assert matrix.shape == (2, 2) and (error < 1e-4 or not torch.equal(before, after))


@settings(deadline=None, max_examples=15)
@given(SEEDS, st.sets(st.integers(0, 5), min_size=1))
def test_a_row_is_seen_alike_whoever_has_the_other_rows(seed: int, chosen: set[int]) -> None:
    x, rows = batch(seed), torch.tensor(sorted(chosen))
    views = Views(yaw_deg=30)
    whole = views(x, dice(len(x), seed))
    alone = views(x[rows], Dice(torch.Generator().manual_seed(seed), rows, len(x)))
    torch.testing.assert_close(alone, whole[rows])
