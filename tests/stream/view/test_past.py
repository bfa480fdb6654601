"""What one can scroll back to: what was done and seen is kept for an hour at most, and no more than fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.stream.view.past import PAST_S, Past
from skelstream.stream.view.snapshot import RunView
from skelstream.stream.view.state import ViewState
from skelstream.stream.view.trends import TRENDS_S, DropTrend, LatencyTrend
from skelstream.stream.wire import replaced


def run(start: float, end: float, action: int = 1) -> RunView:
    return RunView(track=1, person="A", action=action, start=start, end=end, confidence=0.9)


@settings(deadline=None)
@given(st.data())
def test_whatever_has_left_the_timeline_is_in_the_past_and_nothing_twice(made: Any, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(20, 400)), min_size=1, max_size=15))
    labels = [label for label, length in lengths for _ in range(length)]
    state = made.fed(made.tracks(0))
    for first in range(0, len(labels), 60):
        state.apply(made.decision(first, tuple(labels[first : first + 60])), at=0.0)
    found = state.past("door")
    assert found is not None
    known = [(one["action"], one["start"], one["end"]) for one in (*found[1].past.runs, *found[1].runs())]
    told: list[list[float]] = []
    for tick, label in enumerate(labels):
        if told and told[-1][0] == label:
            told[-1][2] = (tick + 1) / 30
        else:
            told.append([label, tick / 30, (tick + 1) / 30])
    expected = [one for one in told if one[0]]
    assert [one[0] for one in known] == [one[0] for one in expected]
    assert np.allclose([one[1:] for one in known], [one[1:] for one in expected], atol=1e-3)


@given(st.lists(st.tuples(st.floats(0.1, 600), st.floats(0.1, 60)), min_size=1, max_size=60))
def test_runs_are_kept_for_an_hour_and_it_is_known_from_when_on(steps: list[tuple[float, float]]) -> None:
    past, t, every = Past(), 0.0, []
    for gap, length in steps:
        every.append(run(t + gap, t + gap + length))
        past.add(every[-1])
        t += gap + length
    kept = [one for one in every if one["end"] >= t - PAST_S]
    assert past.runs == kept
    assert past.runs_from == (None if len(kept) == len(every) else kept[0]["start"])


def test_no_more_runs_and_skeletons_are_kept_than_fit(made: Any) -> None:
    past = Past()
    for i in range(6000):
        past.add(run(0.1 * i, 0.1 * i + 0.1))
    assert len(past.runs) == 5000 and past.runs_from == pytest.approx(100)
    crowd = tuple(range(60))
    for i in range(500):
        past.see(replaced(made.tracks(0, crowd), t=0.25 * i), ["A"] * 60)
    assert past.seen == (0.25 * 100, 0.25 * 499)
    assert past.moment(5.0) is None
    found = past.moment(50.1)
    assert found is not None and len(found["people"]) == 60


def test_a_moment_is_the_nearest_that_was_seen(made: Any) -> None:
    past = Past()
    for seq in range(300):
        if not 100 <= seq < 200:
            shifted = made.standing()[None].repeat(2, axis=0) + np.array([seq, 0.0])
            two = replaced(made.tracks(seq, (7, 9)), pixels=shifted.astype(np.float32))
            past.see(two, ["A", "B"])
    for t in (0.0, 1.03, 3.0, 6.8, 9.9):
        found = past.moment(t)
        assert found is not None and abs(found["t"] - t) <= 0.4
        assert [(one["track"], one["person"]) for one in found["people"]] == [(7, "A"), (9, "B")]
        x, _ = found["people"][0]["pixels"][3]
        assert x == pytest.approx(made.standing()[3, 0] + 30 * found["t"], abs=0.6)
    assert past.moment(5.0) is None  # in the middle of what nobody saw
    assert past.moment(-2.0) is None and past.moment(12.0) is None


def test_what_was_taught_and_forgotten_keeps_its_place_in_the_past(made: Any) -> None:
    from skelstream.stream.wire import Taught

    def labels(state: ViewState) -> list[int]:
        found = state.past("door")
        assert found is not None
        return [one["action"] for one in (*found[1].past.runs, *found[1].runs())]

    state = made.fed(made.tracks(0), Taught(at=1.0, actions=("salute", "shrug")))
    assert state.classes == (*made.CLASSES, "salute", "shrug")
    for first, label in ((0, 4), (60, 5), (120, 2), (1200, 5)):
        state.apply(made.decision(first, (label,) * 60, classes=6), at=0.0)
    assert labels(state) == [4, 5, 2, 5]
    state.apply(Taught(at=2.0, actions=("salute", "a shrug")), at=0.0)  # another name is no other action
    assert labels(state) == [4, 5, 2, 5]
    state.apply(Taught(at=3.0, actions=("a shrug",)), at=0.0)
    assert labels(state) == [-1, 4, 2, 4]
    state.apply(Taught(at=2.5, actions=("salute",)), at=0.0)  # it was late
    assert state.classes == (*made.CLASSES, "a shrug")
    state.apply(made.decision(1260, (2,) * 30), at=0.0)  # by somebody who has not heard of it yet
    assert labels(state)[-1] == 2
    state.apply(made.decision(1290, (5,) * 30, classes=6), at=0.0)
    assert labels(state)[-1] == -1
    json_safe = state.snapshot(at=0.0)["people"]
    assert json_safe[0]["action"] == -1


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0.001, 3)), min_size=1, max_size=80))
def test_latency_by_second_is_that_of_its_second(lates: list[tuple[int, float]]) -> None:
    lates.sort()
    trend = LatencyTrend()
    for second, late in lates:
        trend.add(1000 + second + 0.5, late)
    p50, p95 = trend.view(1041.0)
    assert len(p50) == len(p95) == TRENDS_S
    for second in range(41):
        of_it = [1000 * late for at, late in lates if at == second]
        if of_it:
            assert p50[second - 41] == pytest.approx(np.percentile(of_it, 50), abs=0.51)
            assert p95[second - 41] == pytest.approx(np.percentile(of_it, 95), abs=0.51)
        else:
            assert p50[second - 41] is None


def test_drops_by_second_are_those_of_each_stage_and_are_forgotten(made: Any) -> None:
    trend = DropTrend()
    trend.add(1000.2, "pose", 3)
    trend.add(1000.7, "pose", 2)
    trend.add(1002.0, "decode", 1)
    view = trend.view(1003.5)
    assert {stage: [(i - TRENDS_S, n) for i, n in enumerate(counts) if n] for stage, counts in view.items()} == {
        "pose": [(-3, 5)], "decode": [(-1, 1)],
    }  # fmt: skip
    assert set(trend.view(1301.0)) == {"decode"} and trend.view(1400.0) == {}
    state = made.fed(made.report("pose", dropped=5))  # of an earlier life: no news
    state.apply(made.report("pose", dropped=9), at=1000.1)
    assert sum(state.drops.view(1001.5)["pose"]) == 4
