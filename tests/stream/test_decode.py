"""Decoding: fusion against plain numpy, hysteresis, and events that say when things began."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skelstream.encoder.bundle import DecodeParameters
from skelstream.stream.decode import Decoder, segment
from skelstream.stream.wire import Decision, Event, Scores

CLASSES = ("background", "wave", "clap")


def run(
    windows: list[tuple[int, NDArray[np.float32]]], parameters: DecodeParameters
) -> tuple[list[Decision], list[Event]]:
    """Decode windows (end tick, probabilities (64, 3)) of a person first seen at tick 0."""
    decoder = Decoder(CLASSES, parameters)
    said = []
    for i, (end, probabilities) in enumerate(windows):
        scores = Scores(
            camera="c", t=end / 30, captured_at=0.0, track=1, index=i, first_tick=end - 63, valid=min(end + 1, 64),
            last=i == len(windows) - 1, probabilities=probabilities, scored_at=0.0,
        )  # fmt: skip
        said += list(decoder.push(scores, 5.0))
    return [s for s in said if isinstance(s, Decision)], [s for s in said if isinstance(s, Event)]


@settings(deadline=None, max_examples=30)
@given(delay=st.integers(0, 63), hop=st.integers(1, 6), count=st.integers(1, 60), seed=st.integers(0, 999))
def test_fusion_is_the_mean_over_the_windows_that_came_in_time(delay: int, hop: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = [20 + i * hop for i in range(count)]
    windows = [(end, rng.dirichlet((1, 1, 1), 64).astype(np.float32)) for end in ends]
    decisions, _ = run(windows, DecodeParameters(delay=delay))

    ticks = [tick for d in decisions for tick in range(d.first_tick, d.first_tick + len(d.labels))]
    assert ticks == list(range(ends[-1] + 1))  # every frame once, in order
    fused = np.concatenate([d.probabilities for d in decisions])
    for tick in ticks:
        # The first window that looks `delay` beyond the tick decides it; the last one decides all that is left.
        decided_by = next((end for end in ends if end - delay >= tick), ends[-1])
        rows = [p[tick - end + 63] for end, p in windows if end <= decided_by and end - 63 <= tick <= end]
        if rows:
            np.testing.assert_allclose(fused[tick], np.mean(rows, axis=0), atol=1e-5)


def stream(*runs: tuple[int, int]) -> NDArray[np.float32]:
    """Probability rows: (class, frames) one after the other, 0.9 for the class."""
    return np.concatenate([np.tile(np.eye(3)[k] * 0.85 + 0.05, (n, 1)) for k, n in runs]).astype(np.float32)


def windows_over(rows: NDArray[np.float32], hop: int = 2) -> list[tuple[int, NDArray[np.float32]]]:
    padded = np.concatenate([np.tile(rows[:1], (63, 1)), rows])
    return [(end, padded[end : end + 64]) for end in [*range(15, len(rows), hop), len(rows) - 1]]


@pytest.mark.parametrize("delay", [0, 8, 30])
def test_an_event_says_when_it_began_and_ended_whatever_the_delay(delay: int) -> None:
    rows = stream((0, 60), (1, 45), (0, 30), (2, 30), (0, 40))
    _, events = run(windows_over(rows), DecodeParameters(delay=delay, enter=0.5, leave=0.3, min_frames=6))
    told = [(e.kind, e.action, round(e.t_start * 30), e.t_end and round(e.t_end * 30)) for e in events]
    assert [t for t in told if t[0] != "update"] == [
        ("start", "wave", 60, None), ("end", "wave", 60, 105),
        ("start", "clap", 135, None), ("end", "clap", 135, 165),
    ]  # fmt: skip
    assert all(0.8 < e.confidence <= 1 for e in events)


def test_what_is_shorter_than_the_minimum_is_no_event_and_a_dip_does_not_end_one() -> None:
    parameters = DecodeParameters(delay=0, enter=0.5, leave=0.3, min_frames=6)
    rows = stream((0, 30), (1, 5), (0, 30), (2, 20), (0, 20))
    rows[75:77] = (0.6, 0.05, 0.35)  # clap falls to 0.35: below `enter`, above `leave`
    labels = segment(rows, parameters)
    assert set(labels[:65]) == {0}
    assert (labels[65:85] == 2).all()
    assert (labels[85:] == 0).all()


def test_an_event_that_still_runs_ends_with_the_person() -> None:
    _, events = run(windows_over(stream((0, 30), (1, 50))), DecodeParameters(delay=8))
    assert events[-1].kind == "end" and events[-1].t_end == pytest.approx(80 / 30)


def smooth(rows: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Slow transitions: while one action fades, the next one already leads."""
    kernel = np.ones(frames) / frames
    padded = np.pad(rows, ((frames // 2, frames - 1 - frames // 2), (0, 0)), mode="edge")
    columns = [np.convolve(column, kernel, mode="valid") for column in padded.T]
    return np.stack(columns, axis=1).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), delay=st.integers(0, 40), fading=st.integers(1, 40))
def test_events_come_in_pairs_do_not_overlap_and_are_the_labels(seed: int, delay: int, fading: int) -> None:
    rng = np.random.default_rng(seed)
    rows = stream(*((int(rng.integers(3)), int(rng.integers(1, 40))) for _ in range(12)))
    rows = smooth(rows, min(fading, len(rows)))
    parameters = DecodeParameters(delay=delay, leave=0.2)
    _, events = run(windows_over(rows), parameters)
    edges = [e for e in events if e.kind != "update"]
    assert [e.kind for e in edges] == ["start", "end"] * (len(edges) // 2)
    spans = [(e.t_start, e.t_end, CLASSES.index(e.action)) for e in edges if e.t_end is not None]
    assert all(start < end for start, end, _ in spans)
    assert all(end <= start + 1e-9 for (_, end, _), (start, _, _) in pairwise(spans))
    labels = np.zeros(len(rows), np.int64)
    for start, end, k in spans:
        labels[round(start * 30) : round(end * 30)] = k
    np.testing.assert_array_equal(labels, segment(rows, parameters))
