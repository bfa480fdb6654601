"""Checkpoints of a run on a storage that all nodes see: a folder, or any URL that pyarrow or fsspec can write to.

    checkpoints/step-00000300.pt    the newest few
    checkpoints/best.pt             the one with the best value of the run's metric
    checkpoints/best.json           which step that is, and the value

A checkpoint is written under another name and then moved, or, on an object store, appears when it is complete; so
whatever is there is whole. What cannot be read all the same is passed over for the one before it.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pyarrow import fs

from ...encoder.full_disk import needing_room

Better = Literal["lower", "higher"]
_NAME = re.compile(r"step-(\d{8})\.pt")


@dataclass(frozen=True)
class Best:
    """The step of the best checkpoint so far, and its value."""

    step: int
    value: float


class Checkpoints:
    """The checkpoints under `storage`; the newest `keep` of them and the best, by a metric that should be `better`.

    Raises ValueError if the storage cannot be written to.
    """

    def __init__(self, storage: str, *, keep: int, better: Better) -> None:
        self.keep, self.better = keep, better
        self._files, root = filesystem(storage)
        self._folder = f"{root.rstrip('/')}/checkpoints"
        try:
            self._files.create_dir(self._folder, recursive=True)
        except OSError as error:
            raise ValueError(f"{storage} cannot be written to ({error}); give another --storage") from error

    def save(self, state: dict[str, Any], value: float) -> bool:
        """Keep a state, which holds its `step`; whether it is the best so far."""
        written = io.BytesIO()
        torch.save(state, written)
        self._write(f"step-{state['step']:08d}.pt", written.getvalue())
        best = self.best()
        is_best = best is None or (value < best.value if self.better == "lower" else value > best.value)
        if is_best:
            # The state first: a kill in between leaves the old word about a newer state, which is better than none.
            self._write("best.pt", written.getvalue())
            self._write("best.json", json.dumps({"step": state["step"], "value": value}).encode())
        for step in self.steps()[: -self.keep]:
            self._files.delete_file(f"{self._folder}/step-{step:08d}.pt")
        return is_best

    def steps(self) -> list[int]:
        """The steps of the newest checkpoints, in order."""
        found = self._files.get_file_info(fs.FileSelector(self._folder))
        return sorted(int(match[1]) for info in found if (match := _NAME.fullmatch(info.base_name)))

    def newest(self) -> dict[str, Any] | None:
        """The newest state that can be read."""
        return next((state for step in reversed(self.steps()) if (state := self.at(step)) is not None), None)

    def at(self, step: int) -> dict[str, Any] | None:
        """The state of a step, if it can be read."""
        return self._read(f"step-{step:08d}.pt")

    def best(self) -> Best | None:
        """Which state is the best."""
        try:
            with self._files.open_input_stream(f"{self._folder}/best.json") as file:
                return Best(**json.loads(file.read()))
        except FileNotFoundError:
            return None

    def best_state(self) -> dict[str, Any] | None:
        """The best state, or the newest where none can be read."""
        return self._read("best.pt") or self.newest()

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            with self._files.open_input_file(f"{self._folder}/{name}") as file:
                state: dict[str, Any] = torch.load(io.BytesIO(file.read()), map_location="cpu", weights_only=True)
                return state
        except (OSError, RuntimeError, ValueError, EOFError, KeyError):
            return None

    def _write(self, name: str, content: bytes) -> None:
        # A name of its own for each attempt: a worker that is believed dead may still be writing.
        unfinished = f"{self._folder}/.{name}.{uuid.uuid4().hex}"
        with needing_room(Path(self._folder)):
            try:
                with self._files.open_output_stream(unfinished) as file:
                    file.write(content)
                self._files.move(unfinished, f"{self._folder}/{name}")
            except OSError:
                with contextlib.suppress(OSError):
                    self._files.delete_file(unfinished)
                raise


def filesystem(storage: str) -> tuple[fs.FileSystem, str]:
    """The file system and the path in it of a folder or URL. Raises ValueError for a URL that nothing here knows."""
    if "://" not in storage:
        return fs.LocalFileSystem(), str(Path(storage).absolute())
    try:
        found, path = fs.FileSystem.from_uri(storage)
        return found, path
    except (ValueError, OSError, NotImplementedError):
        pass
    try:
        import fsspec

        known, path = fsspec.core.url_to_fs(storage)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{storage} is no storage that is known here ({error}); install its fsspec package") from error
    return fs.PyFileSystem(fs.FSSpecHandler(known)), path
