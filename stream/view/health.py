"""Whether the pipeline lives, and whether it works: asked at /healthz and /readyz by whoever supervises the machine."""

from __future__ import annotations

from typing import Literal

from .state import Watched

_TOLD: tuple[Literal["state", "age_s", "message"], ...] = ("state", "age_s", "message")


def alive(watched: Watched) -> bool:
    """Whether no stage has failed or fallen silent; before the first report this page is all there is, and lives."""
    return all(stage["state"] not in ("failed", "silent") for _, stage in watched.stages)


def ready(watched: Watched) -> bool:
    """Whether every stage does its work, with frames as fresh as they should be, and no camera is lost.

    A stage that ended well is out of it.
    """
    states = [stage["state"] for _, stage in watched.stages if stage["state"] != "ended"]
    lost = any(camera["status"] == "lost" for camera in watched.cameras)
    return bool(states) and all(state == "ready" for state in states) and not lost


def details(watched: Watched) -> dict[str, dict[str, object]]:
    """What both answers rest on; `age_s` is how old a stage's newest frame is, where it should have one."""
    stages = {stage["stage"]: {what: stage[what] for what in _TOLD} for _, stage in watched.stages}
    return {"stages": {**stages}, "cameras": {camera["name"]: camera for camera in watched.cameras}}
