"""Decoding: fusion and belief against plain sums, events that say when things began, the unknown, stream as batch."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.bundle import LOOK, DecodeParameters
from skelstream.stream.decode import Decoder, Hindsight, Looks, Segmenter
from skelstream.stream.wire import UNKNOWN, Decision, Event, Scores

CLASSES = ("background", "wave", "clap")
F32 = NDArray[np.float32]


def scores_of(windows: list[tuple[int, F32]], evidence: dict[int, float] | None = None) -> list[Scores]:
    """The scores of windows (end tick, logits (64, 3)) of a person first seen at tick 0; `evidence` by end, else 1."""
    return [
        Scores(
            camera="c", t=end / 30, captured_at=0.0, track=1, index=i, first_tick=end - 63, valid=min(end + 1, 64),
            last=i == len(windows) - 1, logits=logits, evidence=(evidence or {}).get(end, 1.0), scored_at=0.0,
        )
        for i, (end, logits) in enumerate(windows)
    ]  # fmt: skip


def run(
    windows: list[tuple[int, F32]], parameters: DecodeParameters, evidence: dict[int, float] | None = None
) -> tuple[list[Decision], list[Event]]:
    decoder = Decoder(CLASSES, parameters)
    said = [message for scores in scores_of(windows, evidence) for message in decoder.push(scores, 5.0)]
    return [s for s in said if isinstance(s, Decision)], [s for s in said if isinstance(s, Event)]


def stream(*runs: tuple[int, int]) -> F32:
    """Probability rows: (class, frames) one after the other, 0.9 for the class."""
    return np.concatenate([np.tile(np.eye(3)[k] * 0.85 + 0.05, (n, 1)) for k, n in runs]).astype(np.float32)


def windows_over(rows: F32, hop: int = 2, shift: float = 0.0) -> list[tuple[int, F32]]:
    """Windows that all say the same of a frame; `shift` is added to the logits, which changes the energy alone."""
    logits = np.log(np.concatenate([np.tile(rows[:1], (63, 1)), rows])) + shift
    return [(end, logits[end : end + 64].astype(np.float32)) for end in [*range(15, len(rows), hop), len(rows) - 1]]


def edges(events: list[Event]) -> list[tuple[str, str, int, int | None]]:
    """Starts and ends in frames."""
    return [
        (e.kind, e.action, round(e.t_start * 30), None if e.t_end is None else round(e.t_end * 30))
        for e in events
        if e.kind != "update"
    ]


def said_at(rows: F32, parameters: DecodeParameters) -> list[int]:
    """At which frame, the newest seen, each start was said."""
    decoder, at = Decoder(CLASSES, parameters), []
    for scores in scores_of(windows_over(rows, hop=1)):
        at += [
            scores.first_tick + 63
            for m in decoder.push(scores, 0.0)
            if isinstance(m, Event) and m.kind == "start" and m.action != "unknown"
        ]
    return at


@settings(deadline=None, max_examples=30)
@given(
    delay=st.integers(0, 31), hop=st.integers(1, 6), count=st.integers(1, 60), seed=st.integers(0, 999),
    temperature=st.floats(0.3, 3),
)  # fmt: skip
def test_a_later_window_counts_twice_as_much(delay: int, hop: int, count: int, seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    ends = [20 + i * hop for i in range(count)]
    windows = [(end, rng.normal(scale=2, size=(64, 3)).astype(np.float32)) for end in ends]
    decisions, _ = run(windows, DecodeParameters(delay=delay, temperature=temperature))

    ticks = [tick for d in decisions for tick in range(d.first_tick, d.first_tick + len(d.labels))]
    assert ticks == list(range(ends[-1] + 1))  # every frame once, in order
    fused = np.concatenate([d.probabilities for d in decisions])
    for tick in ticks:
        # The first window that looks `delay` beyond the tick decides it; the last one decides all that is left.
        decided_by = next((end for end in ends if end - delay >= tick), ends[-1])
        powers = [
            (np.exp(logits[tick - end + 63].astype(float) / temperature), 2.0**i)
            for i, (end, logits) in enumerate(windows)
            if end <= decided_by and end - 63 <= tick <= end
        ]
        mean = sum(w * e / e.sum() for e, w in powers) / sum(w for _, w in powers)
        np.testing.assert_allclose(fused[tick], mean, atol=1e-5)


@pytest.mark.parametrize("delay", [0, 8, 30])
def test_an_event_says_when_it_began_and_ended_whatever_the_delay(delay: int) -> None:
    rows = stream((0, 60), (1, 45), (0, 30), (2, 30), (0, 40))
    _, events = run(windows_over(rows), DecodeParameters(delay=delay, enter=0.5, leave=0.3, min_frames=6))
    assert edges(events) == [
        ("start", "wave", 60, None), ("end", "wave", 60, 105),
        ("start", "clap", 135, None), ("end", "clap", 135, 165),
    ]  # fmt: skip
    assert all(0.8 < e.confidence <= 1 for e in events)
    assert any(e.kind == "update" for e in events)


def test_what_is_shorter_than_the_minimum_is_no_event_and_a_dip_does_not_end_one() -> None:
    rows = stream((0, 30), (1, 5), (0, 30), (2, 20), (0, 20))
    rows[75:77] = (0.6, 0.05, 0.35)  # clap falls to 0.35: below `enter`, above `leave`
    _, events = run(windows_over(rows), DecodeParameters(delay=0, enter=0.5, leave=0.3, min_frames=12))
    assert edges(events) == [("start", "clap", 65, None), ("end", "clap", 65, 85)]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), enter=st.floats(0.2, 0.8), belief=st.floats(0.3, 4), min_frames=st.integers(1, 10))
def test_an_action_is_believed_when_enough_has_gathered(
    seed: int, enter: float, belief: float, min_frames: int
) -> None:
    """The first frame at which the best run of frames up to it is good and long enough, found by trying every run."""
    rng = np.random.default_rng(seed)
    p = np.clip(np.repeat(rng.uniform(0, 1, 12), 5) + rng.normal(scale=0.1, size=60), 0.01, 0.98)
    rows = np.stack([1 - p - 0.005, p, np.full(60, 0.005)], axis=1).astype(np.float32)
    parameters = DecodeParameters(
        delay=0, enter=enter, leave=enter / 2, belief=belief, min_frames=min_frames, doubt=LOOK
    )

    def best(t: int) -> tuple[float, int]:
        """The most that a run up to t sums to, and its length."""
        return max((float((p[s : t + 1] - enter).sum()), t + 1 - s) for s in range(max(t + 1 - LOOK, 0), t + 1))

    most, length = np.array([best(t) for t in range(15, 60)]).T
    believed = (most >= belief) & (length >= min_frames)
    assume(np.abs(most - belief).min() > 1e-4)  # no tie that rounding decides
    assert said_at(rows, parameters)[:1] == [15 + t for t in np.flatnonzero(believed)[:1]]


def test_what_is_sure_is_said_sooner_than_what_is_not_and_both_begin_where_they_began() -> None:
    parameters = DecodeParameters(delay=0, enter=0.5, leave=0.3, min_frames=1, belief=2)
    sure, unsure = stream((0, 40), (1, 30)), stream((0, 40), (1, 30))
    sure[40:], unsure[40:] = (0.01, 0.98, 0.01), (0.34, 0.65, 0.01)
    assert said_at(sure, parameters) == [44]  # five frames of 0.48
    assert said_at(unsure, parameters) == [53]  # fourteen of 0.15
    for rows in (sure, unsure):
        assert edges(run(windows_over(rows), parameters)[1])[0] == ("start", "wave", 40, None)


def test_later_windows_move_a_start_that_has_not_been_said_yet() -> None:
    """At first the detector sees the action from frame 60 on; later, with hindsight, from 50 on."""
    early = windows_over(stream((0, 60), (1, 30)), hop=1)
    late = windows_over(stream((0, 50), (1, 40)), hop=1)
    windows = [before if before[0] < 66 else after for before, after in zip(early, late, strict=True)]
    _, events = run(windows, DecodeParameters(delay=0, enter=0.5, leave=0.3, min_frames=1, belief=4))
    assert edges(events)[0] == ("start", "wave", 50, None)


def test_a_class_has_thresholds_of_its_own() -> None:
    rows = stream((0, 40), (1, 30), (0, 40), (2, 30), (0, 30))
    parameters = DecodeParameters(
        delay=0, enter=(0.5, 0.5, 0.95), leave=(0.3, 0.3, 0.3), min_frames=1, belief=(0.0, 2.0, 0.5)
    )
    assert {e.action for e in run(windows_over(rows), parameters)[1]} == {"wave"}


def test_an_event_that_still_runs_ends_with_the_person() -> None:
    _, events = run(windows_over(stream((0, 30), (1, 50))), DecodeParameters(delay=8))
    assert events[-1].kind == "end" and events[-1].t_end == pytest.approx(80 / 30)


def test_an_action_that_takes_over_ends_the_one_before() -> None:
    rows = stream((0, 40), (1, 30), (2, 40))
    _, events = run(windows_over(rows), DecodeParameters(delay=0, enter=0.5, leave=0.04, min_frames=1, belief=2))
    assert edges(events) == [
        ("start", "wave", 40, None), ("end", "wave", 40, 70), ("start", "clap", 70, None), ("end", "clap", 70, 110),
    ]  # fmt: skip


def test_edges_move_to_where_the_movement_changes() -> None:
    """The action rises in two steps: the first passes `enter`, the second is the larger change."""
    rows = stream((0, 60), (2, 40), (0, 30))
    rows[56:60] = (0.62, 0.05, 0.33)
    plain = DecodeParameters(delay=0, enter=0.3, leave=0.2, min_frames=1, belief=3)
    assert edges(run(windows_over(rows), plain)[1]) == [("start", "clap", 56, None), ("end", "clap", 56, 100)]
    moved = replace(plain, boundary=5)
    assert edges(run(windows_over(rows), moved)[1]) == [("start", "clap", 60, None), ("end", "clap", 60, 100)]


def test_what_has_too_little_energy_is_unknown_until_it_has_more() -> None:
    plain = windows_over(stream((0, 240)), hop=1)
    strange = windows_over(stream((0, 240)), hop=1, shift=-5.0)
    windows = [strange[i] if 60 <= end < 120 else plain[i] for i, (end, _) in enumerate(plain)]
    parameters = DecodeParameters(delay=0, unknown=-2.5, unknown_frames=10, min_frames=1, belief=2)
    decisions, events = run(windows, parameters)
    assert {e.action for e in events} == {"unknown"}
    ((_, _, began, _), (_, _, _, ended)) = edges(events)
    assert 45 <= began <= 75 and ended is not None and 120 <= ended <= 150
    labels = [label for d in decisions for label in d.labels]
    assert set(labels) == {0, UNKNOWN} and set(labels[75:119]) == {UNKNOWN} and set(labels[150:]) == {0}
    assert all(e.confidence == pytest.approx(0.95) for e in events)  # no action has more than 0.05


def test_an_action_that_is_believed_is_not_unknown() -> None:
    rows = stream((0, 40), (1, 60), (0, 40))
    parameters = DecodeParameters(delay=0, unknown=100.0, unknown_frames=10, min_frames=1, belief=2)
    _, events = run(windows_over(rows), parameters)  # every frame's energy is below 100
    assert [e.action for e in events if e.kind == "start"] == ["unknown", "wave", "unknown"]
    spans = {e.action: (round(e.t_start * 30), round((e.t_end or 0) * 30)) for e in events if e.kind == "end"}
    assert spans["wave"] == (40, 100)


def test_of_whom_too_little_is_seen_nothing_is_said() -> None:
    rows = stream((0, 40), (1, 90), (0, 30))
    hidden = dict.fromkeys(range(80, 110), 0.1)
    windows = windows_over(rows, hop=1)
    parameters = DecodeParameters(delay=0, min_evidence=0.3, min_frames=1, belief=2)
    decisions, events = run(windows, parameters, hidden)
    assert edges(events)[:3] == [
        ("start", "wave", 40, None), ("end", "wave", 40, 80), ("start", "unknown", 80, None),
    ]  # fmt: skip
    ended = [told[1:] for told in edges(events) if told[0] == "end"]
    assert ended == [("wave", 40, 80), ("unknown", 80, 110), ("wave", 110, 130)]
    labels = [label for d in decisions for label in d.labels]
    assert set(labels[80:110]) == {UNKNOWN} and UNKNOWN not in labels[110:]


def smooth(rows: F32, frames: int) -> F32:
    """Slow transitions: while one action fades, the next one already leads."""
    kernel = np.ones(frames) / frames
    padded = np.pad(rows, ((frames // 2, frames - 1 - frames // 2), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel, mode="valid") for column in padded.T]
    return np.stack(columns, axis=1).astype(np.float32)


@st.composite
def parameters_of_any_kind(draw: st.DrawFn) -> DecodeParameters:
    enter = draw(st.floats(0.1, 0.9))
    return DecodeParameters(
        delay=draw(st.integers(0, 30)), enter=enter, leave=enter * draw(st.floats(0.1, 1)),
        min_frames=draw(st.integers(1, 12)), belief=draw(st.floats(0, 4)), doubt=draw(st.floats(0, 3)),
        boundary=draw(st.integers(0, 5)), unknown=draw(st.sampled_from([None, -1.0, 1.0])),
        unknown_frames=draw(st.integers(1, 20)), min_evidence=draw(st.sampled_from([0.0, 0.5])),
    )  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 10_000), fading=st.integers(1, 40), hop=st.integers(1, 9), noise=st.floats(0, 2),
    parameters=parameters_of_any_kind(),
)  # fmt: skip
def test_events_come_in_pairs_do_not_overlap_and_many_looks_at_once_say_the_same(
    seed: int, fading: int, hop: int, noise: float, parameters: DecodeParameters
) -> None:
    rng = np.random.default_rng(seed)
    rows = stream(*((int(rng.integers(3)), int(rng.integers(1, 40))) for _ in range(12)))
    windows = [
        (end, (logits + rng.normal(scale=noise, size=logits.shape)).astype(np.float32))
        for end, logits in windows_over(smooth(rows, min(fading, len(rows))), hop)
        if end == len(rows) - 1 or rng.random() > 0.1
    ]
    evidence = {end: float(rng.random()) for end, _ in windows if rng.random() < 0.05}
    decisions, events = run(windows, parameters, evidence)
    told = edges(events)
    assert [kind for kind, *_ in told] == ["start", "end"] * (len(told) // 2)
    spans = [(action, start, end) for kind, action, start, end in told if kind == "end" and end is not None]
    assert [s[:2] for s in spans] == [(action, start) for kind, action, start, _ in told if kind == "start"]
    assert all(0 <= start < end <= len(rows) for _, start, end in spans)
    assert all(end <= start for (_, _, end), (_, start, _) in pairwise(spans))
    assert all(0 <= e.confidence <= 1 + 1e-6 for e in events)
    assert sum(len(d.labels) for d in decisions) == len(rows)

    hindsight = Hindsight(len(CLASSES), parameters.delay, parameters.temperature)
    looks = Looks.stacked([look for s in scores_of(windows, evidence) if (look := hindsight.push(s)) is not None])
    turns = [turn for _, turn in Segmenter(len(CLASSES), parameters).push(looks)]
    numbers = {"unknown": UNKNOWN, **{name: k for k, name in enumerate(CLASSES)}}
    assert [(numbers[action], start) for action, start, _ in spans] == [turn for turn in turns if turn.label != 0]


def test_after_an_outage_everything_is_decided_once() -> None:
    """Windows that were dropped for three seconds: the frames that none has shown are an even guess, and no event."""
    rows = stream((0, 60), (0, 150))
    windows = [w for w in windows_over(rows, hop=1) if not 60 < w[0] < 160]
    decisions, events = run(windows, DecodeParameters(delay=4))
    ticks = [tick for d in decisions for tick in range(d.first_tick, d.first_tick + len(d.labels))]
    assert ticks == list(range(len(rows)))
    fused = np.concatenate([d.probabilities for d in decisions])
    np.testing.assert_allclose(fused.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(fused[75], 1 / 3, atol=1e-5)
    assert not events
