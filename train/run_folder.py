"""A run's folder: its settings, its checkpoint, its log. The same command goes on where it was stopped.

    run.json         the settings; a folder holds one run, and refuses another
    checkpoint.pt    everything that changes; written whole or not at all
    log.jsonl        one line an entry: step and scalars
    tensorboard/     the same, for TensorBoard
    curves.png       the same, drawn at the end
    marks.jsonl      what happened to the run on the way (workers lost, gone on from): drawn into the curves

A run that was killed has logged steps after its last checkpoint: they are cut away when it goes on, so that the log
reads like that of an uninterrupted run.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch.utils.tensorboard import SummaryWriter

from ..encoder.checkpoint import load_checkpoint
from ..encoder.full_disk import FULL, needing_room
from .curves import draw_curves
from .whole_file import append_whole, whole_file, write_whole


class RunFolder:
    """A context manager. Raises ValueError if the folder holds a run with other settings."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        mine = json.loads(json.dumps(settings))
        told = path / "run.json"
        if told.is_file() and json.loads(told.read_text()) != mine:
            raise ValueError(f"{path} holds a run with other settings (run.json); choose another --out or remove it")
        write_whole(told, json.dumps(mine, indent=1))
        self._board: SummaryWriter | None = None

    def load(self) -> dict[str, Any] | None:
        """The checkpoint, if there is one; the log is cut back to its `step`."""
        path = self.path / "checkpoint.pt"
        if not path.is_file():
            return None
        state: dict[str, Any] = load_checkpoint(path)
        self.cut_back(state["step"])
        return state

    def cut_back(self, step: int) -> None:
        """Forget what was logged after a step, from which the run goes on."""
        self.restore([entry for entry in self.entries() if entry["step"] <= step])

    def restore(self, entries: Sequence[dict[str, float]]) -> None:
        """Have this log and no other."""
        had = {entry["step"] for entry in self.entries()}
        write_whole(self.path / "log.jsonl", "".join(json.dumps(entry) + "\n" for entry in entries))
        if self._board is not None:  # a new one says from which step on the old one's words count no more
            self._board.close()
            self._board = None
        for entry in entries:
            if entry["step"] not in had:
                self._show(entry)

    def mark(self, step: int, text: str) -> None:
        """Note what happened at a step."""
        append_whole(self.path / "marks.jsonl", json.dumps({"step": step, "text": text}) + "\n")

    def marks(self) -> list[tuple[int, str]]:
        """What happened, and at which steps."""
        path = self.path / "marks.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        return [(line["step"], line["text"]) for line in lines]

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the checkpoint, which holds `step` among what it holds."""
        # Through a file of ours: if torch opens it, nobody learns why it could not be written.
        with whole_file(self.path / "checkpoint.pt") as unfinished, unfinished.open("wb") as file:
            torch.save(dict(state), file)

    def log(self, step: int, **scalars: float) -> None:
        """Add an entry to the log."""
        entry = {"step": step, **{name: round(value, 6) for name, value in scalars.items()}}
        append_whole(self.path / "log.jsonl", json.dumps(entry) + "\n")
        self._show(entry)

    def _show(self, entry: Mapping[str, float]) -> None:
        step = int(entry["step"])
        with needing_room(self.path):
            if self._board is None:
                self._board = SummaryWriter(str(self.path / "tensorboard"), purge_step=step)
            for name, value in entry.items():
                if name != "step":
                    self._board.add_scalar(name, value, step)

    def entries(self) -> list[dict[str, float]]:
        """The log so far."""
        path = self.path / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def finish(self, results: Mapping[str, Any]) -> None:
        """Write what came out (results.json) and the curves."""
        write_whole(self.path / "results.json", json.dumps(dict(results), indent=1))
        draw_curves(self.entries(), self.path / "curves.png", self.path.name, self.marks())

    def __enter__(self) -> Self:
        threading.excepthook = _without_what_comes_again
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if self._board is not None:
                with needing_room(self.path):
                    self._board.close()
        finally:
            threading.excepthook = threading.__excepthook__


def _without_what_comes_again(args: threading.ExceptHookArgs) -> None:
    """TensorBoard's thread tells of a full disk, and then whoever logs is told too."""
    if not (isinstance(args.exc_value, OSError) and args.exc_value.errno in FULL):
        threading.__excepthook__(args)
