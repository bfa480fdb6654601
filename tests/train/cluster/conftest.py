"""What the tests of clusters share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from skelstream.train.cluster.simulated import Machines


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    """An empty place for nodes; the module starts what it needs."""
    with Machines() as started:
        yield started


@pytest.fixture
def without_ray_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token and no address in the environment or in the home directory."""
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
