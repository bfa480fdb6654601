"""What became of the videos of a folder, in a folder of its own: a file of events for each, and an index of all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..encoder.full_disk import DiskFull, needing_room
from ..stream.wire import Event
from .accounts import Frames

Identity = list[int]


class Index:
    """Kept in `index.json`, written anew as a whole whenever a video is settled, after its events.

    `said_by`: all that decides what is said; one folder holds what was said in one way. Raises ValueError if the folder
    holds something else.
    """

    def __init__(self, folder: Path, said_by: Mapping[str, object]) -> None:
        self.path = folder / "index.json"
        self._folder, self._said_by = folder, dict(said_by)
        self._videos: dict[str, dict[str, Any]] = {}
        try:
            if self.path.exists():
                self._read()
            elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise ValueError(f"{folder} holds something else already; give a new folder for the events")
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"cannot use {folder}: {error.strerror}; give another folder for the events") from error

    def _read(self) -> None:
        try:
            kept = json.loads(self.path.read_text())
            said_by, self._videos = dict(kept["said_by"]), {name: dict(one) for name, one in kept["videos"].items()}
            if not all(isinstance(one.get("events", ""), str) for one in self._videos.values()):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(f"{self.path} is no index of videos; give another folder for the events") from None
        if differ := [name for name, value in self._said_by.items() if said_by.get(name) != value]:
            raise ValueError(
                f"{self._folder} holds what was said with another {', '.join(differ)}; give a new folder for the events"
            )

    def has(self, name: str, of: Identity) -> bool:
        """Whether this video was detected, and is still what it was then."""
        kept = self._videos.get(name, {})
        return "events" in kept and kept.get("of") == of and (self._folder / kept["events"]).is_file()

    def failed(self, name: str) -> bool:
        """Whether it could not be detected the last time."""
        return "failure" in self._videos.get(name, {})

    def add(self, name: str, of: Identity, frames: Frames, actions: Sequence[Event]) -> None:
        """It was detected to its end. DiskFull if there is no room."""
        events = f"{name}.jsonl"
        lines = [
            json.dumps({
                "person": event.track, "action": event.action, "t_start": round(event.t_start, 3),
                "t_end": None if event.t_end is None else round(event.t_end, 3),
                "confidence": round(event.confidence, 3),
            })
            for event in sorted(actions, key=lambda event: (event.t_start, event.track))
        ]  # fmt: skip
        _write(self._folder / events, "".join(f"{line}\n" for line in lines))
        self._settle(name, {
            "events": events, "actions": len(lines), "frames": frames.captured, "with_people": frames.with_people,
            "of": of,
        })  # fmt: skip

    def fail(self, name: str, why: str) -> None:
        """It could not be detected. DiskFull if there is no room."""
        self._settle(name, {"failure": why})

    def _settle(self, name: str, what: dict[str, Any]) -> None:
        self._videos[name] = what
        videos = dict(sorted(self._videos.items()))
        _write(self.path, json.dumps({"said_by": self._said_by, "videos": videos}, indent=1))


def identity(video: Path) -> Identity:
    """By which a file that was changed is told: its size in bytes, and when it was written. OSError if it is gone."""
    stat = video.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _write(path: Path, text: str) -> None:
    """All of it, or nothing."""
    unfinished = path.with_name(f".{path.name[:200]}.{os.getpid()}")
    try:
        with needing_room(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(text)
            unfinished.replace(path)
    except DiskFull:
        unfinished.unlink(missing_ok=True)
        raise
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}; mend that, and the same command goes on") from error
