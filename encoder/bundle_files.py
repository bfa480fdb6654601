"""The files of a bundle, held against what they should be before anything in them is believed.

Shapes: P probe window.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .config import check

F32 = NDArray[np.float32]

CONFIG, WEIGHTS, GRAPH, REFERENCE = "config.json", "model.safetensors", "model.onnx", "reference.npz"
ANCHORS = "anchors.npz"  # of the weights, and no part of the bundle: `anchors.py`
SHIPPED = Path(__file__).parent / "bundles"

# Nothing larger is read: ten times the largest model there is, and far more text or probes than anybody needs.
_MAX_BYTES = {CONFIG: 1 << 20, WEIGHTS: 2 << 30, GRAPH: 2 << 30, REFERENCE: 64 << 20}


def corrupt(directory: Path, what: str) -> ValueError:
    mend = "install or copy it again" if directory.parent == SHIPPED else "copy it again, or export it anew"
    return ValueError(f"corrupt bundle {directory}: {what}; {mend}")


def _inside(directory: Path, name: str) -> Path:
    """A file of the bundle; not one elsewhere that a link leads to, nor what is no file and never ends."""
    path = directory / name
    if path.exists() and (path.resolve().parent != directory.resolve() or not path.is_file()):
        raise corrupt(directory, f"{name} is no file of the bundle's own")
    return path


def read(directory: Path, name: str) -> bytes:
    """The whole of a small file, its size checked first."""
    path = _inside(directory, name)
    try:
        if path.stat().st_size > _MAX_BYTES[name]:
            raise corrupt(directory, f"{name} is larger than {_MAX_BYTES[name]} bytes")
        return path.read_bytes()
    except OSError as error:
        raise corrupt(directory, f"{name}: {error.strerror or error}") from error


def verify(directory: Path, name: str, sha256: str, size: int) -> None:
    path = _inside(directory, name)
    try:
        actual = path.stat().st_size
        if actual != size:
            raise corrupt(directory, f"{name} has {actual} bytes, not {size}")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise corrupt(directory, f"{name}: {error.strerror or error}") from error
    if digest != sha256:
        raise corrupt(directory, f"{name} has been changed (its digest is another)")


def listed(files: object) -> dict[str, tuple[str, int]]:
    """The digests and sizes of `files`. Only the three known names pass, so no name can lead out of the directory."""
    expected = {WEIGHTS, GRAPH, REFERENCE}
    if not isinstance(files, dict) or set(files) != expected:
        raise ValueError(f"files must list exactly {', '.join(sorted(expected))}")
    listed = {}
    for name, entry in files.items():
        known = isinstance(entry, dict) and set(entry) == {"sha256", "bytes"}
        check(known, f"files[{name!r}] must hold sha256 and bytes")
        size, sha256 = entry["bytes"], entry["sha256"]
        check(
            type(size) is int and 0 < size <= _MAX_BYTES[name],
            f"files[{name!r}].bytes must be in 1..{_MAX_BYTES[name]}",
        )
        check(isinstance(sha256, str) and len(sha256) == 64, f"files[{name!r}].sha256 must be 64 hexadecimal digits")
        listed[name] = (sha256, size)
    return listed


def read_array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> F32:
    """One float32 array (P, *shape) of an .npz; the header is believed only as far as there are bytes for it."""
    entry = archive.getinfo(name)
    check(entry.compress_type == zipfile.ZIP_STORED, f"{name} must not be compressed")
    data = archive.read(entry)
    stream = io.BytesIO(data)
    check(np.lib.format.read_magic(stream) == (1, 0), f"{name} must be .npy version 1.0")
    actual, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    check(dtype == np.dtype("<f4") and not fortran, f"{name} must be float32 in C order")
    check(actual[1:] == shape, f"{name} has shape {actual}, not (P, {', '.join(map(str, shape))})")
    body = data[stream.tell() :]
    check(math.prod(actual) * 4 == len(body), f"{name} is cut short")
    array = np.frombuffer(body, dtype=np.float32).reshape(actual)
    check(bool(np.isfinite(array).all()), f"{name} holds numbers that are not finite")
    return array


def no_constant(name: str) -> object:
    """For JSON in which NaN and Infinity are no numbers."""
    raise ValueError(f"{name} is no number")


def cache_folder() -> Path:
    """Where this user's engines and fetched models are kept: `$SKELSTREAM_CACHE`, or in the system's cache."""
    if root := os.environ.get("SKELSTREAM_CACHE"):
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skelstream"
