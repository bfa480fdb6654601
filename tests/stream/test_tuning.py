"""Tuning while it runs: thresholds that are shifted act as if the bundle had been fitted so, and nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.encoder.bundle import DecodeParameters
from skelstream.stream.decode import Decoder, Looks, Segmenter
from skelstream.stream.tuning import Tuning, tuned
from skelstream.stream.wire import Event, Scores, Tuned

CLASSES = ("background", "wave", "clap")
FITTED = DecodeParameters(
    enter=(0.5, 0.5, 0.6), leave=(0.4, 0.4, 0.3), belief=(2.0, 2.0, 3.0), min_frames=2, doubt=1.0, delay=4
)  # fmt: skip


def look(rng: np.random.Generator, end: int) -> Looks:
    """A look of 32 ticks of which the last is decided, of probabilities that rise and fall."""
    logits_LK = np.cumsum(rng.normal(scale=0.7, size=(32, len(CLASSES))), axis=0)
    shares_LK = np.exp(logits_LK) / np.exp(logits_LK).sum(axis=1, keepdims=True)
    return Looks(
        probabilities_WLK=shares_LK[None].astype(np.float32), energy_WL=np.zeros((1, 32), np.float32),
        first_W=np.array([end - 1]), end_W=np.array([end]), seen_W=np.array([end + 3]), evidence_W=np.array([1.0]),
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000), enter=st.floats(-0.5, 0.5), belief=st.floats(0.05, 10),
    wave=st.floats(-0.5, 0.5), clap=st.floats(-0.5, 0.5),
)  # fmt: skip
def test_a_shift_acts_as_if_the_bundle_had_been_fitted_so(
    seed: int, enter: float, belief: float, wave: float, clap: float
) -> None:
    wish = Tuned(at=1.0, enter=enter, belief=belief, actions={"wave": wave, "clap": clap, "not taught yet": 0.3})
    enters = [0.5 + enter, 0.5 + (enter + wave), 0.6 + (enter + clap)]
    leaves = [0.4 + enter, 0.4 + (enter + wave), 0.3 + (enter + clap)]
    enters = [min(max(one, 0.01), 0.99) for one in enters]
    leaves = [min(max(one, 0.01), entered) for one, entered in zip(leaves, enters, strict=True)]
    as_fitted = replace(
        FITTED, enter=tuple(enters), leave=tuple(leaves), belief=tuple(min(belief * one, 32) for one in (2.0, 2.0, 3.0))
    )
    running, fitted = Segmenter(len(CLASSES), FITTED), Segmenter(len(CLASSES), as_fitted)
    running.tune(*tuned(FITTED, CLASSES, wish))
    rng = np.random.default_rng(seed)
    looks = [look(rng, 40 + i) for i in range(60)]
    assert [list(running.push(one)) for one in looks] == [list(fitted.push(one)) for one in looks]


def told(decoder: Decoder, truth: list[int], ticks: range) -> list[Event]:
    """What is told while windows of 40 frames come, each sure of the truth to about 90 %."""
    table = np.full((len(truth), len(CLASSES)), 0.0, np.float32)
    table[np.arange(len(truth)), truth] = 3.0
    heard = []
    for tick in ticks:
        shown = table[np.maximum(np.arange(tick - 39, tick + 1), 0)]
        scores = Scores(
            camera="hall", t=tick / 30, captured_at=1e9, track=1, index=tick, first_tick=tick - 39,
            valid=min(tick + 1, 40), last=tick == len(truth) - 1, logits=shown, evidence=1.0, scored_at=1e9,
        )  # fmt: skip
        heard += [said for said in decoder.push(scores, 1e9) if isinstance(said, Event) and said.kind != "update"]
    return heard


def test_what_a_decoder_holds_outlives_the_tuning_and_a_silenced_action_ends_at_once() -> None:
    truth = [0] * 40 + [1] * 100 + [0] * 30 + [1] * 60 + [2] * 60
    decoder, untouched = Decoder(CLASSES, FITTED), Decoder(CLASSES, FITTED)
    (began,) = told(decoder, truth, range(14, 80))
    decoder.tune(*tuned(FITTED, CLASSES, Tuned(at=1.0, enter=0.2, belief=2.0)))
    assert told(decoder, truth, range(80, 100)) == []  # 90 % are enough for this, too: it goes on
    decoder.tune(*tuned(FITTED, CLASSES, Tuned(at=2.0, actions={"wave": 1.0})))
    (ended,) = told(decoder, truth, range(100, 101))
    assert (ended.kind, ended.action, ended.t_start) == ("end", "wave", began.t_start)
    assert ended.t_end == pytest.approx(96 / 30, abs=1 / 30)
    assert {event.action for event in told(decoder, truth, range(101, len(truth)))} == {"clap"}
    assert {event.action for event in told(untouched, truth, range(14, len(truth)))} == {"wave", "clap"}


def test_a_wish_that_shifts_nothing_is_what_was_fitted() -> None:
    parameters, silent = tuned(FITTED, CLASSES, Tuned(at=5.0))
    assert (parameters, silent) == (FITTED, frozenset())
    numbers = DecodeParameters(enter=0.5, leave=0.3, belief=4.0)
    parameters, _ = tuned(numbers, CLASSES, Tuned(at=5.0, actions={"clap": 0.1}))
    assert isinstance(parameters.enter, tuple) and parameters.min_frames == numbers.min_frames
    *others, clap = parameters.enter
    assert others == [0.5, 0.5] and clap == pytest.approx(0.6)


def test_the_newest_wish_counts_and_outlives_the_process(tmp_path: Path) -> None:
    file = tmp_path / "tuned.json"
    tuning = Tuning(file)
    assert tuning.wish == Tuned(at=0.0)
    newer, older = Tuned(at=9.0, belief=2.0, actions={"clap": -0.25}), Tuned(at=8.0, enter=0.5)
    assert tuning.take(newer) and not tuning.take(newer) and not tuning.take(older)
    assert Tuning(file).wish == newer
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.json"]
