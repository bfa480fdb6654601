"""Pictures of ROS: sensor_msgs/Image and CompressedImage to BGR. What a message claims is checked before it is
believed: no picture is unpacked that is larger than 8K, or than the bytes that came.
"""

from __future__ import annotations

import base64
import binascii
import struct
from array import array
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from ..wire import U8
from ..wire.sound import LATEST_S, MOST_PIXELS, MOST_SIDE

# Channels in the bytes, and OpenCV's conversion. OpenCV names a Bayer pattern by its second row, ROS by its first.
_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "bgr8": (3, None), "8UC3": (3, None), "rgb8": (3, cv2.COLOR_RGB2BGR), "bgra8": (4, cv2.COLOR_BGRA2BGR),
    "8UC4": (4, cv2.COLOR_BGRA2BGR), "rgba8": (4, cv2.COLOR_RGBA2BGR), "mono8": (1, cv2.COLOR_GRAY2BGR),
    "8UC1": (1, cv2.COLOR_GRAY2BGR), "bayer_rggb8": (1, cv2.COLOR_BayerBG2BGR),
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2BGR), "bayer_gbrg8": (1, cv2.COLOR_BayerGR2BGR),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2BGR), "yuv422_yuy2": (2, cv2.COLOR_YUV2BGR_YUY2),
    "yuv422": (2, cv2.COLOR_YUV2BGR_UYVY),
}  # fmt: skip
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"


def picture(message: Mapping[str, Any], *, compressed: bool) -> U8:
    """The picture (height, width, 3) in a message; ValueError if there is none in it that can be shown."""
    data = _bytes(message.get("data"))
    return _unpacked(data) if compressed else _raw(message, data)


def stamp_of(message: Mapping[str, Any]) -> float:
    """Its stamp in Unix seconds; 0 if it has none."""
    header = message.get("header")
    stamp = header.get("stamp") if isinstance(header, Mapping) else None
    if not isinstance(stamp, Mapping):
        return 0.0
    sec, nanosec = stamp.get("sec"), stamp.get("nanosec")
    if not isinstance(sec, int | float) or not isinstance(nanosec, int | float):
        return 0.0
    if not (abs(sec) < LATEST_S and 0 <= nanosec < 1e9):  # nor is what is no number
        return 0.0
    return sec + nanosec / 1e9


def _bytes(data: object) -> memoryview:
    if isinstance(data, str):
        try:
            return memoryview(base64.b64decode(data, validate=True))
        except (binascii.Error, ValueError) as error:
            raise ValueError("a picture's data is no base64") from error
    if isinstance(data, list):  # some bridges write numbers
        try:
            return memoryview(bytes(data))
        except (TypeError, ValueError) as error:
            raise ValueError("a picture's data is no list of bytes") from error
    if isinstance(data, bytes | bytearray | memoryview | array):
        return memoryview(data).cast("B")
    raise ValueError("a picture without data")


def _raw(message: Mapping[str, Any], data: memoryview) -> U8:
    encoding, sizes = message.get("encoding"), [message.get(name) for name in ("width", "height", "step")]
    if not isinstance(encoding, str) or encoding not in _ENCODINGS:
        raise ValueError(
            f"pictures are encoded as {str(encoding)[:40]!r}; publish them compressed, or as {', '.join(_ENCODINGS)}"
        )
    channels, conversion = _ENCODINGS[encoding]
    width, height, step = (size if type(size) is int else -1 for size in sizes)
    _fitting(width, height)
    rows = np.frombuffer(data, np.uint8)
    if step < width * channels or step * height != rows.size:
        raise ValueError(f"a picture of {width}x{height} {encoding} in {rows.size} bytes, {step} a row")
    image = rows.reshape(height, step)[:, : width * channels].reshape(height, width, channels)
    try:
        converted = image if conversion is None else cv2.cvtColor(np.ascontiguousarray(image), conversion)
    except cv2.error as error:
        raise ValueError(f"a picture of {width}x{height} is too small for {encoding}") from error
    return np.ascontiguousarray(converted, np.uint8)


def _unpacked(data: memoryview) -> U8:
    _fitting(*_size(data))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("a picture that is damaged")
    return np.asarray(image, np.uint8)


def _size(data: memoryview) -> tuple[int, int]:
    """(width, height) as a JPEG or PNG has it, before it is unpacked."""
    if data[:8] == _PNG and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    if data[:2] != _JPEG:
        raise ValueError("a compressed picture that is neither JPEG nor PNG; publish one of these")
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + max(length, 2)
    raise ValueError("a JPEG that does not say how large it is")


def _fitting(width: int, height: int) -> None:
    if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE and width * height <= MOST_PIXELS):
        raise ValueError(f"a picture of {width}x{height}; at most 8K can be taken")
