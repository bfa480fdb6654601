"""Rerun's .rrd, with a layout of its views: everybody in 3D, the probabilities as curves, what happened as a log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...encoder.clock import HZ
from ...encoder.layout import NTU25
from ...stream.wire import AnyMessage, Decision, Lost, RobotState, Tracks
from .story import Story, ticks_of
from .tell import Teller

_TIMELINE = "time"
_PAINTS = ((37, 99, 235), (220, 38, 38), (5, 150, 105), (217, 119, 6), (124, 58, 237))


class RerunFile:
    """Written as the messages come."""

    def __init__(self, path: Path, story: Story) -> None:
        try:
            import rerun
        except ModuleNotFoundError as error:
            raise ValueError("Rerun needs its package: pip install 'skelstream[rerun]'") from error
        self._rr: Any = rerun
        self._story, self._teller = story, Teller(story)
        self._recording = rerun.RecordingStream("skelstream")
        self._recording.save(path, default_blueprint=_layout())
        self._known: set[tuple[str, ...]] = set()

    def take(self, message: AnyMessage, when: float) -> None:
        rr, recording = self._rr, self._recording
        recording.set_time(_TIMELINE, timestamp=max(when, 0.0))
        if isinstance(message, Tracks):
            self._people(message)
        elif isinstance(message, Decision):
            self._decision(message)
            recording.set_time(_TIMELINE, timestamp=max(when, 0.0))
        elif isinstance(message, RobotState):
            strips = message.points[np.array(message.bones, np.int64).reshape(-1, 2)]
            place = self._once(("robots", message.robot), rr.ViewCoordinates.FLU)
            recording.log(
                [*place, "body"], rr.LineStrips3D(strips, radii=0.02, labels=[message.behaviour or message.state])
            )
        told = self._teller.line(message)
        if told is not None:
            level = rr.TextLogLevel.WARN if isinstance(message, Lost) else rr.TextLogLevel.INFO
            recording.log("log", rr.TextLog(f"{told[0]}: {told[1]}", level=level))

    def close(self) -> None:
        self._recording.flush()
        self._recording.disconnect()

    def _people(self, message: Tracks) -> None:
        rr, recording = self._rr, self._recording
        place = self._once(("cameras", message.camera), rr.ViewCoordinates.LUF)
        for i, track in enumerate(message.ids):
            joints, known = message.joints[i], message.confidence[i] > 0
            bones = [bone for bone in NTU25.bones if known[bone[0]] and known[bone[1]]]
            person = [*place, f"person {track}"]
            paint, text = _PAINTS[track % len(_PAINTS)], self._teller.doing(message.camera, track)
            strips = joints[np.array(bones, np.int64).reshape(-1, 2)]
            recording.log([*person, "bones"], rr.LineStrips3D(strips, radii=0.015, colors=[paint]))
            recording.log([*person, "joints"], rr.Points3D(joints[known], radii=0.03, colors=[paint]))
            head = joints[known & (joints[:, 1] == joints[known][:, 1].max(initial=-np.inf))][:1]
            above = head + np.array([0, 0.2, 0], np.float32)
            recording.log([*person, "says"], rr.Points3D(above, radii=0.001, colors=[paint], labels=[text]))
        for track in message.ended:
            recording.log([*place, f"person {track}"], rr.Clear(recursive=True))

    def _decision(self, message: Decision) -> None:
        rr, recording = self._rr, self._recording
        words = self._story.words(message)
        place = self._once(
            ("probabilities", message.camera, f"person {message.track}"), rr.SeriesLines(names=list(words))
        )
        begin = self._story.at(message.camera, 0.0)
        for t, _, i in ticks_of(message, HZ):
            recording.set_time(_TIMELINE, timestamp=max(begin + t, 0.0))
            recording.log(place, rr.Scalars(message.probabilities[i]))

    def _once(self, place: tuple[str, ...], standing: Any) -> list[str]:
        """The place, of which this was said before anything else."""
        if place not in self._known:
            self._known.add(place)
            self._recording.log(list(place), standing, static=True)
        return list(place)


def _layout() -> Any:
    from rerun import blueprint as views

    return views.Blueprint(
        views.Vertical(
            views.Horizontal(
                views.Spatial3DView(origin="/cameras", name="people"),
                views.TextLogView(origin="/log", name="what happened"),
                column_shares=[2, 1],
            ),
            views.TimeSeriesView(origin="/probabilities", name="probabilities"),
            row_shares=[2, 1],
        )
    )
