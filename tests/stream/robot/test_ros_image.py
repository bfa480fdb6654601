"""Pictures as ROS sends them: every encoding gives the colours that were meant, and what lies about its size is refused
before anything is unpacked.
"""

from __future__ import annotations

import base64
import random
import struct
import zlib
from array import array
from typing import Any

import cv2
import numpy as np
import pytest

from skelstream.stream.robot.ros_image import picture, stamp_of

RED, GREEN, BLUE = 200, 120, 40
# Which colour each place of a 2x2 cell of a sensor has.
_BAYER = {"rggb": (RED, GREEN, GREEN, BLUE), "bggr": (BLUE, GREEN, GREEN, RED), "gbrg": (GREEN, BLUE, RED, GREEN),
          "grbg": (GREEN, RED, BLUE, GREEN)}  # fmt: skip


def raw(encoding: str, rows: np.ndarray, width: int, padding: int = 0) -> dict[str, Any]:
    """An Image of these rows (height, bytes), each with some bytes that mean nothing behind it."""
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    data = base64.b64encode(padded.tobytes()).decode()
    return {"encoding": encoding, "width": width, "height": len(rows), "step": padded.shape[1], "data": data}


def cells(encoding: str) -> np.ndarray:
    """8x8 pixels of one colour."""
    if encoding.startswith("bayer_"):
        return np.tile(np.array(_BAYER[encoding[6:10]], np.uint8).reshape(2, 2), (4, 4))
    places = {"rgb8": (RED, GREEN, BLUE), "bgr8": (BLUE, GREEN, RED), "rgba8": (RED, GREEN, BLUE, 9),
              "bgra8": (BLUE, GREEN, RED, 9), "8UC3": (BLUE, GREEN, RED)}[encoding]  # fmt: skip
    return np.tile(np.array(places, np.uint8), (8, 8))


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "8UC3", *(f"bayer_{name}8" for name in _BAYER)])
def test_every_encoding_has_the_colours_that_were_meant(encoding: str, padding: int) -> None:
    image = picture(raw(encoding, cells(encoding), 8, padding), compressed=False)
    assert image.shape == (8, 8, 3) and image.dtype == np.uint8
    assert (image[2:-2, 2:-2] == (BLUE, GREEN, RED)).all()


@pytest.mark.parametrize(
    ("encoding", "cell"), [("yuv422_yuy2", (180, 128, 180, 128)), ("yuv422", (128, 180, 128, 180))]
)
def test_grey_is_grey(encoding: str, cell: tuple[int, ...]) -> None:
    image = picture(raw(encoding, np.tile(np.array(cell, np.uint8), (6, 4)), 8), compressed=False)
    assert image.shape == (6, 8, 3) and np.ptp(image) == 0 and 180 <= image[0, 0, 0] <= 195
    mono = picture(raw("mono8", np.full((6, 8), 77, np.uint8), 8), compressed=False)
    assert (mono == 77).all()


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: array("B", data), list])
def test_data_comes_as_rclpy_and_bridges_give_it(wrap: Any) -> None:
    message = raw("bgr8", cells("bgr8"), 8)
    data = base64.b64decode(message["data"])
    assert (picture({**message, "data": wrap(data)}, compressed=False) == picture(message, compressed=False)).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_compressed_pictures(suffix: str) -> None:
    image = np.full((48, 64, 3), (BLUE, GREEN, RED), np.uint8)
    packed = cv2.imencode(suffix, image)[1].tobytes()
    unpacked = picture({"format": "whatever it says", "data": base64.b64encode(packed).decode()}, compressed=True)
    assert unpacked.shape == image.shape and np.abs(unpacked.astype(int) - image).max() <= 3


def bomb() -> bytes:
    """A PNG of 60000x60000 in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


GOOD = raw("rgb8", cells("rgb8"), 8)
JPEG = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
WIDE = JPEG.replace(struct.pack(">HH", 48, 64), struct.pack(">HH", 65535, 65535), 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "16UC1"}, "encoded as '16UC1'; publish them compressed, or as bgr8"),
        ({"encoding": None}, "encoded as 'None'"), ({"encoding": ["rgb8"]}, "encoded as"),
        ({"width": 10**9, "height": 10**9}, "at most 8K"), ({"width": 0}, "at most 8K"), ({"height": -1}, "at most 8K"),
        ({"width": 8.0}, "at most 8K"), ({"width": True}, "at most 8K"), ({"width": 9}, "in 192 bytes"),
        ({"height": 9}, "in 192 bytes"), ({"step": 23}, "in 192 bytes"), ({"step": "24"}, "in 192 bytes"),
        ({"data": ""}, "in 0 bytes"), ({"data": None}, "without data"), ({"data": "*"}, "no base64"),
        ({"data": [256]}, "no list of bytes"), ({"data": ["a"]}, "no list of bytes"),
        ({"data": {"a": 1}}, "without data"),
    ],
)  # fmt: skip
def test_raw_pictures_that_are_none(change: dict[str, Any], reason: str) -> None:
    assert picture(GOOD, compressed=False).shape == (8, 8, 3)
    with pytest.raises(ValueError, match=reason) as refusal:
        picture({**GOOD, **change}, compressed=False)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "neither JPEG nor PNG"), (b"GIF89a", "neither JPEG nor PNG"), (bomb(), "60000x60000; at most 8K"),
        (WIDE, "65535x65535; at most 8K"), (JPEG[:2], "how large"), (JPEG[:12] + b"\0" * 99, "how large"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x00" * 1000, "how large"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "0x0"),
    ],
)  # fmt: skip
def test_compressed_pictures_that_are_none(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        picture({"data": base64.b64encode(data).decode()}, compressed=True)
    assert "\n" not in str(refusal.value)


def test_damaged_pictures_are_pictures_or_refused() -> None:
    rng = random.Random(0)
    taken = 0
    for _ in range(2000):
        data = bytearray(JPEG)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            image = picture({"data": bytes(data)}, compressed=True)
        except ValueError:
            continue
        taken += 1
        assert image.ndim == 3 and image.shape[2] == 3
    assert taken


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"stamp": {"sec": 5, "nanosec": 250_000_000}}, 5.25), ({}, 0.0), (None, 0.0), ({"stamp": 3}, 0.0),
        ({"stamp": {"sec": "5", "nanosec": 0}}, 0.0), ({"stamp": {"sec": 10**400, "nanosec": 0}}, 0.0),
        ({"stamp": {"sec": 1, "nanosec": 10**400}}, 0.0), ({"stamp": {"sec": float("nan"), "nanosec": 0}}, 0.0),
    ],
)  # fmt: skip
def test_stamps(header: Any, expected: float) -> None:
    assert stamp_of({"header": header}) == expected
