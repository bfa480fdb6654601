"""What the stages report, as Prometheus reads it at /metrics. Names and units are by its conventions.

    scrape_configs: [{job_name: skelstream, static_configs: [{targets: ["127.0.0.1:8765"]}]}]

Counters go on when a stage is started again, as its reports do; histograms and CPU time begin anew, which Prometheus
knows how to read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..stage import BOUNDS
from ..wire import Report
from .state import Watched

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# The counter that tells how many frames, or windows, a stage of this kind has had.
_FRAMES = {"camera": "captured", "replay": "captured", "pose": "frames", "track": "received", "window": "received"}
_WINDOWS = {"window": "windows", "decode": "windows", "detect": "scored"}
_HISTOGRAMS = (
    ("latency_s", "skelstream_latency_seconds", "From a frame's capture to the stage's being done with it."),
    ("took_s", "skelstream_took_seconds", "What the stage's own work took."),
    ("batch", "skelstream_engine_batch_windows", "Windows that the engine scored at once."),
)

Samples = Iterable[tuple[Sequence[str], float]]  # the labels' values, the value


def exposition(watched: Watched) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Pipeline(watched))
    return generate_latest(registry)


class _Pipeline(Collector):
    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        reports = [report for report, _ in self._watched.stages]
        yield _counter("skelstream_frames", "Frames that the stage has had.", _of_kind(reports, _FRAMES))
        yield _counter("skelstream_windows", "Windows that the stage cut, took or scored.", _of_kind(reports, _WINDOWS))
        dropped, refused = _by_reason(reports, "dropped"), _by_reason(reports, "refused")
        refused.update({(r.stage, "malformed"): r.counters["malformed"] for r in reports if "malformed" in r.counters})
        yield _counter("skelstream_dropped", "What was let go of, so as not to fall behind.", dropped.items(), "reason")
        yield _counter("skelstream_refused", "What was not let in.", refused.items(), "reason")
        yield _counter("skelstream_restarts", "How often the stage was started again.", _restarts(reports))
        lost = sum(report.counters.get("lost", 0) for report in reports)
        yield CounterMetricFamily("skelstream_lost", "How often a camera was lost.", value=lost)
        yield _counter("skelstream_cpu_seconds", "CPU time of the stage's process.", _gauges(reports, "cpu_s"))
        memory = _gauges(reports, "memory_mb", 1e6)
        yield _gauge("skelstream_memory_bytes", "Memory of the stage's process that is in RAM.", memory)
        for what, name, text in _HISTOGRAMS:
            yield _histogram(name, text, reports, what)
        stages = [stage for _, stage in self._watched.stages]
        ready = [([stage["stage"]], stage["state"] == "ready") for stage in stages]
        yield _gauge("skelstream_stage_ready", "1 while the stage takes its input, and that is fresh.", ready)
        ages_s = [([stage["stage"]], stage["age_s"]) for stage in stages if stage["age_s"] is not None]
        yield _gauge("skelstream_stage_age_seconds", "How old the stage's newest frame is.", ages_s)
        cameras = self._watched.cameras
        people = [([camera["name"]], camera["people"]) for camera in cameras]
        yield _gauge("skelstream_people", "People in the camera's picture.", people, "camera")
        gone = [([camera["name"]], camera["status"] == "lost") for camera in cameras]
        yield _gauge("skelstream_camera_lost", "1 while the camera gives no pictures.", gone, "camera")


def _of_kind(reports: Iterable[Report], counters: Mapping[str, str]) -> Samples:
    """The counter that is listed for each stage's kind: `detect0` and `detect@robot` are both `detect`."""
    named = [(report, counters.get(re.split(r"[^a-z]", report.stage)[0], "")) for report in reports]
    return [([report.stage], report.counters[name]) for report, name in named if name in report.counters]


def _by_reason(reports: Iterable[Report], what: str) -> dict[tuple[str, str], int]:
    """Counters `WHAT: REASON` by stage and reason; plain `WHAT` has none."""
    totals: Counter[tuple[str, str]] = Counter()
    for report in reports:
        for name, count in report.counters.items():
            if name == what or name.startswith(f"{what}: "):
                totals[report.stage, name.removeprefix(what)[2:] or "unnamed"] += count
    return dict(totals)


def _restarts(reports: Iterable[Report]) -> Samples:
    """Whoever starts stages counts `restarts: STAGE`."""
    totals: Counter[str] = Counter()
    for report in reports:
        for name, count in report.counters.items():
            if name.startswith("restarts: "):
                totals[name.removeprefix("restarts: ")] += count
    return [([stage], count) for stage, count in totals.items()]


def _gauges(reports: Iterable[Report], name: str, factor: float = 1.0) -> Samples:
    return [([report.stage], factor * report.gauges[name]) for report in reports if name in report.gauges]


def _counter(name: str, text: str, samples: Samples, *labels: str) -> Metric:
    family = CounterMetricFamily(name, text, labels=["stage", *labels])
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _gauge(name: str, text: str, samples: Samples, label: str = "stage") -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(name: str, text: str, reports: Iterable[Report], what: str) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["stage"])
    bounds = [*map(str, BOUNDS[what]), "+Inf"]
    for report in reports:
        *counts, total = report.histograms.get(what, (0.0,))
        if len(counts) == len(bounds):  # another machine's stage may be of another version
            family.add_metric([report.stage], [*zip(bounds, accumulate(counts), strict=True)], total)
    return family
