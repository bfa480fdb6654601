"""A bundle's weights where there is no torch: the tensors of model.safetensors by name, in float32.

The file is eight bytes, a table in JSON and the numbers. Nothing in it is believed: every tensor must lie within it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle

F32 = NDArray[np.float32]

_KINDS: dict[str, np.dtype[np.floating]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_LONGEST_TABLE = 1 << 24


def read_weights(bundle: Bundle, names: Iterable[str]) -> dict[str, F32]:
    """These tensors. Raises ValueError, which names the bundle, if one is missing or the file is no safetensors."""
    try:
        content = bundle.weights.read_bytes()
        length = int.from_bytes(content[:8], "little")
        if not 2 <= length <= min(len(content) - 8, _LONGEST_TABLE):
            raise ValueError(f"its table has {length} bytes")
        table, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
        return {name: _tensor(table[name], numbers) for name in names}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"corrupt bundle {bundle.directory}: its weights: {reason}; export it anew") from error


def _tensor(entry: dict[str, object], numbers: bytes) -> F32:
    kind, shape, span = _KINDS[str(entry["dtype"])], entry["shape"], entry["data_offsets"]
    if not (isinstance(shape, list) and isinstance(span, list) and len(span) == 2):
        raise ValueError("its table is none")
    first, end = int(span[0]), int(span[1])
    if not (0 <= first <= end <= len(numbers) and math.prod(shape) * kind.itemsize == end - first):
        raise ValueError(f"a tensor of shape {shape} does not lie within the file")
    return np.asarray(np.frombuffer(numbers[first:end], kind).reshape(shape), np.float32)
