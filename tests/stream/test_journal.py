"""The process that decides may die at any moment: no event is told twice, none is ended that was not begun."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.encoder.bundle import DecodeParameters
from skelstream.stream.decode import Decoder
from skelstream.stream.journal import Decoders
from skelstream.stream.wire import Event, Scores

CLASSES = ("background", "wave", "clap")
FRAMES = 40


def logits(truth: list[int]) -> np.ndarray:
    """Of every tick: sure of what is true."""
    table = np.full((len(truth), len(CLASSES)), -3.0, np.float32)
    table[np.arange(len(truth)), truth] = 3.0
    return table


def scores(table: np.ndarray, tick: int, last: bool = False) -> Scores:
    """What a window that ends with this tick says."""
    first = tick - FRAMES + 1
    shown = table[np.maximum(np.arange(first, tick + 1), 0)]
    return Scores(
        camera="hall", t=tick / 30, captured_at=1000 + tick / 30, track=1, index=tick, first_tick=first,
        valid=min(tick + 1, FRAMES), last=last, logits=shown, evidence=1.0, scored_at=1000 + tick / 30,
    )  # fmt: skip


def decoders(journal: Path, patience_s: float = np.inf) -> Decoders:
    return Decoders(lambda: Decoder(CLASSES, DecodeParameters()), journal, patience_s=patience_s)


def events(said: object) -> list[Event]:
    return [message for message in said if isinstance(message, Event)]  # type: ignore[attr-defined]


def told(truth: list[int], deaths: set[int]) -> list[Event]:
    """Every event of a person who does this, while the process dies before each of these ticks."""
    journal = Path(tempfile.mkdtemp(prefix="skel-")) / "begun.json"
    table, now, heard = logits(truth), decoders(journal), []
    for tick in range(14, len(truth)):
        if tick in deaths:
            now = decoders(journal)
        heard += events(now.push(scores(table, tick, last=tick == len(truth) - 1)))
    return heard


ACTIONS = st.lists(st.tuples(st.integers(0, 2), st.integers(20, 60)), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(ACTIONS, st.sets(st.integers(15, 300), max_size=6))
def test_whenever_it_dies_every_event_is_told_once(actions: list[tuple[int, int]], deaths: set[int]) -> None:
    truth = [label for label, frames in actions for _ in range(frames)]
    running: set[str] = set()
    seen: set[tuple[str, str, float]] = set()
    for event in told(truth, deaths):
        if event.kind == "update":
            assert event.action in running
            continue
        assert (event.kind, event.action, event.t_start) not in seen
        seen.add((event.kind, event.action, event.t_start))
        if event.kind == "start":
            assert event.action not in running
            running.add(event.action)
        else:
            assert event.action in running
            running.remove(event.action)
    assert not running


@settings(max_examples=30, deadline=None)
@given(st.integers(60, 150))
def test_an_action_that_goes_on_is_one_event_whenever_it_dies(death: int) -> None:
    truth = [0] * 40 + [1] * 120 + [0] * 60
    undisturbed, disturbed = (
        [(e.kind, e.action, round(e.t_start, 1)) for e in told(truth, deaths) if e.kind != "update"]
        for deaths in (set[int](), {death})
    )
    assert [kind for kind, *_ in undisturbed] == ["start", "end"]
    assert disturbed == undisturbed


def test_what_somebody_did_who_is_gone_is_over(tmp_path: Path) -> None:
    table, now = logits([0] * 40 + [1] * 60), decoders(tmp_path / "begun.json", patience_s=0.2)
    heard = [event for tick in range(14, 100) for event in events(now.push(scores(table, tick)))]
    assert [e.kind for e in heard if e.kind != "update"] == ["start"] and not events(now.forget())
    # The process dies with it, and the person never comes back.
    after = decoders(tmp_path / "begun.json", patience_s=0.2)
    time.sleep(0.3)
    (end,) = events(after.forget())
    assert (end.kind, end.action, end.t_start) == ("end", "wave", heard[0].t_start)
    assert end.t_end == pytest.approx(100 / 30, abs=1.1)  # it is noted when something is told: once a second
    assert not events(after.forget()) and not events(decoders(tmp_path / "begun.json").close("hall"))


def test_at_the_end_of_a_stream_everything_is_over(tmp_path: Path) -> None:
    table, now = logits([0] * 40 + [2] * 60), decoders(tmp_path / "begun.json")
    for tick in range(14, 100):
        list(now.push(scores(table, tick)))
    assert not events(now.close("another"))
    assert [e.action for e in events(now.close("hall"))] == ["clap"]


def test_a_journal_of_another_models_classes_is_refused(tmp_path: Path) -> None:
    table, now = logits([0] * 40 + [2] * 60), decoders(tmp_path / "begun.json")
    for tick in range(14, 100):
        list(now.push(scores(table, tick)))
    with pytest.raises(ValueError, match="and there are 2"):
        Decoders(lambda: Decoder(CLASSES[:2], DecodeParameters()), tmp_path / "begun.json", patience_s=1.0)
