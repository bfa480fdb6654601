"""Messages as bytes, and bytes as messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import msgspec
import numpy as np

from .messages import AnyMessage, Frame, replaced
from .sound import DTYPES

KINDS: dict[bytes, type[AnyMessage]] = {kind.__name__.encode(): kind for kind in get_args(AnyMessage)}


class MalformedMessage(ValueError):
    """Bytes that are no message of ours, or one whose fields contradict each other."""


class UnknownKind(MalformedMessage):
    """A message of a kind that is not known here: a newer skelstream's."""


class _Kind(msgspec.Struct):
    """Of any message, what it is."""

    type: str


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.char not in DTYPES:
            raise TypeError(f"arrays on the wire are float32, float64 or uint8, not {value.dtype}")
        return (value.dtype.char, value.shape, np.ascontiguousarray(value).data.cast("B") if value.size else b"")
    raise TypeError(f"cannot send a {type(value).__name__}")


def _decode_array(expected: type, value: Any) -> Any:
    if expected is not np.ndarray:
        raise TypeError(f"cannot receive a {expected}")
    char, shape, data = value
    dtype = DTYPES[char]
    if any(n < 0 for n in shape) or len(shape) > 5 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} in {len(data)} bytes")
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("an array with numbers that are not finite")
    return array


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_array)
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage, dec_hook=_decode_array)
_kind_decoder = msgspec.msgpack.Decoder(_Kind)


def encode(message: AnyMessage) -> bytes:
    """The message as MessagePack bytes."""
    return _encoder.encode(message)


def decode(data: bytes | memoryview) -> AnyMessage:
    """The message in these bytes; `MalformedMessage` says what is wrong with them. Arrays are read-only views."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        refusal = UnknownKind if _is_unknown(data) else MalformedMessage
        raise refusal(f"not a message of ours: {error}") from error


def _is_unknown(data: bytes | memoryview) -> bool:
    """Whether bytes that cannot be read are a message all the same, of a kind that is none of ours."""
    try:
        kind = _kind_decoder.decode(data).type
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return kind.isidentifier() and kind.encode() not in KINDS


def parts_of(message: AnyMessage) -> list[bytes | memoryview]:
    """What goes over a link. A frame's picture travels beside its message, so that megabytes are not copied twice."""
    if not isinstance(message, Frame):
        return [encode(message)]
    image = np.ascontiguousarray(message.image)
    # An image of no channels carries the height and the width.
    return [encode(replaced(message, image=image[..., :0])), image.data.cast("B")]


def joined(parts: Sequence[memoryview]) -> AnyMessage:
    """The message that came in these parts; `MalformedMessage` if they do not fit together."""
    message = decode(parts[0])
    if not isinstance(message, Frame) and len(parts) == 1:
        return message
    if not isinstance(message, Frame) or len(parts) != 2 or message.image.ndim != 3:
        raise MalformedMessage(f"{len(parts)} parts that are no frame")
    height, width = message.image.shape[:2]
    if len(parts[1]) != height * width * 3:
        raise MalformedMessage(f"a picture of {width}x{height} in {len(parts[1])} bytes")
    image = np.frombuffer(parts[1], np.uint8).reshape(height, width, 3)
    return replaced(message, image=image)
