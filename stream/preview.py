"""A small picture of a frame, for people to look at."""

from __future__ import annotations

import cv2

from .wire import Frame, Preview


def encode_preview(frame: Frame, width: int = 640, quality: int = 75) -> Preview:
    """The frame at most `width` pixels wide, its shape kept, as a JPEG of `quality` 1..100; never enlarged.

    ValueError: a width or quality out of range, or a picture that JPEG cannot hold.
    """
    if width < 1 or not 1 <= quality <= 100:
        raise ValueError(
            f"a preview of width {width} and quality {quality}; give a width from 1 and a quality 1 to 100"
        )
    image = frame.image
    rows, columns = image.shape[:2]
    try:
        if columns > width:
            image = cv2.resize(image, (width, max(1, round(rows * width / columns))), interpolation=cv2.INTER_AREA)
        held, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error:
        held = False
    if not held:
        raise ValueError(f"an image {frame.image.shape} {frame.image.dtype} cannot be a JPEG")
    return Preview(
        camera=frame.camera,
        t=frame.t,
        captured_at=frame.captured_at,
        seq=frame.seq,
        size=(columns, rows),
        jpeg=jpeg.tobytes(),
    )
