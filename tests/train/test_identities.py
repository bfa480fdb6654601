"""IDF1, switches and misses: cases counted by hand, and the best naming against all namings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skelstream.train.identities import Identities, Moment, identities


def at(true: dict[int, float], found: dict[int, float], optional: tuple[int, ...] = ()) -> Moment:
    """A frame of people on a line: their names and places."""
    distance = np.abs(np.subtract.outer(np.array([*true.values()], float), np.array([*found.values()], float)))
    return Moment(
        true=tuple(true), found=tuple(found), distance=distance.reshape(len(true), len(found)),
        optional=frozenset(optional),
    )  # fmt: skip


def score(*moments: Moment) -> Identities:
    return identities(moments, gate=0.5)


def test_who_is_always_found_under_one_name_is_told_apart_perfectly() -> None:
    got = score(*[at({0: 0, 1: 5}, {7: 5.1, 3: 0.1}) for _ in range(10)])
    assert got == Identities(true=20, found=20, idtp=20, switches=0, misses=0, false=0)
    assert got.idf1 == got.mota == 1.0


def test_a_name_that_changes_half_way_costs_half_of_idf1_and_one_switch() -> None:
    got = score(*[at({0: 0}, {1 if i < 5 else 2: 0}) for i in range(10)])
    assert got == Identities(true=10, found=10, idtp=5, switches=1, misses=0, false=0)
    assert got.idf1 == 0.5
    assert got.mota == 0.9


def test_two_who_swap_names_for_the_last_quarter() -> None:
    # Ristani et al.'s point: two switches, however long the wrong names last; IDF1 says for how long.
    got = score(*[at({0: 0, 1: 5}, {1: 0, 2: 5} if i < 6 else {2: 0, 1: 5}) for i in range(8)])
    assert (got.switches, got.idtp, got.idf1) == (2, 12, 0.75)


def test_misses_and_false_alarms_are_counted_and_cost_idf1() -> None:
    frames = [at({0: 0}, {1: 0}), at({0: 0}, {}), at({0: 0}, {1: 0, 2: 9}), at({}, {2: 9})]
    got = score(*frames)
    assert got == Identities(true=3, found=4, idtp=2, switches=0, misses=1, false=2)
    assert got.idf1 == pytest.approx(4 / 7)
    assert got.mota == pytest.approx(1 - 3 / 3)


def test_a_gap_under_the_same_name_is_no_switch_and_under_another_it_is() -> None:
    assert score(at({0: 0}, {1: 0}), at({0: 0}, {}), at({0: 0}, {1: 0})).switches == 0
    assert score(at({0: 0}, {1: 0}), at({0: 0}, {}), at({0: 0}, {2: 0})).switches == 1


def test_a_match_is_kept_while_it_holds_although_another_is_nearer() -> None:
    got = score(at({0: 0}, {1: 0.1}), at({0: 0}, {1: 0.4, 2: 0.0}))
    assert (got.switches, got.misses, got.false) == (0, 0, 1)


def test_whom_nobody_could_see_may_be_found_or_not() -> None:
    seen = at({0: 0, 1: 2}, {5: 0}, optional=(1,))
    found_too = at({0: 0, 1: 2}, {5: 0, 6: 2}, optional=(1,))
    for moment in (seen, found_too):
        assert score(moment) == Identities(true=1, found=1, idtp=1)
    # Two at one place, of whom one is hidden: what is found there is the one who can be seen.
    assert score(at({0: 0.2, 1: 0}, {5: 0}, optional=(1,))) == Identities(true=1, found=1, idtp=1)


def test_an_empty_scene_is_no_error() -> None:
    assert score().idf1 == score(at({}, {})).mota == 1.0
    assert score(at({}, {1: 0})).idf1 == 0.0


def test_scenes_add_up() -> None:
    one, other = score(at({0: 0}, {1: 0})), score(at({0: 0}, {}))
    assert one + other == Identities(true=2, found=1, idtp=1, misses=1)


NAMES = st.dictionaries(st.integers(0, 3), st.integers(0, 4).map(float), max_size=4)


@settings(deadline=None)
@given(st.lists(st.builds(at, NAMES, NAMES), max_size=6))
def test_idtp_is_that_of_the_best_of_all_namings_and_what_is_not_missed_is_found(moments: list[Moment]) -> None:
    got = score(*moments)

    def right(naming: tuple[int, ...]) -> int:
        """Frames of people 0 to 3 who are found within the gate under the names that this naming gives them."""
        return sum(
            bool(moment.distance[n, moment.found.index(naming[name])] <= 0.5)
            for moment in moments
            for n, name in enumerate(moment.true)
            if naming[name] in moment.found
        )

    assert got.idtp == max(right(naming) for naming in itertools.permutations(range(4)))
    assert got.true - got.misses == got.found - got.false >= got.idtp
    assert 0 <= got.idf1 <= 1


def test_what_disagrees_is_refused() -> None:
    with pytest.raises(ValueError, match="distances"):
        Moment(true=(1,), found=(2, 3), distance=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="twice"):
        Moment(true=(1,), found=(2, 2), distance=np.zeros((1, 2)))
