"""What the state makes of messages: rates, latency, runs, people, cameras, stages."""

from __future__ import annotations

import io
import itertools
import json
import statistics
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from skelstream.encoder.layout import NTU25
from skelstream.stream.view.state import ViewState
from skelstream.stream.view.terminal import screen
from skelstream.stream.wire import UNKNOWN, End, Report, replaced


@given(
    hz=st.floats(5, 120),
    skipped=st.sets(st.integers(1, 58), max_size=50),
    pose_every=st.integers(1, 4),
)
def test_the_frame_rate_is_the_cameras_however_many_frames_are_skipped(
    made: Any, hz: float, skipped: set[int], pose_every: int
) -> None:
    state = ViewState(made.CLASSES)
    for seq in range(60):
        if seq not in skipped:
            state.apply(made.preview(seq, hz=hz, picture=b"\xff\xd8 jpeg"), at=seq / hz)
        if seq % pose_every == 0:
            state.apply(made.tracks(seq, hz=hz), at=seq / hz)
    view = state.snapshot(at=60 / hz)
    assert view["fps"] == pytest.approx(hz, rel=1e-3)
    assert view["pose_fps"] == pytest.approx(hz / pose_every, rel=1e-3)
    silent = state.snapshot(at=60 / hz + 60)
    assert silent["fps"] is None and silent["pose_fps"] is None


@given(st.lists(st.floats(0.01, 2), min_size=2, max_size=60))
def test_latency_is_of_the_last_ten_seconds(made: Any, latencies_s: list[float]) -> None:
    state = made.fed(made.decision(0, (1,), latency_s=30.0), at=0.0)
    for i, latency_s in enumerate(latencies_s):
        state.apply(made.decision(1 + i, (1,), latency_s=latency_s), at=11.0)
    latency = state.snapshot(at=12.0)["latency"]
    assert latency is not None
    cuts_ms = [1000 * cut for cut in statistics.quantiles(latencies_s, n=20, method="inclusive")]
    assert latency["p50_ms"] == pytest.approx(cuts_ms[9], abs=1e-3)
    assert latency["p95_ms"] == pytest.approx(cuts_ms[18], abs=1e-3)
    assert state.snapshot(at=40.0)["latency"] is None


@given(st.data())
def test_lanes_are_the_runs_of_equal_labels_in_the_last_thirty_seconds(made: Any, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 200)), min_size=1, max_size=20))
    labels = [label for label, length in lengths for _ in range(length)]
    state, first = made.fed(made.tracks(0)), 0
    while first < len(labels):
        count = data.draw(st.integers(1, 90))
        state.apply(made.decision(first, tuple(labels[first : first + count])), at=0.0)
        first += count
    expected, tick, oldest = [], 0, len(labels) / 30 - 30
    for label, group in itertools.groupby(labels):
        start, tick = tick, tick + len(list(group))
        if label and tick / 30 > oldest:
            expected.append((label, start / 30, tick / 30))
    runs = [(run["action"], run["start"], run["end"]) for run in state.snapshot(at=0.0)["runs"]]
    assert [run[0] for run in runs] == [run[0] for run in expected]
    assert np.allclose([run[1:] for run in runs], [run[1:] for run in expected], atol=1e-3)


def test_a_person_has_a_current_action_since_when_and_the_likeliest_classes(made: Any) -> None:
    state = made.fed(made.tracks(30), made.decision(0, (0,) * 20 + (2,) * 15))
    (person,) = state.snapshot(at=0.0)["people"]
    assert (person["person"], person["track"], person["action"]) == ("A", 7, 2)
    assert person["since"] == pytest.approx(20 / 30, abs=1e-3)
    assert person["confidence"] == pytest.approx(0.7, abs=1e-3)
    (likeliest, share), *others = person["top"]
    assert likeliest == 2 and share == pytest.approx(0.7, abs=1e-3)
    assert len(others) == 3


def test_an_action_begins_when_its_event_says_not_when_it_was_believed(made: Any) -> None:
    state = made.fed(made.tracks(30), made.decision(0, (0,) * 20 + (2,) * 15), made.event("start", 0.5, None))
    (person,) = state.snapshot(at=0.0)["people"]
    assert person["since"] == pytest.approx(0.5)
    state.apply(made.decision(35, (2,) * 5), at=0.0)
    (run,) = state.snapshot(at=0.0)["runs"]
    assert run["start"] == pytest.approx(0.5)
    assert run["end"] == pytest.approx(40 / 30, abs=1e-3)
    assert run["confidence"] == pytest.approx(0.7, abs=1e-3)


def test_an_action_ends_when_its_event_says_not_when_it_was_noticed(made: Any) -> None:
    state = made.fed(made.tracks(30), made.decision(0, (2,) * 40 + (0,) * 5))
    state.apply(made.event("end", 0.0, 36 / 30), at=0.0)
    (run,) = state.snapshot(at=0.0)["runs"]
    assert run["start"] == 0 and run["end"] == pytest.approx(36 / 30)
    (person,) = state.snapshot(at=0.0)["people"]
    assert person["since"] == pytest.approx(36 / 30)


def test_the_unknown_is_a_state_of_its_own(made: Any) -> None:
    state = made.fed(made.tracks(60), made.decision(0, (0,) * 30), made.decision(30, (UNKNOWN,) * 30))
    (person,) = state.snapshot(at=0.0)["people"]
    assert person["action"] == UNKNOWN and person["since"] == pytest.approx(1)
    assert person["confidence"] == pytest.approx(0.3)  # the decisions give 0.7 to the last class
    (run,) = state.snapshot(at=0.0)["runs"]
    assert (run["action"], run["start"], run["end"]) == (UNKNOWN, 1, 2)
    state.apply(msgspec.structs.replace(made.event("start", 1.0, None), action="unknown"), at=0.0)
    assert [entry["action"] for entry in state.log()] == ["unknown"]
    console = Console(width=100, height=30, file=io.StringIO(), record=True)
    console.print(screen(state, width=100, height=30, at=0.0))
    lines = console.export_text().splitlines()
    assert any(line.strip().startswith("A") and "unknown" in line for line in lines)
    assert any(line.startswith("unknown") and line.count("A") > 1 for line in lines)  # its lane


def test_before_the_first_decision_a_person_has_no_action(made: Any) -> None:
    (person,) = made.fed(made.tracks(1)).snapshot(at=0.0)["people"]
    assert person["action"] is None and person["top"] == []


def test_a_letter_stays_with_its_person_and_is_free_again_once_off_the_timeline(made: Any) -> None:
    def letters(state: ViewState) -> dict[int, str]:
        return {person["track"]: person["person"] for person in state.snapshot(at=0.0)["people"]}

    state = made.fed(made.tracks(0, (4, 9)), made.decision(0, (1,) * 10, track=4))
    assert letters(state) == {4: "A", 9: "B"}
    state.apply(made.tracks(30, (9,)), at=0.0)
    state.apply(made.tracks(31, (9, 12)), at=0.0)
    assert letters(state) == {9: "B", 12: "C"}  # what A did is still on the timeline
    state.apply(made.tracks(30 * 32, (9,)), at=0.0)
    state.snapshot(at=0.0)
    state.apply(made.tracks(30 * 32 + 1, (9, 20)), at=0.0)
    assert letters(state) == {9: "B", 20: "A"}


def test_the_status_follows_the_camera(made: Any) -> None:
    state = ViewState(made.CLASSES)
    assert state.snapshot(at=0.0)["status"] == "waiting"
    state.apply(made.preview(0), at=0.0)
    assert state.snapshot(at=0.1)["status"] == "live"
    state.apply(made.tracks(0, ()), at=0.1)
    assert state.snapshot(at=0.2)["status"] == "nobody"
    state.apply(made.tracks(1), at=0.3)
    assert state.snapshot(at=0.4)["status"] == "live"
    silent = state.snapshot(at=5.0)
    assert (silent["status"], silent["people"]) == ("waiting", [])
    state.apply(End(camera="door"), at=5.0)
    state.apply(made.tracks(2), at=5.1)  # still on its way through the stages when the camera ended
    assert state.snapshot(at=5.1)["status"] == "ended"


def test_a_camera_that_begins_anew_is_live_again_without_its_past(made: Any) -> None:
    state = made.fed(made.tracks(900), made.decision(0, (1,) * 60), made.event("start", 0.5, None), End(camera="door"))
    revision = state.snapshot(at=0.0)["log_revision"]
    state.apply(made.preview(0, began_at=1e9 + 60), at=60.0)
    view = state.snapshot(at=60.0)
    assert (view["status"], view["t"], view["runs"], state.log()) == ("live", 0.0, [], [])
    assert view["log_revision"] != revision


def test_an_action_is_one_entry_in_the_log(made: Any) -> None:
    state = made.fed(made.event("start", 2.0, None, 0.6), made.event("update", 2.0, None, 0.7))
    (going_on,) = state.log()
    assert (going_on["action"], going_on["t_end"], going_on["confidence"]) == ("wave", None, 0.7)
    state.apply(made.event("end", 2.0, 4.5, 0.9), at=0.0)
    state.apply(made.event("start", 6.0, None), at=0.0)
    ended, new = state.log()
    assert (ended["t_end"], ended["confidence"], new["t_start"]) == (4.5, 0.9, 6.0)
    assert ended["latency_ms"] == pytest.approx(250)


def test_stages_say_how_they_are(made: Any) -> None:
    state = made.fed(made.report("detect"), made.report("camera", dropped=5), made.report("pose"), at=0.0)
    state.apply(made.report("camera", dropped=5), at=10.0)
    state.apply(made.report("detect", dropped=3), at=10.0)
    stages = {stage["stage"]: stage for stage in state.snapshot(at=10.0)["stages"]}
    assert list(stages) == ["camera", "pose", "detect"]
    assert {name: (one["state"], one["drops"], one["dropping"]) for name, one in stages.items()} == {
        "camera": ("ready", 5, False),
        "pose": ("silent", 0, False),
        "detect": ("ready", 3, True),
    }
    json.dumps(state.snapshot(at=10.0), allow_nan=False)


def test_a_failed_stage_is_shown_until_another_takes_its_place(made: Any) -> None:
    def shown(at: float) -> list[tuple[int, str]]:
        return [(stage["pid"], stage["state"]) for stage in state.snapshot(at=at)["stages"]]

    state = made.fed(
        made.report("detect", pid=1), made.report("detect", pid=2), made.report("detect", pid=2, state="failed")
    )
    state.apply(made.report("detect", pid=1), at=1.0)  # its sibling works on
    assert shown(at=1.0) == [(1, "ready"), (2, "failed")]
    state.apply(made.report("detect", pid=3), at=1.0)
    assert shown(at=1.0) == [(1, "ready"), (3, "ready")]


def test_decisions_of_another_bundle_are_refused(made: Any) -> None:
    with pytest.raises(ValueError, match="3 classes and the view has 4; start both from the same bundle"):
        made.fed().apply(made.decision(0, (1,), classes=3), at=0.0)
    larger = ViewState(made.CLASSES[:3])
    larger.apply(made.decision(0, (1,)), at=0.0)  # a lesson may be over, and not have been told of yet
    with pytest.raises(ValueError, match="4 classes and the view has 3; start both from the same bundle"):
        larger.apply(made.decision(1, (1,)), at=6.0)


def test_a_stage_says_how_busy_it_is_and_how_often_it_was_started_again(made: Any) -> None:
    def busy(at: float, cpu_s: float) -> Report:
        told: Report = made.report("pose")
        return replaced(told, at=1e9 + at, gauges={"cpu_s": cpu_s})

    restarts = replaced(made.report("supervisor"), counters={"restarts: pose": 2, "restarts: camera": 0})
    state = made.fed(restarts, busy(0.0, 4.0))
    assert state.stages.shown(0.0)[0]["cpu"] is None
    state.apply(busy(0.5, 4.35), at=0.5)
    pose = next(stage for stage in state.stages.shown(0.5) if stage["stage"] == "pose")
    assert pose["cpu"] == pytest.approx(0.7, abs=1e-6) and pose["restarts"] == 2


@given(
    posed=st.sets(st.integers(0, 40)),
    shown=st.sets(st.integers(0, 40), min_size=1),
    lag=st.integers(0, 20),
)
def test_pictures_go_forward_with_the_people_of_their_own_frame(
    made: Any, posed: set[int], shown: set[int], lag: int
) -> None:
    state, last = ViewState(made.CLASSES), -1
    for now in range(41 + lag):
        if now in shown:
            state.apply(made.preview(now, picture=b"\xff\xd8 jpeg"), at=now / 30)
        if now - lag in posed:
            state.apply(made.tracks(now - lag, (now - lag,)), at=now / 30)
        picture = state.picture(at=now / 30)
        if picture is None:
            continue
        assert picture.seq >= last and picture.seq in shown
        last = picture.seq
        if picture.people:
            (person,) = picture.people
            # A frame that the pose stage skipped borrows the nearest people; one that it saw never does.
            assert person["track"] == picture.seq or picture.seq not in posed
            assert person["pixels"][NTU25.index("WristLeft")] == list(made.WRIST)
    newest = state.picture(at=1e3)
    assert newest is not None and newest.seq == max(shown)


def test_a_picture_waits_for_its_people_but_not_for_a_pose_stage_that_is_gone(made: Any) -> None:
    def shown(at: float) -> tuple[int, int]:
        picture = state.picture(at=at)
        assert picture is not None
        return picture.seq, len(picture.people)

    state = made.fed(made.preview(0), made.tracks(0), at=0.0)
    assert shown(at=0.0) == (0, 1)
    state.apply(made.preview(1), at=0.03)
    assert shown(at=0.05) == (0, 1)
    state.apply(made.tracks(1, (7, 8)), at=0.07)
    assert shown(at=0.07) == (1, 2)
    state.apply(made.preview(2), at=0.1)
    assert shown(at=5.0) == (2, 0)
