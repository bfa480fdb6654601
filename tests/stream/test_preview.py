"""Previews: small, of the right shape and colour, never enlarged."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.stream.preview import encode_preview
from skelstream.stream.wire import Frame, Preview, decode, encode


def frame(image: np.ndarray) -> Frame:
    return Frame(camera="door", t=1.5, captured_at=1_700_000_000.0, seq=3, image=image)


@settings(max_examples=40)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 700), st.integers(1, 100))
def test_a_preview_is_no_wider_than_asked_nor_than_the_picture(
    rows: int, columns: int, width: int, quality: int
) -> None:
    preview = encode_preview(frame(np.zeros((rows, columns, 3), np.uint8)), width, quality)
    assert preview.size == (columns, rows)
    shown = cv2.imdecode(np.frombuffer(preview.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape[1] == min(width, columns)
    assert abs(shown.shape[0] - max(1, rows * shown.shape[1] / columns)) <= 0.5


def test_a_preview_looks_like_the_picture_and_says_which_it_was() -> None:
    image = np.zeros((720, 1280, 3), np.uint8)
    image[:, :640] = (200, 30, 30)  # blue, in BGR, on the left
    image[:, 640:] = (30, 30, 200)
    preview = decode(encode(encode_preview(frame(image))))
    assert isinstance(preview, Preview)
    assert (preview.camera, preview.t, preview.captured_at, preview.seq) == ("door", 1.5, 1_700_000_000.0, 3)
    read = cv2.imdecode(np.frombuffer(preview.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert read is not None and read.shape == (360, 640, 3)
    shown = read.astype(int)
    assert abs(shown[:, :300] - (200, 30, 30)).max() < 8
    assert abs(shown[:, 340:] - (30, 30, 200)).max() < 8


def test_less_quality_is_fewer_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    sizes = [len(encode_preview(frame(noise), quality=quality).jpeg) for quality in (10, 50, 95)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(("width", "quality"), [(0, 75), (-5, 75), (640, 0), (640, 101)])
def test_options_out_of_range_are_refused(width: int, quality: int) -> None:
    with pytest.raises(ValueError, match="preview of width"):
        encode_preview(frame(np.zeros((9, 9, 3), np.uint8)), width, quality)


def test_a_picture_that_jpeg_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be a JPEG"):
        encode_preview(frame(np.zeros((9, 9, 0), np.uint8)))
