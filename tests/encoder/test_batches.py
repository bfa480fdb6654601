"""Batches in pieces, and what belongs to a batch size kept while it is used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skelstream.encoder.engine.batches import Recent, pieces


@given(st.integers(1, 500), st.integers(1, 70))
def test_pieces_cover_everything_once_and_in_order(count: int, largest: int) -> None:
    covered = [list(range(count))[piece] for piece in pieces(count, largest)]
    assert [number for piece in covered for number in piece] == list(range(count))
    assert all(len(piece) == largest for piece in covered[:-1]) and 1 <= len(covered[-1]) <= largest
    assert all(
        piece.stop - piece.start == len(part) for piece, part in zip(pieces(count, largest), covered, strict=True)
    )


class TestRecent:
    @given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 4))
    def test_the_last_few_keys_are_kept_and_the_others_given_back(self, asked: list[int], keep: int) -> None:
        made: list[int] = []
        alive: set[tuple[int, int]] = set()  # (key, how many were made before it)

        def make(key: int) -> tuple[int, int]:
            assert len(alive) < keep
            made.append(key)
            alive.add((key, len(made)))
            return (key, len(made))

        recent = Recent(make, alive.remove, keep=keep)
        for turn, key in enumerate(asked):
            value = recent[key]
            assert value[0] == key and value in alive
            # Independently: the last `keep` different keys, counted back from here.
            last: list[int] = []
            for earlier in reversed(asked[: turn + 1]):
                if earlier not in last:
                    last.append(earlier)
            assert {k for k, _ in alive} == set(last[:keep]) and len(recent) == len(alive)
        recent.clear()
        assert not alive and len(recent) == 0

    def test_what_cannot_be_made_is_not_kept(self) -> None:
        def make(key: int) -> int:
            if key == 2:
                raise ValueError("not two")
            return key

        dropped: list[int] = []
        recent = Recent(make, dropped.append, keep=2)
        assert recent[1] == 1
        with pytest.raises(ValueError, match="not two"):
            recent[2]
        assert len(recent) == 1 and recent[3] == 3 and dropped == []
