"""Opening a pickle from outside without running anything that it says.

Some data sets are published as pickles of plain values and numpy arrays. A pickle is a program: it names functions and
has them called. Here it may name nothing but the handful that rebuild arrays, and even those are not numpy's: they are
small stand-ins that keep an array's shape, type and bytes, from which the array is made afterwards. So no code of the
file's choosing runs, and no numpy internals are fed with its state.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLAIN = "?biufSU"  # bool, integers, floats, byte strings and strings: what is stored flat


def load(path: Path) -> Any:
    """The dicts, lists, tuples, strings, numbers and numpy arrays in a pickle.

    Raises ValueError for a file that is not there, is no pickle, is cut short, or names anything else; whatever it
    names is not run.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give the folder that holds {path.name}")
    try:
        with path.open("rb") as file:
            return _arrays(_Unpickler(file).load())
    except _RefusedError as error:
        raise ValueError(f"{path} is refused: {error}; it is not the data set, do not open it otherwise") from error
    # A pickle that is damaged fails in any of these ways, depending on where.
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
        UnicodeError, MemoryError, RecursionError,
    ) as error:  # fmt: skip
        raise ValueError(
            f"{path} cannot be read as a pickle ({error or type(error).__name__}); copy it again"
        ) from error


class _RefusedError(Exception):
    """The pickle names something that it has no business with."""


class _Dtype:
    """Stands in for `numpy.dtype`: a code such as "f2", and the byte order that is set afterwards."""

    def __init__(self, code: str, *_copy_and_align: Any) -> None:
        self._code, self._order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = state[1]

    def real(self) -> np.dtype[Any]:
        if not isinstance(self._code, str) or self._order not in ("<", ">", "=", "|"):
            raise _RefusedError(f"an array of type {self._code!r}")
        dtype = np.dtype(self._order + self._code)
        if dtype.kind not in _PLAIN or dtype.itemsize == 0:
            raise _RefusedError(f"an array of type {self._code!r}, which is not of plain numbers or strings")
        return dtype


class _Array:
    """Stands in for an array that is being rebuilt."""

    def __init__(self, *_ignored: Any) -> None:
        self._shape: Any = (0,)
        self._dtype: Any = None
        self._column_major: Any = False
        self._data: Any = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, self._shape, self._dtype, self._column_major, self._data = state

    def real(self) -> NDArray[Any]:
        if not isinstance(self._dtype, _Dtype):
            raise _RefusedError(f"an array of type {self._dtype!r}")
        dtype = self._dtype.real()
        if not isinstance(self._data, bytes | bytearray):
            raise _RefusedError("an array that holds objects")
        size = math.prod(self._shape)
        if any(n < 0 for n in self._shape) or size * dtype.itemsize != len(self._data):
            raise ValueError(f"an array of shape {self._shape} has {len(self._data)} bytes")
        # Copied, so that what comes out is writable and aligned like any other array.
        flat = np.frombuffer(self._data, dtype, size) if size else np.zeros(0, dtype)
        return flat.reshape(self._shape, order="F" if self._column_major else "C").copy()


def _scalar(dtype: Any, data: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, (), dtype, False, data))
    return array


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


def _encode(text: str, encoding: str) -> bytes:
    # Old protocols write bytes as text of this one encoding.
    if encoding != "latin1":
        raise _RefusedError(f"_codecs.encode to {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*size: Any) -> bytes:
    # Old protocols call `bytes` for those that are empty; with an argument it would take memory on the file's word.
    if size:
        raise _RefusedError("it calls bytes with an argument")
    return b""


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
}
for _core in ("numpy.core", "numpy._core"):  # numpy 1 and 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Array
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"it names {module}.{name}, which is no array and no plain value")
        return _ALLOWED[module, name]


def _arrays(value: Any) -> Any:
    """The same values with every stand-in made an array; scalars become Python numbers."""
    if isinstance(value, dict):
        return {_arrays(key): _arrays(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_arrays(item) for item in value)
    if isinstance(value, _Array):
        array = value.real()
        return array.item() if array.ndim == 0 else array
    if value is None or isinstance(value, str | int | float | bytes):
        return value
    raise _RefusedError(f"it holds a {type(value).__name__}")
