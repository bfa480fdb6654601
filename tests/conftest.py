"""What holds for all tests, wherever they are started."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2`: a file's tests stay together, for they share what is slow to make; those that start Ray, too, for
    two clusters on one machine get in each other's way."""
    for item in items:
        ray = "cluster" in item.path.parts or item.path.stem in ("test_pipeline", "test_cluster_files")
        item.add_marker(pytest.mark.xdist_group("ray" if ray else str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell ignores SIGINT for what it starts in the background, and children inherit that: tests of Ctrl-C would
    then test the shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
