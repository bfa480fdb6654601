"""A stage's life: what may follow what, how often and how soon it is started again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.launch.lifecycle import AGAIN, ENDED_WELL, MOST_RESTARTS, WITHIN_S, WRONG_REQUEST, Lifecycle, Phase

KILLED = -9


def ready(life: Lifecycle) -> None:
    life.start()
    life.to(Phase.READY)


@given(st.lists(st.floats(0.0, 40.0), min_size=1, max_size=40))
def test_it_is_never_started_more_than_five_times_a_minute(lasting: list[float]) -> None:
    """Whatever it lives for each time; `now` is when it dies."""
    life, now = Lifecycle(), 0.0
    started: list[float] = []
    ready(life)
    for seconds in lasting:
        now += seconds
        life.ended(KILLED, now)
        if life.phase is Phase.FAILED:
            assert len([at for at in started if now - at < WITHIN_S]) >= MOST_RESTARTS - 1
            return
        assert life.due >= now
        now = life.due
        started.append(now)
        ready(life)
        assert len([at for at in started if now - at < WITHIN_S]) <= MOST_RESTARTS
    assert life.restarts == len(started)


def test_the_first_crash_costs_nothing_and_each_further_one_twice_the_wait() -> None:
    life, waits = Lifecycle(), []
    ready(life)
    for _ in range(MOST_RESTARTS):
        life.ended(KILLED, 100.0)
        waits.append(life.due - 100.0)
        ready(life)
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0]
    life.ended(KILLED, 100.0)
    assert life.phase is Phase.FAILED


def test_after_a_minute_of_peace_it_has_all_its_lives_again() -> None:
    life = Lifecycle()
    ready(life)
    for _ in range(MOST_RESTARTS):
        life.ended(KILLED, 0.0)
        ready(life)
    life.ended(KILLED, WITHIN_S)
    assert life.phase is Phase.WAITING and life.due == WITHIN_S


def test_a_clean_end_is_not_started_again() -> None:
    life = Lifecycle()
    ready(life)
    life.ended(ENDED_WELL, 1.0)
    assert life.phase is Phase.STOPPED
    ready(life)
    life.to(Phase.STOPPING)
    life.ended(KILLED, 2.0)  # it had to be killed, but it was to end
    assert life.phase is Phase.STOPPED and life.restarts == 0


def test_a_wrong_request_is_given_up_at_once_unless_it_has_worked() -> None:
    life = Lifecycle()
    life.start()
    life.ended(WRONG_REQUEST, 0.0)
    assert life.phase is Phase.FAILED
    life = Lifecycle()
    ready(life)
    life.ended(WRONG_REQUEST, 0.0)
    assert life.phase is Phase.WAITING


@given(st.integers(1, 100))
def test_who_asks_for_a_new_process_gets_one_however_often(times: int) -> None:
    life = Lifecycle()
    ready(life)
    for n in range(times):
        life.ended(AGAIN, float(n))
        assert life.phase is Phase.WAITING and life.due == n
        ready(life)


def test_nothing_follows_that_may_not() -> None:
    life = Lifecycle()
    for phase in (Phase.READY, Phase.WAITING, Phase.STOPPING, Phase.FAILED):
        with pytest.raises(AssertionError):
            life.to(phase)
