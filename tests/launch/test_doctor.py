"""The doctor tries what `live` and its supervision need; what is wrong is a line that says how to mend it."""

from __future__ import annotations

import socket

import pytest

from skelstream.launch import doctor


def test_a_stage_that_it_kills_comes_back() -> None:
    assert "its counts kept" in doctor._supervision()


def test_it_names_ports_that_are_taken() -> None:
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 7602))
        except OSError:
            pytest.skip("somebody uses port 7602")
        taken.listen()
        assert "7602" in doctor._ports() and "--port" in doctor._ports()


def test_too_little_room_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "GB" in doctor._room()
    monkeypatch.setattr(doctor, "_LEAST_DISK_GB", 1e9)
    with pytest.raises(ValueError, match="make room there, or set TMPDIR"):
        doctor._room()


def test_it_knows_whether_the_clock_is_right_or_says_that_it_does_not() -> None:
    assert doctor._clock().partition(";")[0] in (
        "synchronised", "not synchronised", "nobody here knows whether the clock is right",
    )  # fmt: skip
