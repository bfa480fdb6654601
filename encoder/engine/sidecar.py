"""Sealed files: a compiled engine with a JSON beside it that says what it is, and whether it may be loaded here.

    tensorrt-fp16-0123456789abcdef/
        model.engine     what the compiler made
        sidecar.json     its digest and size, what it was made from and for, and how well it agreed with the reference

A file is loaded if its sidecar says that it was made from the same things for the same device, and if it still has its
digest. Everything else is made anew. The digest finds damage, not malice: who may write the folder may write both.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FORMAT = 1
SIDECAR = "sidecar.json"
LISTED = "files.json"  # the digests of files that the compiler named
_MAX_SIDECAR_BYTES = 64 << 10
_MAX_CONTENT_BYTES = 8 << 30  # far above `base` in float32, which has 0.25 GiB

# Whose file it is: strings that must be the same as here. `made_for` is the device and the software that runs on it,
# `made_from` the graph and the settings of the compiler.
Facts = Mapping[str, str]
Verdict = Literal["good", "absent", "altered", "foreign", "stale"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What lies in a folder: the content, if it is good, and else in a few words why not."""

    verdict: Verdict
    content: bytes = b""
    why: str = ""
    parity: Mapping[str, float] | None = None


def seal(
    folder: Path,
    name: str,
    content: bytes,
    *,
    made_from: Facts,
    made_for: Facts,
    parity: Mapping[str, float] | None = None,
) -> None:
    """Write the content and its sidecar into the folder, which nobody else looks into yet (see `scratch_beside`)."""
    _write(folder / name, content)
    sealed = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    _write_sidecar(folder, name, sealed, made_from, made_for, parity)


def add_parity(folder: Path, parity: Mapping[str, float]) -> None:
    """Write how well the engine agreed with the reference into a sidecar that `seal` wrote. Numbers must be finite."""
    text = json.loads((folder / SIDECAR).read_bytes())
    _write_sidecar(folder, text["name"], text["sealed"], text["made_from"], text["made_for"], parity)


def unseal(folder: Path, name: str, *, made_from: Facts, made_for: Facts) -> Found:
    """What lies in the folder, judged. Nothing is read that is larger than it may be; nothing is raised.

    absent    there is nothing
    altered   damaged, cut short, or without a sidecar that can be understood
    foreign   good for another device, or another version of the software on it
    stale     good for this device, but made from something else
    """
    if not folder.is_dir():
        return Found(verdict="absent", why="there is none")
    try:
        text = _read_sidecar(folder)
        if text["name"] != name:
            raise ValueError(f"its sidecar is of {str(text['name'])[:80]!r}")
        if difference := _difference(text["made_for"], made_for):
            return Found(verdict="foreign", why=difference)
        if difference := _difference(text["made_from"], made_from):
            return Found(verdict="stale", why=difference)
        content = _read_content(folder / name, text["sealed"])
    except OSError as error:
        return Found(verdict="altered", why=error.strerror or str(error))
    except ValueError as error:
        return Found(verdict="altered", why=str(error))
    return Found(verdict="good", content=content, parity=text["parity"])


def seal_all(folder: Path, *, made_from: Facts, made_for: Facts, parity: Mapping[str, float] | None = None) -> None:
    """Seal every file that a compiler left in the folder, whatever it calls them. Raises OSError if that fails."""
    listed = {path.name: _digest(path) for path in sorted(folder.iterdir()) if path.is_file()}
    content = f"{json.dumps(listed, indent=1)}\n".encode()
    seal(folder, LISTED, content, made_from=made_from, made_for=made_for, parity=parity)


def unseal_all(folder: Path, *, made_from: Facts, made_for: Facts) -> bool:
    """Whether the folder holds just the files that `seal_all` sealed, as they were, and made from and for the same."""
    found = unseal(folder, LISTED, made_from=made_from, made_for=made_for)
    if found.verdict != "good":
        return False
    try:
        files = [path for path in folder.iterdir() if path.name not in (LISTED, SIDECAR)]
        if not all(path.is_file() for path in files):  # a pipe would never end
            return False
        here = {path.name: _digest(path) for path in files}
    except OSError:
        return False
    same: bool = here == json.loads(found.content)
    return same


def scratch_beside(cache: Path) -> Path | None:
    """A fresh directory on the same file system, or None where nothing can be written: then nothing is cached."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".compiling-", dir=cache.parent))
    except OSError:
        return None


def why_unkept(cache: Path, error: OSError | None = None) -> str:
    """Why nothing is cached there, and how to mend it; without an error there was no scratch directory."""
    if error is None:
        return f"{cache.parent} cannot be written; let SKELSTREAM_CACHE name another folder"
    return f"{cache.parent}: {error.strerror or error}; make room there"


def put_in_place(scratch: Path, cache: Path) -> None:
    """Let the scratch folder become the cache, in place of an older one. It never raises; the scratch is gone then.

    A reader sees the old one, none, or the new one. If another process was first, its folder is as good as ours.
    """
    graveyard = None
    try:
        if cache.exists():
            graveyard = Path(tempfile.mkdtemp(prefix=".compiling-", dir=cache.parent))
            cache.rename(graveyard / "old")
        scratch.rename(cache)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        if graveyard is not None:
            shutil.rmtree(graveyard, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _difference(text: object, wanted: Facts) -> str | None:
    """In a few words how what was sealed differs from what is wanted, or None."""
    if not isinstance(text, dict):
        raise ValueError("its sidecar is incomplete")
    for key in sorted(set(text) | set(wanted)):
        if text.get(key) != wanted.get(key):
            return f"its {key.replace('_', ' ')} is {_short(text.get(key))}, here {_short(wanted.get(key))}"
    return None


def _short(value: object) -> str:
    text = "unknown" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _read_sidecar(folder: Path) -> dict[str, Any]:
    path = folder / SIDECAR
    if not path.is_file() or path.stat().st_size > _MAX_SIDECAR_BYTES:
        raise ValueError(f"its sidecar is no file, or larger than {_MAX_SIDECAR_BYTES} bytes")
    try:
        text = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError("its sidecar is no JSON") from error
    wanted = {"format", "name", "sealed", "made_from", "made_for", "parity"}
    if not isinstance(text, dict) or set(text) != wanted or text["format"] != FORMAT:
        raise ValueError("its sidecar is incomplete, or of another version of this program")
    if not _is_parity(text["parity"]):
        raise ValueError("its sidecar's parity is no table of numbers")
    return text


def _is_parity(parity: object) -> bool:
    if parity is None:
        return True
    return isinstance(parity, dict) and all(type(x) in (int, float) and math.isfinite(x) for x in parity.values())


def _read_content(path: Path, sealed: object) -> bytes:
    """The content, whose size and digest are those of the sidecar."""
    if not isinstance(sealed, dict) or set(sealed) != {"sha256", "bytes"} or type(sealed["bytes"]) is not int:
        raise ValueError("its sidecar lacks the digest")
    if not 0 <= sealed["bytes"] <= _MAX_CONTENT_BYTES:
        raise ValueError(f"its sidecar tells of {str(sealed['bytes'])[:40]} bytes")
    actual = path.stat().st_size
    if actual != sealed["bytes"]:
        raise ValueError(f"it has {actual} bytes, not {sealed['bytes']}")
    with path.open("rb") as file:
        content = file.read(actual + 1)  # no more, should it be growing
    if len(content) != actual or hashlib.sha256(content).hexdigest() != sealed["sha256"]:
        raise ValueError("its digest is another")
    return content


def _write_sidecar(
    folder: Path,
    name: str,
    sealed: Mapping[str, object],
    made_from: Facts,
    made_for: Facts,
    parity: Mapping[str, float] | None,
) -> None:
    text = {
        "format": FORMAT,
        "name": name,
        "sealed": dict(sealed),
        "made_from": dict(made_from),
        "made_for": dict(made_for),
        "parity": None if parity is None else {key: float(value) for key, value in parity.items()},
    }
    _write(folder / SIDECAR, f"{json.dumps(text, indent=2, allow_nan=False)}\n".encode())


def _write(path: Path, content: bytes) -> None:
    """Write the file whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
