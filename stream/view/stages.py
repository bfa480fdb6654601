"""The stages' health, as each of them reports it.

`at` is always the receiver's clock in seconds, monotonic; it only decides what is old.
"""

from __future__ import annotations

import math

from ..wire import Report
from .snapshot import StageView

_SILENT_S = 3.0  # reports come twice a second
_DROPPING_S = 5.0  # a stage that dropped something this recently is marked
_MOST = 64
_ORDER = ("camera", "pose", "track", "window", "detect", "decode")


class Stages:
    """What every stage's processes reported last."""

    def __init__(self) -> None:
        self._stages: dict[tuple[str, int], _Stage] = {}

    def take(self, report: Report, at: float) -> int:
        """Take a report in; returns how much was dropped since the one before it."""
        key = (report.stage, report.pid)
        if key not in self._stages and len(self._stages) >= _MOST:
            del self._stages[min(self._stages, key=lambda k: self._stages[k].heard_at)]
        return self._stages.setdefault(key, _Stage(at)).update(report, at)

    def newest(self, at: float) -> list[tuple[Report, StageView]]:
        """The stages in the order of the pipeline; of processes of one name the newest report counts: the stage was
        started again."""
        newest: dict[str, _Stage] = {}
        for (name, _), stage in sorted(self._stages.items(), key=lambda item: item[1].heard_at):
            newest[name] = stage
        restarts = self._restarts()
        stages = sorted(newest.items(), key=lambda item: _pipeline_order(item[0]))
        return [(stage.report, stage.view(at, restarts.get(name, 0))) for name, stage in stages]

    def shown(self, at: float) -> list[StageView]:
        """The stages in the order of the pipeline; those that work no more only until another takes their place."""
        for (name, pid), stage in list(self._stages.items()):
            younger = (other.began_at > stage.heard_at for key, other in self._stages.items() if key[0] == name)
            if stage.view(at, 0)["state"] in ("silent", "ended", "failed") and any(younger):
                del self._stages[name, pid]
        restarts = self._restarts()
        shown = sorted(self._stages.items(), key=lambda item: _pipeline_order(*item[0]))
        return [stage.view(at, restarts.get(name, 0)) for (name, _), stage in shown]

    def _restarts(self) -> dict[str, int]:
        """How often each stage was started again, as whoever starts them tells."""
        return {
            name.removeprefix("restarts: "): count
            for stage in self._stages.values()
            for name, count in stage.report.counters.items()
            if name.startswith("restarts: ")
        }


class _Stage:
    """What a stage's process reported last."""

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.heard_at = -math.inf
        self.drops: int | None = None
        self.dropped_at = -math.inf
        self.report: Report
        self.cpu: float | None = None

    def update(self, report: Report, at: float) -> int:
        """Take a report in; returns how much was dropped since the one before it."""
        drops = sum(count for name, count in report.counters.items() if "drop" in name)
        more = drops if self.drops is None else drops - self.drops
        if more > 0:
            self.dropped_at = at
        if self.drops is not None and "cpu_s" in report.gauges and report.at > self.report.at:
            used = report.gauges["cpu_s"] - self.report.gauges.get("cpu_s", 0.0)
            self.cpu = max(used, 0.0) / (report.at - self.report.at)
        since, self.report, self.heard_at = self.drops, report, at
        self.drops = drops
        return 0 if since is None else max(more, 0)  # what an earlier process dropped is no news

    def view(self, at: float, restarts: int) -> StageView:
        working = self.report.state in ("starting", "ready", "stale")
        age_s = self.report.gauges.get("age_s")
        return StageView(
            stage=self.report.stage,
            pid=self.report.pid,
            state="silent" if working and at - self.heard_at > _SILENT_S else self.report.state,
            drops=self.drops or 0,
            dropping=at - self.dropped_at <= _DROPPING_S,
            age_s=None if age_s is None else round(age_s + at - self.heard_at, 3),
            cpu=None if self.cpu is None else round(self.cpu, 3),
            restarts=restarts,
            gauges={name: value for name, value in self.report.gauges.items() if math.isfinite(value)},
            message=self.report.message,
        )


def _pipeline_order(stage: str, pid: int = 0) -> tuple[int, str, int]:
    return next((i for i, name in enumerate(_ORDER) if stage.startswith(name)), len(_ORDER)), stage, pid
