"""The processor that a figure was measured on, as the system tells it."""

from __future__ import annotations

from pathlib import Path


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "processor unknown"
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "processor unknown")
