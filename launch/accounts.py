"""What became of every frame and of every window: scored, or dropped, by stage and reason. Nothing may be missing.

A stage counts what it receives, what it drops and why, and what it hands on; its counters outlive its process
(`stream/vitals.py`). So what one stage has handed on and the next has not received was lost on its way, and what a
stage has received and neither handed on nor dropped was lost with it: both only where a process died, or was stopped.

Where there are several cameras each has stages of its own, called `pose@kitchen`, and one stage decides for all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

Counters = Mapping[str, Mapping[str, int]]
_FRAMES = ("camera", "pose", "track", "window")


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Of one camera: the `captured` frames are `seen` or in `dropped`, by "stage: reason"."""

    captured: int
    with_people: int
    seen: int
    dropped: Counter[str]

    @classmethod
    def of(cls, counters: Counters) -> Self:
        """From the counters of one camera's stages."""
        source = counters.get("camera") or counters.get("replay") or {}
        chain = [(stage, counters[stage]) for stage in _FRAMES if stage in counters] if "replay" not in counters else []
        dropped: Counter[str] = Counter()
        handed_on = source.get("captured", 0)
        for stage, counts in chain:
            received = handed_on if stage == "camera" else counts.get("received", 0)
            dropped[f"{stage}: lost on the way"] += handed_on - received
            if stage == "window":
                handed_on = received
                break
            here = _dropped(counts, stage)
            dropped.update(here)  # which keeps what is negative, as += does not
            handed_on = counts.get("sent", 0)
            dropped[f"{stage}: lost with its process"] += received - here.total() - handed_on
        return cls(
            captured=source.get("captured", 0),
            with_people=(counters.get("pose") or source).get("frames_with_people", 0),
            seen=handed_on, dropped=dropped,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Of a run, once nothing is on its way any more: its frames by camera ("" where there is one), and its windows.

    All `windows` that were cut are `scored` or in `windows_dropped`, whose keys are "stage: reason".
    """

    frames: Mapping[str, Frames]
    windows: int
    scored: int
    windows_dropped: Counter[str]

    @classmethod
    def of(cls, counters: Counters, *, guests: bool = False) -> Self:
        """From the stages' counters, by stage.

        `guests`: what came through the gate is of cameras on other machines, whose counters are not among these; else
        it is of the cameras that are.
        """
        cameras = _by_camera(counters)
        dropped: Counter[str] = Counter()
        gate = counters.get("gate")
        arrived = windows = 0
        for stages in cameras.values():
            if "window" in stages:
                windows += stages["window"].get("windows", 0)
                arrived += _through("window", stages["window"], stages["window"].get("windows", 0), dropped)
        if gate is not None and guests:
            windows += gate.get("windows", 0)
            arrived += _through("gate", gate, gate.get("windows", 0), dropped)
        elif gate is not None:
            arrived = _through("gate", gate, arrived, dropped)
        decode = counters.get("decode", {})
        here = _dropped(decode, "decode")
        dropped.update(here)
        dropped["decode: lost on the way"] += arrived - decode.get("windows", 0)
        dropped["decode: lost with its process"] += decode.get("windows", 0) - decode.get("scored", 0) - here.total()
        return cls(
            frames={camera: Frames.of(stages) for camera, stages in cameras.items()}, windows=windows,
            scored=decode.get("scored", 0), windows_dropped=dropped,
        )  # fmt: skip

    @property
    def captured(self) -> int:
        return sum(frames.captured for frames in self.frames.values())

    @property
    def with_people(self) -> int:
        return sum(frames.with_people for frames in self.frames.values())

    @property
    def seen(self) -> int:
        return sum(frames.seen for frames in self.frames.values())

    @property
    def frames_dropped(self) -> Counter[str]:
        return _sum(frames.dropped for frames in self.frames.values())

    @property
    def unaccounted(self) -> tuple[int, int]:
        """Frames and windows that are neither here nor there: 0 and 0, or the books are wrong."""
        return (
            self.captured - self.seen - self.frames_dropped.total(),
            self.windows - self.scored - self.windows_dropped.total(),
        )

    @property
    def negative(self) -> dict[str, int]:
        """What was received more often than it was handed on: nothing, or the books are wrong."""
        dropped = [*(frames.dropped for frames in self.frames.values()), self.windows_dropped]
        return {name: n for counts in dropped for name, n in counts.items() if n < 0}


def dropped_in(counters: Mapping[str, int]) -> int:
    """How many things a stage has dropped, for whatever reason."""
    return sum(n for name, n in counters.items() if name.startswith("dropped"))


def _by_camera(counters: Counters) -> dict[str, dict[str, Mapping[str, int]]]:
    """The stages that each camera has for itself: by its name, and by their kind."""
    cameras: dict[str, dict[str, Mapping[str, int]]] = {}
    for name, counts in counters.items():
        kind, _, camera = name.partition("@")
        if kind in (*_FRAMES, "replay"):
            cameras.setdefault(camera, {})[kind] = counts
    return cameras


def _through(stage: str, counts: Mapping[str, int], arrived: int, dropped: Counter[str]) -> int:
    """How many windows a stage that takes and sends them sent on, of those that were to arrive; the rest is dropped."""
    here, sent = _dropped(counts, stage), counts.get("sent", 0)
    dropped.update(here)
    dropped[f"{stage}: lost on the way"] += arrived - counts.get("windows", 0)
    dropped[f"{stage}: lost with its process"] += counts.get("windows", 0) - sent - here.total()
    return sent


def _dropped(counts: Mapping[str, int], stage: str) -> Counter[str]:
    return Counter({f"{stage}: {name[9:]}": n for name, n in counts.items() if name.startswith("dropped: ")})


def _sum(counters: Iterable[Counter[str]]) -> Counter[str]:
    """Like `sum`, but what is negative stays."""
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def told(dropped: Counter[str]) -> str:
    """For people: "3 pose (newer came), 1 camera (queue full)", or "none"."""
    lines = [f"{n} {name.replace(': ', ' (', 1)})" for name, n in dropped.most_common() if n]
    return ", ".join(lines) or "none"
