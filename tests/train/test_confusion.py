"""The picture of a confusion matrix, read back pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("matplotlib", reason="pictures need the extra `train`")

from matplotlib import colormaps
from matplotlib.image import imread

from skelstream.train.confusion import draw_confusion
from skelstream.train.vocabulary import CLASSES


def blue_rows(path: Path) -> NDArray[np.intp]:
    """Where the picture is saturated blue (a full cell), as (row, column) fractions of the picture."""
    image = imread(path)[..., :3]
    blue = (image[..., 2] - image[..., 0] > 0.25) & (image[..., 0] < 0.2)
    return np.argwhere(blue)


def slope(places: NDArray[np.intp]) -> float:
    """How rows go with columns, -1 to 1."""
    return float(np.asarray(np.corrcoef(places.T))[0, 1])


def test_a_perfect_matrix_is_a_diagonal(tmp_path: Path) -> None:
    draw_confusion(np.diag(np.arange(1, len(CLASSES) + 1)), CLASSES, tmp_path / "c.png", "perfect")
    places = blue_rows(tmp_path / "c.png")
    assert len(places) > 1000
    assert slope(places) > 0.97  # downwards and to the right together


def test_a_wrong_class_is_off_the_diagonal(tmp_path: Path) -> None:
    draw_confusion(np.fliplr(np.diag([5] * len(CLASSES))), CLASSES, tmp_path / "c.png", "all wrong")
    assert slope(blue_rows(tmp_path / "c.png")) < -0.97


def pixels_of(image: NDArray[np.floating], share: float) -> NDArray[np.intp]:
    """The (row, column) of every pixel that has the colour of this share."""
    return np.argwhere(np.abs(image[..., :3] - colormaps["Blues"](share)[:3]).max(axis=-1) < 0.01)


@pytest.mark.parametrize("common", [20, 200_000])
def test_rows_are_truth_and_are_normalised_so_that_rare_classes_look_like_common_ones(
    tmp_path: Path, common: int
) -> None:
    # Truth a is always taken for b: full, top right. Truth b half and half: two cells below.
    draw_confusion(np.array([[0, 10], [common // 2, common // 2]]), ("a", "b"), tmp_path / "c.png", "t")
    image = imread(tmp_path / "c.png")
    full, half = pixels_of(image, 1.0), pixels_of(image, 0.5)
    assert len(half) == pytest.approx(2 * len(full), rel=0.2)  # the numbers in them cover a little
    (full_row, full_column), (half_row, half_column) = full.mean(axis=0), half.mean(axis=0)
    assert full_row < half_row
    assert full_column > half_column


def test_a_class_that_never_occurs_is_grey_and_draws(tmp_path: Path) -> None:
    draw_confusion(np.array([[3, 0], [0, 0]]), ("a", "b"), tmp_path / "c.png", "t")
    image = imread(tmp_path / "c.png")[..., :3]
    grey = np.abs(image - 0.85).max(axis=-1) < 0.01
    assert grey.mean() > 0.01


def test_the_picture_grows_with_the_classes_and_the_file_is_a_whole_png(tmp_path: Path) -> None:
    sizes = []
    for n in (2, 20):
        path = tmp_path / f"{n}.png"
        draw_confusion(np.eye(n, dtype=int), [f"class {i}" for i in range(n)], path, "t")
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        sizes.append(imread(path).shape[0])
    assert sizes[0] < sizes[1]
    # A cell of 20 classes must hold three digits: some 60 pixels.
    assert (sizes[1] - sizes[0]) / 18 >= 60


def test_a_picture_that_fails_leaves_the_old_one_and_no_remains(tmp_path: Path) -> None:
    path = tmp_path / "c.png"
    draw_confusion(np.eye(2, dtype=int), ("a", "b"), path, "t")
    before = path.read_bytes()
    with pytest.raises(ValueError):
        draw_confusion(np.eye(2, dtype=int), ("a", "$\\broken{$"), path, "t")  # no valid mathtext: fails while drawing
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.png"]


@pytest.mark.parametrize("matrix", [np.eye(3, dtype=int), np.zeros((2, 3), dtype=int), -np.eye(2, dtype=int)])
def test_a_matrix_that_does_not_fit_is_refused(matrix: NDArray[np.int_], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="counts of shape"):
        draw_confusion(matrix, ("a", "b"), tmp_path / "c.png", "t")
    assert not list(tmp_path.iterdir())
