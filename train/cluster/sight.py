"""What one node sees: these functions run as tasks on a node, and `check.py` compares what several of them say."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from pyarrow import fs

_SIZES = 2000  # of so many files of a folder the size is looked at: a whole NTU on a network disk would take minutes


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A node's memory in GB, and the versions it would train with ("" if it lacks one)."""

    memory_gb: float
    python: str
    ray: str
    torch: str
    skelstream: str


def facts() -> Facts:
    """Those of the node that this runs on."""
    return Facts(
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        python=platform.python_version(),
        ray=_version("ray"),
        torch=_version("torch"),
        skelstream=_version("skelstream"),
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What lies at a path, in words that are the same wherever the same lies there."""

    there: bool
    what: str


def look(paths: list[str]) -> list[Sight]:
    """What this node sees at each path.

    A store is known by its index and the size of its frames, another folder by the names of its files and the sizes of
    up to 2,000 of them, a file by its size: contents are not read, they may be hundreds of GB.
    """
    return [_look(Path(path)) for path in paths]


def _look(path: Path) -> Sight:
    try:
        if path.is_file():
            return Sight(there=True, what=f"a file of {path.stat().st_size:,} bytes")
        if (path / "index.json").is_file() and (path / "frames.npy").is_file():
            return Sight(there=True, what=_store(path))
        if path.is_dir():
            return Sight(there=True, what=_folder(path))
    except OSError as error:
        return Sight(there=False, what=f"{error.filename or path}: {error.strerror}")
    return Sight(there=False, what="nothing is there")


def _store(path: Path) -> str:
    index = hashlib.sha256((path / "index.json").read_bytes()).hexdigest()[:8]
    return f"a store with index {index} and {(path / 'frames.npy').stat().st_size:,} bytes of frames"


def _folder(path: Path) -> str:
    def fail(error: OSError) -> None:
        raise error

    names = sorted(
        os.path.relpath(Path(folder, name), path)
        for folder, _, files in os.walk(path, onerror=fail, followlinks=True)
        for name in files
    )
    digest = hashlib.sha256("\0".join(names).encode(errors="surrogateescape"))
    for name in names[:: max(1, len(names) // _SIZES)]:
        digest.update(str((path / name).stat().st_size).encode())
    return f"a folder of {len(names):,} files (digest {digest.hexdigest()[:8]})"


def write_note(storage: str, name: str, text: str) -> list[str]:
    """Write a small file to the storage, a path or a URL; returns the folders that had to be made, innermost first."""
    system, path = _system(storage)
    made = []
    if isinstance(system, fs.LocalFileSystem):
        made = [str(folder) for folder in (Path(path), *Path(path).parents) if not folder.exists()]
        Path(path).mkdir(parents=True, exist_ok=True)
    with system.open_output_stream(f"{path}/{name}") as note:
        note.write(text.encode())
    return made


def read_notes(storage: str, names: list[str]) -> dict[str, str]:
    """What the notes say that can be read; the others are left out."""
    system, path = _system(storage)
    told = {}
    for name in names:
        try:
            with system.open_input_stream(f"{path}/{name}") as note:
                told[name] = note.read().decode()
        except OSError:
            continue
    return told


def erase_note(storage: str, name: str) -> None:
    """Take a note away."""
    system, path = _system(storage)
    system.delete_file(f"{path}/{name}")


def unmake(folders: list[str]) -> None:
    """Take folders away, in this order; one that is in use by now stays."""
    for folder in folders:
        try:
            Path(folder).rmdir()
        except OSError:
            return


def _system(storage: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path in it: pyarrow's own (as Ray Train has it), else fsspec's."""
    try:
        system, path = fs.FileSystem.from_uri(storage)
    except ValueError:
        found, path = fsspec.core.url_to_fs(storage)
        system = fs.PyFileSystem(fs.FSSpecHandler(found))
    return system, path
