"""What became of every frame and of every window: scored, or dropped, by stage and reason. Nothing may be missing.

A stage counts what it receives, what it drops and why, and what it hands on; its counters outlive its process
(`stream/vitals.py`). So what one stage has handed on and the next has not received was lost on its way, and what a
stage has received and neither handed on nor dropped was lost with it: both only where a process died, or was stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

Counters = Mapping[str, Mapping[str, int]]
_FRAMES = ("camera", "pose", "track", "window")


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """Of one camera's pipeline, once nothing is on its way any more.

    `captured` frames are `seen` or in `frames_dropped`; `windows` that were cut are `scored` or in `windows_dropped`.
    The keys are "stage: reason".
    """

    captured: int
    with_people: int
    seen: int
    frames_dropped: Counter[str]
    windows: int
    scored: int
    windows_dropped: Counter[str]

    @classmethod
    def of(cls, counters: Counters) -> Self:
        """From the stages' counters, by stage."""
        source = counters.get("camera") or counters.get("replay") or {}
        chain = [(stage, counters[stage]) for stage in _FRAMES if stage in counters] if "replay" not in counters else []
        frames_dropped: Counter[str] = Counter()
        handed_on = source.get("captured", 0)
        for stage, counts in chain:
            received = handed_on if stage == "camera" else counts.get("received", 0)
            frames_dropped[f"{stage}: lost on the way"] += handed_on - received
            if stage == "window":
                handed_on = received
                break
            dropped = _dropped(counts, stage)
            frames_dropped.update(dropped)  # which keeps what is negative, as += does not
            handed_on = counts.get("sent", 0)
            frames_dropped[f"{stage}: lost with its process"] += received - dropped.total() - handed_on
        windows_dropped: Counter[str] = Counter()
        window, decode = counters.get("window", {}), counters.get("decode", {})
        arrived = window.get("windows", 0)
        for stage in ("window", "gate"):  # a gate where the two are on different machines
            if stage in counters:
                counts = counters[stage]
                windows_dropped[f"{stage}: lost on the way"] += arrived - counts.get("windows", 0)
                windows_dropped.update(_dropped(counts, stage))
                arrived = counts.get("sent", 0)
                windows_dropped[f"{stage}: lost with its process"] += (
                    counts.get("windows", 0) - arrived - _dropped(counts, stage).total()
                )
        windows_dropped.update(_dropped(decode, "decode"))
        windows_dropped["decode: lost on the way"] += arrived - decode.get("windows", 0)
        windows_dropped["decode: lost with its process"] += (
            decode.get("windows", 0) - decode.get("scored", 0) - _dropped(decode, "decode").total()
        )
        return cls(
            captured=source.get("captured", 0),
            with_people=(counters.get("pose") or source).get("frames_with_people", 0),
            seen=handed_on, frames_dropped=frames_dropped, windows=window.get("windows", 0),
            scored=decode.get("scored", 0), windows_dropped=windows_dropped,
        )  # fmt: skip

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
        return {name: n for name, n in (*self.frames_dropped.items(), *self.windows_dropped.items()) if n < 0}


def dropped_in(counters: Mapping[str, int]) -> int:
    """How many things a stage has dropped, for whatever reason."""
    return sum(n for name, n in counters.items() if name.startswith("dropped"))


def _dropped(counts: Mapping[str, int], stage: str) -> Counter[str]:
    return Counter({f"{stage}: {name[9:]}": n for name, n in counts.items() if name.startswith("dropped: ")})


def told(dropped: Counter[str]) -> str:
    """For people: "3 pose (newer came), 1 camera (queue full)", or "none"."""
    lines = [f"{n} {name.replace(': ', ' (', 1)})" for name, n in dropped.most_common() if n]
    return ", ".join(lines) or "none"
