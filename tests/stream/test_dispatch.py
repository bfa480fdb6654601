"""The ledger of windows: nothing is lost, nothing is told twice, and a person's scores leave in order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.stream.dispatch import Dispatcher
from skelstream.stream.wire import Scores, Window, replaced


def window(track: int, index: int, last: bool = False) -> Window:
    return Window(
        camera="c", t=index / 30, captured_at=0.0, track=track, index=index, first_tick=index, valid=64, last=last,
        joints=np.zeros((3, 64, 25, 2), np.float32), evidence=1.0,
    )  # fmt: skip


def dropped(dispatcher: Dispatcher) -> int:
    return sum(n for what, n in dispatcher.tally.items() if what.startswith("dropped: "))


def scores(w: Window) -> Scores:
    return Scores(
        camera=w.camera, t=w.t, captured_at=0.0, track=w.track, index=w.index, first_tick=w.first_tick, valid=64,
        last=w.last, logits=np.zeros((64, 2), np.float32), evidence=1.0, scored_at=0.0,
    )  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_with_detectors_that_die_every_window_leaves_once_and_in_order(data: st.DataObject) -> None:
    dispatcher = Dispatcher(Dispatcher.Config(capacity=10_000, batch=3, patience_s=1.0))
    waiting = [window(track, index) for index in range(12) for track in (1, 2)]
    out: dict[bytes, list[Window]] = {}
    left: list[tuple[int, int]] = []
    now = 0.0
    for _ in range(400):
        if not waiting and not dispatcher.outstanding("c"):
            break
        now += 0.1
        action = data.draw(st.sampled_from(("put", "take", "answer", "die", "expire")))
        worker = data.draw(st.sampled_from((b"a", b"b")))
        if action == "put" and waiting:
            dispatcher.put(waiting.pop(0))
        elif action == "take" and worker not in out:
            out[worker] = dispatcher.take(worker, now)
        elif action == "answer":
            for w in out.pop(worker, []):
                dispatcher.settle(scores(w))
        elif action == "die":
            out.pop(worker, None)  # it never answers
        elif action == "expire":
            for gone in dispatcher.expire(now):
                out.pop(gone, None)
        left += [(s.track, s.index) for s in dispatcher.ordered()]
    # Whatever is still out comes back from a detector that works.
    for w in waiting:
        dispatcher.put(w)
    for _ in range(100):
        now += 2.0
        dispatcher.expire(now)
        for w in dispatcher.take(b"c", now):
            dispatcher.settle(scores(w))
    left += [(s.track, s.index) for s in dispatcher.ordered()]
    for track in (1, 2):
        assert [index for t, index in left if t == track] == list(range(12))
    assert dropped(dispatcher) == 0


def test_when_nobody_takes_them_the_oldest_are_dropped_and_the_last_is_kept() -> None:
    dispatcher = Dispatcher(Dispatcher.Config(capacity=4))
    dispatcher.put(window(9, 0, last=True))
    for index in range(10):
        dispatcher.put(window(1, index))
    assert dropped(dispatcher) == 7
    taken = dispatcher.take(b"a", 0.0)
    assert [(w.track, w.index) for w in taken] == [(9, 0), (1, 7), (1, 8), (1, 9)]
    for w in reversed(taken):
        dispatcher.settle(scores(w))
    assert sorted((s.track, s.index) for s in dispatcher.ordered()) == [(1, 7), (1, 8), (1, 9), (9, 0)]
    assert dispatcher.outstanding("c") == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=60))
def test_under_load_each_persons_newest_window_is_the_one_that_waits(steps: list[tuple[int, bool]]) -> None:
    dispatcher = Dispatcher(Dispatcher.Config(newest=True))
    put: dict[int, int] = {}
    taken: list[tuple[int, int]] = []
    for track, take in steps:
        put[track] = put.get(track, -1) + 1
        dispatcher.put(window(track, put[track]))
        if take:
            batch = dispatcher.take(b"a", 0.0)
            assert len({w.track for w in batch}) == len(batch)  # one a person at most
            assert all(w.index == put[w.track] for w in batch)  # and that is the newest
            taken += [(w.track, w.index) for w in batch]
            for w in batch:
                dispatcher.settle(scores(w))
    for w in dispatcher.take(b"a", 0.0):
        taken.append((w.track, w.index))
        dispatcher.settle(scores(w))
    assert len(taken) + dropped(dispatcher) == sum(index + 1 for index in put.values())
    assert sorted((s.track, s.index) for s in dispatcher.ordered()) == sorted(taken)
    assert all((track, index) in taken for track, index in put.items())


def test_a_late_answer_of_a_detector_that_was_given_up_counts_once() -> None:
    dispatcher = Dispatcher(Dispatcher.Config(patience_s=1.0))
    dispatcher.put(window(1, 0))
    (w,) = dispatcher.take(b"slow", 0.0)
    assert dispatcher.expire(2.0) == {b"slow"}
    dispatcher.settle(scores(w))
    assert [s.index for s in dispatcher.ordered()] == [0]
    dispatcher.settle(scores(w))
    assert not list(dispatcher.ordered()) and not dispatcher.take(b"b", 3.0)


@pytest.mark.parametrize(
    "changed",
    [{"first_tick": 4}, {"valid": 3}, {"t": 1.0}, {"captured_at": 1.0}, {"last": True},
     {"logits": np.zeros((65, 2), np.float32)}],
)  # fmt: skip
def test_an_answer_to_another_question_is_not_taken(changed: dict[str, object]) -> None:
    dispatcher = Dispatcher()
    dispatcher.put(window(1, 5))
    [sent] = dispatcher.take(b"a", 0.0)
    dispatcher.settle(replaced(scores(sent), **changed))
    assert list(dispatcher.ordered()) == [] and dispatcher.tally["refused: scores of no such window"] == 1
    dispatcher.settle(scores(sent))
    assert [s.index for s in dispatcher.ordered()] == [5]
